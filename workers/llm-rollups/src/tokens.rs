//! The tokens of a call, by kind, each counted once.
//!
//! Not here: what they cost ([`crate::pricing`]). Invariant: the kinds are disjoint and their sums are the call's input
//! and output, as OpenTelemetry's conventions for generative AI have it: cached, cache-writing, audio and image tokens
//! are among `gen_ai.usage.input_tokens`, reasoning and audio ones among `gen_ai.usage.output_tokens`
//! (opentelemetry.io/docs/specs/semconv/gen-ai).

use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

/// What a token is; prices and counts go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TokenKind {
    /// Input that is none of the other kinds.
    Input,
    /// Input read from a cache.
    CachedInput,
    /// Input written into a cache for five minutes.
    CacheWrite5m,
    /// Input written into a cache for an hour.
    CacheWrite1h,
    /// Sound among the input.
    AudioInput,
    /// Pictures among the input.
    ImageInput,
    /// Output that is none of the other kinds.
    Output,
    /// Output that the model thought and nobody reads.
    Reasoning,
    /// Sound among the output.
    AudioOutput,
}

impl TokenKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::CachedInput,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::ImageInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
    ];

    /// The kind whose price holds where this one has none of its own: what it is a part of.
    pub fn part_of(self) -> Option<Self> {
        match self {
            Self::Input | Self::Output => None,
            Self::CacheWrite1h => Some(Self::CacheWrite5m),
            Self::CachedInput | Self::CacheWrite5m | Self::AudioInput | Self::ImageInput => Some(Self::Input),
            Self::Reasoning | Self::AudioOutput => Some(Self::Output),
        }
    }

    /// Whether it is among the input.
    pub fn is_input(self) -> bool {
        !matches!(self, Self::Output | Self::Reasoning | Self::AudioOutput)
    }
}

/// Token counts as an event reports them: totals, and parts that lie within them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    /// All input, parts included.
    pub input: Option<u64>,
    /// All output, parts included.
    pub output: Option<u64>,
    /// Among the input.
    pub cached_input: Option<u64>,
    /// Among the input.
    pub cache_write_5m: Option<u64>,
    /// Among the input.
    pub cache_write_1h: Option<u64>,
    /// Among the input.
    pub audio_input: Option<u64>,
    /// Among the input.
    pub image_input: Option<u64>,
    /// Among the output.
    pub reasoning: Option<u64>,
    /// Among the output.
    pub audio_output: Option<u64>,
}

/// Disjoint counts by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens(#[serde(with = "crate::sparse")] [u64; TokenKind::ALL.len()]);

/// More tokens than any call has: a larger count is taken for this, so that sums and prices stay within their bounds.
const TOKENS_MAX: u64 = 1_000_000_000_000;

impl Tokens {
    /// The counts of one call; `None` where it reports none at all. Where the parts are more than their total, the parts
    /// stand.
    pub fn of(reported: &Reported) -> Option<Self> {
        let Reported {
            input,
            output,
            cached_input,
            cache_write_5m,
            cache_write_1h,
            audio_input,
            image_input,
            reasoning,
            audio_output,
        } = *reported;
        let parts = [
            (TokenKind::CachedInput, cached_input),
            (TokenKind::CacheWrite5m, cache_write_5m),
            (TokenKind::CacheWrite1h, cache_write_1h),
            (TokenKind::AudioInput, audio_input),
            (TokenKind::ImageInput, image_input),
            (TokenKind::Reasoning, reasoning),
            (TokenKind::AudioOutput, audio_output),
        ];
        if input.is_none() && output.is_none() && parts.iter().all(|(_, part)| part.is_none()) {
            return None;
        }
        let mut tokens = Self::default();
        for (kind, part) in parts {
            tokens.0[kind as usize] = part.unwrap_or(0).min(TOKENS_MAX);
        }
        let rest = |total: Option<u64>, parts: u64| total.unwrap_or(0).min(TOKENS_MAX).saturating_sub(parts);
        tokens.0[TokenKind::Input as usize] = rest(input, tokens.input());
        tokens.0[TokenKind::Output as usize] = rest(output, tokens.output());
        Some(tokens)
    }

    /// How many of a kind.
    pub fn get(&self, kind: TokenKind) -> u64 {
        self.0[kind as usize]
    }

    /// All input.
    pub fn input(&self) -> u64 {
        self.sum(TokenKind::is_input)
    }

    /// All output.
    pub fn output(&self) -> u64 {
        self.sum(|kind| !kind.is_input())
    }

    fn sum(&self, of: impl Fn(TokenKind) -> bool) -> u64 {
        TokenKind::ALL.into_iter().filter(|kind| of(*kind)).fold(0, |sum, kind| sum.wrapping_add(self.get(kind)))
    }
}

impl Mergeable for Tokens {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.wrapping_add(more);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_once() {
        let tokens = Tokens::of(&Reported {
            input: Some(1_000),
            cached_input: Some(600),
            cache_write_1h: Some(100),
            output: Some(300),
            reasoning: Some(250),
            ..Reported::default()
        });
        let tokens = tokens.unwrap();
        assert_eq!((tokens.input(), tokens.output()), (1_000, 300));
        assert_eq!((tokens.get(TokenKind::Input), tokens.get(TokenKind::Output)), (300, 50));
    }

    #[test]
    fn parts_stand_where_their_total_is_less_or_missing() {
        for input in [None, Some(10)] {
            let tokens = Tokens::of(&Reported { input, cached_input: Some(600), ..Reported::default() }).unwrap();
            assert_eq!((tokens.input(), tokens.get(TokenKind::Input), tokens.output()), (600, 0, 0));
        }
        assert_eq!(Tokens::of(&Reported::default()), None);
        assert_eq!(Tokens::of(&Reported { output: Some(0), ..Reported::default() }), Some(Tokens::default()));
    }
}
