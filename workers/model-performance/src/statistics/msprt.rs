//! Two proportions compared as often as one likes: the mixture sequential probability ratio test.
//!
//! R. Johari, P. Koomen, L. Pekelis, D. Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations
//! Research 70(3), 2022. With pA, nA of the control, pB, nB of the variant, D = pB - pA, and a normal mixture of standard
//! deviation t over the true difference:
//!
//! ```text
//!   v = pA (1-pA) / nA + pB (1-pB) / nB
//!   L = sqrt( v / (v + t^2) ) exp( t^2 D^2 / (2 v (v + t^2)) )        p = running minimum of 1 / L
//!   |D - theta| <= sqrt( (v (v + t^2) / t^2) (2 ln(1/a) + ln((v + t^2) / v)) )      at level 1 - a
//! ```
//!
//! The normal approximation wants [`FEWEST`] conversions and as many users without one in each arm before the first look.
//!
//! Not here: what a conversion is, and what is decided. Invariant: at one look, 1 / L <= a exactly where the interval of
//! level 1 - a does not hold 0.

/// Conversions, and users without one, that each arm needs before anything is said.
pub const FEWEST: u64 = 10;

/// t: the standard deviation of the differences that the mixture expects. It is fixed before the start, or the promise
/// of the test is void.
pub const MIXTURE_SD: f64 = 0.01;

/// The users of one arm and how many of them converted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arm {
    /// Distinct users.
    pub users: u64,
    /// Those who converted, at most `users`.
    pub conversions: u64,
}

impl Arm {
    /// The share that converted; 0 of nobody.
    pub fn rate(self) -> f64 {
        if self.users == 0 { 0.0 } else { self.conversions as f64 / self.users as f64 }
    }

    fn is_enough(self) -> bool {
        self.conversions >= FEWEST && self.users.saturating_sub(self.conversions) >= FEWEST
    }
}

/// What one look says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// D: the variant's rate less the control's.
    pub difference: f64,
    /// v, the variance of D.
    variance: f64,
}

/// Compares a variant with the control; `None` where either arm has too few users of either kind.
pub fn look(control: Arm, variant: Arm) -> Option<Look> {
    if !control.is_enough() || !variant.is_enough() {
        return None;
    }
    let spread = |arm: Arm| arm.rate() * (1.0 - arm.rate()) / arm.users as f64;
    Some(Look { difference: variant.rate() - control.rate(), variance: spread(control) + spread(variant) })
}

impl Look {
    /// 1 / L, at most 1: what the running minimum is taken of.
    pub fn p_value(self) -> f64 {
        let (v, t2) = (self.variance, MIXTURE_SD * MIXTURE_SD);
        let log_l = 0.5 * libm::log(v / (v + t2)) + t2 * self.difference * self.difference / (2.0 * v * (v + t2));
        libm::exp(-log_l).min(1.0)
    }

    /// How far the true difference may lie from D, at level 1 - `alpha`.
    pub fn half_width(self, alpha: f64) -> f64 {
        let (v, t2) = (self.variance, MIXTURE_SD * MIXTURE_SD);
        libm::sqrt(v * (v + t2) / t2 * (-2.0 * libm::log(alpha) + libm::log((v + t2) / v)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arm(users: u64, conversions: u64) -> Arm {
        Arm { users, conversions }
    }

    /// Computed by hand to ten digits: v = 0.09/1000 + 0.1275/1000 = 2.175e-4, v + t^2 = 3.175e-4.
    #[test]
    fn one_look_by_hand() {
        let look = look(arm(1000, 100), arm(1000, 150)).unwrap();
        assert!((look.difference - 0.05).abs() < 1e-12);
        // L = sqrt(2.175/3.175) exp(1e-4 * 2.5e-3 / (2 * 2.175e-4 * 3.175e-4)) = 0.827673 * exp(1.810119)
        assert!((look.p_value() - 1.0 / (0.827_673 * 6.111_173)).abs() < 1e-5, "{}", look.p_value());
        // sqrt(2.175e-4 * 3.175 * (5.991465 + 0.378260))
        assert!((look.half_width(0.05) - 0.066_322_9).abs() < 1e-5, "{}", look.half_width(0.05));
    }

    #[test]
    fn nothing_is_said_before_there_is_enough() {
        assert!(look(arm(100, 9), arm(100, 50)).is_none());
        assert!(look(arm(100, 50), arm(100, 91)).is_none());
        assert!(look(arm(20, 10), arm(20, 10)).is_some());
        assert!(look(arm(0, 0), arm(20, 10)).is_none());
    }

    proptest! {
        /// The test and the interval are one and the same statement.
        #[test]
        fn the_interval_leaves_zero_out_exactly_where_the_test_rejects(
            n in 20_u64..200_000, m in 20_u64..200_000, a in 0.0_f64..1.0, b in 0.0_f64..1.0, alpha in 0.0001_f64..0.5,
        ) {
            let of = |users: u64, share: f64| arm(users, 10 + (share * (users - 20) as f64) as u64);
            let look = look(of(n, a), of(m, b)).unwrap();
            let (p, width) = (look.p_value(), look.half_width(alpha));
            // Not on the very edge, where rounding decides.
            prop_assume!((look.difference.abs() / width - 1.0).abs() > 1e-9);
            prop_assert_eq!(p <= alpha, look.difference.abs() > width, "p {} width {}", p, width);
        }
    }
}
