//! The policy's file, read and checked against the map.

use std::collections::HashSet;
use std::time::Duration;

use stepgate_types::Action;

use crate::condition_load::Against;
use crate::map::Map;
use crate::map_load;
use crate::policy::{InTransaction, Policy, Rule, UnknownRule, UnknownRules};
use crate::read::{self, Fields};
use crate::report::Report;
use crate::risk::RiskSettings;
use crate::sketch::Need;
use crate::yaml::{self, Node, Place, Value};
use crate::{Approval, approval_load, budget_load, case_load, condition_load, limit_load, risk_load};

/// The longest hold: beyond it, firewalls and pools have given the connection up.
pub(crate) const MAX_HOLD: Duration = Duration::from_secs(3600);
/// `defaults.hold` where the policy does not say.
const USUAL_HOLD: Duration = Duration::from_secs(300);
/// The most rules: a decision looks at each one.
const MAX_RULES: usize = 1000;

/// Rules of the gate's own, as decisions name them.
pub(crate) const OWN_RULES: [&str; 4] =
    ["control", "unknown.functions", "unknown.dynamic_sql", "unknown.statements"];

/// Reads a policy as far as it can be read; valid only if nothing was reported.
pub(crate) fn load(report: &mut Report<'_>, text: &str, map: Option<&Map>) -> Option<Policy> {
    let root = yaml::read(report, text)?;
    if matches!(root.value, Value::Null) {
        report.error(Place::FILE, "the policy is empty; it needs at least `version: 1`");
        return None;
    }
    let known = ["version", "mode", "defaults", "approvals", "rules", "risk", "tests", "budget"];
    let fields = Fields::read(report, &root, "the policy", &known, &["masks", "signals"])?;
    read::version(report, &fields, "the policy");
    let modes = [("enforce", true), ("monitor", false)];
    let enforced = fields.get("mode").and_then(|node| read::word(report, node, "`mode`", &modes));
    let Defaults { action, hold, in_transaction, outlives_client } = defaults(report, fields.get("defaults"));
    let approvals = approval_load::load(report, fields.get("approvals"), hold);
    let declared = declared(&fields);
    let services = services(report, fields.get("defaults"), &approvals, &declared);
    let risk = fields.get("risk").and_then(|node| risk_load::load(report, node, map));
    // Where it is wrong, what rules ask of it is not, as well.
    let weights = risk.clone().or_else(|| fields.get("risk").map(|_| RiskSettings::of_all()));
    let against = Against { map, risk: weights.as_ref() };
    let rules = rules(report, fields.get("rules"), &approvals, &declared, against);
    let at = fields.entry("approvals").map_or(Place::FILE, |(key, _)| key.at);
    let unknown = map.map(|map| unknown(report, at, map, &approvals)).unwrap_or_default();
    let names = rules.iter().map(|rule| rule.name.as_str()).chain(OWN_RULES).collect::<Vec<_>>();
    let tests = fields.get("tests").map(|node| case_load::load(report, node, &names)).unwrap_or_default();
    let budget = fields.get("budget").and_then(|node| budget_load::load(report, node));
    let asks_for_rows = rules.iter().any(|rule| rule.condition.asks_for_rows());
    let looks = |rule: &Rule| rule.once_delivered.is_asked() || rule.condition.looks_at_the_moment();
    let looks_at_the_moment = rules.iter().any(looks);
    let warnings = report.take_warnings();
    let enforced = enforced.unwrap_or(true);
    let default = action;
    Some(Policy {
        enforced,
        default,
        hold,
        in_transaction,
        outlives_client,
        approvals,
        services,
        rules,
        unknown,
        risk,
        tests,
        budget,
        warnings,
        asks_for_rows,
        looks_at_the_moment,
    })
}

/// Names of approvals, of wrong ones too, so that a rule that names such a one is not reported as well.
fn declared<'n>(fields: &Fields<'n>) -> HashSet<&'n str> {
    match fields.get("approvals").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|(key, _)| key.name.as_str()).collect(),
        _ => HashSet::new(),
    }
}

/// The policy's `defaults:`.
struct Defaults {
    action: Action,
    hold: Duration,
    in_transaction: InTransaction,
    outlives_client: bool,
}

