//! Statements that people were asked about, or that ran by what they approved, and how many rows each approval let out.

use stepgate_types::RequestId;

/// What is known of one.
#[derive(Default)]
pub(super) struct Run {
    /// Requests that it waited for, by the record that asked: as itself, then for more than a limit, perhaps several times.
    pub(super) asked: Vec<(u64, RequestId)>,
    /// Approvals by which it ran, or went on.
    parts: Vec<Part>,
    /// Where it reached a limit.
    reached: Vec<Reached>,
    /// Where it went on.
    extended: Vec<u64>,
    /// Rows that it delivered in all, as far as it has ended.
    rows: u64,
}

struct Part {
    seq: u64,
    request: RequestId,
    /// It went on by it; else it ran by it from the beginning.
    goes_on: bool,
}

struct Reached {
    seq: u64,
    rows: u64,
    rules: Vec<String>,
}

impl Run {
    /// It ran by that, or went on; whether that was not known yet.
    pub(super) fn by(&mut self, seq: u64, request: RequestId, goes_on: bool) -> bool {
        // A decision is recorded once more where it was waited for; each time that it goes on is one by itself.
        let same =
            |part: &Part| if goes_on { part.seq == seq } else { !part.goes_on && part.request == request };
        let new = !self.parts.iter().any(same);
        if new {
            self.parts.push(Part { seq, request, goes_on });
        }
        new
    }

    pub(super) fn reaches(&mut self, seq: u64, rows: u64, rules: Vec<String>) {
        self.reached.push(Reached { seq, rows, rules });
    }

    pub(super) fn goes_on(&mut self, seq: u64) {
        self.extended.push(seq);
    }

    pub(super) fn delivers(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// The rules by which it was at a limit when this was asked; `None`: it had not begun.
    pub(super) fn limit_at(&self, seq: u64) -> Option<&[String]> {
        self.before(seq).map(|reached| reached.rules.as_slice())
    }

    fn before(&self, seq: u64) -> Option<&Reached> {
        self.reached.iter().filter(|reached| reached.seq < seq).max_by_key(|reached| reached.seq)
    }

    /// How many rows each approval let out: from where it began or went on by it, to where it went on by another.
    pub(super) fn shares(&self) -> impl Iterator<Item = (RequestId, u64)> {
        let at = move |seq: u64| self.before(seq).map_or(0, |reached| reached.rows);
        // One that runs still has come to its last limit at least.
        let all = self.rows.max(at(u64::MAX));
        self.parts.iter().map(move |part| {
            let from = if part.goes_on { at(part.seq) } else { 0 };
            let next = self.extended.iter().copied().filter(|seq| *seq > part.seq).min();
            (part.request, next.map_or(all, at).saturating_sub(from))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> RequestId {
        text.parse().unwrap()
    }

    #[test]
    fn each_approval_of_a_statement_let_out_what_came_after_it_and_before_the_next() {
        let (own, more, last) = (request("1111-1111"), request("2222-2222"), request("3333-3333"));
        let mut run = Run::default();
        assert!(run.by(10, own, false) && !run.by(11, own, false), "a decision that is recorded twice");
        for (reached, rows, extended) in [(20, 100, Some(22)), (30, 250, Some(32)), (40, 300, None)] {
            run.reaches(reached, rows, vec![format!("rule {reached}")]);
            extended.into_iter().for_each(|seq| run.goes_on(seq));
        }
        assert!(run.by(22, more, true) && run.by(32, last, true) && !run.by(32, last, true));
        assert_eq!(run.shares().collect::<Vec<_>>(), [(own, 100), (more, 150), (last, 50)]);
        run.delivers(310);
        assert_eq!(run.shares().collect::<Vec<_>>(), [(own, 100), (more, 150), (last, 60)]);
        // What was asked before it ran was no limit.
        assert_eq!(run.limit_at(9), None);
        assert_eq!(run.limit_at(21), Some(&["rule 20".to_owned()][..]));
    }

    #[test]
    fn what_nobody_was_asked_for_at_first_is_no_approvals() {
        let more = request("2222-2222");
        let mut run = Run::default();
        run.reaches(20, 100, Vec::new());
        run.goes_on(22);
        run.by(22, more, true);
        run.delivers(130);
        assert_eq!(run.shares().collect::<Vec<_>>(), [(more, 30)]);
    }
}
