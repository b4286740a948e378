//! Where the catalog comes from, and what the session's state is.

use std::path::Path;
use std::sync::Arc;

use stepgate_proxy::{Credentials, UpstreamConfig, connect, load, simple_query};
use stepgate_sql::{Catalog, Facts, Message, SessionState};
use stepgate_testkit::{Cluster, HostAuth};
use stepgate_types::{Certainty, RelationName, quote_ident};
use zeroize::Zeroizing;

use super::search_path::{Change, Span, change};
use super::transaction::{Boundary, boundary};
use crate::args::AnalyzeArgs;
use crate::config::SslMode;
use crate::failure::Failure;
use crate::upstreams;
use crate::url::DatabaseUrl;

/// The most relations that a session makes; of more nothing is known.
const MAX_CREATED: usize = 1_024;

/// A catalog and a session on it.
pub(super) struct Source {
    runtime: tokio::runtime::Runtime,
    upstream: UpstreamConfig,
    /// As the server has it.
    base: Catalog,
    /// The same with what the session made.
    catalog: Catalog,
    created: Vec<RelationName>,
    initial: SessionState,
    session: SessionState,
    /// The open transaction, if one was begun.
    transaction: Option<Transaction>,
    /// The throwaway server, kept for as long as it is asked.
    _cluster: Option<Cluster>,
}

