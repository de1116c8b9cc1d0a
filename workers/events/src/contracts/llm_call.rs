//! A call of a language model: which, how long, how many tokens, what it cost, how it went.
//!
//! Not here: prices. Invariant: tokens are counted one way, whoever counted them: [`LlmCall::input_tokens`] and
//! [`LlmCall::output_tokens`] are all of them, and every other kind is a part of one of the two.
//!
//! That way is OpenTelemetry's (semantic conventions for generative AI, attributes `gen_ai.*` and `error.type`, status
//! Development, July 2026): `gen_ai.usage.input_tokens` "SHOULD include all types of input tokens, including cached
//! tokens". Its attributes are found under the payload, in `attributes` there, and in `attributes` of the event. Beside
//! them are found the `usage` objects of the providers' answers, as they are:
//!
//! | `usage` of | what it counts as input |
//! |---|---|
//! | OpenAI's chat completions: `prompt_tokens`, `prompt_tokens_details` | everything |
//! | OpenAI's responses: `input_tokens`, `input_tokens_details` | everything |
//! | Anthropic's messages: `input_tokens`, `cache_read_input_tokens`, `cache_creation_input_tokens` | all but a cache's |
//! | Amazon Bedrock's: `inputTokens`, `cacheReadInputTokens`, `cacheWriteInputTokens` | all but a cache's |
//!
//! In the last two the sum is the input; `input_tokens` beside either cache field in `usage` is how they are known.
//! OpenTelemetry's durations are its metrics, in seconds, and are found under the names of those
//! (`gen_ai.client.operation.duration`, `gen_ai.server.time_to_first_token` and their sisters); all others are in
//! milliseconds, found by names that say so, and by settings with a unit. Its conventions have no cost; the names here are those that LiteLLM and OpenRouter give it.

use crate::amount::Amount;
use crate::contract::{FieldSpec, FromTokens};
use crate::field::Gaps;
use crate::number::{Flag, Millis, Whole};
use crate::poison::Poison;
use crate::text::{IdText, Text};
use crate::tokens::Tokens;

