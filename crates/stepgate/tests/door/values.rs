//! What a client begins with and the server refuses: it is told so in the server's words, and nothing of it stays with the
//! gate.

use stepgate_proxy::{UpstreamError, connect};
use stepgate_testkit::Person;

use super::support::World;
use super::support::raw::{How, config, how, runtime};

fn direct(world: &World) -> How {
    how(world.cluster.port(), "stepgate_analyst", "analyst-of-a-throwaway-cluster", "shop")
}

/// SQLSTATE, message and hint of whoever begins so.
fn refused((config, role): &How, (name, value): (&str, &str)) -> (String, String, Option<String>) {
    let settings = [(name.to_owned(), value.to_owned())];
    match runtime().block_on(connect(config, role, &settings)) {
        Err(UpstreamError::Server { state, message, hint }) => (state, message, hint),
        other => panic!("{name} = {value}: {other:?}"),
    }
}

fn gated(world: &World, person: &Person, setting: (&str, &str)) -> (String, String, Option<String>) {
    refused(&config(world, person), setting)
}

#[test]
fn a_value_that_the_server_refuses_is_told_in_its_words_and_is_no_outage() {
    let world = World::new();
    let dana = world.dana();
    for setting in [
        ("timezone", "Nowhere/canary"),
        ("work_mem", "canary"),
        ("client_encoding", "canary"),
        ("datestyle", "canary"),
        ("search_path", "\"canary"),
        ("default_transaction_isolation", "canar\u{e9}"),
    ] {
        let (alone, through) = (refused(&direct(&world), setting), gated(&world, &dana, setting));
        assert_eq!(through, alone, "{setting:?}");
    }
    let (state, message, _) = gated(&world, &dana, ("options", "-c statement_timeout=canary"));
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("22023", "invalid value for parameter \"statement_timeout\": \"canary\"")
    );
    let log = world.gate.log();
    assert!(!log.contains("canar") && !log.contains("cannot connect upstream"), "{log}");
}

#[test]
fn a_role_that_the_server_does_not_let_in_is_the_operators_affair() {
    let world = World::new();
    let dana = world.dana();
    world.cluster.psql("shop", "alter role stepgate_analyst nologin").unwrap();
    let (state, message, hint) = gated(&world, &dana, ("work_mem", "1MB"));
    assert_eq!((state.as_str(), message.as_str()), ("08006", "stepgate: cannot reach database \"shop\""));
    let hint = hint.unwrap();
    assert!(hint.contains("Tell the gate's operator") && !hint.contains("Try again"), "{hint}");
    let log = world.gate.log();
    assert!(log.contains("28000 role \"stepgate_analyst\" is not permitted to log in"), "{log}");
}
