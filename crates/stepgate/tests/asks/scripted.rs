//! Commands for programs: `-o json` is one object on standard output once it is done, and nothing where it is not.

use serde_json::{Value, json};

use crate::support::{SOON, World, held};

/// What was sent to whom is told at the end by one line, which is an object.
fn done(world: &World, arguments: &[&str], input: &str) -> Value {
    let arguments = [arguments, &["-o", "json"]].concat();
    let told = world.gate.run(&arguments, input).unwrap();
    assert_eq!((told.status, told.stdout.lines().count()), (0, 1), "{arguments:?}: {}", told.text());
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert!(told["message"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
    told
}

/// The exit status of what is not done: the reason stands on standard error, and nothing on the other.
fn refused(world: &World, arguments: &[&str], input: &str) -> i32 {
    let arguments = [arguments, &["-o", "json"]].concat();
    let told = world.gate.run(&arguments, input).unwrap();
    assert!(told.stdout.is_empty() && !told.stderr.is_empty(), "{arguments:?}: {}", told.text());
    told.status
}

fn is(told: &Value, fields: Value) {
    for (key, value) in fields.as_object().unwrap() {
        assert_eq!(told.get(key), Some(value), "{key} of {told}");
    }
}

const OWN: &str = "select ssn from customers limit 1;";
const EXPORT: &str = "copy (select email from customers order by id limit 2) to stdout;";

#[test]
fn answers_are_told_to_programs_as_one_object_with_the_request_and_how_it_stands() {
    let mut world = World::with_policy(|text| {
        let two = text.replace("count: 1 ", "count: 2 ");
        assert_ne!(two, text);
        two
    });
    let (mut dana, mut olga, mut omar) = (world.dana(), world.olga(), world.person("omar", "data-owners"));
    let mut psql = world.psql(&dana);
    psql.send(OWN).unwrap();
    let request = held(&mut psql);
    let verify = ["verify", request.as_str(), "--as", "dana"];
    assert_eq!(refused(&world, &verify, "000000\n"), 1);
    assert_eq!(refused(&world, &["verify", "0000-0000", "--as", "dana"], "000000\n"), 1);
    let verified = done(&world, &verify, &format!("{}\n", dana.code().unwrap()));
    is(&verified, json!({"done": "verify", "request": request, "state": "approved", "by": "dana"}));
    assert!(psql.finish(SOON).unwrap().is_ok());
    // It is over.
    assert_eq!(refused(&world, &verify, &format!("{}\n", dana.code().unwrap())), 1);
    // What it is remembered as is given back.
    let grant = verified["grant"].as_str().unwrap();
    let revoked = done(&world, &["grant", "revoke", grant, "--as", "dana"], "");
    is(&revoked, json!({"done": "grant revoke", "grant": grant, "state": "revoked"}));
    assert_eq!(refused(&world, &["grant", "revoke", grant, "--operator"], ""), 1);

    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let said = done(&world, &["request", "comment", &request, "ticket 4711", "--as", "olga"], "");
    is(&said, json!({"done": "request comment", "request": request, "state": "open"}));
    let answer =
        |verb, person| ["request", verb, request.as_str(), "--reason", "ticket 4711", "--as", person];
    let first = done(&world, &answer("approve", "olga"), &format!("{}\n", olga.code().unwrap()));
    is(
        &first,
        json!({"done": "request approve", "request": request, "state": "open", "approvals": 1, "needed": 2}),
    );
    let denied = done(&world, &answer("deny", "omar"), &format!("{}\n", omar.code().unwrap()));
    is(&denied, json!({"done": "request deny", "request": request, "state": "denied", "by": "omar"}));
    // What was asked is in none of them.
    assert!(!format!("{verified}{said}{first}{denied}").contains("customers"), "{verified}{denied}");
    psql.finish(SOON).unwrap();

    psql.send(OWN).unwrap();
    let request = held(&mut psql);
    let cancelled = done(&world, &["request", "cancel", &request, "--as", "dana"], "");
    is(&cancelled, json!({"done": "request cancel", "request": request, "state": "cancelled"}));
    psql.finish(SOON).unwrap();
    psql.send(OWN).unwrap();
    let request = held(&mut psql);
    let not_me = done(&world, &["request", "deny", &request, "--not-me", "--as", "dana"], "");
    is(&not_me, json!({"done": "request deny --not-me", "request": request, "state": "denied"}));

    // Nobody may break the glass here; and the gate may be away.
    assert_eq!(refused(&world, &["break-glass", "--reason", "the shop is down", "--as", "dana"], ""), 1);
    world.gate.terminate().unwrap();
    assert_eq!(refused(&world, &["request", "cancel", &request, "--as", "dana"], ""), 3);
    assert_eq!(refused(&world, &["verify", &request, "--as", "nobody"], ""), 1);
}

#[test]
fn what_operators_do_about_people_is_told_to_programs_as_one_object() {
    let world = World::new();
    let password = "a password that is long enough\n";
    let added = done(&world, &["user", "add", "eve", "--groups", "analysts,security"], password);
    is(
        &added,
        json!({"done": "user add", "name": "eve", "groups": ["analysts", "security"], "service": false}),
    );
    assert_eq!(refused(&world, &["user", "add", "eve"], password), 1);
    for (command, input) in [
        (&["user", "passwd", "eve"] as &[&str], password),
        (&["user", "groups", "eve", "analysts"], ""),
        (&["user", "cert", "eve", "Eve"], ""),
        (&["user", "rm", "eve"], ""),
    ] {
        is(&done(&world, command, input), json!({"done": command[..2].join(" "), "name": "eve"}));
    }
    assert_eq!(refused(&world, &["user", "rm", "eve"], ""), 1);

    let (_dana, mut omar) = (world.dana(), world.person("omar", "data-owners"));
    let lent = done(
        &world,
        &["user", "delegate", "omar", "--to", "dana", "--until", "14d", "--groups", "data-owners"],
        "",
    );
    is(&lent, json!({"done": "user delegate", "name": "omar", "to": "dana", "groups": ["data-owners"]}));
    let factors = crate::json(&world, &["user", "factor", "ls", "dana", "-o", "json"]);
    let id = factors[0]["id"].as_str().unwrap();
    for command in [["user", "factor", "unlock", "dana", id], ["user", "factor", "rm", "dana", id]] {
        is(&done(&world, &command, ""), json!({"done": command[..3].join(" "), "name": "dana", "id": id}));
    }
    let asked = done(&world, &["user", "factor", "reset", "dana"], "");
    is(&asked, json!({"done": "user factor reset", "name": "dana"}));
    let confirm = ["user", "factor", "confirm", "dana", "--as", "omar"];
    let confirmed = done(&world, &confirm, &format!("{}\n", omar.code().unwrap()));
    is(&confirmed, json!({"done": "user factor confirm", "name": "dana"}));
    assert_eq!(refused(&world, &confirm, &format!("{}\n", omar.code().unwrap())), 1);
    let none = "0".repeat(32);
    assert_eq!(refused(&world, &["session", "kill", &none], ""), 1);
}
