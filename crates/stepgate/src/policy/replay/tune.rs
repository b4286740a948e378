//! `policy tune`: what the log says a policy could do better, each as a diff with what it would have done.
//!
//! Nothing is proposed that lets through what people did not approve: a change after which any statement meets less than
//! before stands only if that very statement was approved in fact ([`Compared::unapproved`]).

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use stepgate_policy::{Approval, ScopePart};
use stepgate_types::{Action, thousands};

use super::edit::{self, Text};
use super::known::Candidate;
use super::tally::{Compared, Use};
use super::{Ground, ReplayFormat};
use crate::args::TuneArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::harmless::harmless_lines;
use crate::output;

/// Grants of an approval before it is said that none is used, and statements before a threshold is proposed.
const ENOUGH: usize = 20;

/// Times for which an approval may be remembered instead, in order; none is longer than a working day.
const TIMES: [(&str, u64); 5] =
    [("30m", 1_800), ("1h", 3_600), ("2h", 7_200), ("4h", 14_400), ("8h", 28_800)];

/// One change, and what it would have done.
#[derive(Debug, Serialize)]
pub(super) struct Proposal {
    /// `never-fires`, `unused-grants`, `limit`, `threshold` or `scope`.
    pub(super) kind: &'static str,
    /// What is proposed, in a sentence.
    pub(super) title: String,
    /// Why.
    pub(super) why: String,
    /// The change; empty where something is only to be known.
    pub(super) diff: String,
    /// Requests in the period, replayed, before and after.
    pub(super) prompts_before: u64,
    pub(super) prompts_after: u64,
    /// Decisions that are others.
    pub(super) changed: u64,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Proposals {
    since: Option<String>,
    until: String,
    statements: u64,
    undecidable: u64,
    policy: String,
    prompts: u64,
    proposals: Vec<Proposal>,
}

/// `policy tune`.
pub(crate) fn run(config: &Path, args: &TuneArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let current = Candidate::read(&config, None, None)?;
    let counts = current.rules.counts_over().map(|_| Duration::ZERO);
    let ground = Ground::read(&config, (&args.since, args.until.as_deref()), &args.known_map, counts)?;
    let tuning = Tuning::new(&ground, &current);
    let proposals = Proposals {
        since: ground.since.map(|since| since.to_string()),
        until: ground.until.to_string(),
        statements: tuning.statements,
        undecidable: tuning.undecidable,
        policy: current.policy_file.display().to_string(),
        prompts: tuning.prompts,
        proposals: tuning.proposals(),
    };
    match args.output {
        ReplayFormat::Table => output::print(&shown(&proposals)),
        ReplayFormat::Json => {
            let text = serde_json::to_string_pretty(&proposals);
            output::print_line(&text.map_err(|error| Failure::usage(error.to_string()))?)
        }
    }
}

fn shown(all: &Proposals) -> String {
    let mut text = format!(
        "{} on {} statements from {} to {}: {} requests, {} statements undecidable\n",
        all.policy,
        thousands(all.statements),
        all.since.as_deref().unwrap_or("the beginning"),
        all.until,
        thousands(all.prompts),
        thousands(all.undecidable),
    );
    if all.proposals.is_empty() {
        text.push_str("nothing to propose\n");
    }
    for (number, proposal) in (1..).zip(&all.proposals) {
        text.push_str(&format!(
            "\n{number}. {} ({})\n   {}\n   requests {} -> {}, decisions that change {}\n",
            proposal.title,
            proposal.kind,
            proposal.why,
            thousands(proposal.prompts_before),
            thousands(proposal.prompts_after),
            thousands(proposal.changed),
        ));
        text.push_str(&proposal.diff);
    }
    harmless_lines(&text)
}

/// A policy as it is, on its ground.
pub(super) struct Tuning<'g> {
    ground: &'g Ground,
    current: &'g Candidate,
    pub(super) statements: u64,
    pub(super) undecidable: u64,
    /// Statements that were decided, in the replay as in fact.
    decided: u64,
    pub(super) prompts: u64,
    /// What rules matched, by name.
    uses: HashMap<String, Use>,
}

