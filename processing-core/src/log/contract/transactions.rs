//! The contract's cases of topics, transactions and fencing of producers.

use super::*;

pub fn a_topic_is_made_once_and_listed(make: Make<'_>) {
    let log = make();
    let mut admin = log.admin().unwrap();
    let name = TopicName::new("b");
    assert_eq!(admin.topic(&name).unwrap(), None);
    let made = admin.create_topic(&name, settings(3)).unwrap();
    assert_eq!((made.name.clone(), made.settings), (name.clone(), settings(3)));
    let again = admin.create_topic(&name, settings(7)).unwrap();
    assert_eq!(again, made);
    assert_eq!(admin.topic(&name).unwrap(), Some(made.clone()));
    let other = admin.create_topic(&TopicName::new("a"), settings(1)).unwrap();
    assert_eq!(admin.topics().unwrap(), vec![other, made]);
}

pub fn a_topic_made_anew_has_another_id(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let name = TopicName::new("t");
    put(&*log, &tp("t", 0), &["old"]);
    let mut admin = log.admin().unwrap();
    let old = admin.topic(&name).unwrap().unwrap();
    admin.delete_topic(&name).unwrap();
    assert_eq!(admin.topic(&name).unwrap(), None);
    let new = admin.create_topic(&name, settings(1)).unwrap();
    assert_ne!(new.id, old.id);
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
    put(&*log, &tp("t", 0), &["new"]);
    assert_eq!(values(&*log, &tp("t", 0)), ["new"]);
}

pub fn records_come_back_as_they_were_sent(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut headers = crate::batch::HeaderBuffer::default();
    headers.push("name", Some(b"value"));
    headers.push("null", None);
    let sent = [
        (Some(&b"key"[..]), Some(&b"value"[..]), 5, Headers::NONE),
        (None, Some(&b""[..]), 7, headers.as_headers()),
        (Some(&b""[..]), None, 1_700_000_000_000, Headers::NONE),
        (None, None, 1, headers.as_headers()),
        (Some(&[0xff, 0x00][..]), Some(&[7; 70_000][..]), 6, Headers::NONE),
    ];
    let mut batch = RecordBatch::new();
    for (key, value, time, headers) in sent {
        batch.push(RecordRef { offset: Offset(99), timestamp: LogTime(time), key, value, headers });
    }
    send_all(&*log, &tp("t", 0), &batch);

    let mut reader = log.reader().unwrap();
    let mut from = Offset::ZERO;
    let mut got = 0;
    while got < sent.len() {
        let Read::Records(next) = reader.read(&tp("t", 0), from, &mut batch).unwrap() else {
            panic!("only {got} records");
        };
        for record in batch.iter() {
            let (key, value, time, headers) = sent[got];
            assert_eq!((record.key, record.value), (key, value), "record {got}");
            assert_eq!((record.timestamp, record.headers), (LogTime(time), headers), "record {got}");
            got += 1;
        }
        from = next;
    }
}

pub fn records_of_many_transactions_keep_their_order(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let source = member_of(&*log, "feeders");
    let mut transaction = producer(&*log, "p");
    let all = numbered(0..5_000);
    let mut next = 0;
    for size in [1, 2, 300, 1, 1_200, 3_000, 496] {
        // Sent in two pieces, because a transaction joins them in the order of the calls.
        let (first, second) = all[next..next + size].split_at(size / 2);
        transaction.send(&tp("t", 0), &batch_of_strings(first)).unwrap();
        transaction.send(&tp("t", 0), &batch_of_strings(second)).unwrap();
        let answer = published(transaction.publish(&[], &source.group_metadata()));
        next += size;
        let stands = contents(&*log, &tp("t", 0));
        if let Some(told) = answer.next(&tp("t", 0)) {
            assert_eq!(told, stands.last().unwrap().0.next());
        }
    }
    assert_eq!(values(&*log, &tp("t", 0)), all);

    let mut member = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut member], "the partition", |m| m[0].held.len() == 1);
    member.fetch(&tp("t", 0), Offset::ZERO);
    until(&mut [&mut member], "all records", |m| m[0].values(&tp("t", 0)).len() >= all.len());
    assert_eq!(member.values(&tp("t", 0)), all);
}

pub fn nothing_is_seen_before_publish(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut member = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut member], "the partition", |m| m[0].held.len() == 1);
    member.fetch(&tp("t", 0), Offset::ZERO);
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("t", 0), &batch_of(&["x"])).unwrap();
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
    until_quiet(&mut [&mut member]);
    assert_eq!(member.values(&tp("t", 0)), Vec::<String>::new());
    published(transaction.publish(&[], &member.source.group_metadata()));
    assert_eq!(values(&*log, &tp("t", 0)), ["x"]);
    until(&mut [&mut member], "the record", |m| m[0].values(&tp("t", 0)) == ["x"]);
}

pub fn an_abort_leaves_no_trace(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let source = member_of(&*log, "feeders");
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    transaction.abort().unwrap();
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
    transaction.abort().unwrap();
    transaction.send(&tp("t", 0), &batch_of(&["seen"])).unwrap();
    published(transaction.publish(&[], &source.group_metadata()));
    assert_eq!(values(&*log, &tp("t", 0)), ["seen"]);
}

