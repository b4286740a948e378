//! What is written down of a decision.

use std::collections::BTreeSet;

use stepgate_record::{Event, LabelledColumn, RiskSignal, Statement, Why};
use stepgate_sql::Facts;
use stepgate_types::{Action, Certainty, Estimator, GrantId, Kind, RequestId};

use super::Case;

impl Case<'_> {
    /// Why each rule matched, for the record.
    pub(super) fn why(&self) -> Vec<Why> {
        if self.decision.rules.is_empty() {
            return Vec::new();
        }
        let all =
            self.view.rules.why(self.who, &self.view.bound, &self.pending.facts, &self.pending.compared());
        let all = all.into_iter().map(|it| Why {
            rule: it.rule,
            clause: it.clause.to_owned(),
            bucket: it.bucket,
            threshold: it.threshold,
        });
        all.collect()
    }

    /// A keyed hash of the text as it was sent, 16 bytes in hexadecimal, by which a text that is found elsewhere can be
    /// told to be this one. Not of what passes on a ticket: the record of that stands for every text of its facts.
    fn raw_hmac(&self) -> Option<String> {
        if self.pending.sql.is_empty() || (self.is_ordinary() && self.decision.action <= Action::Monitor) {
            return None;
        }
        let data = [self.who.database.as_bytes(), &[0], &self.pending.sql].concat();
        let mut hmac = self.judge.gate.vault.hmac_hex("raw sql", &data);
        hmac.truncate(32);
        Some(hmac)
    }

    pub(super) fn event(&self, verdict: &str, request: Option<RequestId>, grant: Option<GrantId>) -> Event {
        let columns = self.decision.touched.iter().map(|touched| LabelledColumn {
            column: touched.column.to_string(),
            label: touched.label.as_ref().map(ToString::to_string).unwrap_or_default(),
            class: touched.class.name.clone(),
            uses: touched.uses.iter().copied().collect(),
        });
        let raw = self.raw_hmac();
        Event::StatementDecided(Box::new(Statement {
            session: self.judge.session,
            statement: self.pending.number,
            person: self.judge.named.clone(),
            groups: self.who.groups.iter().cloned().collect(),
            service: self.who.service,
            database: self.who.database.clone(),
            protocol: self.pending.protocol.as_str().to_owned(),
            kinds: self.pending.facts.iter().map(|facts| facts.kind).collect(),
            runs: self.runs(),
            certainty: if self.is_known() { self.facts.certainty } else { Certainty::Unknown },
            reasons: self.facts.reasons.union(&self.decision.doubts).map(|code| (*code).to_owned()).collect(),
            relations: self.facts.relations.iter().map(ToString::to_string).collect(),
            columns: columns.collect(),
            sinks: self.facts.sinks.clone(),
            bulk: self.facts.bulk,
            estimate: self.decision.estimate,
            estimated_by: Some(self.decision.estimated_by).filter(|by| *by != Estimator::Catalog),
            fingerprint: self.facts.fingerprint.clone(),
            normalised: self.facts.normalised.clone(),
            parameters: u64::try_from(self.pending.values.len()).unwrap_or(u64::MAX),
            rules: self.decision.rules.clone(),
            action: self.decision.action,
            verdict: verdict.to_owned(),
            refusal: None,
            request,
            grant,
            policy_sha256: self.view.rules.sha256().to_owned(),
            db_user: self.who.db_user.clone(),
            runs_as: Some(self.runs_as()).filter(|role| *role != self.who.db_user),
            unenforced: !self.decision.enforced,
            functions: self.facts.functions.iter().cloned().collect(),
            raw_bytes: raw.as_ref().map(|_| u64::try_from(self.pending.sql.len()).unwrap_or(u64::MAX)),
            raw_hmac: raw.unwrap_or_default(),
            why: self.why(),
            risk: self.decision.risk,
            signals: self.signals(),
            purpose: self.purpose(),
            buckets: self.buckets(),
        }))
    }

    /// The kinds of what runs within its statements. Said of all that may run others, were it that they run none: of the rest
    /// it need not be.
    fn runs(&self) -> Option<Vec<Kind>> {
        let facts = &self.pending.facts;
        let runs: BTreeSet<Kind> = facts.iter().flat_map(Facts::runs).collect();
        let may_run = |facts: &Facts| facts.kind.holds_others() || !facts.sinks.is_empty();
        (!runs.is_empty() || facts.iter().any(may_run)).then(|| runs.into_iter().collect())
    }

    /// What the client says it wants the data for, in a word of the policy's: nothing else that it says is written down.
    fn purpose(&self) -> Option<String> {
        self.who.purpose.clone().filter(|it| self.view.rules.knows_purpose(it))
    }

    /// What was seen of every signal that has a weight: also of those that do not fire, so that another policy can be
    /// tried on the record.
    fn signals(&self) -> Vec<RiskSignal> {
        let signal = |seen: &stepgate_policy::Weighed| RiskSignal {
            name: seen.signal.as_str().to_owned(),
            bucket: seen.bucket.clone(),
            threshold: seen.threshold.clone(),
            weight: seen.weight,
        };
        self.decision.signals.iter().map(signal).collect()
    }
}
