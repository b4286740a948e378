//! `policy explain`: which rules match a statement and why, and which miss it by how much.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use serde_json::json;
use stepgate_policy::{
    Bound, Circumstances, Clause, Decision, Delivered, Holds, Map, Observation, RuleExplained, Ruleset,
};
use stepgate_proxy::{UpstreamConfig, before_it_runs};
use stepgate_sql::{Facts, StatementValues};
use stepgate_types::is_wildcard;

use super::scenario;
use super::stage::role_of;
use crate::analyze::{self, Origin, Source};
use crate::args::{ExplainArgs, ExplainFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::harmless::harmless_lines;
use crate::{output, rules, upstreams};

/// The longest input, in bytes.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// How many rules are shown that miss by more than one clause.
const MAX_FAR: usize = 5;

/// What was asked about, and what is known of it.
struct Asked {
    rules: Ruleset,
    who: Circumstances,
    bound: Bound,
}

pub(super) fn run(config: &Path, args: &ExplainArgs) -> Result<(), Failure> {
    let sql = sql(args)?;
    let config = needs_config(args).then(|| Config::load(config)).transpose()?;
    let rules = match (&args.map, &args.policy, &config) {
        (Some(map), Some(policy), _) => rules::load_files(map, policy)?,
        (_, _, Some(config)) => rules::load(config)?,
        _ => return Err(Failure::usage("which policy? say --map FILE --policy FILE, or --config FILE")),
    };
    let name = database(args, config.as_ref(), rules.map())?;
    let upstream = match (&config, args.schema.is_empty()) {
        (Some(config), true) => Some(upstreams::of(config, &name)?),
        _ => None,
    };
    let who = who(args, &name, upstream.as_ref())?;
    let catalog = match upstream {
        Some(upstream) => Origin::Configured(Box::new(upstream)),
        None => Origin::Schema(&args.schema),
    };
    let mut known = None;
    let look = |source: &Source, sql: &str, facts: &mut [Facts]| {
        let bound = known.get_or_insert_with(|| rules.bind(&name, source.catalog(), &BTreeSet::new()));
        scenario::ask_planner((&rules, bound), &who, source, sql, facts);
    };
    let analysed = analyze::facts_of(&sql, &name, catalog, args.search_path.as_deref(), look)?;
    let bound = rules.bind(&name, &analysed.catalog, &BTreeSet::new());
    let asked = Asked { rules, who, bound };
    match args.output {
        ExplainFormat::Json => {
            let all: Vec<_> = analysed.messages.iter().map(|(sql, facts)| asked.json(sql, facts)).collect();
            let text = serde_json::to_string_pretty(&all).unwrap_or_else(|_| "[]".to_owned());
            output::print_line(&text)
        }
        ExplainFormat::Text => {
            let all: Vec<_> = analysed.messages.iter().map(|(sql, facts)| asked.text(sql, facts)).collect();
            output::print_line(harmless_lines(&all.join("\n")).trim_end())
        }
    }
}

fn needs_config(args: &ExplainArgs) -> bool {
    args.schema.is_empty() || args.policy.is_none()
}

fn sql(args: &ExplainArgs) -> Result<String, Failure> {
    if args.sql != "-" {
        return Ok(args.sql.clone());
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("cannot read standard input: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_INPUT {
        return Err(Failure::usage(format!("the input is larger than {MAX_INPUT} bytes")));
    }
    Ok(text)
}

/// As told, or the only one that the configuration has, or the map.
fn database(args: &ExplainArgs, config: Option<&Config>, map: &Map) -> Result<String, Failure> {
    if let Some(name) = &args.asker.database {
        return Ok(name.clone());
    }
    let configured = config.into_iter().flat_map(|config| config.databases.keys().map(String::as_str));
    let only = |names: Vec<&str>| match names.as_slice() {
        [name] if !is_wildcard(name) => Some((*name).to_owned()),
        _ => None,
    };
    only(configured.collect()).or_else(|| only(map.databases().collect())).ok_or_else(|| {
        Failure::usage("through which database?")
            .hint("say it with --database DB, as the configuration names it")
    })
}

fn who(args: &ExplainArgs, name: &str, upstream: Option<&UpstreamConfig>) -> Result<Circumstances, Failure> {
    let at = scenario::time(&args.asker)?;
    let case = scenario::case(&args.asker, String::new(), at);
    let fires = |signal: &stepgate_policy::Signal| Observation {
        signal: *signal,
        fires: true,
        bucket: "given".to_owned(),
        threshold: String::new(),
        at_most: false,
    };
    Ok(Circumstances {
        signals: args.signals.iter().map(fires).collect(),
        purpose: case.purpose.clone(),
        delivered: Delivered { rows: args.delivered_rows, bytes: args.delivered_bytes },
        ..scenario::circumstances(&case, name, at, |groups| role_of(upstream?, groups))
    })
}

impl Asked {
    fn decision(&self, sql: &str, facts: &[Facts]) -> Decision {
        let decision = self.rules.decide_by(&self.who, &self.bound, facts, &values(sql));
        before_it_runs(decision, facts, &self.rules, &self.who.database)
    }

    fn statements(&self, sql: &str, facts: &[Facts]) -> Vec<Vec<RuleExplained>> {
        let explain = |facts| self.rules.explain(&self.who, &self.bound, facts, &values(sql));
        facts.iter().map(explain).collect()
    }

    fn json(&self, sql: &str, facts: &[Facts]) -> serde_json::Value {
        let decision = self.decision(sql, facts);
        let summary = decision.summary();
        json!({"decision": decision, "summary": summary, "statements": self.statements(sql, facts)})
    }

    fn text(&self, sql: &str, facts: &[Facts]) -> String {
        let decision = self.decision(sql, facts);
        let mut out = String::new();
        let monitors = if decision.enforced { "" } else { " (mode: monitor, so that it runs)" };
        let _ = writeln!(out, "{}{monitors}", decision.action);
        let summary = decision.summary();
        if !summary.is_empty() {
            let _ = writeln!(out, "{summary}");
        }
        if let Some(approval) = &decision.approval {
            let _ = writeln!(out, "Asks by approval {}.", approval.name);
        }
        if let Some(hint) = decision.hint {
            let _ = writeln!(out, "{hint}");
        }
        if decision.is_limited() {
            let then = decision.beyond.as_ref().map_or("ends there".to_owned(), |(action, approval)| {
                format!("then {action} by approval {}", approval.name)
            });
            let own = (!decision.limit.is_none()).then(|| decision.limit.to_string());
            let meters = decision.meters.iter().map(|meter| format!("{} per {}", meter.limit, meter.per));
            let all: Vec<_> = own.into_iter().chain(meters).collect();
            let _ = writeln!(out, "Delivers {}, {then}.", all.join("; "));
        }
        let statements = self.statements(sql, facts);
        for (at, rules) in statements.iter().enumerate() {
            if statements.len() > 1 {
                let _ = writeln!(out, "\nstatement {}", at + 1);
            }
            write_rules(&mut out, rules);
        }
        out
    }
}

fn values(sql: &str) -> StatementValues<'_, Vec<u8>> {
    StatementValues::new(sql.as_bytes(), &[], &[], &[])
}

fn write_rules(out: &mut String, rules: &[RuleExplained]) {
    let matching: Vec<_> = rules.iter().filter(|rule| rule.matches != Holds::No).collect();
    let near: Vec<_> = rules.iter().filter(|rule| rule.matches == Holds::No && rule.misses <= 1).collect();
    let far: Vec<_> = rules.iter().filter(|rule| rule.matches == Holds::No && rule.misses > 1).collect();
    if !matching.is_empty() {
        out.push_str("\nmatches\n");
        matching.iter().for_each(|rule| write_rule(out, rule));
    }
    if !near.is_empty() {
        out.push_str("\nmisses by one clause\n");
        near.iter().for_each(|rule| write_rule(out, rule));
    }
    if !far.is_empty() {
        out.push_str("\nmisses by more\n");
        for rule in far.iter().take(MAX_FAR) {
            let missed = rule.clauses.iter().filter(|clause| clause.holds == Holds::No);
            let missed = missed.map(|clause| clause.clause).collect::<Vec<_>>().join(", ");
            let _ = writeln!(out, "  {:<8} {}: {missed}", rule.action.as_str(), rule.rule);
        }
        if let Some(more) = far.len().checked_sub(MAX_FAR).filter(|more| *more > 0) {
            let _ = writeln!(out, "  and {more} more (-o json shows all)");
        }
    }
}

fn write_rule(out: &mut String, rule: &RuleExplained) {
    let _ = writeln!(out, "  {:<8} {}", rule.action.as_str(), rule.rule);
    if rule.clauses.is_empty() {
        out.push_str("      yes  match: {}\n");
    }
    write_clauses(out, &rule.clauses, 6);
}

fn write_clauses(out: &mut String, clauses: &[Clause], indent: usize) {
    for clause in clauses {
        let word = match clause.holds {
            Holds::Yes => "yes",
            Holds::Maybe => "may",
            Holds::No => "no ",
        };
        let _ = write!(out, "{:indent$}{word}  {}", "", clause.clause);
        if !clause.asks.is_empty() {
            let _ = write!(out, ": {}", clause.asks);
        }
        if !clause.found.is_empty() {
            let _ = write!(out, "  (found {})", clause.found);
        }
        out.push('\n');
        for (at, within) in clause.within.iter().enumerate() {
            if at > 0 {
                let _ = writeln!(
                    out,
                    "{:width$}{}",
                    "",
                    if clause.clause == "all" { "and" } else { "or" },
                    width = indent + 5
                );
            }
            write_clauses(out, within, indent + 5);
        }
    }
}