const IN_TRANSACTION: [(&str, InTransaction); 3] =
    [("auto", InTransaction::Auto), ("hold", InTransaction::Hold), ("defer", InTransaction::Defer)];

fn defaults(report: &mut Report<'_>, node: Option<&Node>) -> Defaults {
    let usual = Defaults {
        action: Action::Allow,
        hold: USUAL_HOLD,
        in_transaction: InTransaction::Auto,
        outlives_client: true,
    };
    let known = ["action", "on_error", "hold", "in_transaction", "on_client_gone", "services"];
    let Some(fields) = node.and_then(|node| Fields::read(report, node, "`defaults`", &known, &["risk"]))
    else {
        return usual;
    };
    if let Some(node) = fields.get("on_error") {
        let action = map_load::action(report, node, "`on_error`");
        if action.is_some_and(|action| action != Action::Deny) {
            report.error(node.at, "`on_error` can only be `deny`: what fails must not open the gate");
        }
    }
    let in_transaction = fields
        .get("in_transaction")
        .and_then(|node| read::word(report, node, "`in_transaction`", &IN_TRANSACTION));
    let gone = [("defer", true), ("withdraw", false)];
    let outlives_client =
        fields.get("on_client_gone").and_then(|node| read::word(report, node, "`on_client_gone`", &gone));
    let hold = fields.get("hold").and_then(|node| read::duration(report, node, "`hold`", MAX_HOLD));
    let action = fields.get("action").and_then(|node| default_action(report, node));
    Defaults {
        action: action.unwrap_or(usual.action),
        hold: hold.unwrap_or(usual.hold),
        in_transaction: in_transaction.unwrap_or(usual.in_transaction),
        outlives_client: outlives_client.unwrap_or(usual.outlives_client),
    }
}

/// The approval by which others answer ahead of time for a service that would have to verify itself.
fn services(
    report: &mut Report<'_>,
    defaults: Option<&Node>,
    approvals: &[Approval],
    declared: &HashSet<&str>,
) -> Option<usize> {
    let Value::Map(entries) = &defaults?.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.name == "services")?;
    let name = read::text(report, node, "`defaults.services`")?;
    let index = named(report, node, name, approvals, declared)?;
    if approvals.get(index).is_some_and(|approval| approval.itself) {
        report.error(
            node.at,
            format!("`services` needs an approval by `groups`, and `{name}` asks the person"),
        );
    }
    Some(index)
}

fn default_action(report: &mut Report<'_>, node: &Node) -> Option<Action> {
    let action = map_load::action(report, node, "`defaults.action`")?;
    if matches!(action, Action::StepUp | Action::Approve) {
        report.error_with_help(
            node.at,
            format!("`defaults.action` is `allow`, `monitor` or `deny`, not `{action}`"),
            "write a rule with `match: {}`: it can name its approval",
        );
        return None;
    }
    Some(action)
}

fn rules(
    report: &mut Report<'_>,
    node: Option<&Node>,
    approvals: &[Approval],
    declared: &HashSet<&str>,
    against: Against<'_>,
) -> Vec<Rule> {
    let Some(node) = node else { return Vec::new() };
    let Value::List(list) = &node.value else {
        read::expected(report, node, "`rules`", "a list");
        return Vec::new();
    };
    if list.len() > MAX_RULES {
        report.error(node.at, format!("there are more than {MAX_RULES} rules"));
        return Vec::new();
    }
    let mut names = HashSet::new();
    let mut rules = Vec::new();
    for node in list {
        let known = ["name", "match", "action", "approval", "limit"];
        let later = ["unmask", "mask", "hold", "note", "until"];
        let Some(fields) = Fields::read(report, node, "a rule", &known, &later) else { continue };
        let name = name(report, &fields, &mut names);
        let (condition, once_delivered) = fields
            .require(report, "a rule", "match")
            .map(|node| condition_load::of_rule(report, node, against))
            .unwrap_or_default();
        let action = fields
            .require(report, "a rule", "action")
            .and_then(|node| map_load::action(report, node, "`action`"));
        let Some(action) = action else { continue };
        let limit = limit_load::load(report, &fields, action, against.map);
        let approval = match limit {
            // Passes freely until it has delivered so much.
            Some(_) if action < Action::StepUp => limit_load::asks(report, &fields, approvals, declared),
            _ => approval(report, &fields, action, approvals, declared),
        };
        if once_delivered.is_asked() && action < Action::StepUp {
            let at = fields.entry("action").map_or(fields.at, |(_, node)| node.at);
            report.error_with_help(
                at,
                format!("`delivered_rows` and `delivered_bytes` have no effect with action `{action}`"),
                "what a statement has delivered is in its record anyway; step-up, approve and deny stop it",
            );
        }
        let names_control = condition.names_control();
        let need = against.map.map(|map| Need::of(&condition, map)).unwrap_or_default();
        let (name, limits) = (name.unwrap_or_default(), limit.unwrap_or_default());
        rules.push(Rule { name, condition, once_delivered, need, action, approval, limits, names_control });
    }
    rules
}

