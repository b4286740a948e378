use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use stepgate_sql::{Facts, NoValues, Values};
use stepgate_types::{ColumnName, is_wildcard};

use crate::bound::{Alarm, Missing};
use crate::condition::Condition;
use crate::limit_load::Limits;
use crate::map::Map;
use crate::policy::{InTransaction, Policy};
use crate::report::Report;
use crate::statement::Column;
use crate::{
    Approval, Bound, Bucket, Case, Circumstances, Columns, Decision, Errors, LoadError, RiskSettings,
    RuleExplained, Signal, Why, bucket, case_load, decide, explain, map_load, policy_load, why,
};

/// Map and policy together, checked against each other and ready to decide.
#[derive(Debug, Clone)]
pub struct Ruleset {
    map: Map,
    policy: Policy,
    sha256: String,
    map_sha256: String,
    policy_file_sha256: String,
}

impl Ruleset {
    /// Reads map and policy, each as (file name for errors, text).
    ///
    /// # Errors
    /// All that is wrong with either.
    pub fn load(map: (&str, &str), policy: (&str, &str)) -> Result<Self, Errors> {
        let sha256 = sha256(map.1, policy.1);
        let [map_sha256, policy_file_sha256] = [map.1, policy.1].map(|text| hex(&Sha256::digest(text)));
        let mut map_report = Report::new(map.0, map.1);
        let map = map_load::load(&mut map_report, map.1);
        let mut policy_report = Report::new(policy.0, policy.1);
        let policy = policy_load::load(&mut policy_report, policy.1, map.as_ref());
        let mut errors = map_report.into_errors();
        errors.extend(policy_report.into_errors());
        match (map, policy) {
            (Some(map), Some(policy)) if errors.is_empty() => {
                Ok(Self { map, policy, sha256, map_sha256, policy_file_sha256 })
            }
            _ => Err(Errors::new(errors)),
        }
    }

    /// The compiled policy.
    pub(crate) const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// SHA-256 (hex) over the SHA-256 of the map's text, then that of the policy's.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// SHA-256 (hex) of the map's text.
    #[must_use]
    pub fn map_sha256(&self) -> &str {
        &self.map_sha256
    }

    /// SHA-256 (hex) of the policy's text.
    #[must_use]
    pub fn policy_file_sha256(&self) -> &str {
        &self.policy_file_sha256
    }

    /// Whether decisions are enforced (`mode: enforce`) or only recorded (`mode: monitor`).
    #[must_use]
    pub fn enforced(&self) -> bool {
        self.policy.enforced
    }

    /// Whether any rule limits subjects.
    #[must_use]
    pub fn limits_subjects(&self) -> bool {
        let counts = |limits: &Limits| {
            limits.statement.subjects.is_some() || limits.meters.iter().any(|(_, it)| it.subjects.is_some())
        };
        self.policy.rules.iter().any(|rule| counts(&rule.limits))
    }

