//! Which of two processes with one name is meant to run: the one that claimed the name last.
//!
//! Not here: writing the claim ([`crate::bulletin`]). Invariant: a term is one higher than any that stood in the
//! topic when it was claimed, and it is a claim only once it stands there itself; so of two that claim, the later
//! one has the higher term, and the other one sees it.
//!
//! Kafka alone does not decide this. The group takes the member that joined last for the real one, and the
//! transaction coordinator the producer that was made last; a process that was frozen does both again by itself when
//! it wakes, and two that live would take everything from each other without end. The other way round, a coordinator
//! that dies can make a single process fence itself: no sign of a second one.

/// Rises with each process that takes over a name; 0 is no process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Term(pub(crate) u64);

/// What is known of the claims to this process's name.
#[derive(Debug, Default)]
pub(super) struct Claims {
    highest: Term,
    own: Option<Term>,
}

impl Claims {
    /// Takes in a term that stands in the topic under this process's name.
    pub(super) fn hear(&mut self, term: Term) {
        self.highest = self.highest.max(term);
    }

    /// The term to write: this process's own, or the one that it is to claim.
    pub(super) fn term(&self) -> Term {
        self.own.unwrap_or(Term(self.highest.0.saturating_add(1)))
    }

    /// `term` stands in the topic, written by this process.
    pub(super) fn claimed(&mut self, term: Term) {
        self.own = Some(term);
        self.hear(term);
    }

    /// Whether another process has claimed the name after this one.
    pub(super) fn superseded(&self) -> bool {
        self.own.is_some_and(|own| self.highest > own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_claim_is_the_higher_one_whoever_speaks_last() {
        let (mut frozen, mut second) = (Claims::default(), Claims::default());
        frozen.claimed(frozen.term());
        second.hear(frozen.term());
        second.claimed(second.term());
        // The frozen one repeats what it has, which changes nothing for the other.
        second.hear(frozen.term());
        assert!(!second.superseded() && !frozen.superseded());
        frozen.hear(second.term());
        assert!(frozen.superseded());
    }

    #[test]
    fn a_claim_that_was_not_written_is_none() {
        let (mut slow, mut quick) = (Claims::default(), Claims::default());
        let wanted = slow.term();
        quick.claimed(quick.term());
        assert_eq!(wanted, quick.term(), "both have read the same");
        // The slow one was fenced before it wrote, and reads again.
        slow.hear(quick.term());
        assert!(!slow.superseded());
        slow.claimed(slow.term());
        quick.hear(slow.term());
        assert!(quick.superseded() && !slow.superseded());
    }
}
