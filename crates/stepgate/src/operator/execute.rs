//! Doing what the operator says.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::{Value, json};
use stepgate_approval::{Method, Proof};
use stepgate_proxy::Sessions;
use stepgate_record::Event;
use stepgate_store::{DeskError, EnrolError, Loan, LogError, NewPerson, Person, PersonError, VerifyError};
use stepgate_types::{Actor, PersonName, SessionId, Timestamp};
use tokio::sync::mpsc;

use super::{Operator, Reply, factor};
use crate::deliver::{self, Delivery};
use crate::failure::Failure;
use crate::store::Store;

/// What the operator works on.
pub(crate) struct Operations {
    pub(crate) store: Store,
    /// The running gate's sessions; `None` where no gate runs.
    pub(crate) sessions: Option<Sessions>,
    /// What is sent anywhere; at work where a gate runs.
    pub(crate) delivery: Arc<Delivery>,
}

/// Where operators come from.
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The answer was cut off: whoever asked is gone.
fn gone() -> Failure {
    Failure::unreachable("nobody listens to the answer")
}

type Out<'a> = &'a mpsc::Sender<Reply>;

async fn row(out: Out<'_>, value: Value) -> Result<(), Failure> {
    out.send(Reply::Row(value)).await.map_err(|_| gone())
}

