//! Where the catalog comes from, and what the session's state is.

use std::path::PathBuf;
use std::sync::Arc;

use stepgate_proxy::{
    Credentials, PassPerson, Password, Planner, Role, UpstreamConfig, connect, load, simple_query,
};
use stepgate_sql::{Catalog, Facts, Message, Question, SessionState, Step, Taints, steps};
use stepgate_testkit::{Cluster, HostAuth};
use stepgate_types::{Certainty, RelationName, quote_ident};

use super::search_path::{Change, change};
use super::track::Track;
use super::transaction::boundary;
use crate::config::SslMode;
use crate::failure::Failure;
use crate::upstreams;
use crate::url::DatabaseUrl;

/// The most relations that a session makes; of more nothing is known.
const MAX_CREATED: usize = 1_024;

/// Where a catalog is read.
pub(crate) enum Origin<'a> {
    /// A database, by its URL.
    Url(&'a str),
    /// A throwaway server, made of these files.
    Schema(&'a [PathBuf]),
    /// A database of the configuration.
    Configured(Box<UpstreamConfig>),
}

/// A catalog and a session on it.
pub(crate) struct Source {
    runtime: tokio::runtime::Runtime,
    upstream: UpstreamConfig,
    planner: Arc<Planner>,
    /// As the server has it.
    base: Catalog,
    /// The same with what the session made.
    catalog: Catalog,
    created: Vec<RelationName>,
    track: Track,
    session: SessionState,
    /// The throwaway server, kept for as long as it is asked.
    _cluster: Option<Cluster>,
}

impl Source {
    /// Connects, or makes a throwaway server of the schema's files; loads the catalog.
    pub(crate) fn open(
        origin: Origin<'_>,
        name: &str,
        search_path: Option<&[String]>,
    ) -> Result<Self, Failure> {
        let (cluster, upstream) = match origin {
            Origin::Url(url) => (None, from_url(url, Some(name))?),
            Origin::Schema(files) => {
                throwaway(files, name).map(|(cluster, upstream)| (Some(cluster), upstream))?
            }
            Origin::Configured(upstream) => (None, *upstream),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        let catalog = runtime
            .block_on(load(&upstream))
            .map_err(|error| Failure::unreachable(format!("the database: {error}")))?;
        let path = search_path.map(setting);
        let path = runtime.block_on(effective(&upstream, path))?;
        Ok(Self {
            runtime,
            upstream,
            planner: Arc::default(),
            base: catalog.clone(),
            catalog,
            created: Vec::new(),
            session: SessionState::with_search_path(path.clone()),
            track: Track::new(path),
            _cluster: cluster,
        })
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn session(&self) -> &SessionState {
        &self.session
    }

    /// The facts of a statement with the planner's estimate, as the role `user` has it told; `None` where a gate would not
    /// ask, or has no answer.
    pub(crate) fn planned(&self, sql: &str, facts: &Facts, user: &str) -> Option<Facts> {
        let upstream = Some(&self.upstream).filter(|upstream| upstream.ask_planner)?;
        let question = Question::about(sql.as_bytes(), facts, &self.catalog, &self.session)?;
        let path = self.session.search_path.as_ref()?;
        let of = |role: &&Role| role.credentials.user == user;
        let role = upstream.roles.iter().find(of).map_or(&upstream.catalog, |role| &role.credentials);
        let rows = self.runtime.block_on(self.planner.ask(upstream, role, question, path, sql))?;
        Some(facts.planned(rows))
    }

    /// A new session.
    pub(crate) fn reset(&mut self) {
        self.track = Track::new(self.track.initial().clone());
        self.session.own_taints = Taints::default();
        self.session.moved = false;
        self.forget_created();
        self.look();
    }

    /// What a message would have done to the session, had it run. What is not plain makes the search path
    /// unknown: changed settings, ends of transactions that may take a change back, objects that nobody made.
    pub(crate) fn after(&mut self, sql: &str, facts: &[Facts]) {
        let effect = Message::of(facts).effect;
        // No catalog will show what names mean from now on.
        self.session.moved |= effect.moves;
        let alone = facts.len() == 1;
        let made = alone && facts.iter().any(|only| effect.catalog && self.create(only).is_some());
        if !made {
            if self.fill(facts).is_none() {
                self.forget_created();
                self.track.lose();
            }
            match (effect.transaction, effect.session || effect.catalog) {
                (true, false) if alone => self.track.cross(boundary(sql)),
                // In which order, and what came of it, is not told apart.
                (true, _) => self.track.lose_transaction(),
                (false, _) if effect.catalog => self.track.lose(),
                (false, true) if is_purpose_alone(sql, facts) => {}
                (false, true) => self.set(sql),
                (false, false) => {}
            }
        }
        self.look();
    }

    /// Takes note of what a statement makes, if that is known for certain.
    fn create(&mut self, made: &Facts) -> Option<()> {
        if made.certainty == Certainty::Unknown || self.created.len() >= MAX_CREATED {
            return None;
        }
        let name = self.catalog.create(made, self.session.search_path.as_ref()?)?;
        self.created.push(name);
        Some(())
    }

    /// Takes note of what is stored where. `None`: it cannot be told what what the session made holds.
    fn fill(&mut self, facts: &[Facts]) -> Option<()> {
        for statement in facts {
            if statement.certainty == Certainty::Unknown && !self.created.is_empty() {
                return None;
            }
            for (relation, flow) in &statement.flows {
                self.session.own_taints.add(relation.clone(), flow.clone()).ok()?;
            }
        }
        Some(())
    }

    fn forget_created(&mut self) {
        if !self.created.is_empty() {
            self.catalog = self.base.clone();
            self.created.clear();
        }
    }

    /// What names are looked up by from now on. Temporary objects are looked for first, unless the path says
    /// otherwise; what was made has names that nothing else has, so that the order does not matter.
    fn look(&mut self) {
        let mut path = self.track.path().cloned();
        if let Some(path) = &mut path
            && self.created.iter().any(|name| name.schema == "pg_temp")
            && path.iter().all(|schema| schema != "pg_temp")
        {
            path.insert(0, "pg_temp".to_owned());
        }
        self.session.search_path = path;
    }

    fn set(&mut self, sql: &str) {
        let Some((span, change)) = change(sql) else { return self.track.lose() };
        let path = match change {
            Change::Initial => Some(self.track.initial().clone()),
            Change::To(names) => self.runtime.block_on(effective(&self.upstream, Some(setting(&names)))).ok(),
        };
        self.track.set(span, path);
    }
}

/// Whether all that a message does to the session is to say what it is for, by which no name means anything else.
fn is_purpose_alone(sql: &str, facts: &[Facts]) -> bool {
    let is_purpose = |step: &Step| matches!(step, Step::Set { name, .. } if name == "stepgate.purpose");
    let steps = steps(sql).filter(|steps| steps.len() == facts.len());
    steps.is_some_and(|steps| {
        steps.iter().zip(facts).all(|(step, facts)| !facts.effect.session || is_purpose(step))
    })
}

fn setting(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// The effective path under this setting of `search_path`, implicit schemas included.
async fn effective(upstream: &UpstreamConfig, setting: Option<String>) -> Result<Vec<String>, Failure> {
    let trouble = |error| Failure::unreachable(format!("the database: {error}"));
    let settings: Vec<_> = setting.into_iter().map(|path| ("search_path".to_owned(), path)).collect();
    let mut connection = connect(upstream, &upstream.catalog, &settings).await.map_err(trouble)?;
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
        roles: vec![Role::of_everybody(Arc::clone(&credentials))],
        catalog: credentials,
        allow_untested: true,
        ask_planner: true,
        pass_person: PassPerson::Never,
    }
}

/// As libpq does, what the URL leaves out comes from PGUSER and PGPASSWORD, then from the system's user.
/// Without a name, it is called as it is there.
pub(crate) fn from_url(url: &str, name: Option<&str>) -> Result<UpstreamConfig, Failure> {
    let url = DatabaseUrl::parse(url)?;
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = url.user.clone().or_else(|| var("PGUSER")).or_else(|| var("USER"));
    let user =
        user.ok_or_else(|| Failure::usage("the URL names no user").hint("postgresql://USER@HOST/DBNAME"))?;
    let dbname = url.dbname.clone().unwrap_or_else(|| user.clone());
    let password = var("PGPASSWORD").unwrap_or_default().into();
    let name = name.map_or_else(|| dbname.clone(), str::to_owned);
    Ok(upstream(&name, &url, dbname, Credentials { user, password }))
}

/// A server of our own with the schema in it. Trusts everybody: it has nothing but the schema.
fn throwaway(schema: &[PathBuf], name: &str) -> Result<(Cluster, UpstreamConfig), Failure> {
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
    let credentials = Credentials { user: "postgres".to_owned(), password: Password::default() };
    let upstream = upstream(name, &url, name.to_owned(), credentials);
    Ok((cluster, upstream))
}