/// A change on trial.
struct Tried {
    diff: String,
    prompts: u64,
    changed: u64,
}

impl<'g> Tuning<'g> {
    pub(super) fn new(ground: &'g Ground, current: &'g Candidate) -> Self {
        let compared =
            Compared { candidate: &current.rules, against: None, known: &ground.known, tape: &ground.tape };
        let (tally, uses) = (compared.tally(), compared.uses());
        Self {
            ground,
            current,
            statements: tally.statements,
            undecidable: tally.undecidable,
            decided: tally.statements.saturating_sub(tally.undecidable).saturating_sub(tally.failed),
            prompts: tally.after.total,
            uses,
        }
    }

    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let mut all = Vec::new();
        for approval in self.current.rules.approvals() {
            all.extend(self.scope(approval));
        }
        let names: Vec<&str> = self.current.rules.rule_names().collect();
        for name in &names {
            all.extend(self.threshold(name));
            all.extend(self.limit(name));
        }
        for approval in self.current.rules.approvals() {
            all.extend(self.unused(approval));
        }
        for name in &names {
            all.extend(self.never_fires(name));
        }
        all
    }

    /// What another text of the policy comes to. `None`: it is no policy, or lets through what nobody approved.
    fn try_text(&self, text: String) -> Option<(Candidate, Tried)> {
        let current = self.current;
        let map = (current.map_file.clone(), current.map_text.clone());
        let candidate = Candidate::compile(map, (current.policy_file.clone(), text)).ok()?;
        let compared = Compared {
            candidate: &candidate.rules,
            against: Some(&current.rules),
            known: &self.ground.known,
            tape: &self.ground.tape,
        };
        if compared.unapproved() > 0 {
            return None;
        }
        let tally = compared.tally();
        let diff =
            edit::diff(&edit::label(&current.policy_file), &current.policy_text, &candidate.policy_text);
        let tried = Tried { diff, prompts: tally.after.total, changed: tally.changed };
        Some((candidate, tried))
    }

    fn proposal(&self, kind: &'static str, title: String, why: String, tried: Tried) -> Proposal {
        Proposal {
            kind,
            title,
            why,
            diff: tried.diff,
            prompts_before: self.prompts,
            prompts_after: tried.prompts,
            changed: tried.changed,
        }
    }

    /// Whether the other policy differs in this approval alone, and that is now as it was meant.
    fn differs_only_in(&self, other: &Candidate, name: &str, meant: impl Fn(&Approval) -> Approval) -> bool {
        let (before, after) = (self.current.rules.approvals(), other.rules.approvals());
        before.len() == after.len()
            && before.iter().zip(after).all(|(before, after)| {
                if before.name == name { meant(before) == *after } else { before == after }
            })
            && self.current.rules.rule_names().eq(other.rules.rule_names())
    }

    /// A wider scope or a longer time by which requests would be half as many.
    fn scope(&self, approval: &Approval) -> Option<Proposal> {
        let remember = approval.remember.as_ref()?;
        let text = Text::of(&self.current.policy_text);
        let lines = text.approval(&approval.name)?;
        // The least change first.
        let mut scopes: Vec<BTreeSet<ScopePart>> = Vec::new();
        for parts in [
            &[ScopePart::Session][..],
            &[ScopePart::Client],
            &[ScopePart::Network],
            &[ScopePart::Client, ScopePart::Network],
        ] {
            let scope: BTreeSet<_> =
                remember.scope.iter().copied().filter(|part| !parts.contains(part)).collect();
            if scope.len() < remember.scope.len() && !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let halves = |tried: &Tried| self.prompts > 0 && tried.prompts.saturating_mul(2) <= self.prompts;
        for (word, seconds) in TIMES.into_iter().filter(|(_, seconds)| *seconds > remember.for_.as_secs()) {
            let changed =
                text.with(&lines, |part| edit::replaced(part, &edit::of_remember(part, "for")?, word));
            let Some((candidate, tried)) = changed.and_then(|changed| self.try_text(changed)) else {
                continue;
            };
            let meant = |before: &Approval| {
                let mut meant = before.clone();
                if let Some(remember) = &mut meant.remember {
                    remember.for_ = std::time::Duration::from_secs(seconds);
                }
                meant
            };
            if halves(&tried) && self.differs_only_in(&candidate, &approval.name, meant) {
                let title = format!("remember `{}` for {word}", approval.name);
                return Some(self.proposal("scope", title, self.halved(), tried));
            }
        }
        for scope in scopes {
            let words: Vec<_> = scope.iter().map(|part| part_word(*part)).collect();
            let list = format!("[{}]", words.join(", "));
            let changed =
                text.with(&lines, |part| edit::replaced(part, &edit::of_remember(part, "scope")?, &list));
            let Some((candidate, tried)) = changed.and_then(|changed| self.try_text(changed)) else {
                continue;
            };
            let meant = |before: &Approval| {
                let mut meant = before.clone();
                if let Some(remember) = &mut meant.remember {
                    remember.scope.clone_from(&scope);
                }
                meant
            };
            if halves(&tried) && self.differs_only_in(&candidate, &approval.name, meant) {
                let title = format!("remember `{}` by {}", approval.name, words.join(", "));
                return Some(self.proposal("scope", title, self.halved(), tried));
            }
        }
        None
    }

    fn halved(&self) -> String {
        "requests would be half as many or fewer; each statement that is asked about no more was approved in fact"
            .to_owned()
    }

    /// Grants that nobody ever used.
    fn unused(&self, approval: &Approval) -> Option<Proposal> {
        let uses = self.ground.tape.grants.get(&approval.name)?;
        if approval.remember.is_none() || uses.len() < ENOUGH || uses.iter().any(|used| *used > 0) {
            return None;
        }
        let text = Text::of(&self.current.policy_text);
        let lines = text.approval(&approval.name)?;
        let changed = text.with(&lines, |part| edit::replaced(part, &edit::all_of_remember(part)?, ""))?;
        let (candidate, tried) = self.try_text(changed)?;
        let meant = |before: &Approval| Approval { remember: None, ..before.clone() };
        if tried.prompts > self.prompts || !self.differs_only_in(&candidate, &approval.name, meant) {
            return None;
        }
        let title = format!("remember `{}` no more", approval.name);
        let why = format!("{} grants were issued, and none was used", uses.len());
        Some(self.proposal("unused-grants", title, why, tried))
    }

    /// A limit far above what anybody needed.
    fn limit(&self, rule: &str) -> Option<Proposal> {
        let rows = &self.uses.get(rule)?.delivered;
        let p99 = p99(rows)?;
        self.numbers(rule, &["limit", "rows"], |is| {
            let new = round_up(p99);
            (new > 0 && new.saturating_mul(2) <= is).then_some(new)
        })
        .filter(|(_, _, tried)| {
            tried.prompts.saturating_sub(self.prompts).saturating_mul(100) <= self.prompts
        })
        .map(|(is, new, tried)| {
            let title = format!("limit `{rule}` to {} rows in place of {}", thousands(new), thousands(is));
            let why =
                format!("99 of 100 of its {} statements delivered at most {}", rows.len(), thousands(p99));
            self.proposal("limit", title, why, tried)
        })
    }

    /// A threshold below what is approved every day.
    fn threshold(&self, rule: &str) -> Option<Proposal> {
        let rows = &self.uses.get(rule)?.approved_estimates;
        let p99 = p99(rows)?;
        let (is, new, tried) = self.numbers(rule, &["estimate_rows"], |is| {
            let new = round_up(p99);
            (new > is).then_some(new)
        })?;
        (tried.prompts < self.prompts).then(|| {
            let title = format!("ask by `{rule}` from {} rows on in place of {}", thousands(new), thousands(is));
            let why = format!(
                "99 of 100 of its {} approved statements were estimated at most at {}; none below was refused",
                rows.len(),
                thousands(p99)
            );
            self.proposal("threshold", title, why, tried)
        })
    }

    /// A number of a rule changed: what it was, what it is, and what that comes to.
    fn numbers(
        &self,
        rule: &str,
        keys: &[&str],
        new: impl FnOnce(u64) -> Option<u64>,
    ) -> Option<(u64, u64, Tried)> {
        let text = Text::of(&self.current.policy_text);
        let lines = text.rule(rule)?;
        let mut numbers = None;
        let changed = text.with(&lines, |part| {
            let (is, range) = edit::number(part, keys)?;
            let new = new(is)?;
            numbers = Some((is, new));
            edit::replaced(part, &range, &new.to_string())
        })?;
        let (is, new) = numbers?;
        let (candidate, tried) = self.try_text(changed)?;
        self.differs_only_in(&candidate, "", Clone::clone).then_some((is, new, tried))
    }

    /// A rule that matched nothing. What it guards against may still come, so that only one that guards against nothing is
    /// to go; and none is of which it cannot be told for every statement.
    fn never_fires(&self, rule: &str) -> Option<Proposal> {
        let recorded =
            || self.ground.tape.shapes.iter().any(|shape| shape.rules.iter().any(|name| name == rule));
        if self.decided == 0 || self.uses.contains_key(rule) || recorded() {
            return None;
        }
        let mut why = format!("it never fired in {} decided statements", thousands(self.decided));
        if self.undecidable > 0 {
            why.push_str(&format!(
                "; {} undecidable, any of which it may match",
                thousands(self.undecidable)
            ));
        }
        let harmless = self.undecidable == 0
            && self.current.rules.rule_action(rule) == Some(Action::Monitor)
            && self.current.rules.rule_is_unlimited(rule);
        let text = Text::of(&self.current.policy_text);
        let changed = text.rule(rule).filter(|_| harmless).map(|lines| text.without(&lines));
        let tried = changed.and_then(|changed| self.try_text(changed));
        let fits = |candidate: &Candidate| {
            let kept = self.current.rules.rule_names().filter(|name| *name != rule);
            kept.eq(candidate.rules.rule_names())
        };
        Some(match tried.filter(|(candidate, tried)| fits(candidate) && tried.changed == 0) {
            Some((_, tried)) => self.proposal("never-fires", format!("remove `{rule}`"), why, tried),
            None => {
                let tried = Tried { diff: String::new(), prompts: self.prompts, changed: 0 };
                let kept = if self.undecidable > 0 {
                    "kept"
                } else {
                    "kept, for it guards against what has not come yet"
                };
                let why = format!("{why}; {kept}");
                self.proposal("never-fires", format!("`{rule}` never fired"), why, tried)
            }
        })
    }
}

const fn part_word(part: ScopePart) -> &'static str {
    match part {
        ScopePart::Person => "person",
        ScopePart::Client => "client",
        ScopePart::Network => "network",
        ScopePart::Session => "session",
        ScopePart::Relations => "relations",
        ScopePart::Labels => "labels",
    }
}

/// The least that 99 of 100 do not exceed; `None` of too few.
fn p99(all: &[u64]) -> Option<u64> {
    if all.len() < ENOUGH {
        return None;
    }
    let mut ordered = all.to_vec();
    ordered.sort_unstable();
    ordered.get(ordered.len().saturating_mul(99).div_ceil(100).checked_sub(1)?).copied()
}

/// Up to two digits and zeros: nobody writes 1,234 as a limit.
fn round_up(number: u64) -> u64 {
    let unit = number.checked_ilog10().map_or(1, |digits| 10_u64.saturating_pow(digits.saturating_sub(1)));
    number.div_ceil(unit).saturating_mul(unit)
}
