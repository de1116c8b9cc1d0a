//! Which instances keep a copy of a task that another one runs.
//!
//! Not here: who lives and who runs what ([`crate::instances`]). Invariant: the choice depends on names alone, so that
//! every process makes the same one, and when an instance comes or goes only its own copies move (rendezvous hashing:
//! each instance draws a number for the task, and the highest have it).

use crate::task::TaskId;

/// Who keeps the `copies` copies of a task that `owner` runs, the first choice first.
pub(crate) fn holders<'i>(
    task: TaskId,
    owner: &str,
    living: impl IntoIterator<Item = &'i str>,
    copies: usize,
) -> Vec<&'i str> {
    let others = living.into_iter().filter(|name| *name != owner);
    let mut drawn: Vec<(u64, &str)> = others.map(|name| (draw(task, name), name)).collect();
    drawn.sort_unstable_by(|a, b| b.cmp(a));
    drawn.into_iter().take(copies).map(|(_, name)| name).collect()
}

/// The same in every process and every version: FNV-1a over task and name, and its bits mixed, since the names of
/// instances differ in their last letter.
fn draw(task: TaskId, instance: &str) -> u64 {
    let text = format!("{task} {instance}");
    let hashed = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hashed ^ (hashed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn task(partition: u32) -> TaskId {
        TaskId { sub_topology: 0, partition }
    }

    proptest! {
        #[test]
        fn each_task_has_its_copies_elsewhere_and_only_those_of_who_goes_move(
            names in proptest::collection::btree_set("[a-z]{1,3}-[0-9]", 1..9), copies in 0_usize..5,
            owner: prop::sample::Index, gone: prop::sample::Index, partition in 0_u32..64,
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let (owner, gone) = (owner.get(&names).as_str(), gone.get(&names).as_str());
            let chosen = |living: &[String]| {
                let living = living.iter().map(String::as_str);
                holders(task(partition), owner, living, copies).into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
            };
            let before = chosen(&names);
            prop_assert_eq!(before.len(), copies.min(names.len() - 1));
            prop_assert!(!before.contains(owner));
            let rest: Vec<String> = names.iter().filter(|name| *name != gone).cloned().collect();
            let after = chosen(&rest);
            if before.contains(gone) {
                let stay: BTreeSet<String> = before.into_iter().filter(|name| name != gone).collect();
                prop_assert!(after.is_superset(&stay));
            } else {
                prop_assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn copies_are_shared_out() {
        let names = ["pod-0", "pod-1", "pod-2", "pod-3"];
        let mut shares = [0; 4];
        for partition in 0..600 {
            let chosen = holders(task(partition), "pod-3", names, 1);
            shares[names.iter().position(|name| *name == chosen[0]).unwrap()] += 1;
        }
        assert_eq!(shares[3], 0);
        assert!(shares[..3].iter().all(|share| (150..250).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_draw_never_changes() {
        // Two versions side by side must choose alike.
        assert_eq!(holders(task(3), "a", ["a", "b", "c", "d", "e"], 4), ["c", "d", "e", "b"]);
    }
}
