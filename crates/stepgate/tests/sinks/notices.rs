//! Notices of a real gate, at a webhook, a room as Slack's are, and a mail server: what they say can be done, and names
//! nobody.

use crate::rooms::Rooms;
use crate::support::{SOON, World, held};

const EXPORT: &str = "copy (select email from customers order by id limit 2) to stdout;";

/// Nothing of a statement, and nobody's name.
const NOTHING_OF: [&str; 5] = ["dana", "olga", "customers", "email from", "ticket 4711"];

#[test]
fn a_hold_its_escalation_its_end_and_an_alarm_reach_a_webhook_a_chat_and_a_mailbox() {
    let mut world = World::not_serving(|policy| {
        let changed = policy.replace(
            "    reason: required ",
            "    escalate: {after: 2s, to: [security]}\n    reason: required ",
        );
        assert_ne!(changed, policy);
        changed
    });
    let Some(mut rooms) = Rooms::open(&world) else { return };
    world.gate.serve().unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    // People that were added are told of, too.
    let mut next = |what: &str| loop {
        let told = rooms.next();
        if told.hook["event"] != "changed" {
            told.says(what, &NOTHING_OF);
            return told;
        }
    };
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let opened = next(&format!("request {request} waits for data-owners"));
    assert_eq!(opened.hook["url"], format!("{}/r/{request}", world.gate.url()));
    // Who reads it there can do what it says.
    let mut show = opened.command();
    show.extend(["--as".to_owned(), "olga".to_owned()]);
    assert!(world.gate.run(&show, "").unwrap().ok().unwrap().contains("select email"), "{show:?}");
    let escalated = next(&format!("request {request} still waits, and now for security too"));
    assert_eq!(escalated.hook["event"], "request.escalated");
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    next(&format!("request {request} was approved"));
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert!(reply.text().contains(&format!("{request}: approved by olga, resuming")), "{}", reply.text());

    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    next(&format!("request {request} waits for data-owners"));
    let disown = ["request", "deny", &request, "--not-me", "--as", "dana"];
    world.gate.run(disown, "").unwrap().ok().unwrap();
    next(&format!("request {request} was denied"));
    let alarm = next("Stepgate alarm: not-me");
    let found = world.gate.run(alarm.command(), "").unwrap().ok().unwrap();
    assert!(found.contains("alarm.raised"), "{found}");
}
