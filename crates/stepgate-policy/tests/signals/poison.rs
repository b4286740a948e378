use stepgate_policy::{Deed, MAX_PROFILE_BYTES, Reach, Signal, Verdict};

use crate::world::*;

/// What somebody who has the password is seen by.
const SEEN: [Signal; 7] = [
    Signal::NewNetwork,
    Signal::GeoChange,
    Signal::NewClient,
    Signal::NewFingerprint,
    Signal::UnusualHour,
    Signal::FirstSeenTable,
    Signal::FirstSeenLabel,
];

/// The nights of that many days.
fn nights(world: &mut World, count: i64, mut each: impl FnMut(&mut World)) {
    let start = world.now - world.now.rem_euclid(DAY) + 2 * HOUR;
    for night in 0..count {
        world.now = start + night * DAY;
        each(world);
    }
    world.now = start + count * DAY;
}

#[test]
fn thousands_of_held_and_denied_statements_teach_nothing() {
    let mut world = World::with_history();
    nights(&mut world, 30, |world| {
        let session = world.opens(&stranger());
        for _ in 0..200 {
            world.asks(session, &salaries(), None);
            world.decides(session, Verdict::Denied, &salaries());
            world.decides(session, Verdict::Unenforced, &salaries());
            world.after(MINUTE / 4);
        }
        assert!(world.fires(&stranger(), &salaries()).contains(&Signal::ManyDenials));
        world.closes(session);
    });
    let fires = world.fires(&stranger(), &salaries());
    assert!(SEEN.iter().all(|signal| fires.contains(signal)), "{fires:?}");
}

#[test]
fn sessions_by_password_alone_teach_nothing_before_they_were_undisturbed_for_long() {
    // Everything goes on, and nobody is ever asked: the policy is lax.
    let mut world = World::with_history();
    nights(&mut world, 13, |world| {
        for _ in 0..50 {
            let session = world.opens(&stranger());
            (0..100).for_each(|_| world.runs(session, &salaries(), 10_000));
            world.after(MINUTE);
            world.closes(session);
        }
    });
    let fires = world.fires(&stranger(), &salaries());
    assert!(SEEN.iter().all(|signal| fires.contains(signal)), "{fires:?}");
    // What went out in the night is no habit of theirs.
    let usual = Reach::new("shop", ["hr.salaries"], [], [], true, Some(100_000));
    world.now = MONDAY + 56 * DAY + 10 * HOUR;
    assert_eq!(world.fires(&office(), &usual), [Signal::FirstSeenTable, Signal::Volume]);
}

#[test]
fn one_disturbance_makes_a_trial_begin_anew() {
    for disturb in [
        (|world, session| {
            world.decides(session, Verdict::Held, &salaries());
        }) as fn(&mut World, stepgate_types::SessionId),
        |world, session| {
            world.decides(session, Verdict::Denied, &salaries());
        },
        |world, session| world.asks(session, &salaries(), Some(false)),
        |world, _| {
            let network = stepgate_policy::OriginKey::new([7; 32]).network(ELSEWHERE.parse().unwrap());
            world.learn(&Deed::Refused { network: Some(network), times: 1 });
        },
        |world, session| world.learn(&Deed::NotMe { session }),
    ] {
        let mut world = World::with_history();
        let mut night = 0;
        nights(&mut world, 20, |world| {
            let session = world.opens(&stranger());
            world.runs(session, &salaries(), 20);
            if night == 12 {
                disturb(world, session);
            }
            night += 1;
            world.closes(session);
        });
        assert!(world.fires(&stranger(), &salaries()).contains(&Signal::NewNetwork));
    }
}

#[test]
fn the_persons_own_days_in_between_teach_nothing_of_the_nights() {
    let mut world = World::with_history();
    for day in (42..52).filter(|day| day % 7 < 5) {
        world.now = MONDAY + day * DAY + 2 * HOUR;
        let night = world.opens(&stranger());
        world.runs(night, &salaries(), 20);
        world.closes(night);
        world.now = MONDAY + day * DAY + 8 * HOUR;
        world.works();
    }
    world.now = MONDAY + 52 * DAY + 2 * HOUR;
    let fires = world.fires(&stranger(), &salaries());
    assert!(SEEN.iter().all(|signal| fires.contains(signal)), "{fires:?}");
}

#[test]
fn an_approved_step_up_of_the_person_vouches_for_no_other_session() {
    let mut world = World::with_history();
    let night = world.opens(&stranger());
    let mine = world.opens(&office());
    world.asks(mine, &orders(), Some(true));
    world.runs(night, &salaries(), 20);
    world.after(MINUTE);
    let fires = world.fires(&stranger(), &salaries());
    for signal in SEEN.into_iter().filter(|signal| *signal != Signal::UnusualHour) {
        assert!(fires.contains(&signal), "{signal}");
    }
}

