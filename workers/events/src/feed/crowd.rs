//! Who is awake where: how likely each city is at each time of day.
//!
//! A city's weight is its population times the activity of its local half hour (by longitude). The
//! sum over all cities gives the feed its daily rhythm, the parts its choice of cities.
//!
//! Not here: bursts. Invariant: integers only, so that the same seed gives the same feed everywhere.

use crate::gazetteer::Gazetteer;

/// Half hours of a day.
pub(crate) const SLOTS: usize = 48;
/// Milliseconds of a half hour.
pub(crate) const SLOT_MS: i64 = 1_800_000;

/// Activity by local hour, in per cent of the evening's peak.
const ACTIVITY: [u64; 24] =
    [14, 9, 6, 5, 5, 8, 16, 30, 46, 58, 66, 72, 76, 74, 70, 70, 74, 82, 92, 100, 98, 84, 56, 30];

/// The half hour of the UTC day that holds `ms`.
pub(crate) fn slot(ms: i64) -> usize {
    (ms.div_euclid(SLOT_MS)).rem_euclid(SLOTS as i64) as usize
}

pub(crate) struct Crowd {
    /// Per half hour, the running sum of the cities' weights.
    sums: Vec<Vec<u32>>,
}

impl Crowd {
    /// The largest `count` cities.
    pub(crate) fn new(gazetteer: &Gazetteer, count: usize) -> Self {
        let mut sums = vec![Vec::new(); SLOTS];
        for city in gazetteer.cities().take(count) {
            // 7.5 degrees are half an hour.
            let east = (i64::from(city.longitude_hundredths) / 750).rem_euclid(SLOTS as i64) as usize;
            for (slot, sums) in sums.iter_mut().enumerate() {
                let before: u32 = sums.last().copied().unwrap_or(0);
                let weight = u64::from(city.population) / 1_000 * activity((slot + east) % SLOTS);
                sums.push(before.saturating_add(u32::try_from(weight).unwrap_or(u32::MAX)).max(1));
            }
        }
        Self { sums }
    }

    /// The weight of all cities in a half hour; at least 1.
    pub(crate) fn total(&self, slot: usize) -> u64 {
        self.sums[slot].last().map_or(1, |&total| u64::from(total))
    }

    /// The weight of one city in a half hour.
    pub(crate) fn weight(&self, slot: usize, city: usize) -> u64 {
        let sum = |city: usize| self.sums[slot].get(city).map_or(0, |&sum| u64::from(sum));
        sum(city) - city.checked_sub(1).map_or(0, sum).min(sum(city))
    }

    /// The city that `point`, below the total, falls on.
    pub(crate) fn city(&self, slot: usize, point: u64) -> usize {
        self.sums[slot].partition_point(|&sum| u64::from(sum) <= point)
    }

    /// How many cities there are.
    pub(crate) fn len(&self) -> usize {
        self.sums[0].len()
    }
}

/// The activity of a local half hour: the hour's own, or midway to the next.
fn activity(slot: usize) -> u64 {
    let hour = slot / 2;
    if slot.is_multiple_of(2) { ACTIVITY[hour] } else { (ACTIVITY[hour] + ACTIVITY[(hour + 1) % 24]) / 2 }
}
