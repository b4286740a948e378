//! `stepgate doctor`: a gate and all it depends on, as they are now.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stepgate_policy::{Map, Ruleset};
use stepgate_proxy::{Credentials, Upstream, UpstreamConfig, connect, load, simple_query};
use stepgate_types::is_wildcard;

use crate::args::ListArgs;
use crate::config::Config;
use crate::exposure::{self, Exposed};
use crate::failure::Failure;
use crate::findings::Findings;
use crate::operator::{self, Link, Operator};
use crate::{check, deliver, rules, upstreams, wildcard};

/// How long a database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Free space below which the log is in danger, and below which somebody should look, in bytes.
const DISK: (u64, u64) = (256 * 1024 * 1024, 2 * 1024 * 1024 * 1024);

/// How far the clocks of gate and server may be apart: half a step of TOTP.
const CLOCK_SECONDS: f64 = 15.0;

/// What to do where nothing of a wildcard was looked at.
const LATER: &str =
    "let its catalog role connect to the database `postgres`, or have the map name one that it stands for";

/// Examines.
pub(crate) fn run(config: &Path, args: &ListArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let mut findings = Findings::default();
    let upstreams = check::files(&config, &mut findings);
    databases(&config, &upstreams, &mut findings);
    disk(&config, &mut findings);
    deliver::doctor(&config, &mut findings);
    gate(&config, &mut findings);
    findings.conclude(args.output)
}

/// Each database: reachable, with which rights, and whether map and catalog fit.
pub(crate) fn databases(config: &Config, upstreams: &[UpstreamConfig], findings: &mut Findings) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return findings.fail("databases", "cannot start", None) };
    let map = rules::load_map(&config.map).ok();
    let rules = rules::load(config).ok();
    let mut all = upstreams::concrete(upstreams, map.as_ref());
    for wild in upstreams.iter().filter(|upstream| is_wildcard(&upstream.name)) {
        let name = format!("database {}", wild.name);
        let is_of = |upstream: &UpstreamConfig| {
            upstreams::entry(upstreams, &upstream.name).is_some_and(|entry| entry.name == wild.name)
        };
        let found = runtime.block_on(async {
            let one = tokio::time::timeout(TIMEOUT, wildcard::one_of(wild, upstreams));
            one.await.unwrap_or_else(|_| Err(format!("no answer within {} seconds", TIMEOUT.as_secs())))
        });
        match found {
            _ if all.iter().any(is_of) => findings.ok(&name, "those that the map names are looked at"),
            Ok(Some(upstream)) => {
                findings.ok(&name, format!("{} is looked at, as one that it stands for", upstream.name));
                all.push(upstream);
            }
            Ok(None) => {
                findings.warn(&name, "it stands for none at this moment: nothing was looked at", LATER)
            }
            Err(failure) => findings.warn(&name, format!("nothing was looked at: {failure}"), LATER),
        }
    }
    for upstream in &all {
        for (number, role) in upstream.roles.iter().enumerate() {
            let looked = runtime.block_on(async {
                tokio::time::timeout(TIMEOUT, look(upstream, &role.credentials, map.as_ref())).await
            });
            let looked =
                looked.unwrap_or_else(|_| Err(format!("no answer within {} seconds", TIMEOUT.as_secs())));
            // What is true of the database whoever asks is said once.
            let name = if number == 0 {
                upstream.name.clone()
            } else {
                format!("{} as {}", upstream.name, role.credentials.user)
            };
            match looked {
                Ok(seen) => {
                    told(
                        &seen,
                        (upstream, &role.credentials, &name),
                        (map.as_ref(), rules.as_ref()),
                        findings,
                    );
                }
                Err(failure) => {
                    let hint = format!("is {}:{} right, and is it up?", upstream.host, upstream.port);
                    findings.fail(&format!("database {name}"), failure, Some(&hint));
                }
            }
        }
    }
}

fn told(
    seen: &Seen,
    (upstream, role, name): (&UpstreamConfig, &Credentials, &str),
    (map, rules): (Option<&Map>, Option<&Ruleset>),
    findings: &mut Findings,
) {
    findings.ok(&format!("database {name}"), format!("PostgreSQL {}, as {}", seen.version, role.user));
    let is_first = name == upstream.name;
    exposed(&seen.exposed, (name, &role.user, is_first), findings);
    if !is_first {
        return;
    }
    if seen.clock_apart > CLOCK_SECONDS {
        let detail = format!("{:.0} seconds apart from the server of {name}", seen.clock_apart);
        findings.warn("clock", detail, "TOTP needs the right time: set up NTP on both machines");
    }
    // A policy that cannot be read is told of elsewhere, and the map is looked at all the same.
    let none = BTreeSet::new();
    let bound = match (rules, map) {
        (Some(rules), _) => rules.bind(name, &seen.catalog, &none),
        (None, Some(map)) => map.bind(name, &seen.catalog, &none),
        (None, None) => return,
    };
    for alarm in bound.alarms() {
        findings.warn(&format!("map {name}"), alarm.to_string(), "mend the map, or the rule");
    }
}

