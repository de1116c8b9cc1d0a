//! The contract's cases of reading: by a member, by a free reader, by time.

use super::*;

fn one_member(log: &dyn Log, topic: &str, partitions: u32) -> Watched {
    let mut member = Watched::join(log, "a", &[topic]);
    until(&mut [&mut member], "all partitions", |m| m[0].held == all_of(topic, partitions));
    member
}

pub fn records_carry_the_epoch_of_their_fetch(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let all = numbered(0..10);
    put(&*log, &tp("t", 0), &all.iter().map(String::as_str).collect::<Vec<_>>());
    let offsets: Vec<_> = contents(&*log, &tp("t", 0)).into_iter().map(|(offset, _)| offset).collect();
    let mut member = one_member(&*log, "t", 1);
    until_quiet(&mut [&mut member]);
    assert!(member.records.is_empty(), "nothing is read before `fetch`");
    member.fetch(&tp("t", 0), offsets[4]);
    until(&mut [&mut member], "the records from the fifth on", |m| m[0].values(&tp("t", 0)) == all[4..]);
    // A seek back under another epoch; `Watched::poll` checks the epoch of whatever comes.
    member.epoch = FetchEpoch(2);
    member.records.clear();
    member.fetch(&tp("t", 0), Offset::ZERO);
    until(&mut [&mut member], "all records again", |m| m[0].values(&tp("t", 0)) == all);
    until_quiet(&mut [&mut member]);
    assert_eq!(member.values(&tp("t", 0)), all);
}

pub fn pause_and_resume_neither_lose_nor_repeat(make: Make<'_>) {
    let log = with_topic(make, "t", 2);
    let mut member = one_member(&*log, "t", 2);
    member.fetch(&tp("t", 0), Offset::ZERO);
    member.fetch(&tp("t", 1), Offset::ZERO);
    put(&*log, &tp("t", 0), &["a"]);
    until(&mut [&mut member], "the first", |m| m[0].values(&tp("t", 0)) == ["a"]);
    member.source.pause(&tp("t", 0)).unwrap();
    put(&*log, &tp("t", 0), &["b"]);
    put(&*log, &tp("t", 1), &["c"]);
    until(&mut [&mut member], "the other partition", |m| m[0].values(&tp("t", 1)) == ["c"]);
    until_quiet(&mut [&mut member]);
    assert_eq!(member.values(&tp("t", 0)), ["a"]);
    member.source.resume(&tp("t", 0)).unwrap();
    put(&*log, &tp("t", 0), &["d"]);
    until(&mut [&mut member], "the rest", |m| m[0].values(&tp("t", 0)).len() >= 3);
    until_quiet(&mut [&mut member]);
    assert_eq!(member.values(&tp("t", 0)), ["a", "b", "d"]);
}

pub fn a_released_partition_is_silent(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    add_topic(&*log, "side", 1);
    let mut member = one_member(&*log, "t", 1);
    member.fetch(&tp("side", 0), Offset::ZERO);
    put(&*log, &tp("side", 0), &["a"]);
    until(&mut [&mut member], "the first", |m| m[0].values(&tp("side", 0)) == ["a"]);
    member.source.release(&tp("side", 0)).unwrap();
    put(&*log, &tp("side", 0), &["b"]);
    until_quiet(&mut [&mut member]);
    assert_eq!(member.values(&tp("side", 0)), ["a"]);
    assert_eq!(member.held, all_of("t", 1));
}

pub fn a_co_partitioned_topic_is_fetched(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    add_topic(&*log, "side", 1);
    let mut member = one_member(&*log, "t", 1);
    put(&*log, &tp("side", 0), &["a"]);
    put(&*log, &tp("t", 0), &["b"]);
    member.fetch(&tp("t", 0), Offset::ZERO);
    member.fetch(&tp("side", 0), Offset::ZERO);
    until(&mut [&mut member], "both", |m| m[0].records.len() == 2);
    let mut transaction = producer(&*log, "p");
    let positions = [(tp("t", 0), Offset(1)), (tp("side", 0), Offset(1))];
    published(transaction.publish(&positions, &member.source.group_metadata()));
    assert_eq!(patiently(|| member.source.committed(&tp("side", 0))), Some(Offset(1)));
}

pub fn watermarks_frame_the_records(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut member = one_member(&*log, "t", 1);
    member.fetch(&tp("t", 0), Offset::ZERO);
    let mut reader = log.reader().unwrap();
    for n in 0..4 {
        let marks = patiently(|| reader.watermarks(&tp("t", 0)));
        assert_eq!(marks.start, Offset::ZERO);
        assert!(marks.start <= marks.last_stable && marks.last_stable <= marks.high, "{marks:?}");
        let stands = contents(&*log, &tp("t", 0));
        assert_eq!(stands.len(), n);
        assert!(marks.last_stable >= stands.last().map_or(Offset::ZERO, |(offset, _)| offset.next()));
        // A member may know the ends by what it was told last.
        for round in 0..=PATIENCE {
            assert!(round < PATIENCE, "the member never learns of {marks:?}");
            member.poll().unwrap();
            if patiently(|| member.source.watermarks(&tp("t", 0))) == marks {
                break;
            }
        }
        put(&*log, &tp("t", 0), &["x"]);
    }
}

