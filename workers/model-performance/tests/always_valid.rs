//! Ten thousand experiments in which nothing is different, each looked at every minute of a week.
//!
//! Drawn per experiment and minute: of [`USERS`] users who come to each arm, how many convert (binomial, the same rate in
//! both), and of twice as many who come at all, how many go to the first arm (binomial, one half). A look is one call of
//! the very functions that the worker decides by. The counter-proof is the usual z-test under the same looks.

use model_performance::statistics::msprt::{self, Arm};
use model_performance::statistics::sample_ratio;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const EXPERIMENTS: u64 = 10_000;
const MINUTES: u64 = 7 * 1_440;
const USERS: u64 = 40;

/// Draws from one binomial distribution by its table: the least k whose cumulative probability exceeds a random number.
struct Binomial {
    cumulative: Vec<u64>,
    /// For each value of the number's highest 12 bits, where to begin to look.
    begin: Vec<usize>,
}

impl Binomial {
    fn new(n: u64, p: f64) -> Self {
        let (mut mass, mut sum, mut cumulative) = ((1.0 - p).powi(n as i32), 0.0, Vec::new());
        for k in 0..=n {
            sum += mass;
            cumulative.push((sum * u64::MAX as f64) as u64);
            mass *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        let begin = (0..4096_u64).map(|high| cumulative.partition_point(|upto| *upto < high << 52)).collect();
        Self { cumulative, begin }
    }

    fn draw(&self, dice: &mut ChaCha8Rng) -> u64 {
        let number = dice.next_u64();
        let last = self.cumulative.len() - 1;
        let mut k = self.begin[(number >> 52) as usize].min(last);
        while k < last && self.cumulative[k] < number {
            k += 1;
        }
        k as u64
    }
}

/// How many of all experiments were ever found different by the worker's test at each level, and by the z-test at 5 %.
fn found(rates: [f64; 2], experiments: u64, seed: u64) -> ([u64; 2], u64) {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let [mine, other] = rates.map(|rate| Binomial::new(USERS, rate));
    let (mut rejected, mut naive) = ([0, 0], 0);
    for _ in 0..experiments {
        let (mut control, mut variant) = (Arm::default(), Arm::default());
        let (mut least, mut is_significant) = (1.0_f64, false);
        for _ in 0..MINUTES {
            control.users += USERS;
            variant.users += USERS;
            control.conversions += mine.draw(&mut dice);
            variant.conversions += other.draw(&mut dice);
            let Some(look) = msprt::look(control, variant) else { continue };
            least = least.min(look.p_value());
            let (a, b) = (control.rate(), variant.rate());
            let z = (b - a).abs() / ((a * (1.0 - a) + b * (1.0 - b)) / control.users as f64).sqrt();
            is_significant |= z > 1.959_964;
        }
        rejected[0] += u64::from(least <= 0.05);
        rejected[1] += u64::from(least <= 0.01);
        naive += u64::from(is_significant);
    }
    (rejected, naive)
}

/// What may come out more often than `level` says only by three standard errors.
fn bound(level: f64) -> u64 {
    let n = EXPERIMENTS as f64;
    (n * level + 3.0 * (n * level * (1.0 - level)).sqrt()) as u64
}

#[test]
fn a_look_each_minute_finds_a_difference_that_is_none_no_more_often_than_stated() {
    let ([at_5, at_1], naive) = found([0.1, 0.1], EXPERIMENTS, 1);
    println!("found at 5 %: {at_5}, at 1 %: {at_1}, by the z-test: {naive} of {EXPERIMENTS}");
    assert!(at_5 <= bound(0.05) && at_1 <= bound(0.01), "{at_5} {at_1}");
    // The simulation is one in which looking matters, and the test is not one that never speaks.
    assert!(naive > EXPERIMENTS / 3, "{naive}");
    assert!(at_5 > EXPERIMENTS / 200, "{at_5}");
}

#[test]
fn a_true_difference_is_found() {
    let ([at_5, _], _) = found([0.1, 0.11], 200, 2);
    assert!(at_5 > 190, "{at_5} of 200");
}

#[test]
fn a_right_split_is_called_wrong_in_at_most_one_of_a_thousand() {
    let mut dice = ChaCha8Rng::seed_from_u64(3);
    let half = Binomial::new(2 * USERS, 0.5);
    let mut wrong = 0;
    for _ in 0..EXPERIMENTS {
        let mut users = [0, 0];
        let mut is_wrong = false;
        for _ in 0..MINUTES {
            let first = half.draw(&mut dice);
            users = [users[0] + first, users[1] + 2 * USERS - first];
            is_wrong |= sample_ratio::is_mismatch(&users, &[0.5, 0.5]);
        }
        wrong += u64::from(is_wrong);
    }
    println!("called wrong: {wrong} of {EXPERIMENTS}");
    assert!(wrong <= bound(0.001), "{wrong}");
}
