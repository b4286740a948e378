//! A statement of somebody's at some time and place, decided about as a gate would.

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_policy::{
    Bound, Case, Circumstances, Decision, Deed, Delivered, Observation, Origin, OriginKey, Past, PastEvent,
    Profile, Reach, RiskSettings, Ruleset, Scene, Signal, Signals, Verdict, Why, observe,
};
use stepgate_proxy::before_it_runs;
use stepgate_sql::{Facts, StatementValues, purpose};
use stepgate_types::{Action, Clock as _, GroupName, Limit, SessionId, Timestamp};

use super::stage::Room;
use crate::analyze::Source;
use crate::args::AskerArgs;
use crate::audit;
use crate::failure::Failure;
use crate::system::SystemClock;

/// What tokens are made with: nothing here is kept.
const KEY: [u8; 32] = [0; 32];

/// The client where a case does not say: what most people type into.
const CLIENT: &str = "psql";

/// The session of the case itself; those of its history have the numbers below.
const NOW: SessionId = SessionId::from_bytes([0xff; 16]);

/// What a gate would decide.
pub(super) struct Outcome {
    /// What the statements are.
    pub(super) facts: Vec<Facts>,
    pub(super) decision: Decision,
    /// The decision once as much has been delivered as that lets out, where it limits that.
    pub(super) at_limit: Option<Decision>,
    /// Why each rule matched that did.
    pub(super) why: Vec<Why>,
    /// What the client says it is for, where a rule asks.
    pub(super) purpose: Option<String>,
}

/// Decides about a case in a session that has just begun. `now` is when it is, where the case does not say.
pub(super) fn decide(
    rules: &Ruleset,
    room: &mut Room,
    case: &Case,
    database: &str,
    now: Timestamp,
) -> Outcome {
    let at = case.at.unwrap_or(now);
    let mut facts = room.names.facts(&case.sql, room.source.catalog(), room.source.session());
    let mut who = circumstances(case, database, at, |groups| room.role_of(groups));
    if rules.asks_for_purpose() {
        let said = purpose(case.sql.as_bytes(), room.source.session()).map(str::to_owned);
        who.purpose = said.or_else(|| case.purpose.clone());
    }
    if let Some(risk) = rules.risk() {
        who.signals = match &case.signals {
            Some(firing) => risk.signals().map(|signal| given(signal, firing.contains(&signal))).collect(),
            None => observed(rules, risk, room, case, &who, &facts, false),
        };
    }
    let values = StatementValues::<Vec<u8>>::new(case.sql.as_bytes(), &[], &[], &[]);
    let asked = ask_planner((rules, &room.bound), &who, &room.source, &case.sql, &mut facts);
    if asked && let (Some(risk), None) = (rules.risk(), &case.signals) {
        who.signals = observed(rules, risk, room, case, &who, &facts, true);
    }
    let decision =
        before_it_runs(rules.decide_by(&who, &room.bound, &facts, &values), &facts, rules, &who.database);
    let why = rules.why(&who, &room.bound, &facts, &values);
    let purpose = who.purpose.clone();
    let at_limit = decision.is_limited().then(|| {
        who.delivered = beyond(decision.more_at_once());
        let decision = rules.decide_by(&who, &room.bound, &facts, &values);
        before_it_runs(decision, &facts, rules, &who.database)
    });
    Outcome { facts, decision, at_limit, why, purpose }
}

/// The first row, or byte, that a limit does not let out.
fn beyond(limit: Limit) -> Delivered {
    let next = |most: Option<u64>| most.map_or(0, |most| most.saturating_add(1));
    Delivered { rows: next(limit.rows), bytes: if limit.rows.is_none() { next(limit.bytes) } else { 0 } }
}

/// Puts the planner's estimate into the facts of a message, where a gate would ask for it; whether it would.
pub(super) fn ask_planner(
    (rules, bound): (&Ruleset, &Bound),
    who: &Circumstances,
    source: &Source,
    sql: &str,
    facts: &mut [Facts],
) -> bool {
    let values = StatementValues::<Vec<u8>>::new(sql.as_bytes(), &[], &[], &[]);
    let [only] = facts else { return false };
    if !rules.hangs_on_estimate(who, bound, only, &values) {
        return false;
    }
    if let Some(planned) = source.planned(sql, only, &who.db_user) {
        *only = planned;
    }
    true
}

/// The case that the arguments tell of, with nothing before it.
pub(super) fn case(asker: &AskerArgs, sql: String, at: Timestamp) -> Case {
    Case {
        name: None,
        line: 1,
        person: asker.person.clone(),
        groups: asker.groups.iter().cloned().collect(),
        service: asker.service,
        from: Some(asker.from),
        at: Some(at),
        client: Some(asker.client.clone()),
        database: asker.database.clone(),
        db_user: asker.db_user.clone(),
        purpose: asker.purpose.clone(),
        signals: None,
        history: Vec::new(),
        sql,
        expect: Action::Allow,
        rules: Vec::new(),
    }
}

