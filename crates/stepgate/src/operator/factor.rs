//! What operators do about people's factors.

use serde_json::Value;
use stepgate_approval::{AuthenticatorId, Method};
use stepgate_store::{Enrol, EnrolError, Presented};
use stepgate_types::{Actor, PersonName};
use zeroize::Zeroizing;

use super::execute::{HERE, enrol_error};
use crate::failure::Failure;
use crate::store::Store;

/// Somebody the gate knows.
pub(super) fn known(store: &Store, person: &PersonName) -> Result<PersonName, Failure> {
    let known = store.people.get(person).ok_or_else(|| enrol_error(EnrolError::UnknownPerson))?;
    Ok(known.name.clone())
}

fn id(text: &str) -> Result<AuthenticatorId, Failure> {
    text.parse().map_err(|_| enrol_error(EnrolError::NoFactor))
}

/// Begins an enrolment; what the client is shown. By a code of the one that is enrolled, that is replaced.
pub(super) async fn enrol(
    store: &Store,
    by: &Actor,
    person: &PersonName,
    method: Method,
    code: Option<Zeroizing<String>>,
) -> Result<Value, Failure> {
    let replaces = store.factors.of(person, method).first().map(|it| it.id.clone());
    let enrol = Enrol {
        operator: Some(by.clone()),
        replaces: replaces.filter(|_| code.is_some()),
        presented: code.as_deref().map(|code| Presented::code(code)),
        ..Enrol::new(person, method, HERE.into())
    };
    store.desk.enrol(enrol).await.map_err(enrol_error)
}

/// `user factor rm`.
pub(super) async fn remove(
    store: &Store,
    by: &Actor,
    person: &PersonName,
    text: &str,
) -> Result<Option<String>, Failure> {
    store.desk.remove_factor(person, &id(text)?, by.clone(), None).await.map_err(enrol_error)?;
    let mut said = format!("removed {text} of {person}; their grants and open requests have ended");
    if store.factors.list(person).is_empty() {
        said.push_str(&format!(
            "; it was the last: enrolling again takes a second person (stepgate user factor reset {person})"
        ));
    }
    Ok(Some(said))
}

/// `user factor unlock`.
pub(super) async fn unlock(
    store: &Store,
    by: &Actor,
    person: &PersonName,
    text: &str,
) -> Result<Option<String>, Failure> {
    store.desk.unlock_factor(person, &id(text)?, by.clone()).await.map_err(enrol_error)?;
    Ok(Some(format!("{text} of {person} may be tried again")))
}

/// `user factor reset`.
pub(super) async fn reset(store: &Store, by: &Actor, person: &PersonName) -> Result<Option<String>, Failure> {
    store.desk.ask_reset(person, by.clone()).await.map_err(enrol_error)?;
    let who = match store.factors.rules().reset_group {
        Some(group) => format!("somebody of {group}"),
        None => "somebody else".to_owned(),
    };
    Ok(Some(format!(
        "asked for; nothing is removed until {who} has confirmed it within a day: stepgate user factor confirm {person}"
    )))
}
