//! Tests of a row's bytes: what goes in comes out, whatever the bytes say.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::batch::Headers;

const WIDE: RowLimits = RowLimits { records: 1_000, bytes: 1 << 20 };

type Parts = (u64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

fn parts() -> impl Strategy<Value = Parts> {
    let bytes = || vec(any::<u8>(), 0..200);
    (0..300_u64, any::<i64>(), option::of(bytes()), option::of(bytes()), vec(any::<u8>(), 0..20))
}

fn refs(parts: &[Parts]) -> Vec<RecordRef<'_>> {
    let mut next = 40;
    parts
        .iter()
        .map(|(gap, time, key, value, headers)| {
            let offset = Offset(next + gap);
            next = offset.0 + 1;
            RecordRef {
                offset,
                timestamp: LogTime(*time),
                key: key.as_deref(),
                value: value.as_deref(),
                headers: Headers(headers),
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn records_with_gaps_come_back(parts in vec(parts(), 1..40), from in 0..4_000_u64) {
        let records = refs(&parts);
        let mut builder = RowBuilder::new(WIDE);
        for record in &records {
            prop_assert!(builder.push(record));
        }
        let sealed = builder.seal().unwrap();
        let row = Row::parse(sealed.bytes()).unwrap();
        prop_assert_eq!(sealed.last(), records[records.len() - 1].offset);
        prop_assert_eq!(row.max_time, records.iter().map(|r| r.timestamp).max().unwrap());
        let mut batch = RecordBatch::new();
        row.load(Offset(from), &mut batch).unwrap();
        let wanted: Vec<_> = records.iter().filter(|r| r.offset.0 >= from).copied().collect();
        prop_assert_eq!(batch.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_batch_is_cut_into_rows_and_keeps_its_order(
        parts in vec(parts(), 1..60), records_max in 1..9_usize, bytes_max in 1..900_usize,
    ) {
        let mut batch = RecordBatch::new();
        refs(&parts).iter().for_each(|record| batch.push(*record));
        let limits = RowLimits { records: records_max, bytes: bytes_max };
        let mut builder = RowBuilder::new(limits);
        let (mut from, mut next, mut back) = (0, 7, RecordBatch::new());
        while from < batch.len() {
            let to = builder.extend(&batch, from);
            prop_assert!(to > from);
            from = to;
            let mut row = builder.seal().unwrap();
            prop_assert!(row.count() as usize <= records_max);
            row.place(Offset(next));
            next += u64::from(row.count());
            prop_assert_eq!(row.last().next(), Offset(next));
            Row::parse(row.bytes()).unwrap().load(Offset::ZERO, &mut back).unwrap();
        }
        prop_assert_eq!(back.len(), batch.len());
        for (index, (got, sent)) in back.iter().zip(batch.iter()).enumerate() {
            let offset = Offset(7 + index as u64);
            prop_assert_eq!(got, RecordRef { offset, ..sent });
        }
    }

    #[test]
    fn damaged_bytes_are_told_and_never_panic(
        parts in vec(parts(), 1..20), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut builder = RowBuilder::new(WIDE);
        for record in refs(&parts) {
            builder.push(&record);
        }
        let mut bytes = builder.seal().unwrap().bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let mut batch = RecordBatch::new();
        if let Ok(row) = Row::parse(&bytes) {
            let told = row.load(Offset(50), &mut batch).is_err();
            prop_assert!(told || !cut);
            batch.iter().for_each(drop);
        }
    }
}

#[test]
fn the_layout_is_as_drawn() {
    let mut builder = RowBuilder::new(WIDE);
    let record = |offset, time, value| RecordRef {
        offset: Offset(offset),
        timestamp: LogTime(time),
        key: Some(&b"k"[..]),
        value,
        headers: Headers(b"h"),
    };
    assert!(builder.push(&record(3, 5, Some(b"vw"))));
    assert!(builder.push(&record(300, 4, None)));
    let mut row = builder.seal().unwrap();
    row.running_max(LogTime(9));
    let golden: &[&[u8]] = &[
        &[1, 0],
        &[0, 0, 0, 2],
        &[0, 0, 0, 0, 0, 0, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 0, 0, 0, 0, 9],
        &[0x7f, 255, 255, 255, 255, 255, 255, 255],
        &[0, 0, 0, 6],
        b"kvwhkh",
        &[0, 10, 2, 3, 1],
        &[0xa8, 2, 1, 2, 0, 1],
    ];
    assert_eq!(row.bytes(), golden.concat());
}

#[test]
fn a_stamped_row_gives_all_records_its_time() {
    let mut batch = RecordBatch::new();
    for time in [7, 900, -4] {
        batch.push_with(LogTime(time), |bytes| {
            bytes.push(b'k');
            1
        });
    }
    let mut builder = RowBuilder::new(WIDE);
    builder.extend(&batch, 0);
    let mut row = builder.seal().unwrap();
    row.stamp(LogTime(50));
    batch.clear();
    let row = Row::parse(row.bytes()).unwrap();
    row.load(Offset::ZERO, &mut batch).unwrap();
    assert!(batch.iter().all(|record| record.timestamp == LogTime(50)));
    assert_eq!(row.offset_for_time(Offset(1), LogTime(50)), Ok(Some(Offset(1))));
    assert_eq!(row.offset_for_time(Offset(1), LogTime(51)), Ok(None));
}
