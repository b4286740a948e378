//! What the operator should know about the databases behind, told once of each: of those that are there at the start, of
//! those that come by a reload, and of those of a wildcard once somebody has asked for them. The gate does not wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use stepgate_policy::Ruleset;
use stepgate_proxy::{Database, Gate, UpstreamConfig, UpstreamError, connect};
use stepgate_types::best_for;
use tokio::task::JoinSet;

use crate::exposure::{self, Exposure};
use crate::two_names::{self, Named};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked for databases that have come.
const AGAIN: Duration = Duration::from_secs(2);

/// How long after a server could not be asked it is asked again.
const LATER: Duration = Duration::from_secs(60);

/// How many are looked at at a time: one whose server does not answer keeps few waiting.
const AT_ONCE: usize = 8;

/// The most that is remembered as told. Beyond that some of it may be told again.
const MAX_TOLD: usize = 4_096;

/// What was looked at and told.
#[derive(Default)]
struct Told {
    looked_at: BTreeMap<String, Look>,
    /// By database.
    told: BTreeSet<(String, String)>,
}

/// A look at a database by rules, and when it is to be looked at again if its server could not be asked.
struct Look {
    database: Weak<Database>,
    rules: Weak<Ruleset>,
    again: Option<Instant>,
}

/// What was found.
struct Found {
    database: String,
    exposures: Vec<Exposure>,
    failed: Option<UpstreamError>,
}

/// Looks at each database that comes, and at all of them when rules do, until the gate is `stopped`.
pub(super) async fn watch(gate: Arc<Gate>, stopped: impl Future<Output = ()>) {
    let all = async {
        let (mut told, mut looks) = (Told::default(), JoinSet::new());
        loop {
            for database in gate.databases() {
                if looks.len() < AT_ONCE && told.is_due(&database, &gate.rules()) {
                    told.of_names(&gate, &database.config.name);
                    looks.spawn(look(gate.rules(), database));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                Some(Ok(found)) = looks.join_next() => told.take(found),
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = stopped => {}
    }
}

/// What its roles could do.
async fn look(rules: Arc<Ruleset>, database: Arc<Database>) -> Found {
    let upstream = &database.config;
    let mut found = Found { database: upstream.name.clone(), exposures: Vec::new(), failed: None };
    for role in upstream.roles.iter().map(|role| &*role.credentials) {
        let look = async {
            let mut connection = connect(upstream, role, &[]).await?;
            exposure::look(&mut connection, upstream, &role.user, Some(rules.map())).await
        };
        match tokio::time::timeout(TIMEOUT, look).await {
            Ok(Ok(exposed)) => found.exposures.extend(exposed.found),
            Ok(Err(error)) => found.failed = Some(error),
            Err(_) => found.failed = Some(UpstreamError::Timeout(TIMEOUT.as_secs())),
        }
    }
    found
}

impl Told {
    /// Whether it is to be looked at, since it was not since it was opened, or by these rules, or in vain. It counts as
    /// looked at from now on.
    fn is_due(&mut self, database: &Arc<Database>, rules: &Arc<Ruleset>) -> bool {
        self.looked_at.retain(|_, look| look.database.strong_count() > 0);
        let known = self.looked_at.get(&database.config.name).is_some_and(|look| {
            let later = look.again.is_none_or(|again| Instant::now() < again);
            later && is(&look.database, database) && is(&look.rules, rules)
        });
        if !known {
            let look = Look { database: Arc::downgrade(database), rules: Arc::downgrade(rules), again: None };
            self.looked_at.insert(database.config.name.clone(), look);
        }
        !known
    }

    fn take(&mut self, found: Found) {
        let Found { database, exposures, failed } = found;
        // What is true of the server is found by each of its roles.
        for exposure in exposures {
            self.tell(&database, &exposure.detail, exposure.hint);
        }
        let Some(error) = failed else { return };
        let detail = format!("cannot look at the role's rights: {error}");
        self.tell(&database, &detail, "it is tried again each minute; `stepgate doctor` looks at once");
        if let Some(look) = self.looked_at.get_mut(&database) {
            look.again = Some(Instant::now() + LATER);
        }
    }

    /// What its names and the map say.
    fn of_names(&mut self, gate: &Gate, name: &str) {
        if best_for(gate.rules().map().databases(), name).is_none() {
            let detail = "the map says nothing of it: nothing in it counts as personal data";
            self.tell(name, detail, "label its columns");
        }
        self.look_at_names(&gate.databases(), name);
    }

    /// Whether what has come is known by another name already.
    fn look_at_names(&mut self, all: &[Arc<Database>], new: &str) {
        let named = all.iter().map(|database| {
            let UpstreamConfig { name, host, port, dbname, .. } = &database.config;
            Named { name, host, port: *port, dbname }
        });
        for names in two_names::of_one(&named.collect::<Vec<_>>()) {
            if let [first, ..] = *names
                && names.contains(&new)
            {
                self.tell(first, &two_names::detail(&names), two_names::HINT);
            }
        }
    }

    fn tell(&mut self, database: &str, detail: &str, hint: &str) {
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        if self.told.insert((database.to_owned(), detail.to_owned())) {
            tracing::warn!(database, hint, "{detail}");
        }
    }
}

fn is<T>(one: &Weak<T>, other: &Arc<T>) -> bool {
    std::ptr::eq(one.as_ptr(), Arc::as_ptr(other))
}
