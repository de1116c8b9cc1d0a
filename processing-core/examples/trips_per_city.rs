//! A whole worker in one file: trips come in, each city's five minutes come out when they are over.
//!
//! `cargo run --example trips_per_city` shows its topology; `cargo test --example trips_per_city` runs its
//! script.

use std::borrow::Cow;

use processing_core::prelude::*;

/// What is kept of a finished trip.
struct Trip {
    finished: EventTime,
    city: String,
    fare_cents: i64,
}

/// A finished trip as it stands in the topic; text is borrowed from the record until it is kept.
#[derive(serde::Deserialize)]
struct TripView<'a> {
    finished_ms: i64,
    #[serde(borrow)]
    city: Cow<'a, str>,
    fare_cents: i64,
}

impl ViewedJson for Trip {
    type View<'a> = TripView<'a>;

    fn from_view(view: TripView<'_>) -> Result<Self, Poison> {
        if view.city.is_empty() {
            return Err(Poison::new("no_city", "the field city is empty"));
        }
        Ok(Self { finished: EventTime(view.finished_ms), city: view.city.to_lowercase(), fare_cents: view.fare_cents })
    }
}

/// What is written for a city and its five minutes.
#[derive(serde::Serialize)]
struct CityPulse {
    start_ms: i64,
    city: String,
    trips: u64,
    fare_cents: i128,
}

fn topology() -> Result<Plan, TopologyError> {
    let app = Topology::named("city-pulse");
    app.stream(Topic::<JsonView<Trip>>::json_view("trips"))
        .event_time(|trip| trip.finished)
        .key_by(|trip| trip.city.clone())
        .window(Tumbling::minutes(5).grace(DurationMs::seconds(30)))
        .fold("pulse", (count(), sum(|trip: &Trip| trip.fare_cents)))
        .on_close()
        .map_keyed(|city, closed| {
            let (trips, fares) = closed.value;
            CityPulse {
                start_ms: closed.window.start.0,
                city: city.clone(),
                trips: trips.get(),
                fare_cents: fares.get(),
            }
        })
        .to(Topic::json("cities"));
    app.build()
}

fn main() -> Result<(), TopologyError> {
    println!("{}", topology()?.describe());
    Ok(())
}

#[cfg(test)]
mod tests {
    use processing_core::testing::script;

    #[test]
    fn a_late_trip_inside_the_grace_counts() {
        script::check(
            || super::topology().unwrap(),
            r#"
            in   trips  10:00:10  7  {"finished_ms": $ms, "city": "Porto", "fare_cents": 900}
            in   trips  10:05:10  8  {"finished_ms": $ms, "city": "Porto", "fare_cents": 100}
            in   trips  10:04:50  7  {"finished_ms": $ms, "city": "Porto", "fare_cents": 400}
            crash
            in   trips  10:05:31  8  {"finished_ms": $ms, "city": "Porto", "fare_cents": 100}
            out  cities porto  {"start_ms": $ms(10:00), "city": "porto", "trips": 2, "fare_cents": 1300}

            in   trips  10:05:32  8  {"finished_ms": $ms, "city": "", "fare_cents": 100}
            dead no_city
            "#,
        );
    }
}
