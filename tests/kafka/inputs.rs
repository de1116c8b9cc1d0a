//! Inputs of every kind that producers write: compressed, in transactions that were aborted, without a value, and
//! partitions that fall silent.
//!
//! Not here: records that nobody can read, which are in every feed ([`crate::events`]). Invariant: the oracle reads what
//! the broker shows to a committed reader.

use std::time::{Duration, Instant};

use tests::kafka::cluster::shared;
use tests::kafka::dump::{committed, uncommitted};
use tests::kafka::feed::{Fed, Feed};

use crate::equality::assert_equal_to_the_twin;
use crate::events::{Events, START, at};
use crate::oracle;
use crate::stage::Stage;

#[test]
fn compressed_and_aborted_input_is_read_as_a_committed_reader_sees_it() {
    let stage = Stage::new(shared(), "written", 4);
    let mut events = Events::new(91, 4);
    let mut worker = stage.setup.start("one");
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        Feed::compressed(&stage.brokers, codec).send_all(&stage.input, &events.take(300));
    }
    let feed = Feed::transactional(&stage.brokers, "written-feed");
    for round in 0..12 {
        feed.begin();
        for fed in events.take(40) {
            feed.send(&stage.input, &fed);
        }
        if round % 3 == 1 { feed.abort() } else { feed.commit() }
    }
    stage.feed(&events.last());
    stage.conclude(&mut [("one", &mut worker)]);
    let count = |dump: Vec<Vec<_>>| dump.iter().map(Vec::len).sum::<usize>();
    let (shown, all) =
        (count(committed(&stage.brokers, &stage.input)), count(uncommitted(&stage.brokers, &stage.input)));
    assert_eq!(all - shown, 160, "another number of aborted records than was meant");
}

#[test]
fn idle_partitions_are_raised_by_one_process_and_by_none_again() {
    let mut stage = Stage::new(shared(), "idle", 6);
    stage.setup = stage.setup.setting("idle.after.ms", "400");
    let (mut one, mut two) = (stage.setup.start("one"), stage.setup.start("two"));
    let group = stage.group();
    group.await_members("both", |members| members.len() == 2);
    // One partition after the other speaks and falls silent; what comes too late for the raises is late.
    let mut time = START;
    for speaker in 0..6 {
        let spoken: Vec<Fed> = (1..=150).map(|n| at(speaker, (n % 7) as u16, time + 20 * n, 1)).collect();
        time += 20 * 150;
        stage.feed(&spoken);
        stage.await_taken(&group, i64::from(speaker + 1) * 150);
    }
    // A raise is decided by clocks, so it is waited for where it is written.
    let deadline = Instant::now() + Duration::from_secs(120);
    let raised = || {
        let log = committed(&stage.brokers, "idle-time");
        oracle::raises(&stage.input, &log)
    };
    while raised().is_empty() {
        assert!(Instant::now() < deadline, "nothing is raised\n{}", stage.setup.last_words());
    }
    let old = at(0, 3, START, 1_000);
    let unreadable = Fed { value: Some(b"{".to_vec()), ..at(1, 3, time, 1) };
    stage.feed(&[old, unreadable]);
    stage.settle(&mut [&mut one, &mut two]);
    one.terminate();
    two.terminate();
    // Everybody decides with the clock: what was decided after the last look counts as well.
    stage.assert_results();
    stage.assert_stores(&["one", "two"]);
    println!("{} raises", raised().len());
    assert_equal_to_the_twin(&stage);
}
