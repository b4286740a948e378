//! `stepgate check`: what can be known from the files, and with `--connect` from the databases.

use std::path::Path;

use stepgate_proxy::{ServerTls, UpstreamConfig};
use stepgate_types::best_for;

use crate::args::CheckArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::findings::Findings;
use crate::geo::Geo;
use crate::two_names::{self, Named, is_local};
use crate::{certificate, deliver, doctor, ldap, rules, secret, upstreams};

/// Checks. An unreadable configuration is an error by itself.
pub(crate) fn run(config: &Path, args: &CheckArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let mut findings = Findings::default();
    let upstreams = files(&config, &mut findings);
    if args.connect {
        doctor::databases(&config, &upstreams, &mut findings);
        if let Some(directory) = &config.ldap {
            findings.result("directory", ldap::check(directory).map(|()| directory.url.clone()));
        }
    }
    findings.conclude(args.output)
}

/// Everything but the databases themselves; those whose passwords can be read.
pub(crate) fn files(config: &Config, findings: &mut Findings) -> Vec<UpstreamConfig> {
    findings.ok("configuration", config.file.display().to_string());
    listen(config, findings);
    findings.result(
        "policy",
        rules::load(config).map(|rules| {
            let mode = if rules.enforced() { "enforce" } else { "monitor" };
            let columns = rules.map().labelled_columns();
            format!("{} rules, {columns} labelled columns, mode {mode}", rules.rule_names().count())
        }),
    );
    unknown_databases(config, findings);
    if let Some(path) = &config.places {
        findings.result("places", Geo::load(config.places.as_ref()).map(|_| path.display().to_string()));
    }
    master_key(config, findings);
    tls(config, findings);
    if !config.audit.sinks.is_empty() || !config.audit.checkpoints.is_empty() {
        let (sinks, ways) = (config.audit.sinks.len(), config.audit.checkpoints.len());
        let checked = deliver::check(&config.audit).and_then(|()| deliver::check_notifiers(&config.notify));
        findings.result("sinks", checked.map(|()| format!("{sinks}, and {ways} ways of checkpoints")));
    }
    two_names_of_one(config, findings);
    let mut readable = Vec::new();
    for (name, database) in &config.databases {
        match upstreams::one(name, database) {
            Ok(upstream) => readable.push(upstream),
            Err(failure) => findings.result(&format!("password {name}"), Err(failure)),
        }
        if database.sslmode != crate::config::SslMode::VerifyFull && !is_local(&database.host) {
            let mode = database.sslmode.as_str();
            let detail = format!("sslmode {mode}: whoever is on the way can pose as {}", database.host);
            findings.warn(
                &format!("encryption {name}"),
                detail,
                "use sslmode: verify-full, with ca_file if needed",
            );
        }
    }
    readable
}

/// What is labelled by one name is not by the other.
fn two_names_of_one(config: &Config, findings: &mut Findings) {
    let named = config.databases.iter().map(|(name, database)| Named {
        name,
        host: &database.host,
        port: database.port,
        dbname: &database.dbname,
    });
    for names in two_names::of_one(&named.collect::<Vec<_>>()) {
        findings.warn("databases", two_names::detail(&names), two_names::HINT);
    }
}

fn listen(config: &Config, findings: &mut Findings) {
    match &config.tls {
        Some(_) => findings.ok("listen", format!("clients {}, people {}", config.listen, config.console.url)),
        None => findings.warn(
            "listen",
            format!("clients {}, people {}, without TLS", config.listen, config.console.url),
            "add `tls:`; without it the gate listens on loopback only",
        ),
    }
}

/// A map that speaks of a database the gate does not know is misspelt, more likely than not.
fn unknown_databases(config: &Config, findings: &mut Findings) {
    let Ok(map) = rules::load_map(&config.map) else { return };
    let known = || config.databases.keys().map(String::as_str);
    let entry_of = |name| known().find(|known| *known == name).or_else(|| best_for(known(), name));
    let unknown: Vec<_> = map.databases().filter(|name| entry_of(name).is_none()).collect();
    if !unknown.is_empty() {
        let detail = format!(
            "{} names databases that this gate has not: {}",
            config.map.display(),
            unknown.join(", ")
        );
        findings.warn("map", detail, "write them as under `databases:` in the configuration");
    }
    for name in known() {
        let said = map
            .databases()
            .any(|mapped| entry_of(mapped) == Some(name) || best_for([mapped], name).is_some());
        if !said {
            let detail = format!("says nothing of database {name}: nothing in it counts as personal data");
            findings.warn("map", detail, "label its columns");
        }
    }
}

fn master_key(config: &Config, findings: &mut Findings) {
    if config.master_file.exists() {
        let checked = secret::check_private(&config.master_file);
        findings.result("master key", checked.map(|()| config.master_file.display().to_string()));
    } else if config.data.join("checkpoints").exists() {
        let detail = format!("{} is missing", config.master_file.display());
        findings.fail("master key", detail, Some("restore it from its backup"));
    } else {
        findings.ok("master key", "will be made by the first command that needs it");
    }
}

/// Days before its end that a certificate is warned of.
const WARN_DAYS: i64 = 21;

fn tls(config: &Config, findings: &mut Findings) {
    let Some(tls) = &config.tls else { return };
    if let Err(failure) = certificate::server_config(tls) {
        findings.result("certificate", Err(failure));
        return;
    }
    if let Some((ca, _)) = &tls.clients {
        let loaded = ServerTls::load(&tls.cert, &tls.key, tls.clients());
        let loaded = loaded.map(|_| ca.display().to_string());
        findings.result("client CA", loaded.map_err(|error| Failure::usage(error.to_string())));
    }
    if let Err(failure) = secret::check_private(&tls.key) {
        findings.warn("private key", failure.message, &failure.hint.unwrap_or_default());
    }
    let renew = "put a new certificate in place and send the gate SIGHUP";
    match certificate::not_after(&tls.cert) {
        Err(failure) => findings.result("certificate", Err(failure)),
        Ok(end) => {
            let days = (end - jiff::Timestamp::now().as_second()).div_euclid(24 * 60 * 60);
            let detail = format!("{}: {days} days left", tls.cert.display());
            match days {
                ..0 => {
                    findings.fail("certificate", format!("{} has expired", tls.cert.display()), Some(renew))
                }
                0..WARN_DAYS => findings.warn("certificate", detail, renew),
                _ => findings.ok("certificate", detail),
            }
        }
    }
}
