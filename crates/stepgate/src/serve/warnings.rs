//! What the operator should know about the databases behind, told once of each: of those that are there at the start, of
//! those that come by a reload, and of those of a wildcard once somebody has asked for them. The gate does not wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use stepgate_proxy::{Database, Gate, UpstreamConfig, UpstreamError, connect};
use stepgate_types::best_for;

use crate::exposure;
use crate::two_names::{self, Named};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked for databases that have come.
const AGAIN: Duration = Duration::from_secs(2);

/// The most that is remembered as told. Beyond that some of it may be told again.
const MAX_TOLD: usize = 4_096;

/// What was looked at and told.
#[derive(Default)]
struct Told {
    looked_at: BTreeMap<String, Weak<Database>>,
    /// By database.
    told: BTreeSet<(String, String)>,
}

/// Looks at each database that comes, until the gate is `stopped`.
pub(super) async fn watch(gate: Arc<Gate>, stopped: impl Future<Output = ()>) {
    let all = async {
        let mut told = Told::default();
        loop {
            for database in gate.databases() {
                if told.is_new(&database) {
                    told.look(&gate, &database).await;
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = stopped => {}
    }
}

impl Told {
    /// Whether it was not looked at since it was opened.
    fn is_new(&mut self, database: &Arc<Database>) -> bool {
        let this = Arc::downgrade(database);
        self.looked_at.retain(|_, other| other.strong_count() > 0);
        let before = self.looked_at.insert(database.config.name.clone(), this);
        before.is_none_or(|before| !std::ptr::eq(before.as_ptr(), Arc::as_ptr(database)))
    }

    async fn look(&mut self, gate: &Gate, database: &Database) {
        let (upstream, rules) = (&database.config, gate.rules());
        if best_for(rules.map().databases(), &upstream.name).is_none() {
            let detail = "the map says nothing of it: nothing in it counts as personal data";
            self.tell(&upstream.name, detail, "label its columns");
        }
        self.look_at_names(&gate.databases(), &upstream.name);
        for role in upstream.roles.iter().map(|role| &*role.credentials) {
            let look = async {
                let mut connection = connect(upstream, role, &[]).await?;
                exposure::look(&mut connection, upstream, &role.user, Some(rules.map())).await
            };
            match tokio::time::timeout(TIMEOUT, look).await {
                // What is true of the server is found by each of them.
                Ok(Ok(exposed)) => {
                    for exposure in exposed.found {
                        self.tell(&upstream.name, &exposure.detail, exposure.hint);
                    }
                }
                Ok(Err(error)) => not_looked(&upstream.name, &error),
                Err(_) => not_looked(&upstream.name, &UpstreamError::Timeout(TIMEOUT.as_secs())),
            }
        }
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

fn not_looked(database: &str, error: &UpstreamError) {
    tracing::warn!(database, %error, "cannot look at the role's rights; `stepgate doctor` can later");
}
