//! Passwords for databases that a login mints: random, good for hours, and kept as verifiers alone.
//!
//! SCRAM has the server name salt and rounds before it hears anything of the password, so all verifiers of a person have
//! the salt and rounds of their own one. With 256 random bits in each, a salt that is shared tells nothing. A password
//! that is set anew has a new salt, and so ends all of them.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_record::{Event, MintedPassword};
use stepgate_types::{Actor, PersonName, Timestamp};
use zeroize::Zeroizing;

use super::elsewhere::{Source, groups_key, said_event};
use crate::{Change, People, PersonError, ScramSecret};

/// Minted passwords of one person at a time, one a device; the oldest gives way.
pub const MAX_MINTED: usize = 8;

/// How long one lasts at most: a working day.
pub const MAX_MINTED_LIFE: Duration = Duration::from_secs(8 * 3600);

/// What follows a person in the keys of these, before their ids.
pub(super) const PASSWORD: &str = "~password/";

/// What they begin with, so that one that is found somewhere is known for what it is.
const PREFIX: &str = "sgp_";

/// A verifier of a minted password, beside salt and rounds of the person's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verifier {
    pub(crate) id: String,
    stored_key: [u8; 32],
    server_key: [u8; 32],
    made_us: i64,
    pub(crate) until_us: i64,
}

/// A password that was just minted.
pub struct Minted {
    /// By which it is known; tells nothing of it.
    pub id: String,
    /// The password, kept nowhere.
    pub password: Zeroizing<String>,
    /// Until when it lets them in.
    pub until: Timestamp,
}

/// What is told of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MintedInfo {
    /// By which it is known.
    pub id: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// Until when it lets them in, RFC 3339.
    pub until: String,
}

/// One of the secrets by which somebody may prove who they are.
#[derive(Clone)]
pub struct Secret {
    /// Of a minted password, which; `None`: their own.
    pub minted: Option<String>,
    /// What checks it. All of one person have the same salt and rounds.
    pub scram: ScramSecret,
}

impl People {
    /// All secrets of somebody that count at this moment, their own first.
    #[must_use]
    pub fn secrets(&self, name: &PersonName) -> Option<(PersonName, Vec<Secret>)> {
        let now = self.now().micros();
        self.read(|known| {
            let entry = known.all.get(name)?;
            let own = &entry.own.scram;
            let mut secrets = vec![Secret { minted: None, scram: own.clone() }];
            secrets.extend(entry.minted.iter().filter(|it| now < it.until_us).map(|it| Secret {
                minted: Some(it.id.clone()),
                scram: ScramSecret {
                    salt: own.salt.clone(),
                    iterations: own.iterations,
                    stored_key: it.stored_key,
                    server_key: it.server_key,
                },
            }));
            Some((entry.own.name.clone(), secrets))
        })
    }

