//! Whether a model that is sure is right: expected calibration error and Brier score.
//!
//! C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017: confidences in
//! [`BINS`] equal bins ((m-1)/M, m/M], ECE = sum over bins of share |accuracy - mean confidence|. G. W. Brier 1950:
//! the mean of (confidence - outcome)^2, with the outcome 1 where the model was right.
//!
//! Not here: how an outcome is known. Invariant: everything kept is whole numbers (millionths), so that any order and
//! grouping gives the same answer.

use processing_core::aggregate::{Exactness, Mergeable};
use serde::{Deserialize, Serialize};

/// M.
pub const BINS: usize = 15;

const ONE: u64 = 1_000_000;

/// What was said and what was true, in bins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    bins: [Bin; BINS],
    /// Of (confidence - outcome)^2, in 10^-12.
    squares: u128,
}

/// One bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bin {
    count: u64,
    /// In millionths.
    confidence: u64,
    right: u64,
}

/// The bin of a confidence in millionths.
pub fn bin_of(confidence_micros: u64) -> usize {
    let micros = confidence_micros.min(ONE);
    ((micros * BINS as u64).div_ceil(ONE) as usize).saturating_sub(1)
}

impl Calibration {
    /// Takes in one judgement; a confidence above 1 counts as 1.
    pub fn add(&mut self, confidence_micros: u64, is_right: bool) {
        let micros = confidence_micros.min(ONE);
        let bin = &mut self.bins[bin_of(micros)];
        bin.count += 1;
        bin.confidence += micros;
        bin.right += u64::from(is_right);
        let off = if is_right { ONE - micros } else { micros };
        self.squares += u128::from(off) * u128::from(off);
    }

    /// How many judgements.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// How many of them were right.
    pub fn right(&self) -> u64 {
        self.bins.iter().map(|bin| bin.right).sum()
    }

    /// The expected calibration error, from 0 to 1; `None` of nothing.
    pub fn expected_error(&self) -> Option<f64> {
        let count = self.count();
        // share x |accuracy - confidence| = |right - sum of confidence| / count of all.
        let gap = |bin: &Bin| (bin.right * ONE).abs_diff(bin.confidence);
        let gaps: u64 = self.bins.iter().map(gap).sum();
        (count > 0).then(|| gaps as f64 / ONE as f64 / count as f64)
    }

    /// The Brier score, from 0 to 1; `None` of nothing.
    pub fn brier(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.squares as f64 / 1e12 / count as f64)
    }
}

impl Mergeable for Calibration {
    const EXACTNESS: Exactness = Exactness::Exact;

    fn merge(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.count += more.count;
            bin.confidence += more.confidence;
            bin.right += more.right;
        }
        self.squares += other.squares;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_end_where_the_definition_says() {
        let of = |share: f64| bin_of((share * 1e6) as u64);
        assert_eq!([of(0.0), of(0.000_001), of(0.066_666), of(0.066_667)], [0, 0, 0, 1]);
        assert_eq!([of(0.2), of(0.200_001), of(0.95), of(1.0)], [2, 3, 14, 14]);
        assert_eq!(bin_of(u64::MAX), 14);
    }

    #[test]
    fn who_is_right_as_often_as_said_is_calibrated() {
        let mut said = Calibration::default();
        (0..10).for_each(|n| said.add(800_000, n < 8));
        assert_eq!(said.expected_error(), Some(0.0));
        // 8 x 0.04 + 2 x 0.64, over 10
        assert!((said.brier().unwrap() - 0.16).abs() < 1e-12);
        assert_eq!((said.count(), said.right()), (10, 8));
        assert_eq!((Calibration::default().expected_error(), Calibration::default().brier()), (None, None));
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_makes_of_a_list(
            list in prop::collection::vec((0_u64..=1_000_000, any::<bool>()), 1..200), cut in any::<prop::sample::Index>(),
        ) {
            let mut parts = [Calibration::default(), Calibration::default()];
            let cut = cut.index(list.len());
            for (at, (confidence, right)) in list.iter().enumerate() {
                parts[usize::from(at >= cut)].add(*confidence, *right);
            }
            let [mut whole, rest] = parts;
            whole.merge(&rest);
            let n = list.len() as f64;
            let mut error = 0.0;
            for m in 1..=15_u64 {
                let inside: Vec<_> = list
                    .iter()
                    .filter(|(c, _)| (*c * 15 > (m - 1) * 1_000_000 || (m == 1 && *c == 0)) && *c * 15 <= m * 1_000_000)
                    .collect();
                if inside.is_empty() {
                    continue;
                }
                let size = inside.len() as f64;
                let accuracy = inside.iter().filter(|(_, right)| *right).count() as f64 / size;
                let confidence = inside.iter().map(|(c, _)| *c as f64 / 1e6).sum::<f64>() / size;
                error += size / n * (accuracy - confidence).abs();
            }
            let brier = list.iter().map(|(c, y)| (*c as f64 / 1e6 - f64::from(u8::from(*y))).powi(2)).sum::<f64>() / n;
            prop_assert!((whole.expected_error().unwrap() - error).abs() < 1e-9);
            prop_assert!((whole.brier().unwrap() - brier).abs() < 1e-9);
        }
    }
}
