//! The interval of a difference of two means whose variances may differ.
//!
//! Welch, "The generalization of 'Student's' problem when several different population variances are involved",
//! Biometrika 34 (1947): with s²/n of each side, the difference of the means ± t · sqrt(s₁²/n₁ + s₂²/n₂), where t has the
//! degrees of freedom of Satterthwaite. The distribution of t is that of the incomplete beta function, by its continued
//! fraction (Press et al., "Numerical Recipes", 6.4).
//!
//! Not here: why something would differ. Whoever searches may be another kind of person than who does not: the
//! difference is an association. Invariant: a function of whole numbers and of `libm` alone, so every machine gets the same.

/// Numbers of one side, by their sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub squares: i128,
}

/// A difference and where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// First mean less second mean.
    pub difference: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Sample {
    /// The mean; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The unbiased variance; `None` of fewer than two.
    fn variance(&self) -> Option<f64> {
        let count = i128::from(self.count);
        // In whole numbers: the difference of two large floats would lose what is left.
        let scaled = self.squares.checked_mul(count)?.checked_sub(self.sum.checked_mul(self.sum)?)?;
        (self.count > 1).then(|| scaled as f64 / (count as f64 * (count - 1) as f64))
    }
}

/// The difference of two means and its interval at 95 %. `None` where a side has fewer than two numbers, or where none
/// of both varies.
pub fn difference(first: Sample, second: Sample) -> Option<Difference> {
    let difference = first.mean()? - second.mean()?;
    let error = |sample: Sample| Some(sample.variance()? / sample.count as f64);
    let (a, b) = (error(first)?, error(second)?);
    let total = a + b;
    if total <= 0.0 {
        return None;
    }
    let degrees = total * total / (a * a / (first.count - 1) as f64 + b * b / (second.count - 1) as f64);
    let reach = t_quantile(0.975, degrees) * total.sqrt();
    Some(Difference { difference, low: difference - reach, high: difference + reach })
}

/// The number that a t-distributed one stays below with probability `p`, for p from 0.5 to below 1.
fn t_quantile(p: f64, degrees: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while t_below(high, degrees) < p && high < 1e9 {
        high *= 2.0;
    }
    // Each round halves the interval: beyond 80 nothing changes.
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if t_below(middle, degrees) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that a t-distributed number is below `t`, which is not negative.
fn t_below(t: f64, degrees: f64) -> f64 {
    1.0 - 0.5 * incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// I_x(a, b), regularised.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    let front = libm::exp(front);
    // The fraction converges fast on the side of the mean.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

/// Lentz's evaluation of the continued fraction.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / nonzero(1.0 + even * d);
        c = nonzero(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / nonzero(1.0 + odd * d);
        c = nonzero(1.0 + odd / c);
        let step = d * c;
        result *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its helper finds nothing")]
mod tests {
    use super::*;

    /// The 0.975 column of any printed table.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1.0, 12.706_205),
            (2.0, 4.302_653),
            (5.0, 2.570_582),
            (10.0, 2.228_139),
            (30.0, 2.042_272),
            (1e6, 1.959_966),
        ] {
            let found = t_quantile(0.975, degrees);
            assert!((found - expected).abs() < 2e-6, "{degrees}: {found}");
        }
    }

    /// By hand: {5, 4, 5, 3} and {2, 3, 4}. Means 4.25 and 3, variances 0.91667 and 1, errors 0.22917 and 0.33333; degrees of
    /// freedom 0.5625² / (0.22917²/3 + 0.33333²/2) = 4.3314, for which t is 2.6952.
    #[test]
    fn the_interval_is_that_of_the_formula() {
        let sample = |numbers: &[i128]| Sample {
            count: numbers.len() as u64,
            sum: numbers.iter().sum(),
            squares: numbers.iter().map(|number| number * number).sum(),
        };
        let found = difference(sample(&[5, 4, 5, 3]), sample(&[2, 3, 4])).unwrap();
        assert!((found.difference - 1.25).abs() < 1e-12);
        let reach =
            t_quantile(0.975, 0.5625 * 0.5625 / (0.229_166_7_f64.powi(2) / 3.0 + 0.333_333_3_f64.powi(2) / 2.0));
        assert!((found.high - found.difference - reach * 0.75).abs() < 1e-5, "{found:?} {reach}");
        assert_eq!(difference(sample(&[4]), sample(&[2, 3])), None);
        assert_eq!(difference(sample(&[4, 4]), sample(&[3, 3])), None);
    }
}
