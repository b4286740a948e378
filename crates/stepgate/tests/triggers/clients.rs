//! Devices and clients out of profile.

use stepgate_testkit::{Person, Psql, until};

use crate::support::{SOON, World};
use crate::{decided, fires, risky, silent, verified, with_environment, world};

const ORDERS: &str = "select status from orders where id = 1;";

#[test]
fn a_listed_client_asks_and_any_other_is_silent() {
    let world = world("{client: [\"DBeaver*\"]}");
    let dana = world.dana();
    let mut listed = with_environment(&world, &dana, "PGAPPNAME", "DBeaver 24.1 - Main");
    fires(&world, &mut listed, &dana, "", ORDERS);
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn a_client_that_somebody_has_never_used_asks() {
    let world = risky("new_client", "");
    let dana = world.dana();
    let mut dump = with_environment(&world, &dana, "PGAPPNAME", "dump");
    fires(&world, &mut dump, &dana, "new_client", ORDERS);
    // Calling itself otherwise later on does not help.
    assert!(dump.run("set application_name = 'psql';").unwrap().is_ok());
    fires(&world, &mut dump, &dana, "new_client", ORDERS);
}

#[test]
fn the_client_that_somebody_uses_every_day_is_silent() {
    let world = risky("new_client", "");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, ORDERS);
    // Nor does it harm.
    assert!(psql.run("set application_name = 'another';").unwrap().is_ok());
    silent(&world, &mut psql, ORDERS);
}

/// A gate that knows how Dana's psql begins. (The history is of times before fingerprints were recorded.)
fn fingerprinted() -> (World, Person) {
    let world = risky("new_fingerprint", "");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    verified(&world, &mut psql, &mut dana, ORDERS);
    until("the fingerprint to be known", SOON, || {
        psql.run(ORDERS).unwrap();
        decided(&world, "forward")["risk"] == 0
    })
    .unwrap();
    (world, dana)
}

#[test]
fn a_driver_that_begins_as_none_of_theirs_does_asks_under_whatever_name() {
    let (world, dana) = fingerprinted();
    silent(&world, &mut world.psql(&dana), ORDERS);
    let mut other = with_environment(&world, &dana, "PGOPTIONS", "-c statement_timeout=60000");
    // What was approved above is for another table.
    fires(&world, &mut other, &dana, "new_fingerprint", "select name from products where id = 1;");
}

/// psql whose TLS library is set up by these lines of OpenSSL's own configuration; else as ever.
fn with_openssl(world: &World, person: &Person, lines: &str) -> Psql {
    let file = world.tree.path().join("openssl.cnf");
    let text =
        format!("openssl_conf = main\n[main]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\n{lines}\n");
    std::fs::write(&file, text).unwrap();
    with_environment(world, person, "OPENSSL_CONF", file.to_str().unwrap())
}

/// How the last session began: its startup packet and its TLS hello, as they were recorded.
fn manner(world: &World) -> (String, String) {
    let records = world.records();
    let opened = records.iter().rev().find(|it| it["type"] == "session.opened").unwrap();
    (opened["startup"].as_str().unwrap().to_owned(), opened["hello"].as_str().unwrap().to_owned())
}

#[test]
fn a_tls_hello_that_none_of_their_clients_says_asks_though_the_startup_packet_is_the_same() {
    let (world, dana) = fingerprinted();
    silent(&world, &mut world.psql(&dana), ORDERS);
    let (startup, hello) = manner(&world);
    // Groups that are said, suites that are said, and what version is agreed on.
    for other in ["Groups = P-256:P-384", "CipherString = ECDHE+AESGCM", "MaxProtocol = TLSv1.2"] {
        let mut psql = with_openssl(&world, &dana, other);
        // What was approved at first is for another table.
        fires(&world, &mut psql, &dana, "new_fingerprint", "select name from products where id = 1;");
        let (same, another) = manner(&world);
        assert_eq!(same, startup, "{other}");
        assert_ne!(another, hello, "{other}");
    }
}

#[test]
fn the_tls_hello_of_every_day_is_silent_in_each_new_connection() {
    let (world, dana) = fingerprinted();
    for _ in 0..3 {
        silent(&world, &mut world.psql(&dana), "select name from products where id = 1;");
    }
    // A file of OpenSSL's that changes nothing of what it says.
    let (_, hello) = manner(&world);
    silent(&world, &mut with_openssl(&world, &dana, "Options = SessionTicket"), ORDERS);
    assert_eq!(manner(&world).1, hello);
}
