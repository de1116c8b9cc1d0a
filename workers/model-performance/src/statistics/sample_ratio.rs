//! Whether users were split as they should have been, looked at as often as one likes.
//!
//! M. Lindon, A. Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022: the Bayes factor of a
//! Dirichlet mixture against the expected shares q. With n users in all, n_i of them in arm i, and a_i = C q_i:
//!
//! ```text
//!   B = Gamma(C) / Gamma(C + n)  prod_i Gamma(a_i + n_i) / Gamma(a_i)  prod_i q_i^-n_i
//! ```
//!
//! Under the right split, B is a martingale that begins at 1, so it ever comes to [`MISMATCH`] in at most one of
//! [`MISMATCH`] experiments, however often one looks (Ville's inequality). C is that of the authors' own implementation
//! (`ssrm-test` by Optimizely): the shares that are feared are within about half a per cent of the right ones.
//!
//! Not here: what follows from a mismatch. Invariant: the order of arms changes nothing but the last digits.

/// From this Bayes factor on the split is wrong.
pub const MISMATCH: f64 = 1000.0;

/// C: how tightly the mixture lies around the expected shares.
pub const CONCENTRATION: f64 = 10_000.0;

/// ln B for so many users in each arm, whose expected shares are positive and are normalised here. An arm that should get
/// nobody and got somebody is a mismatch for certain; 0 of nobody.
pub fn log_bayes_factor(users: &[u64], shares: &[f64]) -> f64 {
    let total: f64 = shares.iter().sum();
    let all: u64 = users.iter().sum();
    let mut log = libm::lgamma(CONCENTRATION) - libm::lgamma(CONCENTRATION + all as f64);
    for (arm, count) in users.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = shares.get(arm).copied().unwrap_or(0.0) / total;
        if share.is_nan() || share <= 0.0 {
            return f64::INFINITY;
        }
        let (count, prior) = (*count as f64, CONCENTRATION * share);
        log += libm::lgamma(prior + count) - libm::lgamma(prior) - count * libm::log(share);
    }
    log
}

/// Whether a factor of this logarithm says that the split is wrong.
pub fn is_decisive(log_bayes_factor: f64) -> bool {
    log_bayes_factor >= libm::log(MISMATCH)
}

/// Whether the split is wrong.
pub fn is_mismatch(users: &[u64], shares: &[f64]) -> bool {
    is_decisive(log_bayes_factor(users, shares))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same from the chain rule: each user's predictive probability over the expected one.
    fn one_by_one(users: &[u64], shares: &[f64]) -> f64 {
        let (mut seen, mut all, mut log) = (vec![0.0; users.len()], 0.0, 0.0);
        for (arm, count) in users.iter().enumerate() {
            for _ in 0..*count {
                log += ((CONCENTRATION * shares[arm] + seen[arm]) / (CONCENTRATION + all) / shares[arm]).ln();
                seen[arm] += 1.0;
                all += 1.0;
            }
        }
        log
    }

    #[test]
    fn it_is_the_product_of_the_predictive_probabilities() {
        for (users, shares) in [
            (vec![1, 0], vec![0.5, 0.5]),
            (vec![500, 700], vec![0.5, 0.5]),
            (vec![9_000, 1_100, 30], vec![0.88, 0.11, 0.01]),
            (vec![0, 0], vec![0.5, 0.5]),
        ] {
            let (whole, steps) = (log_bayes_factor(&users, &shares), one_by_one(&users, &shares));
            assert!((whole - steps).abs() < 1e-6, "{users:?}: {whole} {steps}");
        }
    }

    #[test]
    fn a_split_that_is_a_little_wrong_is_found_and_a_right_one_is_not() {
        assert!(!is_mismatch(&[50_000, 50_200], &[1.0, 1.0]));
        assert!(is_mismatch(&[51_500, 50_000], &[1.0, 1.0]));
        // Factors of 999 and 1011.
        assert!(!is_mismatch(&[50_000, 51_344], &[1.0, 1.0]));
        assert!(is_mismatch(&[50_000, 51_345], &[1.0, 1.0]));
        assert!(is_mismatch(&[5, 1], &[1.0, 0.0]));
        assert!(!is_mismatch(&[5, 0], &[1.0, 0.0]));
        assert!(!is_mismatch(&[], &[]));
    }
}
