//! Who somebody is here that has logged in at the identity provider.
//!
//! By the account that was linked to them alone, never by what they are called there: names are given away anew, and
//! chosen by who has them. Whose account is nobody's becomes somebody new where that is configured, and only by a name
//! that nobody has, that no rule names, and that no operator has removed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use stepgate_record::{Event, ProviderLogin};
use stepgate_store::{Account, Person, PersonError, Said, Source};
use stepgate_types::PersonName;

use crate::api::Api;
use crate::oidc::{Authenticated, Called, Groups, Settings};
use crate::problem::Problem;

/// Why somebody is not let in, as records have it.
#[derive(Clone, Copy)]
enum Why {
    /// Their account is nobody's, and nobody is made of it.
    Unknown,
    /// Their name there is somebody's here.
    Taken,
    /// Their name there is one that the policy names.
    Named,
    /// Their account or their name there is one that an operator has removed.
    Removed,
    /// Their account is a service's.
    Service,
    /// Their name there is none that anybody could have here.
    Name,
    /// Their name is an address that may not be theirs.
    Unverified,
    /// Their groups cannot be read.
    Groups,
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Taken => "taken",
            Self::Named => "named",
            Self::Removed => "removed",
            Self::Service => "service",
            Self::Name => "name",
            Self::Unverified => "unverified-name",
            Self::Groups => "groups",
        }
    }

    /// What they are told: not whether their name is somebody's.
    fn problem(self, who: &Authenticated) -> Problem {
        let subject = who.subject.escape_debug();
        let message = match (self, &who.called) {
            (Self::Taken | Self::Named | Self::Removed, Called::Name(name)) => format!(
                "your account at the identity provider ({subject}) is nobody's here, and no login makes it {name}: \
                 only an operator can"
            ),
            (Self::Unknown | Self::Taken | Self::Named | Self::Removed | Self::Service | Self::Name, _) => {
                format!("your account at the identity provider ({subject}) is nobody's here")
            }
            (Self::Unverified, _) => {
                "the identity provider does not say that your e-mail address is yours".to_owned()
            }
            (Self::Groups, _) => "what the identity provider says of your groups cannot be read".to_owned(),
        };
        Problem::new(StatusCode::FORBIDDEN, "not_here", message)
            .hint("ask the operator of the gate: stepgate user link NAME --oidc ACCOUNT")
    }
}

/// The person whose account it is. Records who comes and who does not, and takes over what groups they are in.
pub(crate) async fn admit(
    api: &Arc<Api>,
    who: &Authenticated,
    address: IpAddr,
) -> Result<Arc<Person>, Problem> {
    let settings = api.parts.oidc.as_ref().ok_or_else(Problem::not_found)?.settings();
    match find(api, settings, who).await? {
        Ok(name) => {
            let event = login_event(who, address, Some(&name), None);
            api.parts.log.append(vec![event], Vec::new()).await.map_err(|_| Problem::gate_trouble())?;
            api.parts.people.get(&name).ok_or_else(Problem::login_required)
        }
        Err(why) => {
            let event = login_event(who, address, None, Some(why));
            api.parts.log.append(vec![event], Vec::new()).await.map_err(|_| Problem::gate_trouble())?;
            Err(why.problem(who))
        }
    }
}

async fn find(
    api: &Arc<Api>,
    settings: &Settings,
    who: &Authenticated,
) -> Result<Result<PersonName, Why>, Problem> {
    let people = &api.parts.people;
    if who.groups == Groups::Unreadable {
        return Ok(Err(Why::Groups));
    }
    let account = Account { source: Source::Oidc, issuer: who.issuer.clone(), subject: who.subject.clone() };
    let name = match people.of_account(&account) {
        Some(person) if person.service => return Ok(Err(Why::Service)),
        Some(person) => person.name.clone(),
        None => match new_name(api, settings, who) {
            Ok(name) => match people.add_by_login(name.clone(), account).await {
                Ok(()) => name,
                Err(PersonError::Barred) => return Ok(Err(Why::Removed)),
                Err(PersonError::Exists(_)) => return Ok(Err(Why::Taken)),
                Err(PersonError::Account(_)) => return Ok(Err(Why::Unknown)),
                Err(_) => return Err(Problem::gate_trouble()),
            },
            Err(why) => return Ok(Err(why)),
        },
    };
    if let (Groups::In { groups, left_out }, Some(rules)) = (&who.groups, &settings.groups) {
        let until = api.parts.clock.now().plus(rules.hold);
        let said = Said { source: Source::Oidc, groups: groups.clone(), left_out: *left_out, until };
        let lost = people.supply(&name, said).await.map_err(|_| Problem::gate_trouble())?;
        if lost {
            // What was approved for a member of those groups is not for them any more.
            api.parts.desk.revoke_person(&name, Some(name.clone())).await?;
        }
    }
    Ok(Ok(name))
}

/// The name by which somebody new is to be known here.
fn new_name(api: &Api, settings: &Settings, who: &Authenticated) -> Result<PersonName, Why> {
    match &who.called {
        Called::Name(name) if api.parts.people.get(name).is_some() => Err(Why::Taken),
        Called::Name(name) if settings.create && api.parts.foresee.mentions(name) => Err(Why::Named),
        Called::Name(name) if settings.create => Ok(name.clone()),
        Called::Unverified if settings.create => Err(Why::Unverified),
        Called::Nothing if settings.create => Err(Why::Name),
        Called::Name(_) | Called::Nothing | Called::Unverified => Err(Why::Unknown),
    }
}

fn login_event(who: &Authenticated, address: IpAddr, person: Option<&PersonName>, why: Option<Why>) -> Event {
    Event::IdentityLogin(ProviderLogin {
        person: person.map(Into::into),
        account: who.subject.as_str().into(),
        address: address.into(),
        refused: why.map(|why| why.word().to_owned()),
    })
}
