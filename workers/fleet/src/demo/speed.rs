//! How fast the feed's clock goes.

use std::str::FromStr;

/// `60x`, or `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speed {
    /// So many times as fast as the world's.
    Times(u32),
    /// As fast as the worker can follow.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').unwrap_or(text).parse().ok().filter(|times| (1..=100_000).contains(times));
        times.map(Self::Times).ok_or_else(|| "takes 1x to 100000x, or max".to_owned())
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x"),
            Self::Max => f.write_str("max"),
        }
    }
}
