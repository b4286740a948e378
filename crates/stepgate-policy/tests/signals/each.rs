use stepgate_policy::{Counted, Deed, Origin, Reach, Signal, VelocityLimit, Verdict};

use crate::settings::settings;
use crate::world::*;

#[test]
fn ordinary_work_gives_no_signal_at_all() {
    let mut world = World::with_history();
    let session = world.opens(&office());
    for _ in 0..5 {
        assert_eq!(world.fires(&office(), &orders()), []);
        world.runs(session, &orders(), 20);
        world.after(MINUTE);
    }
    // Neither does anything for somebody of whom nothing is known.
    let mut new = World::new();
    assert_eq!(new.fires(&stranger(), &salaries()), []);
    new.opens(&stranger());
    assert_eq!(new.fires(&stranger(), &salaries()), []);
    assert_eq!(new.bucket(&office(), &orders(), Signal::NewNetwork), "learning");
}

#[test]
fn ordinary_work_gives_no_signal_for_a_year() {
    let mut world = World::new();
    for day in (0..365).filter(|day| day % 7 < 5) {
        world.now = MONDAY + day * DAY + 8 * HOUR;
        assert_eq!(world.fires(&office(), &orders()), [], "day {day}");
        world.works();
    }
}

#[test]
fn a_network_is_new_until_the_person_is_known_to_use_it() {
    let mut world = World::with_history();
    let cafe = origin("203.0.113.77", berlin());
    assert_eq!(world.fires(&cafe, &orders()), [Signal::NewNetwork]);
    assert_eq!(world.bucket(&cafe, &orders(), Signal::NewNetwork), "new");
    // Another address of the office's network is none.
    assert_eq!(world.fires(&origin("192.0.2.200", berlin()), &orders()), []);
    assert_eq!(world.fires(&origin("::ffff:192.0.2.201", berlin()), &orders()), []);
    // An approved step-up teaches.
    let session = world.opens(&cafe);
    world.asks(session, &orders(), Some(true));
    assert_eq!(world.fires(&cafe, &orders()), []);
}

#[test]
fn a_network_that_is_used_undisturbed_for_long_enough_is_known() {
    let mut world = World::with_history();
    let home = origin("203.0.113.77", berlin());
    for day in 0..=14 {
        world.now = MONDAY + (42 + day) * DAY + 10 * HOUR;
        assert!(world.fires(&home, &orders()).contains(&Signal::NewNetwork), "day {day}");
        let session = world.opens(&home);
        world.runs(session, &orders(), 20);
        world.closes(session);
    }
    assert!(!world.fires(&home, &orders()).contains(&Signal::NewNetwork));
    // Where only step-ups teach, it is not.
    let mut strict = World::with_history();
    strict.teaching.probation = None;
    for day in 0..=60 {
        strict.now = MONDAY + (42 + day) * DAY + 10 * HOUR;
        let session = strict.opens(&home);
        strict.runs(session, &orders(), 20);
        strict.closes(session);
    }
    assert!(strict.fires(&home, &orders()).contains(&Signal::NewNetwork));
}

#[test]
fn another_country_and_a_journey_that_nobody_makes_are_seen() {
    let mut world = World::with_history();
    let session = world.opens(&office());
    world.runs(session, &orders(), 20);
    world.closes(session);
    world.after(2 * HOUR);
    let away = origin(OFFICE, sydney());
    assert_eq!(world.fires(&away, &orders()), [Signal::GeoChange, Signal::ImpossibleTravel]);
    assert_eq!(world.bucket(&away, &orders(), Signal::ImpossibleTravel), "8x");
    // A day later one may be there.
    world.after(22 * HOUR);
    assert_eq!(world.fires(&away, &orders()), [Signal::GeoChange]);
    // Nobody knows where it is.
    assert_eq!(world.fires(&origin(OFFICE, None), &orders()), []);
    // The next town is no journey.
    let near = origin(OFFICE, stepgate_policy::Place::new(*b"DE", 52.0, 13.0));
    world.runs(session, &orders(), 20);
    assert_eq!(world.fires(&near, &orders()), []);
}

