//! Waiting for a gate that is away: that it is restarted, or the network is, ends no command that watches.

use std::time::{Duration, Instant};

use super::http::Api;
use crate::failure::{Failure, Status};

/// How long it is left alone at first, and at most: each time twice as long as before.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// How long what waits for one answer waits for a gate that is away; what watches does until it is interrupted.
const GIVE_UP: Duration = Duration::from_secs(2 * 60);

/// How often it is looked whether somebody has logged in anew.
const LOOK: Duration = Duration::from_secs(1);

/// How a gate is asked again and again.
pub(super) struct Patience {
    /// Whether it has answered before: who cannot be reached at first is not waited for.
    known: bool,
    give_up: Option<Duration>,
}

impl Patience {
    /// Of what watches.
    pub(super) const fn without_end() -> Self {
        Self { known: false, give_up: None }
    }

    /// Of what waits for one answer of a gate that has just spoken.
    pub(super) const fn for_a_while() -> Self {
        Self { known: true, give_up: Some(GIVE_UP) }
    }

    /// Asks; while the gate is away, again. Says so once each time, and that it is back.
    pub(super) fn ask<T>(&mut self, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut away: Option<(Instant, Duration)> = None;
        loop {
            let failure = match ask() {
                Err(failure) if failure.status == Status::Unreachable && self.known => failure,
                answered => {
                    // Also who says no is there.
                    if away.is_some() {
                        eprintln!("stepgate: the gate is back");
                    }
                    self.known |= answered.is_ok();
                    return answered;
                }
            };
            let (since, pause) = away.unwrap_or_else(|| {
                eprintln!(
                    "stepgate: the gate is away, and is tried again until it is back: {}",
                    failure.message
                );
                (Instant::now(), FIRST)
            });
            if self.give_up.is_some_and(|most| since.elapsed() >= most) {
                return Err(failure);
            }
            std::thread::sleep(pause);
            away = Some((since, pause.saturating_mul(2).min(LONGEST)));
        }
    }

    /// The same for what watches: where the login has ended, as by a restart of the gate, somebody may log in anew beside
    /// this, and it goes on.
    pub(super) fn watch<T>(
        &mut self,
        api: &mut Api,
        ask: impl Fn(&Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            let failure = match self.ask(|| ask(api)) {
                Err(failure) if failure.status == Status::LoginEnded && self.known => failure,
                answered => return answered,
            };
            eprintln!("stepgate: {failure} (this goes on then)");
            *api = loop {
                match api.renewed() {
                    Some(renewed) => break renewed,
                    None => std::thread::sleep(LOOK),
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_reached_at_first_is_not_waited_for_and_a_no_is_no_absence() {
        let mut patience = Patience::without_end();
        let away = || Err::<(), _>(Failure::unreachable("away"));
        assert_eq!(patience.ask(away).unwrap_err().status, Status::Unreachable);
        assert_eq!(patience.ask(|| Err::<(), _>(Failure::no("no"))).unwrap_err().status, Status::No);
        patience.ask(|| Ok(())).unwrap();
        let mut answers = [Ok(7), Err(Failure::unreachable("away"))].into_iter().rev();
        assert_eq!(patience.ask(|| answers.next().unwrap()).unwrap(), 7);
    }
}