/// Declares the fields of a call, and behind `sent` those that are folded into them.
macro_rules! llm_call {
    (
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $($path:literal)|+
            $(in seconds $($seconds:literal)|+)?,)+
        sent {
            $($(#[doc = $sent_doc:literal])+ $sent:ident: $sent_type:ty = $($sent_path:literal)|+,)+
        }
    ) => {
        crate::group! {
            /// A call as it was sent.
            pub struct SentCall<'a> {
                $($(#[doc = $doc])+ optional $field: $type = $($path)|+ $(in seconds $($seconds)|+)?,)+
                $($(#[doc = $sent_doc])+ optional $sent: $sent_type = $($sent_path)|+,)+
            }
        }

        /// A call of a language model.
        #[derive(Clone, Debug, Default)]
        pub struct LlmCall<'a> {
            $($(#[doc = $doc])+ pub $field: Option<$type>,)+
        }

        /// What is folded into a call.
        struct Folded<'a> {
            $($sent: Option<$sent_type>,)+
        }

        impl<'a> FromTokens<'a> for LlmCall<'a> {
            const FIELDS: &'static [FieldSpec] = SentCall::FIELDS;

            fn from_tokens(tokens: &mut Tokens<'a>) -> Result<Self, Poison> {
                let SentCall { $($field,)+ $($sent,)+ } = SentCall::from_tokens(tokens)?;
                Ok(Self { $($field,)+ }.with(Folded { $($sent,)+ }))
            }
        }
    };
}

llm_call! {
    /// Whose model it is, as OpenTelemetry names them: `openai`, `anthropic`, `aws.bedrock`.
    provider: Text<'a> =
        "gen_ai.provider.name" | "attributes/gen_ai.provider.name" | "/attributes/gen_ai.provider.name"
        | "provider" | "provider_name" | "llm_provider"
        | "gen_ai.system" | "attributes/gen_ai.system" | "/attributes/gen_ai.system",
    /// The model that answered, else the one that was asked.
    model: Text<'a> =
        "gen_ai.response.model" | "attributes/gen_ai.response.model" | "/attributes/gen_ai.response.model"
        | "response_model" | "model"
        | "gen_ai.request.model" | "attributes/gen_ai.request.model" | "/attributes/gen_ai.request.model"
        | "request_model" | "model_name" | "model_id",
    /// What was asked for: `chat`, `embeddings`, or the application's own name for it.
    operation: Text<'a> =
        "gen_ai.operation.name" | "attributes/gen_ai.operation.name" | "/attributes/gen_ai.operation.name"
        | "operation" | "operation_name",
    /// What answered, where that may be no model: `rules`.
    tier: Text<'a> = "tier" | "intent/tier",
    /// From the request to the end of the answer.
    latency: Millis = "latency_ms" | "duration_ms" | "processing_time_ms" | "response_time_ms"
        in seconds
        "gen_ai.client.operation.duration" | "attributes/gen_ai.client.operation.duration"
        | "/attributes/gen_ai.client.operation.duration"
        | "gen_ai.server.request.duration" | "attributes/gen_ai.server.request.duration"
        | "/attributes/gen_ai.server.request.duration",
    /// From the request to the first token of the answer.
    time_to_first_token: Millis =
        "time_to_first_token_ms" | "ttft_ms" | "time_to_first_chunk_ms" | "first_token_ms"
        in seconds
        "gen_ai.server.time_to_first_token" | "attributes/gen_ai.server.time_to_first_token"
        | "/attributes/gen_ai.server.time_to_first_token"
        | "gen_ai.client.operation.time_to_first_chunk" | "attributes/gen_ai.client.operation.time_to_first_chunk"
        | "/attributes/gen_ai.client.operation.time_to_first_chunk",
    /// All tokens of the input.
    input_tokens: Whole =
        "gen_ai.usage.input_tokens" | "attributes/gen_ai.usage.input_tokens" | "/attributes/gen_ai.usage.input_tokens"
        | "input_tokens" | "prompt_tokens" | "usage/prompt_tokens",
    /// All tokens of the output.
    output_tokens: Whole =
        "gen_ai.usage.output_tokens" | "attributes/gen_ai.usage.output_tokens"
        | "/attributes/gen_ai.usage.output_tokens"
        | "output_tokens" | "completion_tokens" | "usage/completion_tokens" | "usage/output_tokens",
    /// Of the input, what was read from a cache.
    cached_input_tokens: Whole =
        "gen_ai.usage.cache_read.input_tokens" | "attributes/gen_ai.usage.cache_read.input_tokens"
        | "/attributes/gen_ai.usage.cache_read.input_tokens"
        | "cached_input_tokens" | "cache_read_input_tokens" | "cached_tokens"
        | "usage/prompt_tokens_details/cached_tokens" | "usage/input_tokens_details/cached_tokens",
    /// Of the input, what was written to a cache that holds it for five minutes.
    cache_write_5m_tokens: Whole =
        "cache_write_5m_tokens" | "ephemeral_5m_input_tokens" | "usage/cache_creation/ephemeral_5m_input_tokens",
    /// Of the input, what was written to a cache that holds it for an hour.
    cache_write_1h_tokens: Whole =
        "cache_write_1h_tokens" | "ephemeral_1h_input_tokens" | "usage/cache_creation/ephemeral_1h_input_tokens",
    /// Of the output, what the model thought.
    reasoning_tokens: Whole =
        "gen_ai.usage.reasoning.output_tokens" | "attributes/gen_ai.usage.reasoning.output_tokens"
        | "/attributes/gen_ai.usage.reasoning.output_tokens"
        | "reasoning_tokens" | "usage/completion_tokens_details/reasoning_tokens"
        | "usage/output_tokens_details/reasoning_tokens",
    /// Of the input, sound.
    audio_input_tokens: Whole =
        "audio_input_tokens" | "usage/prompt_tokens_details/audio_tokens" | "usage/input_tokens_details/audio_tokens",
    /// Of the output, sound.
    audio_output_tokens: Whole =
        "audio_output_tokens" | "usage/completion_tokens_details/audio_tokens"
        | "usage/output_tokens_details/audio_tokens",
    /// Of the input, pictures.
    image_input_tokens: Whole =
        "image_input_tokens" | "usage/prompt_tokens_details/image_tokens" | "usage/input_tokens_details/image_tokens",
    /// What it cost, in units of the currency.
    cost: Amount<'a> = "cost" | "total_cost" | "cost_amount",
    /// In which currency, as ISO 4217 has it.
    currency: Text<'a> = "currency" | "cost_currency",
    /// Whether it was one of a batch, which costs less.
    batch: Flag = "batch" | "is_batch",
    /// Of which kind the error was, where there was one: OpenTelemetry's `error.type`.
    error: Text<'a> =
        "error/type" | "error/kind" | "error.type" | "attributes/error.type" | "/attributes/error.type"
        | "error_type" | "error_kind",
    /// Why the answer ended: `stop`, `length`, `content_filter`, `tool_call`.
    finish_reason: Text<'a> = "finish_reason" | "stop_reason",
    /// Whether the model refused to answer.
    refused: Flag = "refused" | "is_refusal",
    /// Whether a check of safety has marked it.
    flagged: Flag = "flagged" | "moderation/flagged" | "safety/flagged",
    /// Whether it is one more answer to the same question, which the user asked for.
    regenerated: Flag = "regenerated" | "is_regeneration",
    /// What the user thought of it, in a word: `up`, `down`.
    feedback: Text<'a> =
        "feedback" | "user_feedback"
        | "gen_ai.evaluation.score.label" | "attributes/gen_ai.evaluation.score.label"
        | "/attributes/gen_ai.evaluation.score.label",
    sent {
        /// Tokens of the input in a provider's `usage`: all of them, or all but a cache's, which are beside them.
        usage_input_tokens: Whole = "usage/input_tokens",
        /// What was read from a cache, beside the tokens of the input.
        usage_cache_read_tokens: Whole = "usage/cache_read_input_tokens",
        /// What was written to a cache, beside the tokens of the input.
        usage_cache_write_tokens: Whole = "usage/cache_creation_input_tokens" | "usage/cache_write_input_tokens",
        /// Of the input, what was written to a cache: for five minutes, but for what is said to be for an hour.
        cache_write_tokens: Whole =
            "gen_ai.usage.cache_creation.input_tokens" | "attributes/gen_ai.usage.cache_creation.input_tokens"
            | "/attributes/gen_ai.usage.cache_creation.input_tokens"
            | "gen_ai.usage.cache_write.input_tokens" | "attributes/gen_ai.usage.cache_write.input_tokens"
            | "/attributes/gen_ai.usage.cache_write.input_tokens"
            | "cache_write_tokens" | "cache_creation_input_tokens" | "usage/prompt_tokens_details/cache_write_tokens"
            | "usage/input_tokens_details/cache_write_tokens",
        /// What it cost, in US dollars.
        cost_usd: Amount<'a> = "cost_usd" | "total_cost_usd" | "usage/cost",
        /// How urgent it was: `batch` for one of a batch.
        service_tier: Text<'a> = "service_tier" | "usage/service_tier",
        /// Of which kind the error was, by a code.
        error_code: IdText<'a> = "error/code" | "error_code" | "error",
        /// Why each of several answers ended; the first counts.
        finish_reasons: Gaps<IdText<'a>> =
            "gen_ai.response.finish_reasons/*" | "attributes/gen_ai.response.finish_reasons/*"
            | "/attributes/gen_ai.response.finish_reasons/*" | "finish_reasons/*",
    }
}

impl<'a> LlmCall<'a> {
    /// With what is said otherwise, where it is said in no better way.
    fn with(mut self, folded: Folded<'a>) -> Self {
        let Folded {
            usage_input_tokens,
            usage_cache_read_tokens,
            usage_cache_write_tokens,
            cache_write_tokens,
            cost_usd,
            service_tier,
            error_code,
            finish_reasons,
        } = folded;
        let beside = |tokens: Option<Whole>| tokens.map_or(0, |Whole(tokens)| tokens);
        self.input_tokens = self.input_tokens.or_else(|| {
            let Whole(input) = usage_input_tokens?;
            let cache = beside(usage_cache_read_tokens).saturating_add(beside(usage_cache_write_tokens));
            Some(Whole(input.saturating_add(cache)))
        });
        self.cached_input_tokens = self.cached_input_tokens.or(usage_cache_read_tokens);
        // Without a word of how long the cache holds it, it is the shorter time: Anthropic's default.
        self.cache_write_5m_tokens = self.cache_write_5m_tokens.or_else(|| {
            let Whole(written) = cache_write_tokens.or(usage_cache_write_tokens)?;
            Some(Whole(written.saturating_sub(beside(self.cache_write_1h_tokens))))
        });
        if self.cost.is_none() && cost_usd.is_some() {
            self.cost = cost_usd;
            self.currency = Some(Text::borrowed("USD"));
        }
        self.batch = self.batch.or_else(|| service_tier.map(|tier| Flag(tier.as_str() == "batch")));
        self.error = self.error.or_else(|| error_code.map(Text::from));
        self.finish_reason =
            self.finish_reason.or_else(|| finish_reasons?.0.into_iter().flatten().next().map(Text::from));
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{ContractName, Event};
    use crate::topics::Contracts;

    /// What a call comes to: input, of that cached, written for 5 minutes and for an hour; output, of that thought.
    fn counted(payload: &str) -> [Option<u64>; 6] {
        let event =
            format!(r#"{{"event_id":"e","event_type":"chat.response.generated","timestamp":1,"payload":{payload}}}"#);
        let topics = Contracts::shipped().topics(&[ContractName::ChatResponseGenerated]);
        let Event::ChatResponseGenerated(_, response) = topics[0].decode(Some(event.as_bytes())).unwrap() else {
            panic!("another event")
        };
        let call = response.call;
        [
            call.input_tokens,
            call.cached_input_tokens,
            call.cache_write_5m_tokens,
            call.cache_write_1h_tokens,
            call.output_tokens,
            call.reasoning_tokens,
        ]
        .map(|tokens| tokens.map(|tokens| tokens.0))
    }

    /// The same call, 7 800 tokens of input and 300 of output, as each of them tells it.
    #[test]
    fn tokens_are_counted_one_way_whoever_counted_them() {
        let all = [Some(7_800), Some(5_000), Some(2_000), Some(700), Some(300), Some(40)];
        for (payload, wanted) in [
            (
                r#"{"attributes":{"gen_ai.usage.input_tokens":7800,"gen_ai.usage.cache_read.input_tokens":5000,
                    "gen_ai.usage.cache_creation.input_tokens":2700,"gen_ai.usage.output_tokens":300,
                    "gen_ai.usage.reasoning.output_tokens":40},"cache_write_1h_tokens":700}"#,
                all,
            ),
            (
                r#"{"usage":{"input_tokens":100,"cache_read_input_tokens":5000,"cache_creation_input_tokens":2700,
                    "cache_creation":{"ephemeral_5m_input_tokens":2000,"ephemeral_1h_input_tokens":700},
                    "output_tokens":300,"service_tier":"standard"}}"#,
                [all[0], all[1], all[2], all[3], all[4], None],
            ),
            (
                r#"{"usage":{"inputTokens":100,"cacheReadInputTokens":5000,"cacheWriteInputTokens":2700,
                    "outputTokens":300,"totalTokens":8100}}"#,
                [all[0], all[1], Some(2_700), None, all[4], None],
            ),
            (
                r#"{"usage":{"prompt_tokens":7800,"prompt_tokens_details":{"cached_tokens":5000,"audio_tokens":0},
                    "completion_tokens":300,"completion_tokens_details":{"reasoning_tokens":40}}}"#,
                [all[0], all[1], None, None, all[4], all[5]],
            ),
            (
                r#"{"usage":{"input_tokens":7800,"input_tokens_details":{"cached_tokens":5000},"output_tokens":300,
                    "output_tokens_details":{"reasoning_tokens":40}}}"#,
                [all[0], all[1], None, None, all[4], all[5]],
            ),
            // LiteLLM's: OpenAI's sum with Anthropic's parts beside it.
            (
                r#"{"usage":{"prompt_tokens":7800,"completion_tokens":300,"cache_read_input_tokens":5000,
                    "cache_creation_input_tokens":2700}}"#,
                [all[0], all[1], Some(2_700), None, all[4], None],
            ),
            (r#"{"input_tokens":7800,"output_tokens":300}"#, [all[0], None, None, None, all[4], None]),
            ("{}", [None; 6]),
        ] {
            assert_eq!(counted(payload), wanted, "{payload}");
        }
    }

    #[test]
    fn a_sum_beyond_every_count_is_no_panic() {
        let usage = r#"{"usage":{"input_tokens":M,"cache_read_input_tokens":M,"cache_creation_input_tokens":M}}"#;
        let usage = usage.replace('M', &i64::MAX.to_string());
        assert_eq!(counted(&usage)[0], Some(u64::MAX));
    }

    #[test]
    fn what_is_said_another_way_is_folded_in() {
        let decode =
            |payload: &str| format!(r#"{{"event_id":"e","event_type":"ai.error","timestamp":1,"payload":{payload}}}"#);
        let topics = Contracts::shipped().topics(&[ContractName::AiError]);
        for (payload, cost, currency, batch, error, finish) in [
            (r#"{"cost_usd":0.0021}"#, Some(2_100_000_000), Some("USD"), None, None, None),
            (r#"{"cost":"0.0021","currency":"EUR","cost_usd":1}"#, Some(2_100_000_000), Some("EUR"), None, None, None),
            (r#"{"usage":{"service_tier":"batch"}}"#, None, None, Some(true), None, None),
            (r#"{"service_tier":"priority"}"#, None, None, Some(false), None, None),
            (r#"{"error":{"code":429,"message":"slow down"}}"#, None, None, None, Some("429"), None),
            (r#"{"error":{"code":"x","type":"rate_limit"}}"#, None, None, None, Some("rate_limit"), None),
            (r#"{"error":"timeout","errorCode":504}"#, None, None, None, Some("504"), None),
            (r#"{"error":"timeout"}"#, None, None, None, Some("timeout"), None),
            (r#"{"finish_reasons":["stop","length"]}"#, None, None, None, None, Some("stop")),
            (r#"{"stop_reason":"refusal","finish_reasons":["stop"]}"#, None, None, None, None, Some("refusal")),
        ] {
            let event = decode(payload);
            let Event::AiError(_, failed) = topics[0].decode(Some(event.as_bytes())).unwrap() else {
                panic!("another event")
            };
            let call = failed.call;
            assert_eq!(call.cost.map(|cost| cost.pico()), cost, "{payload}");
            assert_eq!(call.currency.as_ref().map(|text| text.as_str()), currency, "{payload}");
            assert_eq!(call.batch.map(|flag| flag.0), batch, "{payload}");
            assert_eq!(call.error.as_ref().map(|text| text.as_str()), error, "{payload}");
            assert_eq!(call.finish_reason.as_ref().map(|text| text.as_str()), finish, "{payload}");
        }
    }
}
