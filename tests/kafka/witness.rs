//! The harness itself: what it feeds is what it dumps.

use tests::kafka::cluster::shared;
use tests::kafka::dump::committed;
use tests::kafka::feed::{Fed, Feed};

#[test]
fn what_is_fed_is_dumped() {
    let broker = shared();
    broker.admin().create_topic("witness", 2, &[]);
    let record = |partition, n: u32| Fed {
        partition,
        timestamp: 1_600_000_000_000 + i64::from(n),
        key: Some(n.to_be_bytes().to_vec()),
        value: (!n.is_multiple_of(5)).then(|| n.to_string().repeat(50).into_bytes()),
        headers: vec![("n".into(), n.to_string().into_bytes())],
    };
    let mut expected = vec![Vec::new(), Vec::new()];
    for (at, codec) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let fed: Vec<Fed> = (0..20).map(|n| record(n % 2, at * 100 + n)).collect();
        Feed::compressed(&broker.brokers(), codec).send_all("witness", &fed);
        for fed in fed {
            expected[fed.partition as usize].push(fed);
        }
    }
    let feed = Feed::transactional(&broker.brokers(), "witness");
    for (n, commits) in [(1_000, false), (1_001, true), (1_002, false)] {
        feed.begin();
        feed.send("witness", &record(1, n));
        if commits {
            feed.commit();
            expected[1].push(record(1, n));
        } else {
            feed.abort();
        }
    }
    let found: Vec<Vec<Fed>> = committed(&broker.brokers(), "witness")
        .into_iter()
        .map(|records| {
            let fed = records.into_iter().map(|one| Fed {
                partition: one.partition,
                timestamp: one.timestamp,
                key: one.key,
                value: one.value,
                headers: one.headers.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
            });
            fed.collect()
        })
        .collect();
    assert_eq!(found, expected);
}