#[test]
fn a_client_and_a_fingerprint_are_new_until_they_are_known() {
    let mut world = World::with_history();
    let tool = client(OFFICE, "DBeaver 24.1");
    assert_eq!(world.fires(&tool, &orders()), [Signal::NewClient]);
    let driver = office().fingerprints(Some("00000000000000cc"), Some("00000000000000bb"));
    assert_eq!(world.fires(&driver, &orders()), [Signal::NewFingerprint]);
    let library = office().fingerprints(Some("00000000000000aa"), Some("00000000000000dd"));
    assert_eq!(world.fires(&library, &orders()), [Signal::NewFingerprint]);
    // Without TLS there is no hello.
    assert_eq!(world.fires(&office().fingerprints(Some("00000000000000aa"), None), &orders()), []);
    let session = world.opens(&tool);
    world.asks(session, &orders(), Some(true));
    assert_eq!(world.fires(&client(OFFICE, "DBeaver 25.0"), &orders()), []);
}

#[test]
fn an_hour_at_which_the_person_never_works_is_unusual() {
    let mut world = World::with_history();
    world.now = MONDAY + 43 * DAY + 3 * HOUR;
    assert_eq!(world.fires(&office(), &orders()), [Signal::UnusualHour]);
    assert!(world.bucket(&office(), &orders(), Signal::UnusualHour).starts_with("0 of "));
    // So is a Saturday.
    world.now = MONDAY + 47 * DAY + 10 * HOUR;
    assert_eq!(world.fires(&office(), &orders()), [Signal::UnusualHour]);
}

#[test]
fn an_hour_outside_of_the_schedule_is_unusual_whatever_is_known() {
    let mut world = World::new();
    world.settings = settings(
        "unusual_hour: {outside: \"07:00-20:00\", days: [mon-fri], tz: Europe/Berlin}",
        "unusual_hour",
    );
    // 05:30 UTC is 06:30 in Berlin.
    world.now = MONDAY + 5 * HOUR + 30 * MINUTE;
    assert_eq!(world.fires(&office(), &orders()), [Signal::UnusualHour]);
    world.after(HOUR);
    assert_eq!(world.fires(&office(), &orders()), []);
    world.after(5 * DAY);
    assert_eq!(world.fires(&office(), &orders()), [Signal::UnusualHour]);
}

#[test]
fn velocity_counts_statements_rows_bytes_and_subjects_by_class_and_window() {
    let mut world = World::with_history();
    world.settings.velocity = vec![
        VelocityLimit::new(Counted::Rows, Some(&["restricted"]), 500, minutes(60)),
        VelocityLimit::new(Counted::Rows, None, 5_000, minutes(60)),
        VelocityLimit::new(Counted::Statements, None, 300, minutes(10)),
        VelocityLimit::new(Counted::Bytes, None, 1 << 20, minutes(24 * 60)),
        VelocityLimit::new(Counted::Subjects, None, 200, minutes(60)),
    ];
    let fires = |world: &mut World| world.fires(&office(), &orders()).contains(&Signal::Velocity);
    let session = world.opens(&office());
    world.runs(session, &salaries(), 499);
    world.runs(session, &orders(), 600);
    assert!(!fires(&mut world));
    world.runs(session, &salaries(), 1);
    assert!(fires(&mut world));
    assert_eq!(world.bucket(&office(), &orders(), Signal::Velocity), "1x");
    let seen = world.sees(session, &office(), "psql", &orders());
    let seen = seen.iter().find(|seen| seen.signal == Signal::Velocity).unwrap();
    assert_eq!(seen.threshold, "500 restricted rows per 1h");
    // It is over when the window is.
    world.after(62 * MINUTE);
    assert!(!fires(&mut world));
    // Statements, in all sessions together, a minute each two hundred.
    for minute in 0..2 {
        for _ in 0..100 {
            let other = world.opens(&office());
            world.runs(other, &Reach::default(), 0);
            world.closes(other);
        }
        assert!(!fires(&mut world), "{minute}");
        world.after(MINUTE);
    }
    (0..100).for_each(|_| world.runs(session, &Reach::default(), 0));
    assert!(fires(&mut world));
    world.after(12 * MINUTE);
    assert!(!fires(&mut world));
    // Subjects, each once.
    let some: Vec<u32> = (0..199).map(|number| number * 7_919).collect();
    (0..50).for_each(|_| world.learn(&Deed::Showed { subjects: &some }));
    assert!(!fires(&mut world));
    world.learn(&Deed::Showed { subjects: &[u32::MAX] });
    assert!(fires(&mut world));
    world.after(2 * HOUR);
    assert!(!fires(&mut world));
    // Bytes of the whole day.
    world.runs(session, &orders(), 11_000);
    assert!(fires(&mut world));
    world.after(HOUR + 2 * MINUTE);
    assert!(fires(&mut world), "rows do not any more, and bytes do");
}