struct Seen {
    version: String,
    clock_apart: f64,
    exposed: Exposed,
    catalog: stepgate_sql::Catalog,
}

async fn look(upstream: &UpstreamConfig, role: &Credentials, map: Option<&Map>) -> Result<Seen, String> {
    let said = |error: stepgate_proxy::UpstreamError| error.to_string();
    let mut connection: Upstream = connect(upstream, role, &[]).await.map_err(said)?;
    let query = "SELECT pg_catalog.current_setting('server_version'), \
                 pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())";
    let rows = simple_query(&mut connection, query).await.map_err(said)?;
    let row = rows.into_iter().next().unwrap_or_default();
    let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let here = jiff::Timestamp::now().as_duration().as_secs_f64();
    let there: f64 = cell(1).parse().unwrap_or(here);
    let catalog = load(upstream).await.map_err(|error| error.to_string())?;
    let exposed = exposure::look(&mut connection, upstream, &role.user, map).await.map_err(said)?;
    Ok(Seen { version: cell(0), clock_apart: (here - there).abs(), exposed, catalog })
}

/// pg_hba.conf is one for all roles: told with the first.
fn exposed(exposed: &Exposed, (name, user, is_first): (&str, &str, bool), findings: &mut Findings) {
    let found = |check| exposed.found.iter().filter(move |exposure| exposure.check == check);
    for exposure in exposed.found.iter().filter(|exposure| is_first || exposure.check == "rights") {
        findings.warn(&format!("{} {name}", exposure.check), &exposure.detail, exposure.hint);
    }
    if found("rights").next().is_none() {
        findings.ok(&format!("rights {name}"), format!("{user} is an ordinary role"));
    }
    if !is_first {
        return;
    }
    if !exposed.hba_read {
        findings.warn(
            &format!("pg_hba {name}"),
            "cannot be read by this role: whether people get in past the gate is not known",
            "look yourself: only the gate's address should reach this database",
        );
    } else if found("pg_hba").next().is_none() {
        findings.ok(&format!("pg_hba {name}"), "lets nobody in past the gate");
    }
}

fn disk(config: &Config, findings: &mut Findings) {
    let place = if config.data.exists() { config.data.as_path() } else { Path::new(".") };
    let Ok(stat) = rustix::fs::statvfs(place) else {
        return findings.warn("disk", "cannot be asked for its free space", "look at it with df");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let detail = format!("{} MiB free for {}", free / (1024 * 1024), config.data.display());
    let why = "if the log cannot be written, nothing passes: make room";
    match free {
        free if free < DISK.0 => findings.fail("disk", detail, Some(why)),
        free if free < DISK.1 => findings.warn("disk", detail, why),
        _ => findings.ok("disk", detail),
    }
}

/// The gate itself, if one serves; else its log.
fn gate(config: &Config, findings: &mut Findings) {
    match operator::is_served(config) {
        Err(failure) => findings.result("gate", Err(failure)),
        Ok(true) => match Link::open(config).and_then(|link| link.rows(Operator::Status {})) {
            Ok(rows) => running(rows.first().unwrap_or(&Value::Null), findings),
            Err(failure) => findings.result("gate", Err(failure)),
        },
        Ok(false) => {
            findings.warn("gate", "none is running here", "start it: stepgate serve");
            if config.data.join("format.json").exists() {
                match stepgate_store::verify_dir(&config.data, None) {
                    Ok(verified) => findings.ok("log", verified.to_string()),
                    Err(failure) => findings.fail(
                        "log",
                        failure.to_string(),
                        Some("keep the directory as evidence, and restore a backup elsewhere"),
                    ),
                }
            }
        }
    }
}

fn running(status: &Value, findings: &mut Findings) {
    let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or(0);
    let version = status.get("version").and_then(Value::as_str).unwrap_or("?");
    findings.ok(
        "gate",
        format!(
            "running, version {version}, {} sessions, {} open requests",
            number("sessions"),
            number("open_requests")
        ),
    );
    match status.get("poisoned").and_then(Value::as_str) {
        None if status.get("no_space").and_then(Value::as_bool) == Some(true) => findings.fail(
            "log",
            "has no space on its disk".to_owned(),
            Some("make room; the gate goes on by itself"),
        ),
        None => findings.ok("log", format!("{} records on disk", number("records"))),
        Some(why) => {
            findings.fail("log", format!("cannot be written: {why}"), Some("mend the disk, restart the gate"))
        }
    }
    let without: Vec<_> = status
        .get("without_totp")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match (number("people"), without.is_empty()) {
        (0, _) => findings.warn("people", "there are none yet", "add somebody: stepgate user add NAME"),
        (people, true) => findings.ok("people", format!("{people}, all with an authenticator")),
        (_, false) => findings.warn(
            "people",
            format!(
                "without an authenticator, so that nothing of theirs can be verified: {}",
                without.join(", ")
            ),
            "enrol them: stepgate enroll totp --as NAME",
        ),
    }
}
