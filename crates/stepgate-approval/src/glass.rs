//! Break-glass: somebody lets themselves through in an emergency, by a passkey and a reason, for half an hour at most
//! (DESIGN §4.8). It takes the place of being asked and of nothing else: not of the record, and not of what others must
//! look at afterwards.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use stepgate_types::{Action, GrantId, GroupName, PersonName, Strength};

use crate::{Canonical, Reason};

/// The longest that the glass stays broken.
pub const MAX_GLASS: Duration = Duration::from_secs(30 * 60);

/// Keeps this hash apart from all others.
const DOMAIN: &[u8] = b"stepgate break-glass v1";

/// Who may break the glass, and who looks at it afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlassRules {
    /// Whose members may.
    pub groups: BTreeSet<GroupName>,
    /// Whose members review it: never one's own.
    pub reviewers: BTreeSet<GroupName>,
    /// How much who reviews it must prove.
    pub review: Strength,
    /// For how long at most; never more than [`MAX_GLASS`].
    pub most: Duration,
    /// What it lifts besides being asked.
    pub lifts: Lifts,
}

/// What it lifts besides being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifts {
    /// `deny` of rules.
    pub denied: bool,
    /// And what changes who may do what.
    pub control: bool,
}

impl Lifts {
    /// In words, as records have them.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        let all = [("denied", self.denied), ("control", self.control)];
        all.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned()).collect()
    }

    /// From those; of a word that is not known, nothing.
    #[must_use]
    pub fn of(words: &[String]) -> Self {
        let has = |word: &str| words.iter().any(|it| it == word);
        Self { denied: has("denied"), control: has("control") }
    }
}

/// What somebody lets themselves do.
#[derive(Debug, Clone)]
pub struct Glass {
    /// Its id.
    pub id: GrantId,
    /// Who.
    pub person: PersonName,
    /// In which database; `None`: in all.
    pub database: Option<String>,
    /// By which client (`application_name`).
    pub client: String,
    /// From which address.
    pub network: IpAddr,
    /// Why.
    pub reason: Reason,
    /// For how long.
    pub time: Duration,
    /// What it lifts besides being asked.
    pub lifts: Lifts,
}

/// A statement that would be asked about, or denied.
#[derive(Debug, Clone)]
pub struct Reach<'a> {
    /// Who sends it.
    pub person: &'a PersonName,
    /// To which database.
    pub database: &'a str,
    /// By which client.
    pub client: &'a str,
    /// From where.
    pub address: IpAddr,
    /// Whether it changes who may do what, or that cannot be told.
    pub control: bool,
    /// What the policy says to it.
    pub action: Action,
}

impl Glass {
    /// What is signed for: all of it. Texts of any length are hashed by themselves, so that none runs into the next.
    #[must_use]
    pub fn canonical(&self) -> Canonical {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(self.id.bytes());
        let database = self.database.as_deref();
        hash.update([u8::from(database.is_some())]);
        let network = self.network.to_canonical().to_string();
        let texts =
            [self.person.as_str(), database.unwrap_or_default(), &self.client, &network, self.reason.text()];
        for text in texts {
            hash.update(Sha256::digest(text.as_bytes()));
        }
        hash.update(self.time.as_secs().to_be_bytes());
        hash.update([u8::from(self.lifts.denied), u8::from(self.lifts.control)]);
        hash.finalize().into()
    }

    /// Whether a statement passes by it, as far as that does not hang on time.
    ///
    /// # Errors
    /// The first thing for which it does not, in a word.
    pub fn covers(&self, reach: &Reach<'_>) -> Result<(), &'static str> {
        let conditions = [
            ("person", self.person == *reach.person),
            ("database", self.database.as_deref().is_none_or(|database| database == reach.database)),
            ("client", self.client == reach.client),
            ("network", self.network.to_canonical() == reach.address.to_canonical()),
            ("control", !reach.control || self.lifts.control),
            (
                "denied",
                reach.action < Action::Deny || self.lifts.denied || (reach.control && self.lifts.control),
            ),
        ];
        conditions.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(what, _)| Err(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glass() -> Glass {
        Glass {
            id: GrantId::from_bytes([1; 8]),
            person: "dana".parse().unwrap(),
            database: Some("shop".to_owned()),
            client: "psql".to_owned(),
            network: "192.0.2.7".parse().unwrap(),
            reason: Reason::parse("the shop is down").unwrap().unwrap(),
            time: MAX_GLASS,
            lifts: Lifts::default(),
        }
    }

    #[test]
    fn whatever_is_signed_for_makes_another_hash() {
        let hash = glass().canonical();
        let alterations: [fn(&mut Glass); 9] = [
            |it| it.id = GrantId::from_bytes([2; 8]),
            |it| it.person = "eve".parse().unwrap(),
            |it| it.database = None,
            |it| it.client = "dump".to_owned(),
            |it| it.network = "192.0.2.8".parse().unwrap(),
            |it| it.reason = Reason::parse("fun").unwrap().unwrap(),
            |it| it.time = Duration::from_secs(60),
            |it| it.lifts.denied = true,
            |it| it.lifts.control = true,
        ];
        for alter in alterations {
            let mut other = glass();
            alter(&mut other);
            assert_ne!(other.canonical(), hash);
        }
        // A text does not run into the next.
        let (mut one, mut other) = (glass(), glass());
        (one.database, one.client) = (Some("sh".to_owned()), "opsql".to_owned());
        (other.database, other.client) = (Some("shop".to_owned()), "sql".to_owned());
        assert_ne!(one.canonical(), other.canonical());
    }

    #[test]
    fn it_covers_its_person_database_client_and_network_and_lifts_no_more_than_is_said() {
        let (dana, eve) = ("dana".parse().unwrap(), "eve".parse().unwrap());
        let reach = Reach {
            person: &dana,
            database: "shop",
            client: "psql",
            address: "::ffff:192.0.2.7".parse().unwrap(),
            control: false,
            action: Action::Approve,
        };
        let told = |reach: &Reach<'_>| glass().covers(reach);
        assert_eq!(told(&reach), Ok(()));
        assert_eq!(told(&Reach { person: &eve, ..reach.clone() }), Err("person"));
        assert_eq!(told(&Reach { database: "hr", ..reach.clone() }), Err("database"));
        assert_eq!(told(&Reach { client: "pg_dump", ..reach.clone() }), Err("client"));
        let elsewhere = "198.51.100.66".parse().unwrap();
        assert_eq!(told(&Reach { address: elsewhere, ..reach.clone() }), Err("network"));
        let denied = Reach { action: Action::Deny, ..reach.clone() };
        assert_eq!(told(&denied), Err("denied"));
        assert_eq!(told(&Reach { control: true, ..denied.clone() }), Err("control"));
        assert_eq!(told(&Reach { control: true, ..reach.clone() }), Err("control"));
        let with = |denied, control, reach: &Reach<'_>| {
            Glass { lifts: Lifts { denied, control }, ..glass() }.covers(reach)
        };
        assert_eq!(with(true, false, &denied), Ok(()));
        assert_eq!(with(true, false, &Reach { control: true, ..denied.clone() }), Err("control"));
        assert_eq!(with(false, true, &Reach { control: true, ..denied }), Ok(()));
        let lifts = Lifts { denied: true, control: true };
        assert_eq!(Lifts::of(&lifts.words()), lifts);
    }
}