#[test]
fn what_an_unknown_statement_returns_counts_for_every_class() {
    let mut world = World::with_history();
    world.settings.velocity =
        vec![VelocityLimit::new(Counted::Rows, Some(&["restricted"]), 500, minutes(60))];
    let session = world.opens(&office());
    world.runs(session, &Reach::new("shop", [], [], [], false, None), 500);
    assert!(world.fires(&office(), &orders()).contains(&Signal::Velocity));
}

#[test]
fn velocity_of_a_class_is_that_of_those_above_it_as_well() {
    let mut world = World::with_history();
    world.settings = settings("velocity: {confidential_rows: 500, per: 1h}", "velocity");
    let session = world.opens(&office());
    world.runs(session, &salaries(), 300);
    assert_eq!(world.fires(&office(), &orders()), []);
    world.runs(session, &orders(), 200);
    assert_eq!(world.fires(&office(), &orders()), [Signal::Velocity]);
}

#[test]
fn a_table_and_a_label_are_seen_for_the_first_time_once() {
    let mut world = World::with_history();
    assert_eq!(world.fires(&office(), &salaries()), [Signal::FirstSeenTable, Signal::FirstSeenLabel]);
    let both =
        Reach::new("shop", ["public.orders", "hr.salaries"], ["email"], ["confidential"], true, Some(50));
    assert_eq!(world.bucket(&office(), &both, Signal::FirstSeenTable), "1 of 2");
    // The same name in another database is another table.
    let other = Reach::new("crm", ["public.orders"], ["email"], ["confidential"], true, Some(50));
    assert_eq!(world.fires(&office(), &other), [Signal::FirstSeenTable]);
    let session = world.opens(&office());
    world.runs(session, &salaries(), 20);
    assert_eq!(world.fires(&office(), &salaries()), []);
    // Half a year later it is forgotten, if it was never touched again.
    world.after(180 * DAY);
    assert!(world.fires(&office(), &salaries()).contains(&Signal::FirstSeenTable));
}

#[test]
fn much_more_than_the_person_reads_in_an_hour_is_seen_before_and_after() {
    let mut world = World::with_history();
    let session = world.opens(&office());
    // An hour of theirs has 100 rows; the least that counts is 1,000.
    world.runs(session, &orders(), 900);
    assert_eq!(world.fires(&office(), &orders()), []);
    world.runs(session, &orders(), 1_000);
    assert_eq!(world.fires(&office(), &orders()), [Signal::Volume]);
    assert_eq!(world.bucket(&office(), &orders(), Signal::Volume), "8x");
    world.after(2 * HOUR);
    assert_eq!(world.fires(&office(), &orders()), []);
    // A statement that is about to return as much.
    let export = Reach::new("shop", ["public.orders"], ["email"], ["confidential"], true, Some(1_000_000));
    assert_eq!(world.fires(&office(), &export), [Signal::Volume]);
    // For somebody who exports every day it is ordinary.
    let mut exporter = World::new();
    for day in 0..30 {
        exporter.now = MONDAY + day * DAY + 10 * HOUR;
        let session = exporter.opens(&office());
        exporter.runs(session, &export, 1_000_000);
        exporter.closes(session);
    }
    exporter.after(DAY);
    let session = exporter.opens(&office());
    exporter.runs(session, &export, 1_000_000);
    assert_eq!(exporter.fires(&office(), &export), []);
}

