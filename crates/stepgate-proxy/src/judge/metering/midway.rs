//! A statement that has delivered what it may: people are asked whether the rest may follow.

use stepgate_approval::{Dialect, Mode, Wanted};
use stepgate_policy::{Approval, InTransaction};
use stepgate_record::{Event, LimitReached};
use stepgate_store::LogError;
use stepgate_types::{Action, Amount, bytes_in_words, rows_in_words};

use super::super::asking::{MAX_HOLD_IN_TRANSACTION, no_randomness};
use super::{Case, Hold, Limited, More};
use crate::refusal;

impl Case<'_> {
    /// Asks people whether more may be delivered.
    pub(super) async fn ask_for_more(
        &self,
        limited: &Limited,
        beyond: &(Action, Approval),
        wanted: Wanted,
    ) -> Result<More, LogError> {
        let gate = &self.judge.gate;
        if self.judge.is_stopping() {
            gate.log.append(vec![self.reached(limited, "deny")], Vec::new()).await?;
            return Ok(More::Ends(refusal::stopping()));
        }
        gate.log.append(vec![self.reached(limited, "hold")], Vec::new()).await?;
        let Some(id) = self.fresh_id() else { return Ok(More::Ends(no_randomness())) };
        let approval = &beyond.1;
        let patience = match self.view.rules.in_transaction() {
            InTransaction::Hold => self.view.rules.hold(),
            // A result that is under way keeps a snapshot and the locks of what it reads.
            InTransaction::Auto | InTransaction::Defer => self.view.rules.hold().min(MAX_HOLD_IN_TRANSACTION),
        };
        let patience = self.judge.before_timeout(patience);
        let mut ask = self.ask(id, approval, &wanted, Mode::Hold);
        let crossed = limited.crossed.as_ref().map(|crossed| format!("{crossed} ")).unwrap_or_default();
        ask.summary = format!("{crossed}{} {}", delivered(limited), ask.summary);
        ask.expires = ask.opened.plus(approval.expires.min(patience));
        let summary = ask.summary.clone();
        let waiting = match gate.desk.ask(ask, self.held()).await {
            Ok(waiting) => waiting,
            Err(error) => return Ok(More::Ends(refusal::desk_failed(&error))),
        };
        let Amount { rows, .. } = limited.meter.delivered();
        // One that is joined may last longer.
        let left = waiting.expires.since(gate.clock.now());
        let url = gate.console_url.as_deref();
        let digits = self.digits(approval, &waiting).await;
        let notice = refusal::held_midway(
            waiting.request,
            approval,
            self.decision,
            (rows, &summary),
            left.min(patience),
            digits.as_ref().map(|digits| digits.as_str()),
            url,
        );
        let notice = refusal::joined(notice, &waiting, self.who.address);
        Ok(More::Waits(Box::new(Hold {
            waiting,
            statement: self.statement(),
            notice,
            limit: Some(patience).filter(|patience| *patience < left),
            deferred: None,
            outlives_client: false,
            wanted,
            dialect: Dialect::default(),
            behind: Vec::new(),
            granted: None,
            midway: Some(limited.meter.number()),
        })))
    }

    pub(super) fn reached(&self, limited: &Limited, verdict: &str) -> Event {
        let Amount { rows, bytes, .. } = limited.meter.delivered();
        let crossed = limited.crossed.as_ref();
        let limit = crossed.map_or(limited.own, |crossed| crossed.limit);
        Event::LimitReached(Box::new(LimitReached {
            session: self.judge.session,
            statement: limited.meter.number(),
            person: self.judge.named.clone(),
            rows,
            bytes,
            next: limited.next,
            limit_rows: limit.rows,
            limit_bytes: limit.bytes,
            limit_subjects: limit.subjects,
            limit_rule: crossed.map(|crossed| crossed.rule.clone()),
            limit_per: crossed.map(|crossed| crossed.per.to_string()),
            rules: self.decision.rules.clone(),
            verdict: verdict.to_owned(),
        }))
    }
}

/// What of the statement is out, and why its next row waits.
fn delivered(limited: &Limited) -> String {
    let Amount { rows, bytes, .. } = limited.meter.delivered();
    let next = bytes_in_words(limited.next);
    let large = limited.own.bytes.is_some_and(|own| own < limited.next);
    match rows {
        0 => format!("Nothing is out yet; the next row has {next}."),
        _ if large => {
            format!(
                "{} ({}) are out already; the next has {next}.",
                rows_in_words(rows),
                bytes_in_words(bytes)
            )
        }
        1 => format!("1 row ({}) is out already.", bytes_in_words(bytes)),
        _ => format!("{} ({}) are out already.", rows_in_words(rows), bytes_in_words(bytes)),
    }
}
