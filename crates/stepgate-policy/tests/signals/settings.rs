use std::time::Duration;

use stepgate_policy::{Counted, Errors, RiskSettings, Ruleset, Signal, Teaching};

fn load(line: &str, signal: &str) -> Result<RiskSettings, Errors> {
    let map = "version: 1\nclasses: {internal: 1, confidential: 2, restricted: 3}\nlabels: {ssn: {class: restricted}}\n";
    let policy = format!(
        "version: 1\napprovals: {{self: {{self: true}}}}\nrisk:\n  signals: {{{signal}: 10}}\n  {line}\n"
    );
    Ruleset::load(("map", map), ("policy", &policy)).map(|rules| rules.risk().unwrap().clone())
}

/// The settings of a policy with this line under `risk`, and a weight for one signal.
pub(crate) fn settings(line: &str, signal: &str) -> RiskSettings {
    load(line, signal).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn how_profiles_learn_is_said_by_the_policy() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(settings("", "new_network").teaching, Teaching::default());
    let two = settings("learning: 2d", "new_network").teaching;
    assert_eq!(two, Teaching { learning: days(2), ..Teaching::default() });
    let never = settings("probation: never", "new_network").teaching;
    assert_eq!(never.probation, None);
    assert_eq!(settings("probation: 30d", "new_network").teaching.probation, Some(days(30)));
}

#[test]
fn velocity_is_one_window_or_a_list_of_them() {
    let limits =
        settings("velocity: [{restricted_rows: 500, bytes: 5MiB, per: 30m}, {subjects: 20}]", "velocity");
    let seen: Vec<_> = limits
        .velocity
        .iter()
        .map(|limit| (limit.counted, limit.class.as_deref(), limit.most, limit.per))
        .collect();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert_eq!(
        seen,
        [
            (Counted::Rows, Some("restricted"), 500, minutes(30)),
            (Counted::Bytes, None, 5 << 20, minutes(30)),
            (Counted::Subjects, None, 20, minutes(60)),
        ]
    );
}

#[test]
fn what_needs_a_file_of_places_is_known() {
    for signal in Signal::ALL {
        let line = if signal == Signal::Velocity { "velocity: {rows: 1}" } else { "" };
        let needs = matches!(signal, Signal::GeoChange | Signal::ImpossibleTravel | Signal::FarSessions);
        assert_eq!(settings(line, signal.as_str()).needs_places(), needs, "{signal}");
    }
}

#[test]
fn what_is_wrong_with_settings_is_said() {
    for (line, signal, message) in [
        ("velocity: {secret_rows: 5}", "velocity", "the map has no class `secret`"),
        ("velocity: {restricted_subjects: 5}", "velocity", "subjects are not counted by class"),
        ("velocity: {row: 5}", "velocity", "`velocity` has no key `row`"),
        ("velocity: {rows: 5, per: 2d}", "velocity", "at most 24h"),
        ("velocity: {bytes: much}", "velocity", "`bytes` is a size"),
        ("velocity: {rows: 0}", "velocity", "`rows` is a whole number from 1"),
        ("velocity: {per: 1h}", "velocity", "`velocity` says nothing that is counted"),
        ("velocity: []", "velocity", "empty list"),
        ("", "velocity", "nothing says how much is too much"),
        ("volume: {times: 3}", "velocity", "`volume` has settings and no weight"),
        ("new_network: {ipv4_prefix: 16}", "new_network", "`risk` has no key `new_network`"),
        ("learning: soon", "new_network", "`learning` is a duration"),
        ("probation: soon", "new_network", "`probation` is a duration"),
        ("unusual_hour: {tz: Mars/Base}", "unusual_hour", "there is no time zone `Mars/Base`"),
        ("failed_factors: {count: 65}", "failed_factors", "`count` is a whole number from 1 to 64, not 65"),
        ("many_denials: {count: 65}", "many_denials", "`count` is a whole number from 1 to 64, not 65"),
        ("far_sessions: {km: far}", "far_sessions", "`km` is a whole number"),
    ] {
        let errors = load(line, signal).unwrap_err().to_string();
        assert!(errors.contains(message), "{line}: {errors}");
    }
}
