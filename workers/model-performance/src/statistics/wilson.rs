//! Wilson's score interval for a proportion.
//!
//! E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212. With
//! p = successes / n and z the normal quantile, the interval is
//!
//! ```text
//!   ( p + z^2/2n  +-  z sqrt( p(1-p)/n + z^2/4n^2 ) ) / ( 1 + z^2/n )
//! ```
//!
//! It never leaves 0 to 1 and holds for few trials too, where the interval of the textbooks has no width.
//!
//! Not here: intervals that may be looked at again and again ([`super::msprt`]). Invariant: lower <= p <= upper.

/// The normal quantile of 97.5 %: intervals are those of 95 %.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// Where a proportion lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// From here on.
    pub lower: f64,
    /// Up to here.
    pub upper: f64,
}

/// The interval of 95 % for `successes` of `trials`; `None` of no trials. More successes than trials count as all.
pub fn wilson(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let p = successes.min(trials) as f64 / n;
    let z2 = Z_95 * Z_95;
    let centre = p + z2 / (2.0 * n);
    let spread = Z_95 * libm::sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    let scale = 1.0 + z2 / n;
    // At 0 and at all successes rounding would leave the bound a hair off the proportion itself.
    let lower = if successes == 0 { 0.0 } else { ((centre - spread) / scale).max(0.0).min(p) };
    let upper = if successes >= trials { 1.0 } else { ((centre + spread) / scale).min(1.0).max(p) };
    Some(Interval { lower, upper })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table
    /// I, method 3; the last is the mirror image of the third.
    #[test]
    fn it_agrees_with_published_figures() {
        for (successes, trials, lower, upper) in [
            (81, 263, 0.255_288_0, 0.366_214_6),
            (15, 148, 0.062_385_8, 0.160_515_8),
            (0, 20, 0.0, 0.161_125_2),
            (1, 29, 0.006_113_4, 0.171_755_2),
            (20, 20, 0.838_874_8, 1.0),
        ] {
            let interval = wilson(successes, trials).unwrap();
            assert!((interval.lower - lower).abs() < 1e-4, "{successes}/{trials}: {interval:?}");
            assert!((interval.upper - upper).abs() < 1e-4, "{successes}/{trials}: {interval:?}");
        }
        assert_eq!(wilson(0, 0), None);
    }

    proptest! {
        /// The bounds are where the score test turns: |p - q| = z sqrt(q(1-q)/n) at each bound q.
        #[test]
        fn the_bounds_solve_the_equation_that_defines_them(trials in 1_u64..100_000, share in 0.0_f64..=1.0) {
            let successes = (share * trials as f64) as u64;
            let (n, p) = (trials as f64, successes as f64 / trials as f64);
            let Interval { lower, upper } = wilson(successes, trials).unwrap();
            prop_assert!(0.0 <= lower && lower <= p && p <= upper && upper <= 1.0);
            for q in [lower, upper] {
                // At 0 and at 1 the interval ends where the proportion does.
                if q > 0.0 && q < 1.0 {
                    let score = (p - q).abs() - Z_95 * (q * (1.0 - q) / n).sqrt();
                    prop_assert!(score.abs() < 1e-9, "{successes}/{trials} at {q}: {score}");
                }
            }
        }
    }
}
