//! Calls of language models: which models there are, how fast they answer, and what they cost.
//!
//! Names and prices are real (2026-10, per million tokens); speeds are made up and of the usual size. One model is
//! nobody's but the company's own, and has no price.
//!
//! Not here: why a model is asked. Invariant: a cost that is told is exactly tokens times price.

use super::page::Page;
use crate::feed::draws::Draws;

/// A model.
struct Model {
    provider: &'static str,
    name: &'static str,
    /// Pico-dollars a token of input, of input from the cache, of output; `None` for a model without a price.
    price: Option<[u64; 3]>,
    /// About when its first token comes, in milliseconds.
    first_ms: u64,
    /// Milliseconds of a hundred further tokens.
    hundred_ms: u64,
}

const MODELS: [Model; 6] = [
    Model {
        provider: "google",
        name: "gemini-2.5-flash",
        price: Some([300_000, 30_000, 2_500_000]),
        first_ms: 320,
        hundred_ms: 450,
    },
    Model {
        provider: "openai",
        name: "gpt-4o-mini",
        price: Some([150_000, 75_000, 600_000]),
        first_ms: 380,
        hundred_ms: 900,
    },
    Model {
        provider: "anthropic",
        name: "claude-sonnet-4-5",
        price: Some([3_000_000, 300_000, 15_000_000]),
        first_ms: 800,
        hundred_ms: 1_100,
    },
    Model { provider: "self-hosted", name: "loci-guide-7b", price: None, first_ms: 150, hundred_ms: 1_200 },
    Model {
        provider: "openai",
        name: "gpt-4.1-mini",
        price: Some([400_000, 100_000, 1_600_000]),
        first_ms: 410,
        hundred_ms: 900,
    },
    Model {
        provider: "openai",
        name: "text-embedding-3-small",
        price: Some([20_000, 20_000, 0]),
        first_ms: 0,
        hundred_ms: 0,
    },
];

/// Which model; an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which(u8);

impl Which {
    pub(super) const GPT_4O_MINI: Self = Self(1);
    pub(super) const GPT_4_1_MINI: Self = Self(4);
    pub(super) const EMBEDDING: Self = Self(5);

    /// The model of a chat: most talk with the first one.
    pub(super) fn of_chat(draws: &mut Draws) -> Self {
        Self(match draws.below(100) {
            0..55 => 0,
            55..80 => 1,
            80..95 => 2,
            _ => 3,
        })
    }

    pub(super) fn name(self) -> &'static str {
        self.model().name
    }

    fn model(self) -> &'static Model {
        MODELS.get(usize::from(self.0)).unwrap_or(&MODELS[0])
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    RateLimit,
    Timeout,
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    which: Which,
    outcome: Outcome,
    first_ms: u32,
    /// From the question to the end.
    pub(super) latency_ms: u32,
    input: u32,
    cached: u32,
    output: u32,
    /// Whether the application tells what it cost.
    is_cost_told: bool,
}

impl Call {
    /// A call that answers a question of `input` tokens; `output` bounds the answer's.
    pub(super) fn answered(draws: &mut Draws, which: Which, input: u64, output: u64) -> Self {
        let model = which.model();
        let output = 20 + draws.skewed_below(output);
        let first = model.first_ms / 2 + draws.skewed_below(model.first_ms * 3 + 1);
        // Now and then a model is slow as a whole.
        let pace = if draws.chance(200) { 400 } else { 80 + draws.below(60) };
        let latency = first + model.hundred_ms * output / 100 * pace / 100;
        let cached = if draws.chance(3_000) { input / 256 * 128 } else { 0 };
        Self {
            which,
            outcome: Outcome::Answered,
            first_ms: first as u32,
            latency_ms: latency.max(1) as u32,
            input: input as u32,
            cached: cached as u32,
            output: output as u32,
            is_cost_told: draws.chance(6_500),
        }
    }

    /// A call that comes to nothing, for one of two reasons.
    pub(super) fn failed(draws: &mut Draws, which: Which, input: u64) -> Self {
        let (outcome, latency) = if draws.chance(6_000) {
            (Outcome::RateLimit, 40 + draws.below(200))
        } else {
            (Outcome::Timeout, 30_000 + draws.below(300))
        };
        let call = Self::answered(draws, which, input, 1);
        Self { outcome, latency_ms: latency as u32, output: 0, cached: 0, is_cost_told: false, ..call }
    }

    /// Embeddings of so many tokens.
    pub(super) fn embedding(draws: &mut Draws, input: u64) -> Self {
        let latency = 60 + input / 40 + draws.skewed_below(400);
        let call = Self::answered(draws, Which::EMBEDDING, input, 1);
        Self { first_ms: 0, latency_ms: latency as u32, output: 0, cached: 0, ..call }
    }

    /// Writes it in plain names.
    pub(super) fn write(&self, page: &mut Page<'_>, operation: &str, latency: &str) {
        let model = self.which.model();
        page.text("provider", model.provider);
        page.text("model", model.name);
        page.text("operation", operation);
        page.whole(latency, self.latency_ms.into());
        if self.output > 0 {
            page.whole("time_to_first_token_ms", self.first_ms.into());
        }
        if self.outcome == Outcome::Answered {
            page.whole("input_tokens", self.input.into());
            page.whole("output_tokens", self.output.into());
        }
        if self.cached > 0 {
            page.whole("cached_input_tokens", self.cached.into());
        }
        self.write_end(page);
    }

    /// Writes it in the names of OpenTelemetry's GenAI conventions.
    pub(super) fn write_attributes(&self, page: &mut Page<'_>, operation: &str) {
        let model = self.which.model();
        page.whole("duration_ms", self.latency_ms.into());
        if self.output > 0 {
            page.whole("ttft_ms", self.first_ms.into());
        }
        page.open("attributes");
        page.text("gen_ai.provider.name", model.provider);
        page.text("gen_ai.request.model", model.name);
        page.text("gen_ai.operation.name", operation);
        if self.outcome == Outcome::Answered {
            page.whole("gen_ai.usage.input_tokens", self.input.into());
            page.whole("gen_ai.usage.output_tokens", self.output.into());
        }
        if self.cached > 0 {
            page.whole("gen_ai.usage.cache_read.input_tokens", self.cached.into());
        }
        page.close();
        self.write_end(page);
    }

    /// Whether OpenTelemetry's names are used for this model's calls.
    pub(super) fn is_observed(&self) -> bool {
        self.which == Which::GPT_4O_MINI
    }

    fn write_end(&self, page: &mut Page<'_>) {
        if let (true, Some([input, cached, output])) = (self.is_cost_told, self.which.model().price) {
            let fresh = u64::from(self.input - self.cached.min(self.input));
            let cost = fresh * input + u64::from(self.cached) * cached + u64::from(self.output) * output;
            page.money("cost", cost);
            page.text("currency", "USD");
        }
        match self.outcome {
            Outcome::Answered => {}
            Outcome::RateLimit => page.text("error_type", "rate_limit_exceeded"),
            Outcome::Timeout => page.text("error_type", "timeout"),
        }
    }

    pub(super) fn has_answered(&self) -> bool {
        self.outcome == Outcome::Answered
    }
}