#[test]
fn an_upper_bound_leaves_it_open_whether_it_is_much_and_any_number_is() {
    let mut world = World::with_history();
    let many = || Reach::new("shop", ["public.orders"], ["email"], ["confidential"], true, Some(1_000_000));
    let session = world.opens(&office());
    let seen = |world: &World, reach: &Reach| {
        let seen = world.sees(session, &office(), "psql", reach);
        seen.into_iter().find(|seen| seen.signal == Signal::Volume).unwrap()
    };
    let open = seen(&world, &many().at_most());
    assert!(open.fires && open.at_most && open.bucket.starts_with("at most "), "{open:?}");
    let sure = seen(&world, &many());
    assert!(sure.fires && !sure.at_most && !sure.bucket.contains("most"), "{sure:?}");
    // A bound that is no more than usual is not worth a question.
    let few = seen(&world, &orders().at_most());
    assert!(!few.fires && !few.at_most, "{few:?}");
    // Nobody can tell how many rows: that is any number, for somebody of whose statements it is known as a rule.
    let unknown = || Reach::new("shop", ["public.orders"], ["email"], ["confidential"], true, None);
    let any = seen(&world, &unknown().at_most());
    assert_eq!((any.fires, any.at_most, any.bucket.as_str()), (true, false, "unknown"));
    let mut without_statistics = World::new();
    for day in 0..30 {
        without_statistics.now = MONDAY + day * DAY + 10 * HOUR;
        let session = without_statistics.opens(&office());
        without_statistics.runs(session, &unknown(), 20);
        without_statistics.closes(session);
    }
    without_statistics.after(DAY);
    assert_eq!(without_statistics.fires(&office(), &unknown()), []);
    // What has gone out needs no bound.
    world.runs(session, &orders(), 10_000);
    let went = seen(&world, &many().at_most());
    assert!(went.fires && !went.at_most, "{went:?}");
}

#[test]
fn an_account_that_was_not_used_for_long_is_dormant_until_a_step_up_or_a_week_of_use() {
    let mut world = World::with_history();
    world.after(27 * DAY);
    assert!(!world.fires(&office(), &orders()).contains(&Signal::DormantAccount));
    world.after(12 * DAY);
    assert!(world.fires(&office(), &orders()).contains(&Signal::DormantAccount));
    assert_eq!(world.bucket(&office(), &orders(), Signal::DormantAccount), "40 days");
    let mut week = World::with_history();
    week.after(41 * DAY);
    let session = world.opens(&office());
    world.runs(session, &orders(), 20);
    assert!(
        world.fires(&office(), &orders()).contains(&Signal::DormantAccount),
        "one statement wakes nobody up"
    );
    world.asks(session, &orders(), Some(true));
    assert_eq!(world.fires(&office(), &orders()), []);
    for day in 0..=7 {
        assert!(week.fires(&office(), &orders()).contains(&Signal::DormantAccount), "day {day}");
        let session = week.opens(&office());
        week.runs(session, &orders(), 20);
        week.closes(session);
        week.after(DAY);
    }
    assert!(!week.fires(&office(), &orders()).contains(&Signal::DormantAccount));
}

