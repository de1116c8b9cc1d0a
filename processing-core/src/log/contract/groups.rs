//! The contract's cases of groups: who holds which partition, and who is fenced.

use super::*;

pub fn a_lone_member_gets_every_partition(make: Make<'_>) {
    let log = with_topic(make, "t", 4);
    let mut member = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut member], "all partitions", |m| m[0].held == all_of("t", 4));
    let metadata = member.source.group_metadata();
    assert_eq!((metadata.group.as_str(), metadata.instance.as_str()), ("group", "a"));
}

pub fn two_members_share_and_a_revoke_is_waited_for(make: Make<'_>) {
    let log = with_topic(make, "t", 4);
    let mut a = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut a], "all partitions", |m| m[0].held.len() == 4);
    let mut b = Watched::join(&*log, "b", &["t"]);
    until(&mut [&mut a, &mut b], "a revoke", |m| !m[0].revoked.is_empty());
    // What is being revoked may still be committed, and nobody else has it until it is released.
    until_quiet(&mut [&mut a, &mut b]);
    assert_eq!(a.revoked.len(), 2);
    assert!(b.held.is_empty());
    let mut transaction = producer(&*log, "p");
    let positions: Vec<_> = a.revoked.iter().map(|p| (p.clone(), Offset(1))).collect();
    published(transaction.publish(&positions, &a.source.group_metadata()));
    a.release_revoked();
    until(&mut [&mut a, &mut b], "the other half", |m| m[1].held.len() == 2);
    until_quiet(&mut [&mut a, &mut b]);
    assert!(a.held.is_disjoint(&b.held));
    assert_eq!(&a.held | &b.held, all_of("t", 4));
    for partition in b.held.clone() {
        assert_eq!(patiently(|| b.source.committed(&partition)), Some(Offset(1)));
    }
    assert!(a.lost.is_empty());
}

pub fn two_anchors_are_both_dealt_out(make: Make<'_>) {
    let log = with_topic(make, "s", 2);
    add_topic(&*log, "t", 2);
    add_topic(&*log, "unread", 2);
    let mut a = Watched::join(&*log, "a", &["s", "t"]);
    let mut b = Watched::join(&*log, "b", &["s", "t"]);
    let both = &all_of("s", 2) | &all_of("t", 2);
    settle(&mut [&mut a, &mut b], sizes([2, 2]));
    assert!(a.held.is_disjoint(&b.held));
    assert_eq!(&a.held | &b.held, both);
}

/// Lets the members revoke and release until `done`, and then until they are silent.
fn settle(members: &mut [&mut Watched], done: impl Fn(&[&mut Watched]) -> bool) {
    for _ in 0..PATIENCE {
        for member in members.iter_mut() {
            member.poll().unwrap();
            member.release_revoked();
        }
        if done(members) {
            until_quiet(members);
            if done(members) && members.iter().all(|m| m.revoked.is_empty()) {
                return;
            }
        }
    }
    let held: Vec<_> = members.iter().map(|m| &m.held).collect();
    panic!("the group never settles: {held:?}");
}

/// Whether the members hold this many partitions, in their order.
fn sizes<const N: usize>(sizes: [usize; N]) -> impl Fn(&[&mut Watched]) -> bool {
    move |members| members.iter().map(|m| m.held.len()).eq(sizes)
}

pub fn a_member_that_comes_back_finds_its_partitions(make: Make<'_>) {
    let log = with_topic(make, "t", 4);
    let mut a = Watched::join(&*log, "a", &["t"]);
    let mut b = Watched::join(&*log, "b", &["t"]);
    settle(&mut [&mut a, &mut b], sizes([2, 2]));
    let (held_by_a, held_by_b) = (a.held.clone(), b.held.clone());
    assert_eq!((held_by_a.len(), held_by_b.len()), (2, 2));
    a.source.close();
    drop(a);
    until_quiet(&mut [&mut b]);
    assert_eq!(b.held, held_by_b, "the partitions of a closed static member wait for it");
    let mut again = Watched::join(&*log, "a", &["t"]);
    settle(&mut [&mut again, &mut b], sizes([2, 2]));
    assert_eq!((again.held, b.held), (held_by_a, held_by_b));
    assert!(b.lost.is_empty());
}

pub fn the_same_instance_taken_over_is_lost_and_fenced(make: Make<'_>) {
    let log = with_topic(make, "t", 2);
    let mut old = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut old], "all partitions", |m| m[0].held.len() == 2);
    let metadata = old.source.group_metadata();
    let mut new = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut new], "all partitions", |m| m[0].held == all_of("t", 2));
    for metadata in [metadata, old.source.group_metadata()] {
        let mut transaction = producer(&*log, "p");
        transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
        fenced(transaction.publish(&[(tp("t", 0), Offset(1))], &metadata));
    }
    // The old one hears that its partitions are lost, or that it is fenced, and never gets more. A log of several
    // machines says that it is over: two processes of one identity would fence each other for ever.
    let mut told = None;
    for _ in 0..PATIENCE {
        match old.poll() {
            Ok(_) => assert_eq!(old.revoked.len(), 0, "a taken partition is lost, not revoked"),
            Err(error) => {
                told = Some(error);
                break;
            }
        }
    }
    assert!(matches!(told, Some(LogError::Fenced(_) | LogError::Fatal(_))), "{told:?}");
    assert_eq!(patiently(|| new.source.committed(&tp("t", 0))), None);
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
    let mut transaction = producer(&*log, "p");
    published(transaction.publish(&[(tp("t", 0), Offset(2))], &new.source.group_metadata()));
    // A close of the old one takes nothing from the new one.
    old.source.close();
    drop(old);
    published(transaction.publish(&[(tp("t", 0), Offset(3))], &new.source.group_metadata()));
    until_quiet(&mut [&mut new]);
    assert_eq!(new.held, all_of("t", 2));
}

