//! Quantiles against sorted lists, and against the laws.

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::aggregate::laws;

const QS: [f64; 11] = [0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];

fn of<const ERROR: u16>(values: &[f64]) -> Quantiles<ERROR> {
    let mut sketch = Quantiles::default();
    values.iter().for_each(|value| sketch.add(*value));
    sketch
}

/// Every answer against the sorted list.
fn is_within_its_error<const ERROR: u16>(what: &str, values: &[f64]) {
    let sketch = of::<ERROR>(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(sketch.count(), values.len() as u64);
    let bound = |exact: f64| exact.abs() * Quantiles::<ERROR>::relative_error() + 2f64.powi(-64);
    for q in QS {
        let exact = sorted[(q * (sorted.len() - 1) as f64).floor() as usize];
        let told = sketch.quantile(q).unwrap();
        assert!((told - exact).abs() <= bound(exact), "{what}: q {q} is {exact} and told as {told}");
    }
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    assert!((sketch.min().unwrap() - min).abs() <= bound(min));
    assert!((sketch.max().unwrap() - max).abs() <= bound(max));
}

#[test]
fn every_quantile_is_within_the_stated_error() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut draw = |of: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        (0..20_000).map(|_| of(1.0 - rng.random::<f64>(), rng.random::<f64>())).collect()
    };
    let tau = std::f64::consts::TAU;
    // Box and Muller's normal distribution from two uniform ones.
    let normal = move |u: f64, v: f64| (-2.0 * u.ln()).sqrt() * (tau * v).cos();
    let distributions = [
        ("uniform", draw(&|u, _| 1_000.0 * u)),
        ("exponential", draw(&|u, _| -50.0 * u.ln())),
        ("log-normal", draw(&|u, v| (3.0 + 2.0 * normal(u, v)).exp())),
        ("pareto, without a mean", draw(&|u, _| u.powf(-1.25))),
        ("two peaks", draw(&|u, v| if v < 0.5 { 1.0 + u } else { 9_000.0 + 100.0 * u })),
        ("normal around 0", draw(&|u, v| 40.0 * normal(u, v))),
        ("whole numbers with many zeros", draw(&|u, v| if v < 0.4 { 0.0 } else { (20.0 * u).floor() - 4.0 })),
        ("all the same", vec![77.0; 500]),
        ("one", vec![-0.001]),
        ("small and large", draw(&|u, v| (v - 0.5).signum() * (88.0 * u - 44.0).exp())),
    ];
    for (what, values) in &distributions {
        is_within_its_error::<1>(what, values);
        is_within_its_error::<10>(what, values);
        is_within_its_error::<50>(what, values);
    }
}

#[test]
fn what_has_no_place_on_the_scale_is_counted() {
    let sketch = of::<10>(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!((sketch.count(), sketch.not_finite(), sketch.p50()), (0, 3, None));
    let sketch = of::<10>(&[f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.0, -0.0, 1e300]);
    assert_eq!((sketch.count(), sketch.beyond_scale()), (7, 3));
    assert_eq!((sketch.min(), sketch.p50(), sketch.max()), (Some(-(2f64.powi(64))), Some(0.0), Some(2f64.powi(64))));
    for outside in [-0.1, 1.1, f64::NAN] {
        assert_eq!(sketch.quantile(outside), None);
    }
}

#[test]
fn its_size_is_bounded_by_the_scale() {
    let mut sketch = Quantiles::<100>::default();
    let mut value = 1e-30;
    while value < 1e30 {
        sketch.add(value);
        sketch.add(-value);
        value *= 1.01;
    }
    // 3.75 buckets per doubling, 128 doublings, both signs, zero and the two outermost.
    assert_eq!(sketch.buckets.len(), 2 * 480 + 3);
    assert!(sketch.heap_bytes() <= 2 * 963 * 16);
    assert_eq!(laws::through_bytes(&sketch), sketch);
}

#[test]
fn stored_bytes_are_few_and_never_change() {
    assert!(of::<10>(&[]).to_bytes().is_empty());
    let sketch = of::<10>(&[1.0, 1.0, 1.5, f64::NAN, -1.0]);
    // Form, error, not finite; then the steps 2400, 4802 and 21, each twice; the second bucket holds two.
    assert_eq!(sketch.to_bytes(), [2, 10, 1, 0xc0, 0x25, 0x85, 0x4b, 2, 42]);
    let latencies: Vec<f64> = (0..10_000).map(|n| 1.0 + f64::from(n)).collect();
    assert!(of::<10>(&latencies).to_bytes().len() < 1_200);
}

#[test]
fn damaged_or_foreign_bytes_are_refused() {
    let bytes = of::<10>(&[1.0, 70.0, 900.0]).to_bytes();
    for cut in 1..bytes.len() {
        let whole = Quantiles::<10>::from_bytes(&bytes[..cut]);
        assert!(whole.is_err() || whole.is_ok_and(|sketch| sketch.count() < 3), "cut at {cut}");
    }
    let refusal = Quantiles::<20>::from_bytes(&bytes).unwrap_err();
    assert!(refusal.contains("10 thousandths"), "{refusal}");
    for damaged in
        [&[1, 10, 0][..], &[2, 10, 0, 5, 1], &[2, 10, 0, 5], &[2, 10, 0, 4, 0], &[2, 10, 0, 0x80, 0x80, 0x7f]]
    {
        assert!(Quantiles::<10>::from_bytes(damaged).is_err(), "{damaged:?}");
    }
    assert!(Quantiles::<10>::from_bytes(&[0xff; 40]).is_err());
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let number = prop_oneof![
        4 => -100.0..100.0f64,
        2 => Just(0.0),
        1 => any::<f64>(),
        1 => Just(f64::NAN),
    ];
    prop::collection::vec(number, 0..80)
}

proptest! {
    #[test]
    fn obeys_the_laws(events in numbers(), seed: u64) {
        laws::exact(&quantiles(|v: &f64| *v), &events, seed, Clone::clone);
        laws::exact(&quantiles(|v: &f64| *v).error_per_mille::<100>(), &events, seed, |s| (s.p50(), s.p99(), s.count()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(sketch) = Quantiles::<10>::from_bytes(&bytes) {
            prop_assert_eq!(Quantiles::<10>::from_bytes(&sketch.to_bytes()).unwrap(), sketch);
        }
    }
}

#[test]
fn buckets_ascend_and_hold_every_number() {
    let mut sketch = Quantiles::<10>::default();
    for number in [-3.0, 0.0, 0.0, 7.0, 7.01, 900.0, f64::NAN] {
        sketch.add(number);
    }
    let buckets: Vec<(f64, u64)> = sketch.buckets().collect();
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), sketch.count());
    assert_eq!(buckets[1], (0.0, 2));
}
