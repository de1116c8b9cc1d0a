#!/usr/bin/env python3
"""Writes prices.toml, the price card that llm-rollups is shipped with, from the package `genai-prices` (MIT).

What it is not: a part of the build; whoever wants newer prices runs it and looks at the difference:

    pip install genai-prices==0.2.3
    ./make_prices.py 2026-11-22 > prices.toml

Invariant: a price is written as the package has it, in decimal digits, and a price that cannot be written exactly (finer
than a pico-dollar a token) or that is not by the token is left out and counted on standard error. Each version of a
model's prices is written whole, so that none needs another one beside it.
"""

import datetime
import importlib.metadata
import sys
from decimal import Decimal

from genai_prices import types
from genai_prices.data import providers

# Those whose own models come first: a call that names a model and no provider is theirs.
WANTED = [
    "anthropic", "openai", "google", "mistral", "cohere", "deepseek", "x-ai", "perplexity", "voyageai", "moonshotai",
    "meta", "minimax", "zai", "azure", "aws", "groq", "together", "fireworks", "cerebras",
]
# What OpenTelemetry's `gen_ai.provider.name` calls them, and what people do.
ALIASES = {
    "openai": [],
    "google": ["gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "gemini", "vertex_ai"],
    "mistral": ["mistral_ai", "mistralai"],
    "x-ai": ["x_ai", "xai"],
    "azure": ["azure.ai.openai", "azure.ai.inference", "az.ai.openai", "az.ai.inference"],
    "aws": ["aws.bedrock", "bedrock"],
    "moonshotai": ["moonshot_ai", "moonshot"],
    "voyageai": ["voyage", "voyage_ai"],
    "fireworks": ["fireworks_ai"],
    "together": ["together_ai"],
}
KINDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
}
UTC = datetime.timezone.utc
left_out = {"prices finer than a pico-dollar a token": 0, "models without a price by the token": 0}


def names(match, exact, prefixes):
    if isinstance(match, types.ClauseEquals):
        exact.append(match.equals.lower())
    elif isinstance(match, types.ClauseStartsWith):
        prefixes.append(match.starts_with.lower())
    elif isinstance(match, types.ClauseOr):
        for one in match.or_:
            names(one, exact, prefixes)


def at_level(prices, level):
    """The prices of a call with just more than `level` tokens of input."""
    kinds = {}
    for key, price in vars(prices).items():
        if key not in KINDS or price is None:
            continue
        if isinstance(price, types.TieredPrices):
            found = price.base
            for tier in price.tiers:
                if level >= tier.start:
                    found = tier.price
            price = found
        if price * 10**6 != (price * 10**6).to_integral_value():
            left_out["prices finer than a pico-dollar a token"] += 1
            continue
        kinds[KINDS[key]] = format(price.normalize(), "f")
    return kinds


def levels(prices):
    starts = {0}
    for price in vars(prices).values():
        if isinstance(price, types.TieredPrices):
            starts |= {tier.start for tier in price.tiers}
    return sorted(starts)


def constraints(model):
    found = [one.constraint for one in model.prices] if isinstance(model.prices, list) else []
    return found + [one.constraint for one in model.price_variants or ()]


def rows(model):
    dates = {one.start_date for one in constraints(model) if isinstance(one, types.StartDateConstraint)}
    spans = {(one.start_time, one.end_time) for one in constraints(model) if isinstance(one, types.TimeOfDateConstraint)}
    minutes = [datetime.time(m // 60, m % 60, tzinfo=UTC) for m in range(0, 1440, 10)]

    def within(time, span):
        start, end = span
        return start <= time < end if start <= end else time >= start or time < end

    outside = next(time for time in minutes if not any(within(time, span) for span in spans))
    before = None
    for date in [None, *sorted(dates)]:
        day = date or datetime.date(2000, 1, 1)
        version = []
        for span in [None, *sorted(spans)]:
            when = datetime.datetime.combine(day, span[0] if span else outside)
            for batch in (False, True):
                prices = model.get_prices(when, {"processing": "batch"} if batch else None)
                for level in levels(prices):
                    version.append((span, batch, level, at_level(prices, level)))
        plain = {(span, level): kinds for span, batch, level, kinds in version if not batch}
        kept = [
            row for row in version
            if not (row[1] and plain.get((row[0], row[2])) == row[3])
            and not (row[0] and not row[1] and plain.get((None, row[2])) == row[3])
        ]
        if kept != before and any(kinds for *_, kinds in kept):
            yield from ((date, *row) for row in kept)
        before = kept


def quoted(texts):
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def main():
    dated = sys.argv[1]
    version = importlib.metadata.version("genai-prices")
    print(f'# Prices of language models, in US dollars for a million tokens. Written by make_prices.py; see there.\n')
    print(f'source = "genai-prices {version} (PyPI, MIT licence, copyright Pydantic Services Inc.)"')
    print(f'dated = "{dated}"')
    by_id = {provider.id: provider for provider in providers}
    for provider in (by_id[name] for name in WANTED):
        print(f'\n[[provider]]\nname = "{provider.id}"')
        if ALIASES.get(provider.id):
            print(f"aliases = {quoted(ALIASES[provider.id])}")
        taken = set()
        for model in provider.models:
            exact, prefixes = [model.id.lower()], []
            names(model.match, exact, prefixes)
            # The package takes the first model that matches.
            exact = [name for name in dict.fromkeys(exact) if ("=", name) not in taken]
            prefixes = [name for name in dict.fromkeys(prefixes) if ("^", name) not in taken]
            found = list(rows(model))
            if not any("input" in kinds or "output" in kinds for *_, kinds in found) or not (exact or prefixes):
                left_out["models without a price by the token"] += 1
                continue
            taken |= {("=", name) for name in exact} | {("^", name) for name in prefixes}
            print(f'\n[[provider.model]]\nname = "{model.id}"')
            aliases = [name for name in exact if name != model.id]
            if aliases:
                print(f"aliases = {quoted(aliases)}")
            if prefixes:
                print(f"prefixes = {quoted(prefixes)}")
            print("price = [")
            for date, span, batch, level, kinds in found:
                parts = []
                if date:
                    parts.append(f'effective_from = "{date}T00:00:00Z"')
                if span:
                    parts.append(f'from = "{span[0]:%H:%M}", until = "{span[1]:%H:%M}"')
                if batch:
                    parts.append("batch = true")
                if level:
                    parts.append(f"above_input_tokens = {level}")
                parts += [f'{kind} = "{price}"' for kind, price in kinds.items()]
                print("  { " + ", ".join(parts) + " },")
            print("]")
    for what, count in left_out.items():
        print(f"left out: {count} {what}", file=sys.stderr)


main()
