//! What is seen before the log has been read.

use stepgate_policy::{Observation, Origin, Reach, Scene, Signal, observe_unread};
use stepgate_types::Timestamp;

use crate::settings::settings;
use crate::world::*;

fn unread(world: &World, origin: &Origin, client: &str, reach: &Reach) -> Vec<Observation> {
    let now = Timestamp::from_micros(world.now * 1_000_000);
    let scene = Scene { session: session(1), origin, client, service: world.service, now };
    observe_unread(&world.settings, &scene, reach).iter().cloned().collect()
}

fn firing(seen: &[Observation]) -> Vec<Signal> {
    seen.iter().filter(|seen| seen.fires).map(|seen| seen.signal).collect()
}

#[test]
fn what_takes_a_profile_to_tell_fires_as_unknown() {
    let world = World::new();
    let seen = unread(&world, &office(), "psql", &orders());
    let all = Signal::ALL.into_iter().filter(|signal| *signal != Signal::InteractiveService);
    assert_eq!(firing(&seen), all.collect::<Vec<_>>());
    assert!(seen.iter().all(|it| !it.fires || it.bucket == "unknown"), "{seen:?}");
    assert_eq!(seen.len(), Signal::ALL.len(), "a replay is told of each");
}

#[test]
fn what_the_present_says_alone_is_seen_as_ever() {
    let mut world = World::new();
    world.service = true;
    let bare = Origin::new(&stepgate_policy::OriginKey::new([7; 32]), OFFICE.parse().ok(), None);
    let nothing = Reach::new("shop", [""; 0], [""; 0], [""; 0], true, Some(1));
    let seen = unread(&world, &bare, "psql", &nothing);
    let quiet: Vec<_> = seen.iter().filter(|seen| !seen.fires).map(|seen| seen.signal).collect();
    assert_eq!(
        quiet,
        [
            Signal::GeoChange,
            Signal::ImpossibleTravel,
            Signal::NewFingerprint,
            Signal::FirstSeenTable,
            Signal::FirstSeenLabel,
            Signal::FarSessions,
        ],
        "nothing that could be new, and no place"
    );
    // Monday, 00:00.
    world.settings = settings("unusual_hour: {outside: \"07:00-20:00\", tz: UTC}", "unusual_hour");
    assert_eq!(
        unread(&world, &office(), "psql", &orders()),
        world.sees(session(1), &office(), "psql", &orders())
    );
    world.now += 12 * HOUR;
    assert_eq!(firing(&unread(&world, &office(), "psql", &orders())), []);
    world.settings =
        settings("unusual_hour: {outside: \"07:00-20:00\", tz: UTC, learned: true}", "unusual_hour");
    assert_eq!(firing(&unread(&world, &office(), "psql", &orders())), [Signal::UnusualHour]);
}
