//! Times of day.

use std::time::{Duration, SystemTime};

use stepgate_testkit::until;

use crate::history::{DANA, Habit};
use crate::support::{SOON, World, held};
use crate::{decided, fires, policy, risky, risky_with, silent, world};

const ORDERS: &str = "select status from orders where id = 1;";

/// Seconds of the day, in UTC.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % 86_400
}

/// From so many minutes after this one to so many, in UTC.
pub(crate) fn window(from: i64, to: i64) -> String {
    let minute = i64::try_from(now() / 60).unwrap();
    let at = |offset: i64| {
        let minute = (minute + offset).rem_euclid(1_440);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    format!("{}-{}", at(from), at(to))
}

#[test]
fn a_statement_outside_working_hours_asks() {
    let world = world(&format!("{{time: {{outside: \"{}\", tz: UTC}}}}", window(120, 240)));
    let dana = world.dana();
    fires(&world, &mut world.psql(&dana), &dana, "", ORDERS);
}

#[test]
fn a_statement_within_working_hours_is_silent() {
    let world = world(&format!("{{time: {{outside: \"{}\", tz: UTC}}}}", window(-120, 120)));
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

#[test]
fn an_hour_outside_the_schedule_is_unusual() {
    let world =
        risky("unusual_hour", &format!("unusual_hour: {{outside: \"{}\", tz: UTC}}", window(120, 240)));
    let dana = world.dana();
    fires(&world, &mut world.psql(&dana), &dana, "unusual_hour", ORDERS);
}

#[test]
fn an_hour_of_the_schedule_is_silent() {
    let world =
        risky("unusual_hour", &format!("unusual_hour: {{outside: \"{}\", tz: UTC}}", window(-120, 120)));
    let dana = world.dana();
    silent(&world, &mut world.psql(&dana), ORDERS);
}

/// Dana works ten hours later each day, Olga at this time of day. One night of Dana's makes no habit of it.
fn by_habit() -> World {
    let dana = Habit { later: 10, ..DANA };
    let a_night = Habit { days: 1, ended: 5, ..DANA };
    let olga = Habit { person: "olga", ..DANA };
    risky_with("unusual_hour", "", &[dana, a_night, olga], "")
}

#[test]
fn an_hour_at_which_somebody_has_hardly_ever_worked_is_unusual_for_them_whoever_else_works_then() {
    let world = by_habit();
    let dana = world.dana();
    fires(&world, &mut world.psql(&dana), &dana, "unusual_hour", ORDERS);
    // As it was learnt: without a schedule, from what the log tells of Dana alone.
    let hours = &decided(&world, "hold")["signals"][0];
    assert!(hours["bucket"].as_str().unwrap().ends_with(" days"), "{hours}");
    // What was held there teaches nothing.
    fires(&world, &mut world.psql(&dana), &dana, "unusual_hour", ORDERS);
}

#[test]
fn the_hour_at_which_somebody_works_every_day_is_silent_for_them() {
    let world = by_habit();
    let olga = world.person("olga", "analysts");
    silent(&world, &mut world.psql(&olga), ORDERS);
    let hours = &decided(&world, "forward")["signals"][0];
    assert!(hours["name"] == "unusual_hour" && hours["bucket"].as_str().unwrap().contains(" of "), "{hours}");
}

/// What was decided before the window closed does not hold afterwards: neither what passed so often that it is known,
/// nor what was held and is approved only then.
#[test]
fn a_window_that_closes_closes_for_what_is_known_and_for_what_waits() {
    // Not in the last half minute of one.
    until("a minute with some time left", Duration::from_secs(40), || now() % 60 < 30).unwrap();
    let open = window(-120, 1);
    let closes = (now() / 60 + 1) * 60 % 86_400;
    let rules = format!(
        "  - {{name: closed, match: {{time: {{outside: \"{open}\", tz: UTC}}}}, action: deny}}\n  \
         - {{name: restricted, match: {{class: restricted}}, action: step-up, approval: self}}"
    );
    let world = World::with_policy(|_| policy("", &rules));
    let mut dana = world.dana();
    let (mut known, mut waiting) = (world.psql(&dana), world.psql(&dana));
    for _ in 0..5 {
        silent(&world, &mut known, ORDERS);
    }
    waiting.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut waiting);
    assert!(now() < closes || closes == 0, "this machine is too slow for this test");
    until("the window to close", Duration::from_secs(70), || now() >= closes && now() < closes + 600)
        .unwrap();
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = waiting.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "42501", "{}", reply.text());
    assert!(!reply.text().contains("901-00-"), "{}", reply.text());
    assert_eq!(decided(&world, "deny")["rules"], serde_json::json!(["closed", "restricted"]));
    assert_eq!(known.run(ORDERS).unwrap().sqlstate, "42501");
}