pub fn a_dropped_transaction_leaves_no_trace(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    drop(transaction);
    // The successor ends what its predecessor left open.
    let source = member_of(&*log, "feeders");
    let mut successor = producer(&*log, "p");
    successor.send(&tp("t", 0), &batch_of(&["seen"])).unwrap();
    published(successor.publish(&[], &source.group_metadata()));
    assert_eq!(values(&*log, &tp("t", 0)), ["seen"]);
}

pub fn records_and_positions_become_true_together(make: Make<'_>) {
    let log = with_topic(make, "in", 2);
    add_topic(&*log, "out", 2);
    let mut member = Watched::join(&*log, "a", &["in"]);
    until(&mut [&mut member], "the partitions", |m| m[0].held.len() == 2);
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("out", 0), &batch_of(&["x"])).unwrap();
    transaction.send(&tp("out", 1), &batch_of(&["y", "z"])).unwrap();
    assert_eq!(patiently(|| member.source.committed(&tp("in", 0))), None);
    let positions = [(tp("in", 0), Offset(17)), (tp("in", 1), Offset(4))];
    let answer = published(transaction.publish(&positions, &member.source.group_metadata()));
    assert_eq!(answer.next(&tp("in", 0)), None);
    for (partition, position) in positions {
        assert_eq!(patiently(|| member.source.committed(&partition)), Some(position));
    }
    assert_eq!(values(&*log, &tp("out", 0)), ["x"]);
    assert_eq!(values(&*log, &tp("out", 1)), ["y", "z"]);
    // An abort takes the positions along.
    transaction.send(&tp("out", 0), &batch_of(&["never"])).unwrap();
    transaction.abort().unwrap();
    assert_eq!(patiently(|| member.source.committed(&tp("in", 0))), Some(Offset(17)));
}

pub fn positions_alone_are_published(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut member = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut member], "the partition", |m| m[0].held.len() == 1);
    let mut transaction = producer(&*log, "p");
    for position in [3, 3, 1] {
        let positions = [(tp("t", 0), Offset(position))];
        published(transaction.publish(&positions, &member.source.group_metadata()));
        assert_eq!(patiently(|| member.source.committed(&tp("t", 0))), Some(Offset(position)));
    }
}

pub fn an_unknown_partition_is_named(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    for unknown in [tp("t", 1), tp("u", 0)] {
        let wanted = LogError::Unknown(unknown.clone());
        let mut transaction = producer(&*log, "p");
        assert_eq!(transaction.send(&unknown, &batch_of(&["x"])).unwrap_err(), wanted);
        let mut reader = log.reader().unwrap();
        let mut batch = RecordBatch::new();
        assert_eq!(reader.read(&unknown, Offset::ZERO, &mut batch).unwrap_err(), wanted);
        assert_eq!(reader.watermarks(&unknown).unwrap_err(), wanted);
    }
}

pub fn a_newer_producer_fences_the_older(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut member = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut member], "the partition", |m| m[0].held.len() == 1);
    let mut older = producer(&*log, "p");
    older.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    let mut newer = producer(&*log, "p");
    let mut stranger = producer(&*log, "q");
    fenced(older.publish(&[(tp("t", 0), Offset(9))], &member.source.group_metadata()));
    assert_eq!(patiently(|| member.source.committed(&tp("t", 0))), None);
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
    // Whoever is fenced stays fenced, whichever call tells it.
    match older.send(&tp("t", 0), &batch_of(&["never"])) {
        Ok(()) => fenced(older.publish(&[], &member.source.group_metadata())),
        Err(error) => assert!(matches!(error, LogError::Fenced(_)), "{error}"),
    }
    for transaction in [&mut newer, &mut stranger] {
        transaction.send(&tp("t", 0), &batch_of(&["seen"])).unwrap();
        published(transaction.publish(&[], &member.source.group_metadata()));
    }
    assert_eq!(values(&*log, &tp("t", 0)), ["seen", "seen"]);
}

pub fn producers_at_once_lose_and_mix_nothing(make: Make<'_>) {
    const PRODUCERS: usize = 4;
    const ROUNDS: usize = 25;
    let log = with_topic(make, "t", 2);
    std::thread::scope(|scope| {
        for p in 0..PRODUCERS {
            let log = &log;
            scope.spawn(move || {
                let source = member_of(&**log, &format!("group {p}"));
                let mut transaction = producer(&**log, &format!("producer {p}"));
                for round in 0..ROUNDS {
                    let (a, b) = (format!("{p} {round} a"), format!("{p} {round} b"));
                    transaction.send(&tp("t", 0), &batch_of(&[&a, &b])).unwrap();
                    transaction.send(&tp("t", 1), &batch_of(&[&a])).unwrap();
                    if round % 3 == 2 {
                        transaction.abort().unwrap();
                    } else {
                        published(transaction.publish(&[], &source.group_metadata()));
                    }
                }
            });
        }
    });
    let (first, second) = (values(&*log, &tp("t", 0)), values(&*log, &tp("t", 1)));
    for p in 0..PRODUCERS {
        let own = |all: &[String]| -> Vec<String> {
            all.iter().filter(|v| v.starts_with(&format!("{p} "))).cloned().collect()
        };
        let kept = || (0..ROUNDS).filter(|round| round % 3 != 2);
        let both: Vec<_> = kept().flat_map(|r| [format!("{p} {r} a"), format!("{p} {r} b")]).collect();
        let one: Vec<_> = kept().map(|r| format!("{p} {r} a")).collect();
        assert_eq!(own(&first), both);
        assert_eq!(own(&second), one);
    }
}