fn name(report: &mut Report<'_>, fields: &Fields<'_>, names: &mut HashSet<String>) -> Option<String> {
    let node = fields.require(report, "a rule", "name")?;
    let name = read::text(report, node, "a rule's name")?;
    if !read::name_is_good(report, node.at, "a rule's name", name) {
        return None;
    }
    if name == "control" {
        report.error(node.at, "`control` is the name of the gate's own rule against control statements");
    }
    if !names.insert(name.to_owned()) {
        report.error(node.at, format!("there is another rule named `{name}`"));
    }
    Some(name.to_owned())
}

/// The index of the approval that the rule names, which must be there and fit its action.
fn approval(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    action: Action,
    approvals: &[Approval],
    declared: &HashSet<&str>,
) -> Option<usize> {
    let itself = match action {
        Action::StepUp => true,
        Action::Approve => false,
        Action::Allow | Action::Monitor | Action::Deny => {
            if let Some((key, _)) = fields.entry("approval") {
                report.error(key.at, format!("`approval` has no effect with action `{action}`"));
            }
            return None;
        }
    };
    let Some(node) = fields.get("approval") else {
        let message =
            format!("a rule with action `{action}` needs `approval`: the name of one of `approvals`");
        report.error(fields.at, message);
        return None;
    };
    let name = read::text(report, node, "`approval`")?;
    let index = named(report, node, name, approvals, declared)?;
    if approvals.get(index).is_some_and(|approval| approval.itself != itself) {
        let message = if itself {
            format!("`step-up` needs an approval with `self: true`, and `{name}` asks others")
        } else {
            format!("`approve` needs an approval by `groups`, and `{name}` asks the person")
        };
        report.error(node.at, message);
    }
    Some(index)
}

/// The index of the approval of that name.
pub(crate) fn named(
    report: &mut Report<'_>,
    node: &Node,
    name: &str,
    approvals: &[Approval],
    declared: &HashSet<&str>,
) -> Option<usize> {
    let index = approvals.iter().position(|approval| approval.name == name);
    if index.is_none() && !declared.contains(name) {
        let message = format!("there is no approval `{name}` in `approvals`");
        report.unknown_word(node.at, message, name, declared.iter().copied());
    }
    index
}

/// The map's `unknown:` as rules. Those that ask somebody take the first approval of fitting kind.
fn unknown(report: &mut Report<'_>, at: Place, map: &Map, approvals: &[Approval]) -> UnknownRules {
    let mut rule = |name: &'static str, action: Action| {
        let wants = match action {
            Action::StepUp => Some(true),
            Action::Approve => Some(false),
            Action::Allow | Action::Monitor | Action::Deny => None,
        };
        let approval =
            wants.and_then(|itself| approvals.iter().position(|approval| approval.itself == itself));
        if let (Some(itself), None) = (wants, approval) {
            let who = if itself { "with `self: true`" } else { "by `groups`" };
            report.error_with_help(
                at,
                format!("the map's `{name}` is `{}`, and there is no approval {who} for it", action),
                format!("add one to `approvals`, or set `{name}` in the map to `deny`"),
            );
        }
        UnknownRule { name, action, approval }
    };
    UnknownRules {
        functions: rule("unknown.functions", map.unknown.functions),
        dynamic_sql: rule("unknown.dynamic_sql", map.unknown.dynamic_sql),
        statements: rule("unknown.statements", map.unknown.statements),
    }
}