/// Does it for `by`; rows and text go to `out`, what there is to say at the end is returned.
pub(crate) async fn execute(
    operations: &Operations,
    by: &Actor,
    command: Operator,
    out: Out<'_>,
) -> Result<Option<String>, Failure> {
    let store = &operations.store;
    match command {
        Operator::UserAdd { name, groups, service, password } => {
            let new = NewPerson { name: name.clone(), groups, service, password: &password };
            store.people.add(new, by.clone()).await.map_err(person_error)?;
            Ok(Some(format!("added {name}")))
        }
        Operator::UserAddLinked { name, groups, account } => {
            store.people.add_linked(name.clone(), groups, account, by.clone()).await.map_err(person_error)?;
            Ok(Some(format!("added {name}, who has no password here")))
        }
        Operator::UserLink { name, account } => {
            store.people.link(&name, account, by.clone()).await.map_err(person_error)?;
            Ok(Some(format!("linked the account to {name}")))
        }
        Operator::UserUnlink { name, source } => {
            store.people.unlink(&name, source, by.clone()).await.map_err(person_error)?;
            // What was approved for a member of groups that it had supplied is not theirs any more.
            store.desk.revoke_person(&name, by.clone()).await.map_err(desk_error)?;
            Ok(Some(format!(
                "unlinked {name}; the groups and passwords that they had by it, their grants and open requests have ended"
            )))
        }
        Operator::UserList {} => {
            for person in store.people.list() {
                row(out, person_row(store, &person)).await?;
            }
            Ok(None)
        }
        Operator::UserRemove { name } => remove(operations, by, &name).await,
        Operator::UserPassword { name, password } => {
            store.people.set_password(&name, &password, by.clone()).await.map_err(person_error)?;
            Ok(Some(format!("set the password of {name}; open sessions go on")))
        }
        Operator::UserGroups { name, groups } => {
            store.people.set_groups(&name, groups, by.clone()).await.map_err(person_error)?;
            // What was approved for a member of the old groups is not for one of the new.
            store.desk.revoke_person(&name, by.clone()).await.map_err(desk_error)?;
            Ok(Some(format!("set the groups of {name}; their grants and open requests have ended")))
        }
        Operator::UserCertificates { name, certificates } => {
            let whose = if certificates.is_empty() { name.to_string() } else { certificates.join(", ") };
            store.people.set_certificates(&name, certificates, by.clone()).await.map_err(person_error)?;
            Ok(Some(format!("a certificate of {name} is one for: {whose}; open sessions go on")))
        }
        Operator::UserDelegate { name, to, groups, from_us, until_us } => {
            let said = if groups.is_empty() {
                format!("{name} lends {to} nothing any more")
            } else {
                let until = Timestamp::from_micros(until_us);
                format!("{to} may answer in place of {name} until {until}")
            };
            let loan = Loan { to, groups: groups.into_iter().collect(), from_us, until_us };
            store.people.lend(&name, loan, by.clone()).await.map_err(person_error)?;
            Ok(Some(said))
        }
        Operator::EnrollBegin { person, code } => {
            row(out, factor::enrol(store, by, &person, Method::Totp, code).await?).await?;
            Ok(None)
        }
        Operator::EnrollRecovery { person, code } => {
            row(out, factor::enrol(store, by, &person, Method::Recovery, code).await?).await?;
            Ok(None)
        }
        Operator::EnrollConfirm { person, code } => {
            let confirmed = store.desk.enrol_confirm(&person, Method::Totp, Proof::Code(code), None).await;
            confirmed.map_err(enrol_error)?;
            Ok(Some(format!("enrolled an authenticator for {person}; its next code is the first to use")))
        }
        Operator::EnrollCode { person } => {
            let code = store.desk.enrol_code(&person, by.clone()).await.map_err(enrol_error)?;
            row(out, json!({"code": *code})).await?;
            Ok(None)
        }
        Operator::FactorList { person } => {
            for info in store.desk.authenticators(&factor::known(store, &person)?) {
                row(out, serde_json::to_value(info).unwrap_or_default()).await?;
            }
            Ok(None)
        }
        Operator::FactorRemove { person, id } => factor::remove(store, by, &person, &id).await,
        Operator::FactorUnlock { person, id } => factor::unlock(store, by, &person, &id).await,
        Operator::FactorReset { person } => factor::reset(store, by, &person).await,
        Operator::RequestList {} => {
            for info in store.desk.requests().into_iter().filter(stepgate_store::RequestInfo::is_open) {
                row(out, serde_json::to_value(info).unwrap_or_default()).await?;
            }
            Ok(None)
        }
        Operator::RequestShow { request } => {
            let info = store.desk.request(request).ok_or_else(|| desk_error(DeskError::Unknown))?;
            row(out, serde_json::to_value(info).unwrap_or_default()).await?;
            Ok(None)
        }
        Operator::GlassList {} => {
            for glass in store.desk.glasses(None) {
                row(out, serde_json::to_value(glass).unwrap_or_default()).await?;
            }
            Ok(None)
        }
        Operator::GrantList {} => {
            for grant in store.desk.grants() {
                row(out, serde_json::to_value(grant).unwrap_or_default()).await?;
            }
            Ok(None)
        }
        Operator::GrantRevoke { grant } => {
            store.desk.revoke(grant, by.clone()).await.map_err(|error| match error {
                DeskError::Unknown => Failure::no(format!("there is no grant {grant} in force")),
                other => desk_error(other),
            })?;
            Ok(Some(format!("revoked grant {grant}")))
        }
        Operator::SessionList {} => {
            for info in operations.sessions.iter().flat_map(Sessions::list) {
                row(out, serde_json::to_value(info).unwrap_or_default()).await?;
            }
            Ok(None)
        }
        Operator::SessionKill { session } => kill(operations, by, session).await,
        Operator::Audit(command) => crate::audit::execute(store, by, *command, out).await,
        Operator::Sink(command) => {
            deliver::execute(&operations.delivery, by, operations.sessions.is_some(), command, out).await
        }
        Operator::Status {} => {
            row(out, status(operations)).await?;
            Ok(None)
        }
    }
}

fn person_row(store: &Store, person: &Person) -> Value {
    let factors: Vec<_> =
        store.factors.list(&person.name).iter().map(|factor| factor.method().as_str()).collect();
    let lends = person.loans.iter().map(|loan| {
        let groups: Vec<_> = loan.groups.iter().map(ToString::to_string).collect();
        let at = |micros| Timestamp::from_micros(micros).to_string();
        format!("{} to {} from {} until {}", groups.join("+"), loan.to, at(loan.from_us), at(loan.until_us))
    });
    let lends: Vec<_> = lends.collect();
    let accounts = store.people.accounts(&person.name);
    let accounts = accounts.iter().map(|it| format!("{}:{}", it.source.as_str(), it.subject));
    let accounts: Vec<_> = accounts.collect();
    json!({
        "name": person.name,
        "accounts": accounts,
        "groups": person.groups,
        "service": person.service,
        "certificates": person.certificates,
        "factors": factors,
        "lends": lends,
        "added": person.added.to_string(),
    })
}

