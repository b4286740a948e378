//! `audit shred`: erasing a personal value.

use std::net::IpAddr;
use std::time::Duration;

use stepgate_record::Event;
use stepgate_store::{Log, ShredError, Shredding};
use stepgate_types::{Actor, Commit, PersonName, RequestId, SubjectKind};

use super::live::blocking;
use crate::failure::Failure;
use crate::operator::log_error;
use crate::store::Store;

/// What is to be erased.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Value(SubjectKind, String),
    /// The reason that was given when this request ended.
    ReasonOf(RequestId),
}

/// Erases what `subject` names, as `person:dana`. Records of it that are younger than `keep` are kept, unless `now`.
pub(super) async fn shred(
    store: &Store,
    by: &Actor,
    subject: &str,
    keep: Option<Duration>,
    now: bool,
) -> Result<Option<String>, Failure> {
    let wanted = parse(subject)?;
    if let Subject::Value(SubjectKind::Person, name) = &wanted
        && name.parse::<PersonName>().is_ok_and(|name| store.people.get(&name).is_some())
    {
        return Err(Failure::no(format!("{name} is somebody the gate knows"))
            .hint(format!("remove them first: stepgate user rm {name}")));
    }
    let mut values = vec![wanted];
    if let [Subject::Value(SubjectKind::Client, name)] = values.as_slice() {
        // Grants may be bound to it by another name.
        values.push(Subject::Value(SubjectKind::Client, store.desk.client_mark(name)));
    }
    let person = match &values[..] {
        [Subject::Value(SubjectKind::Person, name)] => name.parse::<PersonName>().ok(),
        _ => None,
    };
    let people = store.people.clone();
    let (by, said, clock) = (by.clone(), format!("erased {subject}"), std::sync::Arc::clone(&store.clock));
    blocking(&store.log, move |log| {
        let mut found: Vec<Shredding> = Vec::new();
        for wanted in &values {
            let Some(commit) = commit_of(log, wanted)? else { continue };
            if !found.iter().any(|it| it.commit == commit) {
                found.push(log.naming(commit).map_err(|error| log_error(&error))?);
            }
        }
        let first = found.first().ok_or_else(|| trouble(&ShredError::Unknown))?.commit;
        let now_is = clock.now();
        let is_young =
            |it: &Shredding| it.last.zip(keep).is_some_and(|(last, keep)| now_is.since(last) < keep);
        let young = found.iter().any(is_young);
        if young && !now {
            return Err(Failure::no("records that name it are younger than audit.retention.keep")
                .hint("they could not be read as they were any more; to erase it all the same: add --now"));
        }
        for what in &found {
            // That they were removed here is not remembered, either.
            let more = person.as_ref().map(|name| people.unbar(name)).unwrap_or_default();
            log.shred_with(what, young, &by, more).map_err(|error| trouble(&error))?;
            if let Some(name) = &person {
                people.unbarred(name);
            }
        }
        let records: u64 = found.iter().map(|it| it.records).sum();
        Ok(Some(format!(
            "{said}: {records} records name it by {first} alone now; older backups still hold it"
        )))
    })
    .await
}

fn commit_of(log: &Log, wanted: &Subject) -> Result<Option<Commit>, Failure> {
    match wanted {
        Subject::Value(kind, value) => Ok(log.subjects().commit_of(*kind, value)),
        Subject::ReasonOf(request) => {
            let mut found = None;
            let replayed = log.replay(log.floor(), &mut |_, record| match &record.event {
                Event::StepupEnded { request: of, reason: Some(reason), .. } if of == request => {
                    found = reason.commit().copied();
                }
                _ => {}
            });
            replayed.map_err(|error| log_error(&error))?;
            Ok(found)
        }
    }
}

fn parse(subject: &str) -> Result<Subject, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("{why}: {subject}"))
            .hint("name it as person:NAME, address:IP, client:NAME, or reason:REQUEST")
    };
    let (kind, value) = subject.split_once(':').ok_or_else(|| wrong("what kind of value is this"))?;
    let value = match SubjectKind::of(kind) {
        Some(SubjectKind::Address) => {
            let address: IpAddr = value.parse().map_err(|_| wrong("not an address"))?;
            address.to_canonical().to_string()
        }
        Some(SubjectKind::Reason) => {
            return value.parse().map(Subject::ReasonOf).map_err(|_| wrong("not a request"));
        }
        Some(_) => value.to_owned(),
        None => return Err(wrong("nothing of this kind can be erased")),
    };
    SubjectKind::of(kind).map(|kind| Subject::Value(kind, value)).ok_or_else(|| wrong("unknown"))
}

fn trouble(error: &ShredError) -> Failure {
    match error {
        ShredError::Unknown => Failure::no(error.to_string()),
        ShredError::Log(error) => log_error(error),
        other => Failure::usage(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_erased_is_named_as_records_name_it() {
        let value = |kind, value: &str| Subject::Value(kind, value.to_owned());
        for (text, expected) in [
            ("person:dana", value(SubjectKind::Person, "dana")),
            ("address:2001:DB8::1", value(SubjectKind::Address, "2001:db8::1")),
            ("address:::ffff:192.0.2.7", value(SubjectKind::Address, "192.0.2.7")),
            ("client:a: b", value(SubjectKind::Client, "a: b")),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        for text in ["dana", "address:here", "label:ssn", "reason:x", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