#[test]
fn what_others_approve_vouches_for_nobodys_network() {
    let mut world = World::with_history();
    let night = world.opens(&stranger());
    world.asks_others(night, &salaries(), Some(true));
    world.closes(night);
    let fires = world.fires(&stranger(), &salaries());
    for signal in SEEN.into_iter().filter(|signal| *signal != Signal::UnusualHour) {
        assert!(fires.contains(&signal), "{signal}");
    }
    // The person themselves does.
    let night = world.opens(&stranger());
    world.asks(night, &salaries(), Some(true));
    assert!(!world.fires(&stranger(), &salaries()).contains(&Signal::NewNetwork));
}

#[test]
fn not_me_takes_back_what_was_learned_of_where_that_came_from() {
    let mut world = World::with_history();
    let session = world.opens(&stranger());
    // The person is fooled once, and notices.
    world.asks(session, &orders(), Some(true));
    assert!(!world.fires(&stranger(), &orders()).contains(&Signal::NewNetwork));
    world.learn(&Deed::NotMe { session });
    let fires = world.fires(&stranger(), &orders());
    assert!(fires.contains(&Signal::NewNetwork) && fires.contains(&Signal::NewFingerprint), "{fires:?}");
    world.runs(session, &salaries(), 20);
    assert!(world.fires(&office(), &salaries()).contains(&Signal::FirstSeenTable));
}

#[test]
fn crowds_of_sessions_networks_and_requests_push_out_nothing_that_is_known_and_stay_in_bounds() {
    let mut world = World::with_history();
    let mine = world.opens(&office());
    for number in 0..5_000_u32 {
        let [_, _, a, b] = number.to_be_bytes();
        let from =
            client(&format!("10.{a}.{b}.1"), &format!("x{}", char::from_u32(0x4e00 + number).unwrap()));
        let session = world.opens(&from);
        let reach = Reach::new(
            "shop",
            [format!("x.t{number}").as_str()],
            [format!("l{number}").as_str()],
            ["c"],
            true,
            None,
        );
        (0..3).for_each(|_| {
            world.decides(session, Verdict::Forwarded, &reach);
        });
        world.decides(session, Verdict::Denied, &reach);
        world.learn(&Deed::FactorFailed);
        world.learn(&Deed::Refused { network: Some(number.into()), times: 1 });
        world.learn(&Deed::Showed { subjects: &[number.wrapping_mul(0x9E37_79B9)] });
        world.after(1);
    }
    world.now += 2 * HOUR;
    // The person's own session is among those that are looked after still.
    world.runs(mine, &salaries(), 20);
    assert_eq!(world.fires(&office(), &salaries()), []);
    assert!(world.profile.bytes() < MAX_PROFILE_BYTES, "{}", world.profile.bytes());
    let json = serde_json::to_vec(&world.profile).unwrap();
    assert!(json.len() < 4 * MAX_PROFILE_BYTES, "{}", json.len());
    assert_eq!(serde_json::from_slice::<stepgate_policy::Profile>(&json).unwrap(), world.profile);
}

#[test]
fn somebody_who_touches_everything_stays_in_bounds() {
    let mut world = World::new();
    for number in 0..20_000_u32 {
        let session = world.opens(&client(&format!("10.{}.{}.1", number / 250 % 250, number % 250), "psql"));
        let class = format!("c{}", number % 20);
        let reach = Reach::new(
            "shop",
            [format!("x.t{number}").as_str()],
            [format!("l{number}").as_str()],
            [class.as_str()],
            true,
            Some(number.into()),
        );
        world.runs(session, &reach, number.into());
        world.learn(&Deed::Showed { subjects: &[number.wrapping_mul(0x9E37_79B9)] });
        world.after(20);
    }
    assert!(world.profile.bytes() < MAX_PROFILE_BYTES, "{}", world.profile.bytes());
}

#[test]
fn no_signal_says_anything_that_names_anybody() {
    let mut world = World::with_history();
    let session = world.opens(&stranger());
    world.runs(session, &salaries(), 20);
    for seen in world.sees(session, &stranger(), "exfiltrate", &salaries()) {
        for text in [&seen.bucket, &seen.threshold] {
            let lower = text.to_lowercase();
            for word in ["198.51", "exfil", "salar", "hr.", "au", "sydney"] {
                assert!(!lower.contains(word), "{}: {text}", seen.signal);
            }
        }
    }
    // Nor does the profile itself.
    let json = serde_json::to_string(&world.profile).unwrap();
    assert!(!json.contains("198.51") && !json.contains("exfil") && !json.contains("salar"));
}
