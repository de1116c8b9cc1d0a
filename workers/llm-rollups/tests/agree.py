#!/usr/bin/env python3
"""Compares what 1 000 random calls cost here with what the package `genai-prices` makes of them.

    python3 -m venv /tmp/agree && /tmp/agree/bin/pip install genai-prices==0.2.3
    /tmp/agree/bin/python tests/agree.py

What it is not: a part of the build. Invariant: the calls are drawn by a seed, so that every run compares the same ones; of
the models of the shipped card, by all names that the package knows exactly, those are drawn that it has the same prices
for (see `skipped`, which is printed with its reasons).
"""

import collections
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import tomllib

import genai_prices
from genai_prices import Usage, types
from genai_prices.data import providers

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc
CALLS = 1_000


def tokens(chance, kinds):
    """Parts, and their total with some more."""
    parts = {kind: chance.randrange(150_000) for kind in kinds if chance.random() < 0.4}
    return parts, sum(parts.values()) + chance.randrange(300_000)


def main():
    card = tomllib.loads((HERE / "../data/prices.toml").read_text())
    models = []
    for provider in card["provider"]:
        for model in provider["model"]:
            for name in [model["name"], *model.get("aliases", []), *(p + "-x" for p in model.get("prefixes", []))]:
                models.append((provider["name"], model["name"], name))
    by_id = {provider.id: provider for provider in providers}
    chance = random.Random(7)
    calls, skipped, disagreed = [], collections.Counter(), set()
    while len(calls) < CALLS:
        provider, model, name = chance.choice(models)
        found = by_id[provider].find_model(name)
        if found is None or found.id != model:
            # It takes the first model that matches, and knows clauses that are no names and no prefixes.
            skipped["the package takes another model for this name"] += 1
            disagreed.add((provider, name, found and found.id, model))
            continue
        batch = chance.random() < 0.3
        when = datetime.datetime(2025, 1, 1, tzinfo=UTC) + datetime.timedelta(seconds=chance.randrange(2 * 365 * 86_400))
        context = {"processing": "batch"} if batch else None
        prices = vars(found.get_prices(when, context))
        ins = ["cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "input_audio_tokens", "input_image_tokens"]
        parts_in, total_in = tokens(chance, ins)
        parts_out, total_out = tokens(chance, ["output_reasoning_tokens", "output_audio_tokens"])
        if "input_mtok" not in prices or ("output_mtok" not in prices and total_out):
            # Without a price it takes 0 where this worker says that nobody knows.
            skipped["no price for input or output"] += 1
            continue
        if any(key not in KEYS for key, price in prices.items() if price is not None):
            skipped["prices of what is no kind of tokens here"] += 1
            continue
        usage = {**parts_in, **parts_out, "input_tokens": total_in, "output_tokens": total_out}
        asked = dict(usage)
        # It has one kind for both, of which the hour is a part.
        asked["cache_write_tokens"] = asked.get("cache_write_5m_tokens", 0) + asked.get("cache_write_1h_tokens", 0)
        price = genai_prices.calc_price(
            Usage(**asked), name, provider_id=provider, genai_request_timestamp=when, price_context=context
        ).total_price
        calls.append({
            "provider": provider, "model": name, "time_ms": int(when.timestamp() * 1000), "batch": batch,
            "usage": usage, "price": format(price, "f"),
        })
    for reason, count in skipped.items():
        print(f"skipped {count}: {reason}", file=sys.stderr)
    print(f"{len(disagreed)} of {len(models)} names are another model's there: {sorted(disagreed)[:5]} ...", file=sys.stderr)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(call) + "\n" for call in calls)
        file.flush()
        test = ["cargo", "test", "-p", "llm-rollups", "--test", "prices", "--", "--ignored", "package"]
        sys.exit(subprocess.run(test, env={**os.environ, "LLM_CALLS": file.name}).returncode)


KEYS = {
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "output_reasoning_mtok",
    "input_audio_mtok", "output_audio_mtok", "input_image_mtok",
}
main()