pub fn a_free_reader_ends_and_goes_on(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let partition = tp("t", 0);
    let mut reader = log.reader().unwrap();
    assert_eq!(read_to_end(&mut *reader, &partition, Offset::ZERO), (vec![], Offset::ZERO));
    put(&*log, &partition, &["a", "b"]);
    let (found, end) = read_to_end(&mut *reader, &partition, Offset::ZERO);
    assert_eq!(found.len(), 2);
    // The middle of what was written at once is as good a place as any.
    assert_eq!(read_to_end(&mut *reader, &partition, found[1].0).0, found[1..]);
    put(&*log, &partition, &["c"]);
    let (more, last) = read_to_end(&mut *reader, &partition, end);
    assert_eq!(more.len(), 1);
    assert_eq!(more[0].1, "c");
    let mut batch = RecordBatch::new();
    let beyond = Offset(last.0 + 1_000);
    let answer = patiently(|| reader.read(&partition, beyond, &mut batch));
    assert!(matches!(answer, Read::OutOfRange(marks) if marks.high <= beyond), "{answer:?}");
    assert!(batch.is_empty());
}

pub fn a_purge_moves_the_start(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let partition = tp("t", 0);
    put(&*log, &partition, &["a", "b", "c"]);
    let stands = contents(&*log, &partition);
    let mut admin = log.admin().unwrap();
    admin.purge(&partition, stands[1].0).unwrap();
    assert_eq!(contents(&*log, &partition), stands[1..]);
    let mut reader = log.reader().unwrap();
    let marks = patiently(|| reader.watermarks(&partition));
    assert_eq!(marks.start, stands[1].0);
    let mut batch = RecordBatch::new();
    assert_eq!(patiently(|| reader.read(&partition, Offset::ZERO, &mut batch)), Read::OutOfRange(marks));
    // A purge never goes back, and one of everything leaves the offsets running on.
    admin.purge(&partition, Offset::ZERO).unwrap();
    assert_eq!(patiently(|| reader.watermarks(&partition)).start, stands[1].0);
    admin.purge(&partition, marks.high).unwrap();
    assert_eq!(contents(&*log, &partition), []);
    put(&*log, &partition, &["d"]);
    let after = contents(&*log, &partition);
    assert_eq!(after.len(), 1);
    assert!(after[0].0 >= marks.high);
}

pub fn an_offset_is_found_by_time(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let partition = tp("t", 0);
    let times = [10, 30, 20, 20, 50, 40];
    for pair in times.chunks(2) {
        let mut batch = RecordBatch::new();
        for time in pair {
            batch.push(record("x", *time));
        }
        send_all(&*log, &partition, &batch);
    }
    let stands = contents(&*log, &partition);
    let mut reader = log.reader().unwrap();
    for wanted in 0..60 {
        let first = times.iter().position(|time| *time >= wanted).map(|index| stands[index].0);
        let answer = patiently(|| reader.offset_for_time(&partition, LogTime(wanted)));
        assert_eq!(answer, first, "time {wanted}");
    }
    // What is purged is found no more, though it once was the latest.
    log.admin().unwrap().purge(&partition, stands[5].0).unwrap();
    assert_eq!(patiently(|| reader.offset_for_time(&partition, LogTime(15))), Some(stands[5].0));
    assert_eq!(patiently(|| reader.offset_for_time(&partition, LogTime(45))), None);
}

pub fn the_log_stamps_append_time(make: Make<'_>) {
    let log = make();
    let stamped = TopicSettings { log_append_time: true, ..settings(1) };
    log.admin().unwrap().create_topic(&TopicName::new("t"), stamped).unwrap();
    let mut batch = RecordBatch::new();
    batch.push(record("a", -123_456_789));
    batch.push(record("b", -987_654_321));
    send_all(&*log, &tp("t", 0), &batch);
    let mut reader = log.reader().unwrap();
    assert_eq!(patiently(|| reader.read(&tp("t", 0), Offset::ZERO, &mut batch).map(|_| ())), ());
    let times: Vec<_> = batch.iter().map(|record| record.timestamp).collect();
    assert_eq!(times.len(), 2);
    assert_eq!(times[0], times[1], "one transaction's run of records is appended at one time");
    assert!(times[0] > LogTime(-123_456_789));
    assert_eq!(reader.offset_for_time(&tp("t", 0), times[0]), Ok(Some(Offset::ZERO)));
}