    /// How long a statement waits on the open connection at most (`defaults.hold`).
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.policy.hold
    }

    /// Whether statements wait while a transaction is open (`defaults.in_transaction`).
    #[must_use]
    pub fn in_transaction(&self) -> InTransaction {
        self.policy.in_transaction
    }

    /// Whether a request that others answer stays open when its client leaves (`defaults.on_client_gone`).
    #[must_use]
    pub fn outlives_client(&self) -> bool {
        self.policy.outlives_client
    }

    /// The policy's approvals, in the file's order.
    #[must_use]
    pub fn approvals(&self) -> &[Approval] {
        &self.policy.approvals
    }

    /// What signals weigh and when they fire; `None`: nobody need look for any.
    #[must_use]
    pub fn risk(&self) -> Option<&RiskSettings> {
        self.policy.risk.as_ref()
    }

    /// The policy's own cases (`tests:`), in the file's order. Nobody has run them.
    #[must_use]
    pub fn tests(&self) -> &[Case] {
        &self.policy.tests
    }

    /// Reads a file of cases for this policy: `version: 1` and `tests`. `file` is the name that errors show.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read_tests(&self, file: &str, text: &str) -> Result<Vec<Case>, Errors> {
        let mut report = Report::new(file, text);
        let names: Vec<&str> = self.rule_names().chain(policy_load::OWN_RULES).collect();
        let cases = case_load::file(&mut report, text, &names);
        let errors = report.into_errors();
        if errors.is_empty() { Ok(cases) } else { Err(Errors::new(errors)) }
    }

    /// Names of the policy's rules, in the file's order.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.policy.rules.iter().map(|rule| rule.name.as_str())
    }

    /// Holds the map's entries for `database`, and the columns of `predicate` conditions, against its catalog; see
    /// [`Map::bind`].
    #[must_use]
    pub fn bind(&self, database: &str, catalog: &impl Columns, bound: &BTreeSet<&ColumnName>) -> Bound {
        let mut bound = self.map.bind(database, catalog, bound);
        // A table that this database has not may be one of another's.
        let is_only = self.map.databases().count() <= 1 && !self.map.databases().any(is_wildcard);
        for rule in &self.policy.rules {
            for ColumnName { relation, column } in rule.condition.compared() {
                let there = catalog.columns(relation);
                if there.map_or(is_only, |there| !there.contains(&column.as_str())) {
                    bound.alarms.push(Alarm {
                        database: database.to_owned(),
                        relation: relation.clone(),
                        missing: Missing::Compared { column: column.clone(), rule: rule.name.clone() },
                    });
                }
            }
        }
        bound
    }

    /// Decides about one message of these statements, where nothing is known of the values that it compares with.
    ///
    /// See [`Self::decide_by`].
    #[must_use]
    pub fn decide(&self, who: &Circumstances, bound: &Bound, message: &[Facts]) -> Decision {
        self.decide_by(who, bound, message, &NoValues)
    }

    /// Decides about one message of these statements. Pure; `bound` is of the database in `who`.
    ///
    /// A message without statements gets `defaults.action`: there is nothing in it to look at. What
    /// cannot be read must come as facts of kind `unknown`.
    #[must_use]
    pub fn decide_by(
        &self,
        who: &Circumstances,
        bound: &Bound,
        message: &[Facts],
        values: &dyn Values,
    ) -> Decision {
        decide::decide(&self.map, &self.policy, who, bound, message, values)
    }

    /// Why each rule matched that did.
    #[must_use]
    pub fn why(
        &self,
        who: &Circumstances,
        bound: &Bound,
        message: &[Facts],
        values: &dyn Values,
    ) -> Vec<Why> {
        why::why(&self.map, &self.policy, who, bound, message, values)
    }

    /// Every rule against one statement, clause by clause: those that match before those that miss, and the nearer misses
    /// first. For whoever writes policies: it tells all that was given of who asks.
    #[must_use]
    pub fn explain(
        &self,
        who: &Circumstances,
        bound: &Bound,
        statement: &Facts,
        values: &dyn Values,
    ) -> Vec<RuleExplained> {
        explain::explain(&self.map, &self.policy, who, bound, statement, values)
    }

    /// On which side of the map's thresholds (`threshold:`) the values lie that this message compares columns with:
    /// never the values. Nothing where it compares none that has some.
    #[must_use]
    pub fn buckets(&self, database: &str, message: &[Facts], values: &dyn Values) -> Vec<Bucket> {
        bucket::buckets(&self.map, database, message, values)
    }

    /// Whether a decision about this message, and what is recorded of it, hangs on nothing but its facts, who asks, and
    /// how the map fits: then the same again is decided in the same way. Values count only where a rule compares one with
    /// that very column, or the map has thresholds of it. With `risk:`, no decision is: it tells the risk. Nor with any
    /// rule that looks at the moment; [`Self::is_settled`] looks closer.
    #[must_use]
    pub fn is_settled_by_facts(&self, database: &str, message: &[Facts]) -> bool {
        self.policy.risk.is_none()
            && !self.policy.looks_at_the_moment
            && !self.looks_at_values(database, message)
    }

    /// The same, where only rules count that could match this message from this person.
    #[must_use]
    pub fn is_settled(&self, who: &Circumstances, bound: &Bound, message: &[Facts]) -> bool {
        self.policy.risk.is_none()
            && !self.hangs_on_moment(who, bound, message)
            && !self.looks_at_values(&who.database, message)
    }

    fn looks_at_values(&self, database: &str, message: &[Facts]) -> bool {
        let looks = |column: &ColumnName| {
            let uses = BTreeSet::new();
            let column =
                Column { name: column, uses: &uses, classified: self.map.classify(database, column) };
            self.policy.rules.iter().any(|rule| rule.condition.looks_at_values_of(&column))
        };
        let mut last = None;
        let compared = message.iter().flat_map(|facts| facts.predicates.iter()).map(|it| &it.column);
        // In order of columns: each need be asked about but once.
        let mut compared = compared.filter(|column| last.replace(*column) != Some(*column));
        compared.any(|column| self.map.has_thresholds(column) || looks(column))
    }

    /// Whether what happens to this message hangs on when it is sent, or on risk, signals, purpose or what of it was
    /// delivered: whether some rule that looks at any of these could match it, whatever they are.
    #[must_use]
    pub fn hangs_on_moment(&self, who: &Circumstances, bound: &Bound, message: &[Facts]) -> bool {
        let hangs =
            |facts: &Facts| decide::hangs_on_moment(&self.map, &self.policy, who, bound, facts, &NoValues);
        self.policy.looks_at_the_moment && message.iter().any(hangs)
    }

    /// The signals that its rules hang on, each of which must be known for a decision: those named, and where a rule asks
    /// for the risk, all that have a weight.
    #[must_use]
    pub fn signals_asked_for(&self) -> BTreeSet<Signal> {
        let mut all = BTreeSet::new();
        for rule in &self.policy.rules {
            let (signals, risk) = rule.condition.signals();
            all.extend(signals);
            if risk {
                all.extend(self.policy.risk.iter().flat_map(RiskSettings::signals));
            }
        }
        all
    }

    pub(crate) const fn looks_at_the_moment(&self) -> bool {
        self.policy.looks_at_the_moment
    }

    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.policy.rules.iter().map(|rule| &rule.condition)
    }

    /// What is right and may not be meant: rules that nothing in the map fits. In order of line and column.
    #[must_use]
    pub fn warnings(&self) -> &[LoadError] {
        &self.policy.warnings
    }

    /// Whether what happens to a statement hangs on how many rows it returns, by a rule or by a signal, and the upper bound
    /// in its facts leaves that open: then, and only then, it is worth asking somebody who knows more.
    #[must_use]
    pub fn hangs_on_estimate(
        &self,
        who: &Circumstances,
        bound: &Bound,
        statement: &Facts,
        values: &dyn Values,
    ) -> bool {
        (self.policy.asks_for_rows || who.signals.is_open())
            && decide::hangs_on_estimate(&self.map, &self.policy, who, bound, statement, values)
    }
}

fn sha256(map: &str, policy: &str) -> String {
    let mut both = Sha256::new();
    both.update(Sha256::digest(map));
    both.update(Sha256::digest(policy));
    hex(&both.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
