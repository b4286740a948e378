//! What a decision sees of the moment: who asks, the time, what the client says it is for, and which signals there are.
//!
//! A policy that asks for none of the latter costs nothing for them.

use stepgate_policy::{Circumstances, RiskSettings, Scene, Signals, observe, observe_unread};
use stepgate_session::Pending;
use stepgate_sql::{Facts, SessionState, purpose};
use stepgate_types::GroupName;

use super::Judge;
use super::known::Besides;
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

    /// The groups that the person is in now; none of somebody who is no more.
    pub(crate) fn groups(&self) -> Box<[GroupName]> {
        self.gate
            .people
            .get(&self.person)
            .map(|person| person.groups.iter().cloned().collect())
            .unwrap_or_default()
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
            who.purpose = state.and_then(|state| said(pending, state));
        }
        if let Some(risk) = view.rules.risk() {
            who.signals = self.signals_of(risk, view, message, &who, state.is_none());
        }
        Some(who)
    }

    /// Time has passed, and the statement is known as well as it can be.
    pub(super) fn look_again(&self, view: &View, pending: &Pending, who: &mut Circumstances) {
        who.now = self.gate.clock.now();
        if let Some(risk) = view.rules.risk() {
            who.signals = self.signals_of(risk, view, &pending.facts, who, true);
        }
    }

    /// What is unusual about it, for this person. Nothing where there is no session yet: nobody knows from where it will
    /// come, and when. `asked`: nobody knows more of how many rows it returns.
    fn signals_of(
        &self,
        risk: &RiskSettings,
        view: &View,
        message: &[Facts],
        who: &Circumstances,
        asked: bool,
    ) -> Signals {
        let Some(manner) = &self.manner else { return Signals::none() };
        let (origin, profile) = self.origin.get_or_init(|| {
            let profiles = &self.gate.profiles;
            let (startup, hello) = (Some(manner.startup.as_str()), manner.tls.as_deref());
            (profiles.origin(self.address, &self.client, startup, hello), profiles.of(&self.person))
        });
        let client = &self.client;
        let scene = Scene { session: self.session, origin, client, service: who.service, now: who.now };
        let reach = view.rules.reach_of_message(&who.database, &view.bound, message, asked);
        match profile.now() {
            Some(profile) => observe(risk, &profile, &scene, &reach),
            None => observe_unread(risk, &scene, &reach),
        }
    }

    /// What is told with a decision that is remembered.
    pub(super) fn besides(view: &View, state: &SessionState) -> Besides {
        Besides {
            purpose: view.rules.asks_for_purpose().then(|| state.purpose.clone()),
            runs_as: state.runs_as.clone(),
        }
    }
}

/// What a statement's own comments say it is for, or else its session. The client says it, and it is no proof of anything.
fn said(pending: &Pending, state: &SessionState) -> Option<String> {
    purpose(&pending.sql, state).or(state.purpose.as_deref()).map(str::to_owned)
}