async fn remove(operations: &Operations, by: &Actor, name: &PersonName) -> Result<Option<String>, Failure> {
    let store = &operations.store;
    store.people.remove(name, by.clone()).await.map_err(person_error)?;
    store.desk.revoke_person(name, by.clone()).await.map_err(desk_error)?;
    if let Some(sessions) = &operations.sessions {
        sessions.kill_person(name);
    }
    Ok(Some(format!("removed {name}; their sessions, grants and requests have ended")))
}

async fn kill(operations: &Operations, by: &Actor, session: SessionId) -> Result<Option<String>, Failure> {
    let info = operations.sessions.iter().flat_map(Sessions::list).find(|info| info.session == session);
    let (Some(sessions), Some(info)) = (&operations.sessions, info) else {
        return Err(Failure::no(format!("there is no session {session}")));
    };
    let person = info.person.clone();
    let event = Event::AdminAction {
        action: "session.killed".to_owned(),
        person: Some((&person).into()),
        by: by.by(),
        groups: Vec::new(),
        operator: by.operator(),
        authenticator: None,
        session: Some(session),
    };
    operations.store.log.append(vec![event], Vec::new()).await.map_err(|error| log_error(&error))?;
    if let Some(password) = &info.password {
        // Its program would be back at once.
        let people = &operations.store.people;
        let revoked = people.revoke_minted(&person, Some(password), "session-killed", by.clone()).await;
        revoked.map_err(person_error)?;
    }
    let _already_gone = !sessions.kill(session);
    Ok(Some(match info.password {
        Some(_) => format!("ended session {session}, and the password that it came by"),
        None => format!("ended session {session}"),
    }))
}

fn status(operations: &Operations) -> Value {
    let store = &operations.store;
    let people = store.people.list();
    let without: Vec<_> = people
        .iter()
        .filter(|person| !person.service && store.factors.totp(&person.name).is_none())
        .map(|person| person.name.clone())
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "serving": operations.sessions.is_some(),
        "sessions": operations.sessions.as_ref().map(|sessions| sessions.list().len()),
        "records": store.log.len(),
        "poisoned": store.log.poisoned(),
        "no_space": store.log.has_no_space(),
        "people": people.len(),
        "without_totp": without,
        "open_requests": store.desk.requests().iter().filter(|info| info.is_open()).count(),
        "grants": store.desk.grants().len(),
    })
}

/// Does what blocks, off the threads that serve.
pub(crate) async fn off<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::unreachable("the gate could not finish this; see its own log"))?
}

/// A failure of the log itself, of which nobody who asked is to blame: 3, but for what was too much to be recorded.
pub(crate) fn log_error(error: &LogError) -> Failure {
    if error.is_no_space() {
        return Failure::unreachable(error.to_string())
            .hint("make room on the disk of the data directory; the gate goes on by itself, then try again");
    }
    let failure = match error {
        LogError::TooLarge(_) => Failure::usage(error.to_string()),
        _ => Failure::unreachable(error.to_string()),
    };
    failure.hint("see the gate's own log, and `stepgate doctor`")
}

fn person_error(error: PersonError) -> Failure {
    match error {
        PersonError::Log(error) => log_error(&error),
        PersonError::Exists(_) | PersonError::Unknown(_) => {
            Failure::no(error.to_string()).hint("see who there is with: stepgate user ls")
        }
        other => Failure::no(other.to_string()),
    }
}

pub(super) fn desk_error(error: DeskError) -> Failure {
    match error {
        DeskError::Log(error) => log_error(&error),
        other => Failure::no(other.to_string()),
    }
}

pub(super) fn enrol_error(error: EnrolError) -> Failure {
    match error {
        EnrolError::CodeNeeded => Failure::no("an authenticator is enrolled already").hint(
            "to replace it by a code of it: add --replace; where it is lost: stepgate user factor reset NAME",
        ),
        EnrolError::UnknownPerson => {
            Failure::no(error.to_string()).hint("add them first: stepgate user add NAME")
        }
        EnrolError::Person(error) => person_error(error),
        EnrolError::Verify(VerifyError::Desk(error)) => desk_error(error),
        other => Failure::no(other.to_string()),
    }
}
