//! Where an answer is not that of Kafka Streams, and why; and where it is the same, which test says so.
//!
//! What Kafka Streams answers is taken from its developer guide, its Javadoc and the tests that pin both; the cases
//! are run as scripts in the files `documented.rs` beside each operator. The last column names the test.
//!
//! Not here: sliding windows, and what is only an addition (cuts of sessions, local time, time to live). Invariant: every case names a test that exists.
//!
//! # Time and lateness
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | which time makes a record late | the operator's own: the greatest timestamp that its task has seen | that of the source partition which the record came from, also behind a repartition | the verdict hangs on the log alone, not on what else was read before | `what_goes_through_a_repartition_is_judged_by_its_source` |
//! | that time after a restart or a move | forgotten, so that a late record is taken in (KAFKA-20099) | stands in the commit record | a replay has to say the same | `what_is_late_is_late_after_a_restart` |
//! | a late record | dropped with a warning and counted (KAFKA-8582) | counted, and set aside whole in the late output | nothing is lost without a word | `a_window_is_told_once_when_its_grace_is_over` |
//! | a record of the far future | closes the windows of all keys of its partition (KAFKA-8769) | goes to the dead letters if it lies too far beyond the log's own timestamp | one wrong clock is not everybody's loss | `an_event_of_the_far_future_closes_nothing` |
//! | no input at all | no window closes | the same | there is nothing that a replay could repeat | `time_stands_still_without_input_and_follows_who_still_speaks` |
//! | one silent partition among others | its windows stay open until it speaks again | it follows the others after `idle.after.ms`, by raises that are logged | results come, and a replay reads when | `time_stands_still_without_input_and_follows_who_still_speaks` |
//! | a negative timestamp | dropped, or an exception | a time like any other | 1969 was a year | `aligned_to_the_epoch_on_both_sides_of_it` |
//!
//! # Tumbling and hopping windows
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | beginning and end | aligned to the epoch, the end excluded | the same | | `a_tumbling_window_holds_its_beginning_and_not_its_end`, `an_event_is_in_every_hopping_window_that_holds_it` |
//! | when a window is over | stream time reaches its end and the grace | the same | | `a_window_is_over_at_its_end_and_the_grace` |
//! | an event of which some windows are over | counts in the others | the same | | `an_event_counts_in_those_of_its_windows_that_are_not_over` |
//! | events out of order within the grace | an update of every window that holds them | in the one result of each | `on_close` is the last word; `on_update` tells the present one | `hopping_windows_of_several_keys_and_events_out_of_order` |
//! | final results | `suppress(untilWindowCloses)` from a buffer in memory, or `EmitStrategy.onWindowClose` | `on_close`, from the store | no buffer that can be full | `a_window_is_told_once_when_its_grace_is_over` |
//! | a jump in time over closed windows | `onWindowClose` loses those further back than the store's retention | each is told, in the order of (end, key) | a result that never comes is a wrong one | `no_window_is_lost_when_time_jumps` |
//! | updates of open windows | on each record, or what the cache lets through until a commit | the present word at most once per key and interval | how often is said in the topology, not by the size of a cache | `a_closed_window_that_is_kept_is_not_shown_as_open_after_a_crash` |
//! | updates at a limited rate | `suppress(untilTimeLimit)`: an update waits for stream time, which needs input, and in memory that can be full | `on_update(interval)`, and `rate_limit` for tables: the first at once, later ones by the wall clock, the last one though nothing more comes | what is shown is as new as its rate allows | `a_key_is_told_once_in_an_interval_and_its_last_word_comes_without_input` |
//! | a window's output has the timestamp | the greatest of its records | the last moment of the window | it hangs on no order, and the next window of windows finds it inside | `hopping_windows_of_several_keys_and_events_out_of_order` |
//! | a record without a key | dropped, counted | counts: the key is what `key_by` finds in the value | the key of a record is its producer's choice of partition | `a_record_without_a_key_counts_and_one_without_a_value_is_a_dead_letter` |
//! | a record without a value | dropped, counted | a dead letter, unless its codec reads it as a value | nothing is lost without a word | `a_record_without_a_key_counts_and_one_without_a_value_is_a_dead_letter` |
//!
//! # Session windows
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | records exactly a gap apart | one session | the same | | `records_exactly_a_gap_apart_belong_together` |
//! | a record extends or joins sessions | a tombstone for each old window, then the new one | nothing until the session is over | `on_close` is the last word | `a_record_between_two_sessions_makes_them_one` |
//! | the window's end | the last event's time, included | one millisecond later, excluded | as all other windows | `records_of_one_moment_are_one_session` |
//! | late | the merged window's end, gap and grace lie before the task's time | the record's time and the grace lie before its source partition's time | the verdict hangs on the log alone, not on what else has come | `a_record_is_late_one_millisecond_beyond_the_grace`, `a_session_is_told_once_and_takes_in_nobody_who_is_late` |
//! | over | a record takes the task's time to the window's end, gap and grace | the slowest input that is not idle has come to the end of its last event's pane, gap and grace | closes without input of its own; nothing hangs on the order of arrival | `a_session_is_over_when_gap_and_grace_have_passed_behind_its_pane` |
//! | a maximal length | none | `cut` | two long sessions that a late record bridges cannot be cut afterwards | `midnight_ends_a_session` |
//!
//! # Tables made of a stream: count, aggregate, reduce
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | the first record of a key | the initializer's value and the record, or in `reduce` the record | the same | | `a_row_is_made_for_a_new_key_and_each_record_adds_to_it`, `the_first_record_is_the_row_and_none_deletes_it` |
//! | who answers null | deletes the row; the next record is a first one | the same, by `None` | | `the_first_record_is_the_row_and_none_deletes_it` |
//! | a record out of order | folded as it comes | the same | | `what_comes_out_of_order_is_folded_in_the_order_of_the_log` |
//! | `reduce` of several topics, or behind a repartition | folded as it comes, in any order | refused when the topology is built; `fold_table` takes it, by an aggregate that has no order | a replay would say something else | `records_of_several_topics_have_no_order_to_be_reduced_in` |
//! | a record without a value | dropped, counted | a dead letter | nothing is lost without a word | `a_record_without_a_value_changes_no_row_and_is_a_dead_letter` |
//! | rows for ever | yes (KAFKA-4212) | `time_to_live` by event time, if wanted | a table of everybody who ever came grows for ever | `a_row_lives_as_long_as_its_key_is_heard_of` |
//!
//! # A stream beside a table
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | the guide's table, inner and left | the row that is there when the record is taken in | the same rows | | `the_documented_table_holds_for_each_kind` |
//! | when a result comes | at once, or with a versioned table after the grace | when the table's partition has passed the record's time | whichever of the two is read first, the answer is one | `a_record_waits_for_the_time_of_a_table_that_is_not_silent` |
//! | a table that is silent | with `max.task.idle.ms` waited for, else joined with what is there | follows the stream that waits, by raises that are logged | as above, and a replay reads when | `what_cannot_be_read_is_a_dead_letter_and_changes_no_row` |
//! | a record out of order | plain: the present row; versioned: the row of its time | the row of its time | the present row hangs on who was read first | `a_record_out_of_order_meets_the_row_of_its_time` |
//! | a record beyond the grace | dropped, counted | in the late output, counted | nothing is lost without a word | `records_leave_in_the_order_of_their_times_and_late_ones_are_told` |
//! | an update out of order | plain: replaces the row; versioned: goes into the past | takes effect at its partition's time | what was true stays so, and the log's order decides | `records_leave_in_the_order_of_their_times_and_late_ones_are_told` |
//! | a record older than the history | no row is found | there is none: as much history is kept as the grace lets ask for | a row that is there is found | `records_leave_in_the_order_of_their_times_and_late_ones_are_told` |
//! | an update, a tombstone | brings nothing out | the same | | `updates_bring_nothing_out_and_a_tombstone_takes_the_row_away` |
//! | a record without a value, an update without a key | dropped, counted | a dead letter | nothing is lost without a word | `what_cannot_be_read_is_a_dead_letter_and_changes_no_row` |
//! | topics of different partition counts | refused | the same, with the remedy | | `topics_that_split_their_keys_differently_are_refused_with_the_remedy` |
//!
//! # Tables of tables
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | the guide's table, inner, left and outer | a row or a tombstone for each update that changes it | the same | | `the_documented_cases_of_the_inner_join`, `the_documented_cases_of_the_left_join`, `the_documented_cases_of_the_outer_join` |
//! | several updates of a key within one commit | each is told, unless a cache holds it back | the last one is told | what lies between hangs on how two topics are read, which a replay need not keep | `updates_of_joined_tables_within_one_commit_are_told_as_one` |
//! | an update whose time is before its row's | plain: replaces the row; versioned: does not | replaces the row | the log's order decides, as for every table here | `the_order_of_the_log_decides_whatever_the_times` |
//! | a tombstone for a key without a result | none is sent, says the guide; the code may send one | none | there is nothing to take back | `the_order_of_the_log_decides_whatever_the_times`, `the_documented_cases_of_the_inner_join` |
//! | an update without a key | dropped, counted | a dead letter | nothing is lost without a word | `an_update_without_a_key_is_a_dead_letter_and_changes_no_row` |
//! | tables of topics, of streams and of joins | joined alike | the same | | `tables_of_topics_of_streams_and_of_joins_are_joined_alike` |
//! | topics of different partition counts | refused at the start | the same, with both counts and the remedy | | `tables_that_split_their_keys_differently_are_refused_with_the_remedy` |
//!
//! # Tables that every task holds: `GlobalKTable`
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | which row a record meets | the one that the instance holds when it takes the record in | that of the record's own time | a replay has to say the same | `a_record_meets_the_row_that_it_names_as_it_was_at_its_time` |
//! | the beginning | the whole topic is read before the first record | a record waits until all of the table's partitions have come to its time; a silent one follows the streams | what the table said then is known, and what it says later does not matter | `a_record_waits_for_all_partitions_of_a_table_that_is_not_silent` |
//! | an update, a tombstone | brings nothing out | the same; it counts from its time on | | `a_record_meets_the_row_that_it_names_as_it_was_at_its_time` |
//! | keys and numbers of partitions | need not be the table's | the same | | `a_record_meets_the_row_that_it_names_as_it_was_at_its_time` |
//! | a record that names no row | inner: dropped; left: joined with null (KIP-962) | the same, by `None` | | `what_cannot_be_joined_is_a_dead_letter_and_what_names_nothing_is_left_out`, `one_stream_stands_beside_several_tables_and_keeps_its_key` |
//! | a record without a value, an update without a key | dropped, counted | a dead letter | nothing is lost without a word | `what_cannot_be_joined_is_a_dead_letter_and_what_names_nothing_is_left_out` |
//!
//! # Processors
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | punctuation by stream time that is due several times | called once, with the present stream time | a timer fires at each of its times | what it says does not hang on how far a record lies from the next | `a_schedule_misses_no_tick_and_what_it_forwards_has_its_time` |
//! | records and punctuation | records as they are taken in, then what is due | a timer after the records of its time and before all later ones, of all inputs | one order in every replay | `a_timer_comes_after_the_records_of_its_time_and_before_all_later_ones` |
//! | punctuation by the wall clock | yes | none; event time goes on while an input is silent and another speaks | a replay could not say the same | `a_timer_waits_for_event_time_and_not_for_the_clock`, `time_stands_still_without_input_and_follows_who_still_speaks` |
//! | what a punctuation belongs to | a processor's task; it goes through a store for what is due | a key | a deadline is of something, and a scan of all keys is none | `a_timer_that_is_set_anew_fires_once_at_the_last_time_and_one_that_is_cancelled_never` |
//! | a schedule after a restart or a move | forgotten; `init` sets it anew | stands in a store | a deadline outlives a process | `a_timer_that_is_set_anew_fires_once_at_the_last_time_and_one_that_is_cancelled_never` |
//! | forward | to all children or one by its name | to the chain that follows, and to named outputs by their handle | a name that is wrong does not compile | `a_processor_knows_where_a_record_came_from` |
//! | the time of what is forwarded | the record's, or any other | the record's or the timer's | no result is older than what closes windows behind it | `a_schedule_misses_no_tick_and_what_it_forwards_has_its_time` |
//! | headers | go along with what is forwarded | the same; a timer has none | | `the_headers_of_a_record_go_on_with_what_a_processor_forwards` |
//! | topic, partition and offset | of the record; none in a punctuation | the same; none behind a repartition or a window | it would be that of a bundle | `a_processor_knows_where_a_record_came_from`, `closed_windows_can_be_processed_too` |
//! | a record that cannot be used | an exception, which ends the thread or is handled | a verdict: a dead letter with its reason | one record stops nobody, and none is lost | `a_record_or_timer_that_is_refused_is_a_dead_letter` |
//! | rows of a window store | until their segment is dropped, by the task's time | exactly until their retention, by stream time | when a range is dropped shows in no answer | `versions_are_found_by_time_and_windows_until_their_retention` |
//! | versions | the latest one not later than asked for, within the history | the same | | `versions_are_found_by_time_and_windows_until_their_retention` |
//! | a store that several processors share | connected by its name | each has its own; a handle of another stops the worker | two that write one row would have no order | `what_another_processor_has_declared_stops_the_worker` |
//!
//! # Two streams in a window
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | the guide's table, inner, left and outer | each pair once, both ends of the window included | the same | | `the_documented_table_holds_for_each_kind`, `a_window_holds_both_its_ends_and_nothing_beyond` |
//! | a tombstone | dropped, counted | a dead letter, unless its codec reads it as a value; it neither joins nor is alone | nothing is lost without a word | `the_documented_table_holds_for_each_kind` |
//! | a record without a key | dropped; in left and outer joins alone (KIP-962) | joins by what `key_by` finds in the value | as for windows | `keys_meet_whatever_partitions_they_come_from` |
//! | a record without a partner | told with the next record after the task's greatest time has passed it, at most once a second | told with the next commit when the time of all inputs has passed it; an idle input is raised | it is told once and cannot be wrong later, and it is told without input of its own | `who_has_no_partner_comes_out_once_strictly_after_bound_and_grace` |
//! | late | by the task's own time | by that of the record's source partition | the verdict hangs on the log alone | `an_old_record_joins_within_the_grace_and_is_late_after_it` |
//! | several records of one time and key | replace one another where duplicates are not retained | all kept | each of them happened | `a_hot_key_finds_each_of_its_records` |
//! | negative bounds | allowed if their sum is not | refused | a record could be told as alone before it came | `a_join_window_that_cannot_be_is_told_when_the_topology_is_built` |
//!
//! # Steps without state, and errors
//!
//! | case | Kafka Streams | here | why | test |
//! |---|---|---|---|---|
//! | filter, flat-map | any number of records from one, of its key and time | the same | | `a_filter_keeps_what_it_is_told_to`, `a_record_becomes_none_one_or_many` |
//! | split | the first branch whose predicate holds; who fits nowhere is dropped without a default branch | the same, and the rest has to be named, be it to `end` it | nothing is dropped by forgetting it | `a_record_goes_to_the_first_branch_that_takes_it_or_to_none` |
//! | merge | no order between the streams | the same | | `merged_streams_are_one` |
//! | another key | marked, and repartitioned by whoever needs the key | by the type: what follows `key_by` is grouped anew, `already_keyed_by` promises that it need not be | what a repartition costs is seen where it is written | `another_key_is_another_partition` |
//! | a record that cannot be read | stops the application, or is dropped by the handler that is set | goes to the dead letters, within the transaction | one record stops nobody, and none is lost | `what_cannot_be_read_is_a_dead_letter_and_the_stream_goes_on` |
//! | another name for a store | `Materialized.as` is the changelog's name: to keep it, the old word stays in the code | `stored_as`: the name in the program, in queries and messages is another than the one it is kept under | what a thing is called is not where it stands | `a_store_that_was_renamed_keeps_its_rows_under_its_old_name` |
//! | testing | `TopologyTestDriver`: one partition, no crash, no rebalance | scripts with crashes at every line, and a simulator: [`crate::testing`] | what breaks a promise is what nobody thought of | `a_script_holds_through_every_crash_and_rebalance`, `a_sound_topology_holds_under_every_seed` |

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_case_names_tests_that_exist() {
        let mut code = String::new();
        for folder in ["src", "tests"] {
            sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut code);
        }
        let rows = include_str!("compared.rs").lines().filter(|line| line.starts_with("//! | "));
        let rows: Vec<_> = rows.filter(|row| !row.starts_with("//! | case")).collect();
        assert!(rows.len() > 40);
        for row in rows {
            let cells: Vec<_> = row.trim_end_matches('|').split(" |").collect();
            let [_, _, _, _, _, tests] = cells[..] else { panic!("five columns: {row}") };
            let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "no test: {row}");
            for name in names {
                assert!(code.contains(&format!("fn {name}()")), "no test {name}: {row}");
            }
        }
    }
}