#[test]
fn failed_factors_and_guessed_passwords_are_remembered_for_a_while() {
    let mut world = World::with_history();
    (0..2).for_each(|_| world.learn(&Deed::FactorFailed));
    assert_eq!(world.fires(&office(), &orders()), []);
    world.learn(&Deed::FactorFailed);
    assert_eq!(world.fires(&office(), &orders()), [Signal::FailedFactors]);
    world.after(HOUR + MINUTE);
    assert_eq!(world.fires(&office(), &orders()), []);
    // A password that was guessed: three failed from where the session comes from.
    let network = stepgate_policy::OriginKey::new([7; 32]).network(ELSEWHERE.parse().unwrap());
    world.learn(&Deed::Refused { network: Some(network), times: 3 });
    assert!(world.fires(&origin(ELSEWHERE, berlin()), &orders()).contains(&Signal::FailedFactors));
    // Who fails elsewhere makes nobody else suspicious.
    assert_eq!(world.fires(&office(), &orders()), []);
}

#[test]
fn a_factor_is_new_for_a_day() {
    let mut world = World::with_history();
    world.learn(&Deed::FactorChanged);
    assert_eq!(world.fires(&office(), &orders()), [Signal::NewFactor]);
    world.after(DAY);
    assert_eq!(world.fires(&office(), &orders()), []);
}

#[test]
fn many_denials_are_seen_and_forgotten() {
    let mut world = World::with_history();
    let session = world.opens(&office());
    world.decides(session, Verdict::Denied, &salaries());
    world.asks(session, &salaries(), Some(false));
    assert_eq!(world.fires(&office(), &orders()), []);
    world.decides(session, Verdict::Denied, &salaries());
    assert_eq!(world.fires(&office(), &orders()), [Signal::ManyDenials]);
    assert_eq!(world.bucket(&office(), &orders(), Signal::ManyDenials), "3");
    world.after(HOUR + MINUTE);
    assert_eq!(world.fires(&office(), &orders()), []);
}

#[test]
fn sessions_from_far_away_are_seen_while_both_are_open() {
    let mut world = World::with_history();
    let here = world.opens(&office());
    let seen = |world: &World, session, origin: &Origin| {
        let seen = world.sees(session, origin, "psql", &orders());
        seen.iter().any(|seen| seen.signal == Signal::FarSessions && seen.fires)
    };
    assert!(!seen(&world, here, &office()));
    let there = world.opens(&origin(OFFICE, sydney()));
    assert!(seen(&world, here, &office()) && seen(&world, there, &origin(OFFICE, sydney())));
    // One whose place nobody knows is nowhere.
    assert!(!seen(&world, here, &origin(OFFICE, None)));
    world.closes(there);
    assert!(!seen(&world, here, &office()));
    world.opens(&origin(OFFICE, sydney()));
    world.learn(&Deed::Restarted);
    assert!(!seen(&world, here, &office()));
}

#[test]
fn a_service_with_a_client_that_people_type_into_is_seen() {
    let mut world = World::with_history();
    let fires = |world: &World, client: &str| {
        let seen = world.sees(session(1), &office(), client, &orders());
        seen.iter().any(|seen| seen.signal == Signal::InteractiveService && seen.fires)
    };
    assert!(!fires(&world, "psql"));
    world.service = true;
    assert!(fires(&world, "psql") && fires(&world, "PSQL") && fires(&world, "DBeaver 24.1 - Main"));
    assert!(!fires(&world, "etl") && !fires(&world, "psqlx") && !fires(&world, ""));
}

#[test]
fn a_signal_without_weight_is_not_looked_for() {
    let mut world = World::with_history();
    Signal::ALL.into_iter().for_each(|signal| world.settings.weigh(signal, 0));
    world.settings.weigh(Signal::NewNetwork, 30);
    let seen = world.sees(session(1), &stranger(), "psql", &salaries());
    assert_eq!(seen.iter().map(|seen| seen.signal).collect::<Vec<_>>(), [Signal::NewNetwork]);
}
