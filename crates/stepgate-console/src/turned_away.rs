//! Who is turned away at the console, on the way into the log. Those whose proof was wrong have a record each, since they
//! are slowed; those who are turned away whatever they prove (told to wait, or a service) may come as often as they like,
//! and are counted: the first of a minute has a record, and one more tells how many came after it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stepgate_record::{AuthFailed, AuthFailure, Door, Event};
use stepgate_store::Ration;
use stepgate_types::PersonName;

use crate::api::Api;
use crate::problem::Problem;
use crate::rates::network;

/// How somebody tried to log in, as records say it.
pub(crate) const PASSWORD: &str = "password";
pub(crate) const PASSKEY: &str = "passkey";

/// How often it is looked whether a minute is over.
const LOOK: Duration = Duration::from_secs(1);

/// From where, whom they said they were, if there is anybody of that name, and why.
type Kind = (IpAddr, Option<PersonName>, AuthFailure);

/// Those of the last minute.
pub(crate) struct TurnedAway(Ration<Kind, AuthFailed>);

impl Default for TurnedAway {
    fn default() -> Self {
        Self(Ration::new(1))
    }
}

fn known(api: &Api, name: &str) -> Option<PersonName> {
    name.parse().ok().filter(|name| api.parts.people.get(name).is_some())
}

/// A login that failed, and how it was tried. A name that nobody has is not kept.
pub(crate) fn failed(api: &Api, name: &str, address: IpAddr, (why, how): (AuthFailure, &str)) -> AuthFailed {
    let known = known(api, name);
    // That the proof was wrong says less of a name that nobody has.
    let is_wrong = matches!(why, AuthFailure::Password | AuthFailure::Passkey);
    let reason = if is_wrong && known.is_none() { AuthFailure::UnknownPerson } else { why };
    AuthFailed {
        reason: Some(reason),
        method: Some(how.to_owned()),
        door: Some(Door::Console),
        ..AuthFailed::of(known.map(Into::into), address.into())
    }
}

/// Records that somebody is turned away whatever they prove, or counts it.
pub(crate) fn turn_away(
    api: &Api,
    name: &str,
    address: IpAddr,
    (why, how): (AuthFailure, &str),
) -> Result<(), Problem> {
    let kind = (network(address), known(api, name), why);
    let failed = failed(api, name, address, (why, how));
    let TurnedAway(ration) = &api.turned_away;
    let Some(failed) = ration.take(kind, failed, api.parts.clock.monotonic()) else { return Ok(()) };
    let event = Event::SessionAuthFailed(Box::new(failed));
    api.parts.log.note(event).map_err(|_| Problem::gate_trouble())
}

/// Records what was only counted in minutes that are over, again and again.
pub(crate) async fn keep_count(api: &Arc<Api>) {
    loop {
        tokio::time::sleep(LOOK).await;
        note_counted(api, false);
    }
}

/// Records what was only counted; `all`: also in the minute under way.
pub(crate) fn note_counted(api: &Api, all: bool) {
    let TurnedAway(ration) = &api.turned_away;
    for (failed, more) in ration.due(api.parts.clock.monotonic(), all) {
        let more = Some(more).filter(|more| *more > 0);
        let event = Event::SessionAuthFailed(Box::new(AuthFailed { more, ..failed }));
        if let Err(error) = api.parts.log.note(event) {
            tracing::error!(%error, "recording who was turned away");
        }
    }
}
