//! The times of records, and whether the clock that they are told by has stepped.

use std::time::Duration;

use stepgate_types::{Clock, Timestamp};

/// A clock that steps back further than this is told of. Synchronised clocks are slewed, and do not …
const STEP_BACK: Duration = Duration::from_secs(1);

/// … and one that is by so much more ahead of the time that has passed.
const STEP_AHEAD: Duration = Duration::from_secs(5);

/// The clock that cannot step is asked only once the other has moved by so much: there are two records to a statement,
/// and to ask costs as much as to queue one.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the time of each record.
pub(crate) struct Timepiece {
    /// Of the last record, be it from before the start.
    last: Option<Timestamp>,
    /// Both clocks at the same moment: no longer than [`LOOK`] before the last record, by the one that can step.
    together: Option<(Timestamp, Duration)>,
}

/// From when to when it has stepped.
pub(crate) type Step = (Timestamp, Timestamp);

impl Timepiece {
    /// Where the last record, if there is one, has this time.
    pub(crate) const fn new(last: Option<Timestamp>) -> Self {
        Self { last, together: None }
    }

    /// The time of a record that is made now.
    pub(crate) fn now(&mut self, clock: &dyn Clock) -> (Timestamp, Option<Step>) {
        let at = clock.now();
        let before = self.last.replace(at).unwrap_or(at);
        let back = before.since(at) > STEP_BACK;
        let ahead = match self.together {
            Some((then, _)) if at >= then && at.since(then) < LOOK => false,
            then => {
                let passed = clock.monotonic();
                self.together = Some((at, passed));
                let expected = then.map(|(then, since)| then.plus(passed.saturating_sub(since)));
                expected.is_some_and(|expected| at.since(expected) > STEP_AHEAD)
            }
        };
        (at, (back || ahead).then_some((before, at)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Both clocks, in milliseconds.
    struct Clocks(Mutex<(i64, u64)>);

    impl Clock for Clocks {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(1_000 * self.0.lock().unwrap().0)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.lock().unwrap().1)
        }
    }

    /// Whether a step is seen where records are made at these times of both clocks, one after the other.
    fn steps(times: &[(i64, u64)]) -> Vec<bool> {
        let mut timepiece = Timepiece::new(None);
        times.iter().map(|time| timepiece.now(&Clocks(Mutex::new(*time))).1.is_some()).collect()
    }

    #[test]
    fn a_clock_that_steps_is_noticed_whether_records_come_often_or_seldom() {
        // Ahead by six seconds, at once after the last record and long after it.
        assert_eq!(steps(&[(0, 0), (10, 10), (6_020, 20), (6_030, 30)]), [false, false, true, false]);
        assert_eq!(steps(&[(0, 0), (900, 900), (66_000, 60_000)]), [false, false, true]);
        // Back by more than a second, and by less.
        assert_eq!(steps(&[(9_000, 0), (7_900, 10), (7_910, 20)]), [false, true, false]);
        assert_eq!(steps(&[(9_000, 0), (8_100, 10), (8_110, 20)]), [false; 3]);
    }

    #[test]
    fn time_that_passes_is_no_step() {
        assert_eq!(steps(&[(0, 0), (3_600_000, 3_600_000), (3_600_001, 3_600_001)]), [false; 3]);
        // Slewed, and so a little off.
        assert_eq!(steps(&[(0, 0), (3_600_000, 3_600_400), (3_601_500, 3_601_900)]), [false; 3]);
    }
}