impl Source {
    /// Connects, or makes a throwaway server of the schema's files; loads the catalog.
    pub(super) fn open(args: &AnalyzeArgs, schema: &[&Path], name: &str) -> Result<Self, Failure> {
        let (cluster, upstream) = match &args.database {
            Some(url) => (None, from_url(url, name)?),
            None => throwaway(schema, name).map(|(cluster, upstream)| (Some(cluster), upstream))?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        let catalog = runtime
            .block_on(load(&upstream))
            .map_err(|error| Failure::unreachable(format!("the database: {error}")))?;
        let path = args.search_path.as_ref().map(|names| setting(names));
        let path = runtime.block_on(effective(&upstream, path))?;
        let initial = SessionState::with_search_path(path);
        Ok(Self {
            runtime,
            upstream,
            base: catalog.clone(),
            catalog,
            created: Vec::new(),
            session: initial.clone(),
            initial,
            transaction: None,
            _cluster: cluster,
        })
    }

    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(super) fn session(&self) -> &SessionState {
        &self.session
    }

    /// A new session.
    pub(super) fn reset(&mut self) {
        self.session = self.initial.clone();
        self.transaction = None;
        self.forget_created();
    }

    /// What a message would have done to the session, had it run. What is not plain makes the search path
    /// unknown: changed settings, ends of transactions that may take a change back, objects that nobody made.
    pub(super) fn after(&mut self, sql: &str, facts: &[Facts]) {
        let effect = Message::of(facts).effect;
        if let [only] = facts
            && effect.catalog
            && self.create(only).is_some()
        {
            return;
        }
        if self.fill(facts).is_none() {
            self.forget_created();
            self.lose_path();
        }
        if effect.transaction {
            self.transaction(sql);
        } else if effect.session {
            self.set(sql);
        }
        if effect.catalog {
            self.lose_path();
        }
        self.see_temporary();
    }

    /// Takes note of what a statement makes, if that is known for certain.
    fn create(&mut self, made: &Facts) -> Option<()> {
        if made.certainty == Certainty::Unknown || self.created.len() >= MAX_CREATED {
            return None;
        }
        let name = self.catalog.create(made, self.session.search_path.as_ref()?)?;
        self.created.push(name);
        self.see_temporary();
        Some(())
    }

    /// Takes note of what is written to what the session made. `None`: something may have been.
    fn fill(&mut self, facts: &[Facts]) -> Option<()> {
        for statement in facts.iter().filter(|_| !self.created.is_empty()) {
            if statement.certainty == Certainty::Unknown {
                return None;
            }
            self.catalog.fill(&self.created, statement)?;
        }
        Some(())
    }

    fn forget_created(&mut self) {
        if !self.created.is_empty() {
            self.catalog = self.base.clone();
            self.created.clear();
        }
    }

    /// Temporary objects are looked for first, unless the path says otherwise; what was made has names that
    /// nothing else has, so that the order does not matter.
    fn see_temporary(&mut self) {
        if let Some(path) = &mut self.session.search_path
            && self.created.iter().any(|name| name.schema == "pg_temp")
            && path.iter().all(|schema| schema != "pg_temp")
        {
            path.insert(0, "pg_temp".to_owned());
        }
    }

    fn set(&mut self, sql: &str) {
        let Some((span, change)) = change(sql) else { return self.lose_path() };
        let path = match change {
            Change::Initial => self.initial.search_path.clone(),
            Change::To(names) => self.runtime.block_on(effective(&self.upstream, Some(setting(&names)))).ok(),
        };
        match (&mut self.transaction, span) {
            // Outside a transaction it sets nothing; but perhaps one was open when this session began.
            (None, Span::Transaction) => return self.lose_path(),
            (None, Span::Session) => {}
            (Some(open), span) => open.sets_session |= span == Span::Session,
        }
        self.session.search_path = path;
    }

    fn transaction(&mut self, sql: &str) {
        match (boundary(sql), self.transaction.take()) {
            (Some(Boundary::Begin), open) => {
                let path = self.session.search_path.clone();
                self.transaction = open.or(Some(Transaction { path, sets_session: false }));
            }
            (Some(Boundary::Keep), open) => self.transaction = open,
            (Some(Boundary::Rollback), Some(open)) => self.session.search_path = open.path,
            // A COMMIT of what has failed takes back what was SET for the session.
            (Some(Boundary::Commit), Some(open)) => {
                if open.sets_session && self.session.search_path != open.path {
                    self.session.search_path = None;
                } else {
                    self.session.search_path = open.path;
                }
            }
            (_, open) => {
                self.transaction = open;
                if self.session != self.initial || self.transaction.as_ref().is_some_and(|it| it.sets_session)
                {
                    self.lose_path();
                }
            }
        }
    }

    /// Neither the path is known any more, nor what the end of the transaction would make of it.
    fn lose_path(&mut self) {
        self.session.search_path = None;
        if let Some(open) = &mut self.transaction {
            open.path = None;
        }
    }
}

/// A transaction that BEGIN opened.
struct Transaction {
    /// The search path before it; ROLLBACK brings it back.
    path: Option<Vec<String>>,
    /// Something in it was SET for longer than the transaction.
    sets_session: bool,
}

fn setting(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// The effective path under this setting of `search_path`, implicit schemas included.
async fn effective(upstream: &UpstreamConfig, setting: Option<String>) -> Result<Vec<String>, Failure> {
    let trouble = |error| Failure::unreachable(format!("the database: {error}"));
    let settings: Vec<_> = setting.into_iter().map(|path| ("search_path".to_owned(), path)).collect();
    let mut connection = connect(upstream, &upstream.credentials, &settings).await.map_err(trouble)?;
    let query = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))";
    let rows = simple_query(&mut connection, query).await.map_err(trouble)?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

fn upstream(name: &str, url: &DatabaseUrl, dbname: String, credentials: Credentials) -> UpstreamConfig {
    let default = if url.is_local() { SslMode::Disable } else { SslMode::VerifyFull };
    let credentials = Arc::new(credentials);
    UpstreamConfig {
        name: name.to_owned(),
        host: url.host.clone(),
        port: url.port,
        dbname,
        sslmode: upstreams::sslmode(url.sslmode.unwrap_or(default)),
        ca: None,
        credentials: Arc::clone(&credentials),
        catalog: credentials,
        allow_untested: true,
    }
}

/// As libpq does, what the URL leaves out comes from PGUSER and PGPASSWORD, then from the system's user.
fn from_url(url: &str, name: &str) -> Result<UpstreamConfig, Failure> {
    let url = DatabaseUrl::parse(url)?;
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = url.user.clone().or_else(|| var("PGUSER")).or_else(|| var("USER"));
    let user =
        user.ok_or_else(|| Failure::usage("the URL names no user").hint("postgresql://USER@HOST/DBNAME"))?;
    let dbname = url.dbname.clone().unwrap_or_else(|| user.clone());
    let password = Zeroizing::new(var("PGPASSWORD").unwrap_or_default());
    Ok(upstream(name, &url, dbname, Credentials { user, password }))
}

/// A server of our own with the schema in it. Trusts everybody: it has nothing but the schema.
fn throwaway(schema: &[&Path], name: &str) -> Result<(Cluster, UpstreamConfig), Failure> {
    for path in schema {
        std::fs::File::open(path).map_err(|error| Failure::file("read the schema", path, &error))?;
    }
    let failed = |error: stepgate_testkit::Error| Failure::usage(error.to_string());
    let cluster = Cluster::builder().host_auth(HostAuth::Trust).start().map_err(failed)?;
    cluster.create_database(name).map_err(failed)?;
    for path in schema {
        cluster
            .load_file(name, path)
            .map_err(|error| Failure::usage(format!("{} does not load: {error}", path.display())))?;
    }
    let url = DatabaseUrl::parse(&cluster.url("postgres", ""))?;
    let credentials = Credentials { user: "postgres".to_owned(), password: Zeroizing::default() };
    let upstream = upstream(name, &url, name.to_owned(), credentials);
    Ok((cluster, upstream))
}
