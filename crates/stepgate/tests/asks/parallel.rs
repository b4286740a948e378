//! One code, and many who come with it at the same moment.

use std::collections::BTreeMap;
use std::sync::Barrier;

use serde_json::json;
use stepgate_testkit::{Person, Psql};

use crate::recorded;
use crate::support::approver::Caller;
use crate::support::{SOON, World, held};

/// Who comes with the code, for each of the requests that wait. With all of them no more codes are refused in a row than
/// cost nothing: each is looked at.
const CALLERS: usize = 2;

/// Tables of which a look at one says nothing of the others.
const SQL: [&str; 3] = [
    "select ssn from customers where id = 1;",
    "select iban from payments where id = 1;",
    "select salary from hr.employees where id = 1;",
];

/// Statements that wait, each in a session of its own, by their requests.
fn waiting(world: &World, dana: &Person, statements: &[&str]) -> BTreeMap<String, Psql> {
    let wait = |sql: &&str| {
        let mut psql = world.psql(dana);
        psql.send(sql).unwrap();
        (held(&mut psql), psql)
    };
    statements.iter().map(wait).collect()
}

/// What each caller is told who comes with that code, all at the same moment, over connections of their own.
fn at_once(world: &World, dana: &Person, requests: &[String], code: &str) -> Vec<(u16, String)> {
    let login = Caller::of(world, dana);
    let barrier = Barrier::new(requests.len() * CALLERS);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..CALLERS)
            .flat_map(|_| requests)
            .map(|request| {
                let (caller, barrier) = (login.besides(world), &barrier);
                scope.spawn(move || {
                    // The connection is there before: what is raced for is the code.
                    caller.get("me");
                    barrier.wait();
                    let answer =
                        caller.try_post(&format!("requests/{request}/verify"), &json!({"code": code}));
                    let (status, answer) = answer.unwrap();
                    (status, answer["error"].as_str().unwrap_or_default().to_owned())
                })
            })
            .collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn one_code_that_many_present_at_once_for_several_requests_lets_one_of_them_run_and_none_after_a_restart() {
    let mut world = World::new();
    let mut dana = world.dana();
    let replayed = |(status, error): &(u16, String)| (*status, error.as_str()) == (401, "code_replayed");
    let mut spent = String::new();
    for statements in [&SQL[..], &SQL[..2]] {
        let mut waits = waiting(&world, &dana, statements);
        let requests: Vec<_> = waits.keys().cloned().collect();
        spent = dana.code().unwrap();
        let mut answers = at_once(&world, &dana, &requests, &spent);
        let all = answers.len();
        answers.retain(|(status, _)| *status != 200);
        assert_eq!(answers.len(), all - 1, "{answers:?}");
        let ended = |request: &&String| recorded(&world, "stepup.ended", request) == 1;
        let ended: Vec<_> = requests.iter().filter(ended).cloned().collect();
        assert_eq!(ended.len(), 1, "{ended:?}");
        let reply = waits.remove(&ended[0]).unwrap().finish(SOON).unwrap();
        assert!(reply.is_ok(), "{}", reply.text());
        // Of the others, none was sent away unheard: the code was spent, or their request had ended by it.
        answers.retain(|(_, error)| error != "ended");
        assert!(!answers.is_empty() && answers.iter().all(replayed), "{answers:?}");
        // The others wait on.
        for (request, psql) in &mut waits {
            world.gate.run(["request", "cancel", request, "--as", "dana"], "").unwrap().ok().unwrap();
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.sqlstate == "57014" && !reply.text().contains("(1 row)"), "{}", reply.text());
        }
        give_back(&world);
    }
    world.gate.kill();
    world.gate.serve().unwrap();
    let waits = waiting(&world, &dana, &SQL[..1]);
    let requests: Vec<_> = waits.keys().cloned().collect();
    let answers = at_once(&world, &dana, &requests, &spent);
    assert!(answers.iter().all(replayed), "{answers:?}");
    assert_eq!(recorded(&world, "stepup.ended", &requests[0]), 0);
}

/// What is remembered of an approval is not to let the next round through.
fn give_back(world: &World) {
    let grants = crate::json(world, &["grant", "ls", "--as", "dana", "-o", "json"]);
    for grant in grants.as_array().unwrap() {
        let grant = grant["grant"].as_str().unwrap();
        world.gate.run(["grant", "revoke", grant, "--as", "dana"], "").unwrap().ok().unwrap();
    }
}
