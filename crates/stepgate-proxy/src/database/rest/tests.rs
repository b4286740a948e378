use stepgate_policy::Ruleset;
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_testkit::{Cluster, FakeClock, FakeEntropy};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::*;
use crate::database::Past;
use crate::{Credentials, PassPerson, Role, SslMode, UpstreamConfig, connect, simple_query};

fn config(port: u16) -> UpstreamConfig {
    let credentials = Arc::new(Credentials { user: "analyst".into(), password: "s3cret".to_owned().into() });
    UpstreamConfig {
        name: "shop".into(),
        host: "localhost".into(),
        port,
        dbname: "shop".into(),
        sslmode: SslMode::Disable,
        ca: None,
        catalog: credentials.clone(),
        roles: vec![Role::of_everybody(credentials)],
        allow_untested: false,
        ask_planner: true,
        pass_person: PassPerson::Never,
    }
}

/// One short session after the other, each after a rest, must not have the whole catalog read each time; and what has
/// changed meanwhile must be known to the first of them.
#[tokio::test]
async fn after_a_rest_an_unchanged_catalog_is_not_read_again_and_a_changed_one_is() {
    let cluster = Cluster::builder().cached(true).start().unwrap();
    cluster.create_database("shop").unwrap();
    cluster.create_role("analyst", "s3cret").unwrap();
    cluster.load("shop", "create table t (a int); insert into t values (1); analyze t").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::new(&Zeroizing::new([7; 32]), Arc::new(FakeEntropy::seeded(7)));
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(FakeClock::default()),
        entropy: Arc::new(FakeEntropy::seeded(1)),
        vault: vault.clone(),
    };
    let (log, _) = Log::open(dir.path(), options).unwrap();
    let map = "version: 1\ndatabases: {}\n";
    let rules =
        Ruleset::load(("map.yaml", map), ("policy.yaml", "version: 1\napprovals: {self: {self: true}}\n"))
            .unwrap();
    let (_rules, rules) = watch::channel(Arc::new(rules));
    let past = Past::Stored { log, vault, before: None };
    let database = Arc::new(Database::new(config(cluster.port()), rules, Arc::default(), past));
    let rest = async || {
        database.reader.lock().await.connection = None;
        database.awake.send_replace(false);
    };
    let first = database.ensure_view().await.unwrap();
    rest().await;
    // Of the sizes of tables nothing is known yet.
    let known = database.ensure_view().await.unwrap();
    for _ in 0..3 {
        rest().await;
        let again = database.ensure_view().await.unwrap();
        assert!(Arc::ptr_eq(&known, &again), "read again, and nothing has changed");
        assert!(*database.awake.borrow() && database.reader.lock().await.connection.is_some());
    }
    assert!(known.catalog.has_same_schemas(&first.catalog));
    // DDL while nobody looks.
    rest().await;
    cluster.load("shop", "create schema later; grant usage on schema later to public").unwrap();
    let changed = database.ensure_view().await.unwrap();
    assert!(!Arc::ptr_eq(&known, &changed) && !changed.catalog.has_same_schemas(&known.catalog));
    // Estimates are made from sizes: a table that has grown is not the same.
    rest().await;
    let grows = "insert into t select generate_series(1, 100000); analyze t";
    cluster.load("shop", grows).unwrap();
    let grown = database.ensure_view().await.unwrap();
    assert!(!Arc::ptr_eq(&changed, &grown));
    rest().await;
    assert!(Arc::ptr_eq(&grown, &database.ensure_view().await.unwrap()));
    // Functions may have been read over a connection of before: what is made since is known all the same.
    cluster.load("shop", "create function f() returns int language sql return 1").unwrap();
    let newest = database.load().await.unwrap();
    assert!(!Arc::ptr_eq(&grown, &newest));
    // What a session has made for itself counts where it asks for it, and only there.
    let mut session = connect(&database.config, &database.config.catalog, &[]).await.unwrap();
    assert!(Arc::ptr_eq(&newest, &database.load().await.unwrap()), "read again, and nothing has changed");
    let mut last = newest;
    for change in [
        "create temp table own (a int)",
        "alter table own add b text",
        "alter table own rename b to c",
        "alter table own alter a set default 1",
        "alter table own add check (a > 0)",
        "create unique index on own (a)",
        "create temp view shown as select a from own",
        "create or replace temp view shown as select a + 1 as a from own",
        "drop view shown",
        "drop table own",
    ] {
        simple_query(&mut session, change).await.unwrap();
        database.refresh().await.unwrap();
        assert!(Arc::ptr_eq(&last, &database.view().unwrap()), "{change}: of no concern to anybody else");
        let now = database.load().await.unwrap();
        assert!(!Arc::ptr_eq(&last, &now), "{change}: not seen");
        assert!(Arc::ptr_eq(&now, &database.load().await.unwrap()), "{change}: read twice");
        last = now;
    }
    // Over a connection that is gone by now.
    let gone =
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stepgate catalog'";
    cluster.load("shop", gone).unwrap();
    assert!(!Arc::ptr_eq(&last, &database.load().await.unwrap()));
    database.close();
    rest().await;
    assert!(database.ensure_view().await.is_err());
}