    /// Mints a password for somebody who has just proven who they are, in the way `method` names. It ends after `life`,
    /// and after [`MAX_MINTED_LIFE`] at most.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn mint(
        &self,
        name: &PersonName,
        life: Duration,
        method: &str,
        address: IpAddr,
    ) -> Result<Minted, PersonError> {
        let _changing = self.changing().await;
        let person = self.known(name)?;
        if person.service {
            return Err(PersonError::Account("a service logs in by its own password"));
        }
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(self.inner.vault.random()?);
        let password = Zeroizing::new(format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&bytes[..])));
        let id = data_encoding::HEXLOWER.encode(&self.inner.vault.random::<4>()?);
        let secret = ScramSecret::derive(&password, &person.scram.salt, person.scram.iterations);
        let now = self.now();
        let until = now.plus(life.min(MAX_MINTED_LIFE));
        let verifier = Verifier {
            id: id.clone(),
            stored_key: secret.stored_key,
            server_key: secret.server_key,
            made_us: now.micros(),
            until_us: until.micros(),
        };
        let mut held = self.minted(name);
        held.sort_by_key(|it| it.made_us);
        let over = held.len().saturating_add(1).saturating_sub(MAX_MINTED);
        let away: Vec<_> = held.iter().take(over).map(|it| it.id.clone()).collect();
        let by = Actor::from(Some(name.clone()));
        let (mut events, mut changes) = self.revocations(name, "too-many", &by, |it| away.contains(&it.id));
        let (change, _place) = self.put_beside(name, &key(&id), &verifier)?;
        changes.push(change);
        events.push(Event::PasswordMinted(MintedPassword {
            until_us: Some(until.micros()),
            method: Some(method.to_owned()),
            address: Some(address.into()),
            ..about(name, &id)
        }));
        self.inner.log.append(events, changes).await?;
        self.change(|known, _| {
            known.without_minted(name, |it| away.contains(&it.id));
            if let Some(entry) = known.all.get_mut(name) {
                entry.minted.push(verifier);
            }
        });
        Ok(Minted { id, password, until })
    }

    /// What somebody has of these, the oldest first.
    #[must_use]
    pub fn minted_by(&self, name: &PersonName) -> Vec<MintedInfo> {
        let now = self.now().micros();
        let at = |micros| Timestamp::from_micros(micros).to_string();
        let all = self.minted(name).into_iter().filter(|it| now < it.until_us);
        all.map(|it| MintedInfo { made: at(it.made_us), until: at(it.until_us), id: it.id }).collect()
    }

    /// Takes minted passwords of somebody back, one or all; sessions that they opened go on. Says how many there were.
    ///
    /// # Errors
    /// See [`PersonError`].
    pub async fn revoke_minted(
        &self,
        name: &PersonName,
        id: Option<&str>,
        reason: &str,
        by: impl Into<Actor>,
    ) -> Result<usize, PersonError> {
        let _changing = self.changing().await;
        let meant = |it: &Verifier| id.is_none_or(|id| id == it.id);
        let (events, changes) = self.revocations(name, reason, &by.into(), meant);
        if events.is_empty() {
            return Ok(0);
        }
        let count = events.len();
        self.inner.log.append(events, changes).await?;
        self.change(|known, _| known.without_minted(name, meant));
        Ok(count)
    }

    /// Records what has come to its end since: minted passwords, and groups that were supplied. Neither has counted since
    /// its end, whenever this is called.
    ///
    /// # Errors
    /// The log refused.
    pub async fn end_what_is_over(&self) -> Result<(), PersonError> {
        let _changing = self.changing().await;
        let now = self.now();
        let over = self.read(|known| {
            let over = known.all.iter().filter(|(_, entry)| entry.has_ended(now));
            over.map(|(name, _)| name.clone()).take(MAX_AT_ONCE).collect::<Vec<_>>()
        });
        for name in over {
            let ended = |it: &Verifier| it.until_us <= now.micros();
            let ids: Vec<_> = self.minted(&name).into_iter().filter(ended).map(|it| it.id).collect();
            let mut events: Vec<_> = ids.iter().map(|id| Event::PasswordExpired(about(&name, id))).collect();
            let mut changes: Vec<_> = ids.iter().map(|id| self.delete_beside(&name, &key(id))).collect();
            let mut sources = Vec::new();
            for source in Source::ALL {
                let said = self.supplied(&name, source).filter(|said| said.until_us <= now.micros());
                if said.is_some() {
                    events.push(Event::IdentityGroups(said_event(
                        &name,
                        source,
                        &Default::default(),
                        now,
                        0,
                    )));
                    changes.push(self.delete_beside(&name, &groups_key(source)));
                    sources.push(source);
                }
            }
            self.inner.log.append(events, changes).await?;
            self.change(|known, now| {
                known.without_minted(&name, ended);
                sources.into_iter().for_each(|source| known.set_supplied(&name, source, None, now));
            });
        }
        Ok(())
    }

    fn minted(&self, name: &PersonName) -> Vec<Verifier> {
        self.read(|known| known.all.get(name).map(|entry| entry.minted.clone()).unwrap_or_default())
    }

    /// What takes some of them back.
    pub(super) fn revocations(
        &self,
        name: &PersonName,
        reason: &str,
        by: &Actor,
        which: impl Fn(&Verifier) -> bool,
    ) -> (Vec<Event>, Vec<Change>) {
        let gone: Vec<_> = self.minted(name).into_iter().filter(|it| which(it)).collect();
        let event = |it: &Verifier| {
            Event::PasswordRevoked(MintedPassword {
                reason: Some(reason.to_owned()),
                by: by.by(),
                operator: by.operator(),
                ..about(name, &it.id)
            })
        };
        (
            gone.iter().map(event).collect(),
            gone.iter().map(|it| self.delete_beside(name, &key(&it.id))).collect(),
        )
    }
}

/// People whose passwords and groups are ended in one go.
const MAX_AT_ONCE: usize = 1000;

fn key(id: &str) -> String {
    format!("{PASSWORD}{id}")
}

fn about(name: &PersonName, id: &str) -> MintedPassword {
    MintedPassword {
        person: name.into(),
        password: id.to_owned(),
        until_us: None,
        method: None,
        address: None,
        reason: None,
        by: None,
        operator: None,
    }
}
