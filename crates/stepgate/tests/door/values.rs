//! What a client begins with and the server refuses: it is told so in the server's words, and nothing of it stays with the
//! gate.

use stepgate_proxy::{UpstreamError, connect};
use stepgate_testkit::Person;

use super::support::World;
use super::support::raw::{How, config, how, runtime};

fn direct(world: &World) -> How {
    how(world.cluster.port(), "stepgate_analyst", "analyst-of-a-throwaway-cluster", "shop")
}

/// SQLSTATE, message, detail and hint of whoever begins so.
type Refused = (String, String, Option<String>, Option<String>);

fn refused((config, role): &How, (name, value): (&str, &str)) -> Refused {
    let settings = [(name.to_owned(), value.to_owned())];
    match runtime().block_on(connect(config, role, &settings)) {
        Err(UpstreamError::Server { state, message, detail, hint }) => (state, message, detail, hint),
        other => panic!("{name} = {value}: {other:?}"),
    }
}

fn gated(world: &World, person: &Person, setting: (&str, &str)) -> Refused {
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
        ("search_path", "canary b"),
        ("default_transaction_isolation", "canar\u{e9}"),
    ] {
        let (alone, through) = (refused(&direct(&world), setting), gated(&world, &dana, setting));
        assert_eq!(through, alone, "{setting:?}");
    }
    let (state, message, ..) = gated(&world, &dana, ("options", "-c statement_timeout=canary"));
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("22023", "invalid value for parameter \"statement_timeout\": \"canary\"")
    );
    let log = world.gate.log();
    assert!(!log.contains("canar") && !log.contains("cannot connect upstream"), "{log}");
}

/// An encoding that the server knows and has no conversion to.
#[test]
fn an_encoding_that_the_server_cannot_convert_to_is_no_outage() {
    let mut world = World::not_serving(|text| text);
    world
        .cluster
        .psql("shop", "create database latin encoding 'LATIN1' locale 'C' template template0")
        .unwrap();
    world.edit(
        "databases:\n",
        &format!(
            "databases:\n  latin: {{host: 127.0.0.1, port: {}, sslmode: disable, user: stepgate_analyst, \
         password_file: secrets/shop}}\n",
            world.cluster.port(),
        ),
    );
    world.gate.serve().unwrap();
    let dana = world.dana();
    let alone = how(world.cluster.port(), "stepgate_analyst", "analyst-of-a-throwaway-cluster", "latin");
    let through = how(world.gate.listen().port(), dana.name(), dana.password(), "latin");
    let setting = ("client_encoding", "KOI8R");
    let told = refused(&through, setting);
    assert_eq!(told, refused(&alone, setting));
    assert_eq!(told.0, "0A000");
}

/// PostgreSQL applies `options` first, wherever they stand in the packet: what the session goes by is what a client that
/// is not behind the gate would have.
#[test]
fn options_come_before_the_packets_own_parameters_as_without_the_gate() {
    let world = World::new();
    let dana = world.dana();
    let (options, param) = (("options", "-c application_name=by-options"), ("application_name", "by-packet"));
    let runtime = runtime();
    for settings in [[options, param], [param, options]] {
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (config, role) in [direct(&world), config(&world, &dana)] {
            let session = runtime.block_on(connect(&config, &role, &settings)).unwrap();
            assert_eq!(session.param("application_name"), Some("by-packet"), "{settings:?}");
        }
    }
}

/// The server reports the role's name in the encoding that the client asked for.
#[test]
fn a_role_with_a_name_beyond_ascii_lets_clients_of_other_encodings_in() {
    let mut world = World::not_serving(|text| text);
    world
        .cluster
        .psql("shop", "create role \"ren\u{e9}\" login in role stepgate_analyst password 'analyst-of-a-throwaway-cluster'")
        .unwrap();
    world.edit("user: stepgate_analyst", "user: ren\u{e9}");
    world.gate.serve().unwrap();
    let dana = world.dana();
    let (config, role) = config(&world, &dana);
    for (encoding, name) in
        [("LATIN1", &b"ren\xe9"[..]), ("WIN1252", b"ren\xe9"), ("UTF8", "ren\u{e9}".as_bytes())]
    {
        let settings = [("client_encoding".to_owned(), encoding.to_owned())];
        let session = runtime().block_on(connect(&config, &role, &settings)).unwrap();
        let told = session.params.iter().find(|(name, _)| &name[..] == b"session_authorization").unwrap();
        assert_eq!(&told.1[..], name, "{encoding}");
    }
}

#[test]
fn a_role_that_the_server_does_not_let_in_is_the_operators_affair() {
    let world = World::new();
    let dana = world.dana();
    world.cluster.psql("shop", "alter role stepgate_analyst nologin").unwrap();
    let (state, message, _, hint) = gated(&world, &dana, ("work_mem", "1MB"));
    assert_eq!((state.as_str(), message.as_str()), ("08006", "stepgate: cannot reach database \"shop\""));
    let hint = hint.unwrap();
    assert!(hint.contains("Tell the gate's operator") && !hint.contains("Try again"), "{hint}");
    let log = world.gate.log();
    assert!(log.contains("28000 role \"stepgate_analyst\" is not permitted to log in"), "{log}");
}