pub fn an_older_generation_is_fenced(make: Make<'_>) {
    let log = with_topic(make, "t", 2);
    let mut a = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut a], "all partitions", |m| m[0].held.len() == 2);
    let old = a.source.group_metadata();
    let mut b = Watched::join(&*log, "b", &["t"]);
    settle(&mut [&mut a, &mut b], sizes([1, 1]));
    let new = a.source.group_metadata();
    assert!(new.generation > old.generation);
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    refused(transaction.publish(&[(tp("t", 0), Offset(1))], &old));
    assert_eq!(patiently(|| a.source.committed(&tp("t", 0))), None);
    let mut successor = producer(&*log, "p");
    successor.send(&tp("t", 0), &batch_of(&["seen"])).unwrap();
    published(successor.publish(&[(tp("t", 0), Offset(2))], &new));
    assert_eq!(values(&*log, &tp("t", 0)), ["seen"]);
    assert_eq!(patiently(|| a.source.committed(&tp("t", 0))), Some(Offset(2)));
}

pub fn an_invented_member_is_fenced(make: Make<'_>) {
    let log = with_topic(make, "t", 1);
    let mut a = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut a], "the partition", |m| m[0].held.len() == 1);
    let mut invented = a.source.group_metadata();
    invented.member = "nobody".to_owned();
    let mut transaction = producer(&*log, "p");
    transaction.send(&tp("t", 0), &batch_of(&["never"])).unwrap();
    fenced(transaction.publish(&[(tp("t", 0), Offset(1))], &invented));
    assert_eq!(values(&*log, &tp("t", 0)), Vec::<String>::new());
}

pub fn a_topic_made_later_is_dealt_out(make: Make<'_>) {
    let log = with_topic(make, "s", 1);
    let mut a = Watched::join(&*log, "a", &["s", "t"]);
    until(&mut [&mut a], "the first topic", |m| m[0].held == all_of("s", 1));
    add_topic(&*log, "t", 2);
    let both = &all_of("s", 1) | &all_of("t", 2);
    until(&mut [&mut a], "the second topic", |m| m[0].held == both);
    assert!(a.lost.is_empty());
}

pub fn many_members_hold_each_partition_once(make: Make<'_>) {
    let log = with_topic(make, "t", 7);
    let mut members: Vec<Watched> = Vec::new();
    for n in 0..5 {
        members.push(Watched::join(&*log, &format!("instance {n}"), &["t"]));
        let mut all: Vec<&mut Watched> = members.iter_mut().collect();
        settle(&mut all, |members| {
            let sizes: Vec<_> = members.iter().map(|m| m.held.len()).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            sizes.iter().sum::<usize>() == 7 && most - least <= 1
        });
        let mut seen = BTreeSet::new();
        for member in &members {
            for partition in &member.held {
                assert!(seen.insert(partition.clone()), "{partition} is held twice");
            }
        }
        assert_eq!(seen, all_of("t", 7));
    }
}

pub fn committed_is_none_before_the_first_commit(make: Make<'_>) {
    let log = with_topic(make, "t", 2);
    let mut a = Watched::join(&*log, "a", &["t"]);
    until(&mut [&mut a], "all partitions", |m| m[0].held.len() == 2);
    assert_eq!(patiently(|| a.source.committed(&tp("t", 0))), None);
    let mut transaction = producer(&*log, "p");
    published(transaction.publish(&[(tp("t", 0), Offset::ZERO)], &a.source.group_metadata()));
    assert_eq!(patiently(|| a.source.committed(&tp("t", 0))), Some(Offset::ZERO));
    assert_eq!(patiently(|| a.source.committed(&tp("t", 1))), None);
}

pub fn group_offsets_are_listed(make: Make<'_>) {
    let log = with_topic(make, "t", 2);
    add_topic(&*log, "s", 1);
    let mut admin = log.admin().unwrap();
    let places = [tp("s", 0), tp("t", 0), tp("t", 1)];
    assert_eq!(patiently(|| admin.group_offsets("group", &places)), []);
    let mut a = Watched::join(&*log, "a", &["t", "s"]);
    until(&mut [&mut a], "all partitions", |m| m[0].held.len() == 3);
    let mut transaction = producer(&*log, "p");
    let metadata = a.source.group_metadata();
    published(transaction.publish(&[(tp("t", 1), Offset(5)), (tp("s", 0), Offset(6))], &metadata));
    published(transaction.publish(&[(tp("t", 1), Offset(7))], &metadata));
    let listed = patiently(|| admin.group_offsets("group", &places));
    assert_eq!(listed, [(tp("s", 0), Offset(6)), (tp("t", 1), Offset(7))]);
    assert_eq!(patiently(|| admin.group_offsets("grou", &places)), []);
}
