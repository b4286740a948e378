//! Floods of failed logins.

use crate::support::{World, said};

#[test]
fn a_flood_of_failed_logins_is_counted_in_few_records_and_none_is_lost() {
    let mut world = World::new();
    let dana = world.dana();
    for _ in 0..35 {
        let mut command = world.gate.psql_command(&dana);
        let (is_in, text) = said(command.env("PGPASSWORD", "guess").args(["-X", "-c", "select 1"]));
        assert!(!is_in && text.contains("password authentication failed"), "{text}");
    }
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let failed: Vec<_> =
        world.records().into_iter().filter(|it| it["type"] == "session.auth_failed").collect();
    let stand_for: u64 = failed.iter().map(|it| 1 + it["more"].as_u64().unwrap_or(0)).sum();
    // A minute may have begun anew meanwhile.
    assert!((11..=22).contains(&failed.len()), "{}", failed.len());
    assert_eq!(stand_for, 35);
    assert!(failed.iter().all(|it| it["person"] == "dana" && it["address"] == "127.0.0.1"));
}
