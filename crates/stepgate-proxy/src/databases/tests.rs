use stepgate_sql::Flow;
use stepgate_store::LogOptions;
use stepgate_testkit::{FakeClock, FakeEntropy, TempTree};
use stepgate_types::RelationName;
use zeroize::Zeroizing;

use super::*;
use crate::{Credentials, PassPerson, Role, SslMode};

/// Databases of which the configuration has a wildcard and one name; no server is there.
fn databases() -> (TempTree, Databases, watch::Sender<Arc<Ruleset>>) {
    let tree = TempTree::new("databases").unwrap();
    let vault = Vault::new(&Zeroizing::new([7; 32]), Arc::new(FakeEntropy::seeded(7)));
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(FakeClock::default()),
        entropy: Arc::new(FakeEntropy::seeded(8)),
        vault: vault.clone(),
    };
    let (log, _) = Log::open(tree.path(), options).unwrap();
    let policy = "version: 1\napprovals: {self: {self: true}}\n";
    let rules = Ruleset::load(("map", "version: 1\ndatabases: {}\n"), ("policy", policy)).unwrap();
    let (sender, rules) = watch::channel(Arc::new(rules));
    let credentials = Arc::new(Credentials { user: "analyst".into(), password: "s3cret".to_owned().into() });
    let config = |name: &str, dbname: &str| UpstreamConfig {
        name: name.into(),
        host: "127.0.0.1".into(),
        port: 1,
        dbname: dbname.into(),
        sslmode: SslMode::Disable,
        ca: None,
        catalog: Arc::clone(&credentials),
        roles: vec![Role::of_everybody(Arc::clone(&credentials))],
        allow_untested: false,
        ask_planner: false,
        pass_person: PassPerson::Never,
    };
    let databases =
        Databases::new(vec![config("app_*", "*"), config("shop", "shop")], rules, &log, &vault).unwrap();
    (tree, databases, sender)
}

/// Whoever may connect could otherwise fill the gate's memory with names.
#[test]
fn a_name_that_somebody_made_up_under_a_wildcard_is_kept_nowhere_and_what_holds_copies_is() {
    let (_tree, databases, _rules) = databases();
    let kept = || databases.lock().taints.keys().cloned().collect::<Vec<_>>();
    for number in 0..200 {
        let made_up = databases.get(&format!("app_{number}")).ok().unwrap();
        databases.forget(made_up.database());
        drop(made_up);
        databases.tidy();
    }
    assert_eq!(kept(), ["shop"]);
    assert!(databases.lock().open.len() == 1 && databases.lock().leaving.is_empty());
    // One that was there once, and of which it is known what its tables hold.
    let copies = databases.get("app_copies").ok().unwrap();
    let stored = vec![(RelationName::new("public", "copy"), Flow { unknown: true, ..Flow::default() })];
    assert!(copies.database().taints.add(stored).is_ok());
    databases.forget(copies.database());
    assert_eq!(kept(), ["app_copies", "shop"]);
    // Nor is what the configuration names forgotten, whatever its server says.
    let named = databases.get("shop").ok().unwrap();
    databases.forget(named.database());
    assert_eq!(kept(), ["app_copies", "shop"]);
    assert!(databases.find("shop").is_some());
}
