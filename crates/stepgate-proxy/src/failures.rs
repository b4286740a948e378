//! Who does not get in, on the way into the log: one by one while they are few, counted while they are many. Failed logins
//! are counted by the network that they come from, since nobody knows who they are; who has proven that, and gets no
//! session, by person and reason.

use std::net::IpAddr;
use std::time::Duration;

use stepgate_record::{AuthFailed, Event, NoEntry, SessionRefused};
use stepgate_store::Ration;
use stepgate_types::PersonName;

use crate::crowd::network;

/// How many of one kind have records of their own in a minute.
const EACH: usize = 10;

/// Those of the last minute.
pub(crate) struct Failures {
    logins: Ration<IpAddr, AuthFailed>,
    refusals: Ration<(PersonName, NoEntry), SessionRefused>,
}

impl Default for Failures {
    fn default() -> Self {
        Self { logins: Ration::new(EACH), refusals: Ration::new(EACH) }
    }
}

impl Failures {
    /// Takes a failed login in; its record, if it is to have one now.
    pub(crate) fn failed(&self, failed: AuthFailed, address: IpAddr, now: Duration) -> Option<Event> {
        self.logins.take(network(address), failed, now).map(|failed| login(failed, 0))
    }

    /// The same of somebody who gets no session.
    pub(crate) fn refused(&self, person: PersonName, it: SessionRefused, now: Duration) -> Option<Event> {
        self.refusals.take((person, it.reason), it, now).map(|it| refusal(it, 0))
    }

    /// Records of what was only counted in minutes that are over by now; `all`: of those under way too.
    pub(crate) fn due(&self, now: Duration, all: bool) -> Vec<Event> {
        let logins = self.logins.due(now, all).into_iter().map(|(failed, more)| login(failed, more));
        let refusals = self.refusals.due(now, all).into_iter().map(|(it, more)| refusal(it, more));
        logins.chain(refusals).collect()
    }
}

fn login(failed: AuthFailed, more: u64) -> Event {
    Event::SessionAuthFailed(Box::new(AuthFailed { more: Some(more).filter(|more| *more > 0), ..failed }))
}

fn refusal(refused: SessionRefused, more: u64) -> Event {
    Event::SessionRefused(Box::new(SessionRefused { more: Some(more).filter(|more| *more > 0), ..refused }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: NoEntry) -> SessionRefused {
        let (person, address, client) = ("dana".into(), "::1".into(), "psql".into());
        let (database, method, more) = (None, "scram-sha-256".to_owned(), None);
        SessionRefused { person, address, client, database, reason, method, more }
    }

    #[test]
    fn whoever_is_refused_again_and_again_is_counted_apart_from_other_reasons_and_people() {
        let (failures, now) = (Failures::default(), Duration::ZERO);
        let own = |name: &str, reason| {
            (0..1_000).filter_map(|_| failures.refused(name.parse().unwrap(), refused(reason), now)).count()
        };
        assert_eq!(own("dana", NoEntry::NoRole), EACH);
        assert_eq!((own("dana", NoEntry::UnknownDatabase), own("omar", NoEntry::NoRole)), (EACH, EACH));
        let due = failures.due(now, true);
        let more = |event: &Event| match event {
            Event::SessionRefused(refused) => refused.more,
            _ => None,
        };
        assert_eq!(due.iter().map(more).collect::<Vec<_>>(), [Some(989); 3]);
    }
}
