//! What others say of people, while a gate serves: it ends by itself, and the directory is asked anew.

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_console::oidc::Groups;
use stepgate_console::{Entrance, Minting};
use stepgate_store::{Account, Desk, People, Said, Source};
use stepgate_types::{Actor, Clock as _, GroupName, PersonName};
use tokio::sync::watch;

use crate::config::Config;
use crate::failure::Failure;
use crate::ldap::{Found, Lookup, Trouble};
use crate::system::SystemClock;

/// How often what is over is recorded to be. It has not counted since its end, whenever that is.
const SWEEP: Duration = Duration::from_secs(30);

/// How soon somebody who was linked since is looked up.
const SOON: Duration = Duration::from_secs(2);

/// What programs are told of where databases are, and for how long.
pub(super) fn minting(config: &Config) -> Minting {
    Minting {
        life: config.login_for,
        entrance: Entrance {
            port: config.listen.port(),
            databases: config.databases.keys().cloned().collect(),
            tls: config.tls.is_some(),
        },
    }
}

/// Takes away what the configuration does not let a source supply any more, before anything is decided by it.
pub(super) async fn keep_to_configuration(
    config: &Config,
    people: &People,
    desk: &Desk,
) -> Result<(), Failure> {
    let oidc = config.oidc.as_ref().and_then(|provider| provider.groups.as_ref());
    let ldap = config.ldap.as_ref().map(|directory| &directory.rules);
    for (source, rules) in [(Source::Oidc, oidc), (Source::Ldap, ldap)] {
        let keep = |group: &GroupName| rules.is_some_and(|rules| rules.could_give(group));
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("cannot take away groups that are configured no longer: {error}"))
        };
        let lost = people.retain_supplied(source, keep).await.map_err(|error| cannot(&error))?;
        for person in lost {
            let revoked = desk.revoke_person(&person, Actor::Operator(None)).await;
            revoked.map_err(|error| cannot(&error))?;
        }
    }
    Ok(())
}

/// Records the ends of minted passwords and supplied groups.
pub(super) async fn end_what_is_over(people: People, mut shutdown: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        if let Err(error) = people.end_what_is_over().await {
            tracing::warn!(%error, "what has ended of people cannot be recorded; it does not count all the same");
        }
    }
}

/// Looks everybody up who is linked to the directory, again and again, and whoever was linked since soon.
pub(super) async fn follow(directory: Lookup, at: (People, Desk), mut shutdown: watch::Receiver<bool>) {
    let mut known = BTreeSet::new();
    let mut next = tokio::time::Instant::now();
    loop {
        let due = tokio::time::Instant::now() >= next;
        let linked = at.0.accounts_at(Source::Ldap);
        let asked: Vec<_> =
            linked.iter().filter(|(_, account)| due || !known.contains(account)).cloned().collect();
        if due {
            next = tokio::time::Instant::now() + directory.refresh();
        }
        if !asked.is_empty() {
            let looked = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => return,
                looked = look(&directory, &at, &asked) => looked,
            };
            if let Err(error) = looked {
                // What it has said holds until its time is over.
                tracing::warn!(%error, people = asked.len(), "the directory does not answer");
            }
        }
        // Who could not be looked up is, when everybody is.
        known = linked.into_iter().map(|(_, account)| account).collect();
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(SOON) => {}
        }
    }
}

async fn look(
    directory: &Lookup,
    (people, desk): &(People, Desk),
    asked: &[(PersonName, Account)],
) -> Result<(), String> {
    let mut connection = directory.connect().await?;
    let mut failed = None;
    for (person, account) in asked {
        let groups = match directory.find(&mut connection, &account.subject).await {
            Ok(Found::Somebody(groups)) => groups,
            // Who is not there any more is in no group there.
            Ok(Found::Nobody) => Groups::In { groups: BTreeSet::new(), left_out: 0 },
            Err(Trouble::Refused(why)) => {
                // What it has said of this one holds until its time is over; the others are looked up all the same.
                tracing::warn!(%why, %person, "the directory does not say which groups somebody is in");
                continue;
            }
            Err(Trouble::Away(error)) => {
                failed = Some(error);
                break;
            }
        };
        let Groups::In { groups, left_out } = groups else {
            tracing::warn!(%person, "the directory names more groups of somebody than a person can have");
            continue;
        };
        let until = SystemClock.now().plus(directory.hold());
        let said = Said { source: Source::Ldap, groups, left_out, until };
        match people.supply(person, said).await {
            Ok(true) => {
                // What was approved for a member of those groups is not for them any more.
                if let Err(error) = desk.revoke_person(person, Actor::Operator(None)).await {
                    tracing::error!(%error, %person, "grants cannot be ended");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, %person, "what the directory says cannot be kept"),
        }
    }
    directory.close(connection).await;
    failed.map_or(Ok(()), Err)
}