/// When it is.
pub(super) fn time(asker: &AskerArgs) -> Result<Timestamp, Failure> {
    let now = SystemClock.now();
    asker.at.as_deref().map_or(Ok(now), |text| audit::time(text, now))
}

/// Who sends the statements of a case, from where and when; neither signals nor purpose. `role_of` is the role that the
/// configuration gives groups, where the case names none.
pub(super) fn circumstances(
    case: &Case,
    database: &str,
    at: Timestamp,
    role_of: impl Fn(&BTreeSet<GroupName>) -> Option<String>,
) -> Circumstances {
    Circumstances {
        groups: case.groups.clone(),
        service: case.service,
        client: case.client.clone().unwrap_or_else(|| CLIENT.to_owned()),
        db_user: case.db_user.clone().or_else(|| role_of(&case.groups)).unwrap_or_default(),
        now: at,
        ..Circumstances::of(case.person.clone(), database, address(case.from))
    }
}

fn address(from: Option<std::net::IpAddr>) -> std::net::IpAddr {
    from.unwrap_or_else(|| std::net::Ipv4Addr::LOCALHOST.into())
}

fn given(signal: Signal, fires: bool) -> Observation {
    Observation { signal, fires, bucket: "as told".to_owned(), threshold: String::new(), at_most: false }
}

/// What a gate would see of the signals after that history; `asked`: nobody knows more of the estimate.
fn observed(
    rules: &Ruleset,
    risk: &RiskSettings,
    room: &Room,
    case: &Case,
    who: &Circumstances,
    facts: &[Facts],
    asked: bool,
) -> Signals {
    let history = History { rules, risk, room, who, case };
    let profile = history.profile();
    let origin = history.origin(case.from, case.client.as_deref());
    let scene =
        Scene { session: NOW, origin: &origin, client: &who.client, service: who.service, now: who.now };
    observe(risk, &profile, &scene, &history.reach(facts, asked))
}

/// What somebody did before.
struct History<'a> {
    rules: &'a Ruleset,
    risk: &'a RiskSettings,
    room: &'a Room,
    who: &'a Circumstances,
    case: &'a Case,
}

impl History<'_> {
    fn profile(&self) -> Profile {
        let mut deeds: Vec<(Timestamp, &Past)> = Vec::new();
        for past in &self.case.history {
            let ago = i64::try_from(past.ago.as_micros()).unwrap_or(i64::MAX);
            let first = Timestamp::from_micros(self.who.now.micros().saturating_sub(ago));
            let at = |time: u32| first.plus(past.every.saturating_mul(time));
            deeds.extend((0..past.times).map(|time| (at(time), past)));
        }
        deeds.sort_by_key(|(at, _)| *at);
        let mut profile = Profile::default();
        for (number, (at, past)) in (0_u128..).zip(deeds) {
            self.take(&mut profile, SessionId::from_bytes(number.to_be_bytes()), at, past);
        }
        profile
    }

    fn take(&self, profile: &mut Profile, session: SessionId, at: Timestamp, past: &Past) {
        let teaching = &self.risk.teaching;
        let from = past.from.or(self.case.from);
        let origin = self.origin(from, past.client.as_deref().or(self.case.client.as_deref()));
        let mut learn = |deed: Deed<'_>| profile.learn(teaching, at, &deed);
        match &past.what {
            PastEvent::FactorFailed => return learn(Deed::FactorFailed),
            PastEvent::FactorEnrolled => return learn(Deed::FactorChanged),
            PastEvent::Statement { .. } | PastEvent::Denied | PastEvent::Login | PastEvent::Open => {}
        }
        learn(Deed::Opened { session, origin: &origin });
        match &past.what {
            PastEvent::Statement { sql, rows, bytes } => {
                let facts = stepgate_sql::analyze(
                    sql.as_bytes(),
                    self.room.source.catalog(),
                    self.room.source.session(),
                );
                let reach = self.reach(&facts, true);
                learn(Deed::Decided { session, statement: 1, verdict: Verdict::Forwarded, reach: &reach });
                learn(Deed::Completed { session, statement: 1, rows: *rows, bytes: *bytes });
            }
            PastEvent::Denied => {
                let reach = Reach::default();
                learn(Deed::Decided { session, statement: 1, verdict: Verdict::Denied, reach: &reach });
            }
            PastEvent::Open => return,
            PastEvent::Login | PastEvent::FactorFailed | PastEvent::FactorEnrolled => {}
        }
        learn(Deed::Closed { session });
    }

    fn origin(&self, from: Option<std::net::IpAddr>, client: Option<&str>) -> Origin {
        let key = OriginKey::new(KEY);
        Origin::new(&key, Some(address(from)), None).client(&key, client.unwrap_or(CLIENT))
    }

    fn reach(&self, facts: &[Facts], asked: bool) -> Reach {
        self.rules.reach_of_message(&self.who.database, &self.room.bound, facts, asked)
    }
}

/// When cases are that do not say: noon in Greenwich, on a Wednesday, so that what passes today passes at night, too.
pub(super) fn usual_time() -> Timestamp {
    // 2026-01-07T12:00:00Z.
    Timestamp::from_micros(0).plus(Duration::from_secs(1_767_787_200))
}
