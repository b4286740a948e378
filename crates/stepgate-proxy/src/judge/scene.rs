//! What a decision sees of the moment: who asks, the time, what the client says it is for, and which signals there are.
//!
//! A policy that asks for none of the latter costs nothing for them.

use stepgate_policy::{Circumstances, RiskSettings, Signals};
use stepgate_session::Pending;
use stepgate_sql::{Facts, SessionState, purpose};

use super::Judge;
use super::known::{Besides, minute_of};
use crate::database::View;

impl Judge {
    /// All that decisions hang on besides statement and view. What of it may change within a session must be counted:
    /// decisions are remembered for as long as the counts are the same (`known.rs`).
    pub(super) fn circumstances(&self) -> Option<Circumstances> {
        // Asked anew each time: groups may change while a session is open.
        let person = self.gate.people.get(&self.person)?;
        // In other groups now, somebody may have another role, and this session goes on with the one of before.
        let role = self.database.config.role_of(&person.groups);
        role.filter(|role| role.user == self.role.user)?;
        Some(Circumstances {
            groups: person.groups.iter().cloned().collect(),
            service: person.service,
            db_user: self.role.user.clone(),
            client: self.client.clone(),
            now: self.gate.clock.now(),
            ..Circumstances::of(self.person.clone(), &self.database.config.name, self.address)
        })
    }

    /// The same for a message of these facts. `state`: how the session reads it; where it runs already, nothing it says
    /// of itself counts.
    pub(super) fn circumstances_of(
        &self,
        view: &View,
        message: &[Facts],
        pending: &Pending,
        state: Option<&SessionState>,
    ) -> Option<Circumstances> {
        let mut who = self.circumstances()?;
        if view.rules.asks_for_purpose() {
            who.purpose =
                state.and_then(|state| said(pending, state)).filter(|it| view.rules.knows_purpose(it));
        }
        if let Some(risk) = view.rules.risk() {
            who.signals = self.signals_of(risk, view, message, &who);
        }
        Some(who)
    }

    /// Time has passed, and the statement is known better.
    pub(super) fn look_again(&self, view: &View, pending: &Pending, who: &mut Circumstances) {
        who.now = self.gate.clock.now();
        if let Some(risk) = view.rules.risk() {
            who.signals = self.signals_of(risk, view, &pending.facts, who);
        }
    }

    fn signals_of(
        &self,
        _risk: &RiskSettings,
        _view: &View,
        _message: &[Facts],
        _who: &Circumstances,
    ) -> Signals {
        Signals::none()
    }

    /// What a decision hangs on that is remembered; `None`: on what is never the same.
    pub(super) fn besides(view: &View, who: &Circumstances, state: &SessionState) -> Option<Besides> {
        let rules = &view.rules;
        rules.risk().is_none().then(|| Besides {
            minute: rules.looks_at_clock().then(|| minute_of(who.now)),
            purpose: rules.asks_for_purpose().then(|| state.purpose.clone()),
        })
    }
}

/// What a statement's own comments say it is for, or else its session. The client says it, and it is no proof of anything.
fn said(pending: &Pending, state: &SessionState) -> Option<String> {
    purpose(&pending.sql, state).or(state.purpose.as_deref()).map(str::to_owned)
}
