//! Break-glass: asked for, opened by a passkey, gone by, and over. What is open is a projection of the log, as grants
//! are; what waits for its ceremony is in memory alone.
//!
//! Its end is on two clocks: what somebody does to the gate's clock does not prolong it. After a restart what is left
//! is counted from the latest record, wherever the clock is then.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use stepgate_approval::{
    AuthenticatorId, Bound, CHALLENGE_LIFE, Glass, GlassRules, Lifts, MAX_GLASS, Method, Reach, Reason,
    Source,
};
use stepgate_record::{Event, GlassEnded, GlassOpened, GlassUsed};
use stepgate_types::{Actor, GrantId, GroupName, InForce, PersonName, StatementId, Strength, Timestamp, Who};

use super::inner::Inner;
use super::methods::Needs;
use super::prove::Asked;
use super::state::{State, hex};
use super::{Challenged, Desk, DeskError, GlassError, Presented, finish};
use crate::{Person, Subjects};

/// Ceremonies that wait, of one person from one address: an attacker elsewhere with their password pushes out none of
/// theirs.
const MAX_WISHED_OF_PERSON: usize = 4;

/// The same in all.
const MAX_WISHED: usize = 1000;

/// The longest name of a client or database: PostgreSQL's NAMEDATALEN - 1.
const MAX_NAME: usize = 63;

/// What must be proven: by a passkey that has counted before today.
const NEEDS: Needs = Needs { required: Strength::PhishingResistant, for_others: true };

/// What somebody asks to be let do.
#[derive(Debug, Clone)]
pub struct GlassWish {
    /// Why.
    pub reason: String,
    /// For how long; `None`: as long as the gate lets.
    pub time: Option<Duration>,
    /// In which database; `None`: in all.
    pub database: Option<String>,
    /// By which client (`application_name`).
    pub client: String,
}

/// One that waits for its ceremony.
#[derive(Clone)]
pub(super) struct Wished {
    pub(super) glass: Glass,
    /// When it lapses, on the monotonic clock.
    pub(super) until: Duration,
}

/// One that was opened: in force, or over and not reviewed.
pub(super) struct Broken {
    pub(super) glass: Glass,
    pub(super) opened: Timestamp,
    pub(super) expires: Timestamp,
    /// The same on the monotonic clock.
    pub(super) until: Duration,
    pub(super) in_force: InForce,
    /// When it was over.
    pub(super) ended: Option<Timestamp>,
    /// When somebody was last told that it waits to be reviewed.
    pub(super) reminded: Timestamp,
    pub(super) uses: u64,
}

impl Broken {
    fn is_over(&self, now: Timestamp, elapsed: Duration) -> bool {
        self.ended.is_some() || now >= self.expires || elapsed >= self.until
    }
}

/// A break-glass, as listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlassInfo {
    /// Its id.
    pub grant: GrantId,
    /// `asked` (waits for its ceremony), `open`, or `to-review`.
    pub state: &'static str,
    /// Who.
    pub person: PersonName,
    /// Why, as one harmless line.
    pub reason: String,
    /// In which database; `None`: in all.
    pub database: Option<String>,
    /// By which client.
    pub client: String,
    /// From which address.
    pub network: String,
    /// What it lifts besides being asked.
    pub lifts: Vec<String>,
    /// For how many seconds.
    pub seconds: u64,
    /// When it was opened, if it was.
    pub opened: Option<String>,
    /// When it ends.
    pub expires: Option<String>,
    /// How many statements have passed by it.
    pub uses: u64,
}

fn info(glass: &Glass) -> GlassInfo {
    GlassInfo {
        grant: glass.id,
        state: "asked",
        person: glass.person.clone(),
        reason: glass.reason.shown(),
        database: glass.database.clone(),
        client: glass.client.clone(),
        network: glass.network.to_canonical().to_string(),
        lifts: glass.lifts.words(),
        seconds: glass.time.as_secs(),
        opened: None,
        expires: None,
        uses: 0,
    }
}

impl Desk {
    /// Who may break the glass from here on; `None`: nobody, and what is open ends.
    pub fn set_break_glass(&self, rules: Option<GlassRules>) {
        *self.0.glass_rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Asks to break the glass: nothing is open until [`Desk::open_glass`], within ten minutes.
    ///
    /// # Errors
    /// See [`GlassError`].
    pub async fn ask_glass(
        &self,
        person: &PersonName,
        wish: GlassWish,
        address: IpAddr,
    ) -> Result<GlassInfo, GlassError> {
        let _turn = self.0.turn.lock().await;
        self.0.ask_glass(person, wish, address)
    }

    /// What is open, waits to be opened or reviewed, as far as this person may see it: their own, and who reviews sees
    /// what was opened. `None` is the operator, who sees all.
    #[must_use]
    pub fn glasses(&self, viewer: Option<&PersonName>) -> Vec<GlassInfo> {
        self.0.glasses(viewer)
    }

    /// The challenge of the ceremony by which it is opened.
    ///
    /// # Errors
    /// See [`GlassError`].
    pub async fn challenge_glass(
        &self,
        glass: GrantId,
        person: &PersonName,
        method: Method,
        source: Source,
    ) -> Result<Challenged, GlassError> {
        let _turn = self.0.turn.lock().await;
        if method != Method::Passkey {
            return Err(GlassError::NoPasskey);
        }
        let wished = self.0.wished(glass, person)?;
        let bound = Bound::Glass { glass, canonical: wished.canonical() };
        Ok(self.0.challenge_for(person, method, bound, NEEDS, source)?)
    }

    /// Opens it, by a proof of a passkey.
    ///
    /// # Errors
    /// See [`GlassError`]; nothing is open.
    pub async fn open_glass(
        &self,
        glass: GrantId,
        person: &PersonName,
        presented: Presented,
        source: Source,
    ) -> Result<GlassInfo, GlassError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish_glass(async move { inner.open_glass(glass, &person, &presented, source).await }).await
    }

    /// What this statement passes by, if it does: to be on disk before it runs, and whether that was taken back.
    #[must_use]
    pub fn go_by_glass(
        &self,
        reach: &Reach<'_>,
        statement: StatementId,
    ) -> Option<(GrantId, Event, InForce)> {
        self.0.go_by_glass(reach, statement)
    }

    /// Ends it before its time: its owner, who reviews, or the operator.
    ///
    /// # Errors
    /// See [`GlassError`].
    pub async fn end_glass(&self, glass: GrantId, by: impl Into<Actor>) -> Result<(), GlassError> {
        let (inner, by) = (Arc::clone(&self.0), by.into());
        let ended = finish(async move {
            let _turn = inner.turn.lock().await;
            inner.end_glass(glass, &by).await
        });
        Ok(ended.await?)
    }
}

/// As `finish`, for what fails otherwise.
pub(super) async fn finish_glass<T: Send + 'static>(
    step: impl Future<Output = Result<T, GlassError>> + Send + 'static,
) -> Result<T, GlassError> {
    finish(step).await
}

impl Inner {
    pub(super) fn glass_rules(&self) -> Option<GlassRules> {
        self.glass_rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The person, if they may break the glass at this moment.
    fn breaker(&self, person: &PersonName) -> Result<(GlassRules, Arc<Person>), GlassError> {
        let rules = self.glass_rules().ok_or(GlassError::NotConfigured)?;
        let known = self.people.get(person).filter(|known| !known.service && is_of(known, &rules.groups));
        Ok((rules, known.ok_or(GlassError::NotEligible)?))
    }

    fn ask_glass(
        &self,
        person: &PersonName,
        wish: GlassWish,
        address: IpAddr,
    ) -> Result<GlassInfo, GlassError> {
        let (rules, _) = self.breaker(person)?;
        self.state().none_to_review(person)?;
        let now = self.clock.now();
        let passkeys = self.factors.of(person, Method::Passkey);
        if !passkeys.iter().any(|it| it.strength >= NEEDS.required && it.counts_from <= now) {
            return Err(GlassError::NoPasskey);
        }
        let reason = Reason::parse(&wish.reason).map_err(super::VerifyError::from)?;
        let most = rules.most.min(MAX_GLASS);
        let is_name = |name: &str| !name.is_empty() && name.len() <= MAX_NAME;
        if !is_name(&wish.client) || wish.database.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(GlassError::Scope);
        }
        let glass = Glass {
            id: GrantId::from_bytes(self.random()?),
            person: person.clone(),
            database: wish.database,
            client: self.client_mark(&wish.client),
            network: address.to_canonical(),
            reason: reason.ok_or(GlassError::ReasonRequired)?,
            time: wish.time.unwrap_or(most).min(most),
            lifts: rules.lifts,
        };
        let elapsed = self.clock.monotonic();
        let mut state = self.state();
        state.wished.retain(|_, wished| wished.until > elapsed);
        let same = |wished: &&Wished| wished.glass.person == *person && wished.glass.network == glass.network;
        if state.wished.values().filter(same).count() >= MAX_WISHED_OF_PERSON {
            let oldest = state.wished.values().filter(same).min_by_key(|wished| wished.until);
            oldest.map(|wished| wished.glass.id).map(|id| state.wished.remove(&id));
        }
        if state.wished.len() >= MAX_WISHED {
            return Err(GlassError::Full);
        }
        let shown = info(&glass);
        let until = elapsed.saturating_add(CHALLENGE_LIFE);
        state.wished.insert(glass.id, Wished { glass, until });
        Ok(shown)
    }

    /// One that waits for this person's ceremony, and what is in force to lift by now is no more than it says.
    fn wished(&self, id: GrantId, person: &PersonName) -> Result<Glass, GlassError> {
        let (rules, _) = self.breaker(person)?;
        let elapsed = self.clock.monotonic();
        let state = self.state();
        let wished = state.wished.get(&id).filter(|it| it.glass.person == *person && it.until > elapsed);
        let glass = wished.filter(|it| it.glass.lifts == rules.lifts).map(|it| it.glass.clone());
        let glass = glass.ok_or(DeskError::Unknown)?;
        state.none_to_review(person)?;
        Ok(glass)
    }

    async fn open_glass(
        &self,
        id: GrantId,
        person: &PersonName,
        presented: &Presented,
        source: Source,
    ) -> Result<GlassInfo, GlassError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        let glass = self.wished(id, person)?;
        let canonical = glass.canonical();
        let bound = Bound::Glass { glass: id, canonical };
        let Needs { required, for_others } = NEEDS;
        let asked = Asked { person, source, bound: &bound, required, for_others };
        let checked = self.check(&mut self.state(), &asked, presented);
        let proven = match checked {
            Ok(proven) => proven,
            Err(failed) => return Err(self.refuse(failed).await.into()),
        };
        if proven.verified.id.method() != Method::Passkey {
            return Err(GlassError::NoPasskey);
        }
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        let (expires, until) = (now.plus(glass.time), elapsed.saturating_add(glass.time));
        let mut events = proven.events;
        events.push(opened(&glass, &canonical, &proven.verified.id, expires));
        self.log.append(events, proven.writes.changes.clone()).await?;
        let broken = Broken {
            glass,
            opened: now,
            expires,
            until,
            in_force: InForce::default(),
            ended: None,
            reminded: now,
            uses: 0,
        };
        let mut state = self.state();
        state.wished.retain(|_, wished| wished.glass.person != *person);
        let shown = shown(&broken, now, elapsed);
        state.glasses.insert(id, broken);
        Ok(shown)
    }

    fn go_by_glass(&self, reach: &Reach<'_>, statement: StatementId) -> Option<(GrantId, Event, InForce)> {
        let (rules, known) = self.breaker(reach.person).ok()?;
        let client = self.client_mark(reach.client);
        let reach = Reach { client: &client, ..reach.clone() };
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        let mut state = self.state();
        let passes = |broken: &Broken| {
            !broken.is_over(now, elapsed)
                && known.added <= broken.opened
                && broken.glass.lifts == rules.lifts
                && broken.glass.covers(&reach).is_ok()
        };
        let (id, broken) = state.glasses.iter_mut().find(|(_, broken)| passes(broken))?;
        broken.uses = broken.uses.saturating_add(1);
        let StatementId { session, number } = statement;
        let used = Event::BreakGlassUsed(GlassUsed { grant: *id, session, statement: number });
        Some((*id, used, broken.in_force.clone()))
    }

    fn glasses(&self, viewer: Option<&PersonName>) -> Vec<GlassInfo> {
        let reviews = viewer.is_none_or(|viewer| self.reviews(viewer));
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        let state = self.state();
        let own = |glass: &Glass| viewer.is_none_or(|viewer| glass.person == *viewer);
        let broken = state.glasses.values().filter(|broken| reviews || own(&broken.glass));
        let wished = state.wished.values().filter(|wished| wished.until > elapsed && own(&wished.glass));
        let broken = broken.map(|broken| shown(broken, now, elapsed));
        broken.chain(wished.map(|wished| info(&wished.glass))).collect()
    }

    pub(super) fn is_glass(&self, id: GrantId) -> bool {
        self.state().glasses.contains_key(&id)
    }

    /// Ends one before its time. The caller has the turn.
    pub(super) async fn end_glass(&self, id: GrantId, by: &Actor) -> Result<(), DeskError> {
        {
            let reviews = by.person().is_none_or(|by| self.reviews(by));
            let state = self.state();
            let broken = state.glasses.get(&id).filter(|broken| broken.ended.is_none());
            let owns = |broken: &&Broken| by.person() == Some(&broken.glass.person);
            broken.filter(|broken| reviews || owns(broken)).ok_or(DeskError::Unknown)?;
        }
        self.conclude_glasses(&[id], "revoked", by).await
    }

    /// Ends those of a person. The caller has the turn.
    pub(super) async fn end_glasses_of(&self, person: &PersonName, by: &Actor) -> Result<(), DeskError> {
        let ids: Vec<_> = {
            let mut state = self.state();
            state.wished.retain(|_, wished| wished.glass.person != *person);
            let own = state.glasses.iter().filter(|(_, it)| it.glass.person == *person && it.ended.is_none());
            own.map(|(id, _)| *id).collect()
        };
        self.conclude_glasses(&ids, "revoked", by).await
    }

    /// They are over at once, whatever becomes of the record. The caller has the turn.
    pub(super) async fn conclude_glasses(
        &self,
        ids: &[GrantId],
        why: &str,
        by: &Actor,
    ) -> Result<(), DeskError> {
        let now = self.clock.now();
        let mut events = Vec::new();
        {
            let mut state = self.state();
            for id in ids {
                let Some(broken) = state.glasses.get_mut(id) else { continue };
                broken.in_force.end();
                (broken.ended, broken.reminded) = (Some(now), now);
                events.push(Event::BreakGlassEnded(GlassEnded {
                    grant: *id,
                    why: why.to_owned(),
                    uses: broken.uses,
                    by: by.by(),
                    operator: by.operator(),
                }));
            }
        }
        if !events.is_empty() {
            self.log.append_happened(events).await?;
        }
        Ok(())
    }

    /// Those that are over by now, and those whose person may not break the glass any more.
    pub(super) fn glasses_due(&self) -> (Vec<GrantId>, Vec<GrantId>) {
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        let open: Vec<_> = {
            let mut state = self.state();
            state.wished.retain(|_, wished| wished.until > elapsed);
            let open = state.glasses.values().filter(|broken| broken.ended.is_none());
            open.map(|it| (it.glass.id, it.glass.person.clone(), it.opened, it.is_over(now, elapsed)))
                .collect()
        };
        let over = open.iter().filter(|(.., over)| *over).map(|(id, ..)| *id).collect();
        let may = |person: &PersonName, opened: Timestamp| {
            self.breaker(person).is_ok_and(|(_, known)| known.added <= opened)
        };
        let not_any_more = open.iter().filter(|(_, person, opened, over)| !over && !may(person, *opened));
        (over, not_any_more.map(|(id, ..)| *id).collect())
    }
}

pub(super) fn is_of(person: &Person, groups: &std::collections::BTreeSet<GroupName>) -> bool {
    person.groups.iter().any(|group| groups.contains(group))
}

fn shown(broken: &Broken, now: Timestamp, elapsed: Duration) -> GlassInfo {
    GlassInfo {
        state: if broken.is_over(now, elapsed) { "to-review" } else { "open" },
        opened: Some(broken.opened.to_string()),
        expires: Some(broken.expires.to_string()),
        uses: broken.uses,
        ..info(&broken.glass)
    }
}

fn opened(glass: &Glass, canonical: &[u8; 32], id: &AuthenticatorId, expires: Timestamp) -> Event {
    Event::BreakGlassOpened(Box::new(GlassOpened {
        grant: glass.id,
        person: (&glass.person).into(),
        database: glass.database.clone(),
        client: glass.client.as_str().into(),
        network: Who::from(glass.network),
        reason: glass.reason.text().into(),
        authenticator: id.to_string(),
        canonical_sha256: hex(canonical),
        expires_us: expires.micros(),
        lifts: glass.lifts.words(),
    }))
}

impl State {
    /// Until somebody else has reviewed the last one, there is no other.
    fn none_to_review(&self, person: &PersonName) -> Result<(), GlassError> {
        let last = self.glasses.values().find(|broken| broken.glass.person == *person);
        last.map_or(Ok(()), |broken| Err(GlassError::NotReviewed(broken.glass.id)))
    }

    /// Takes what a record says of one.
    pub(super) fn take_glass(&mut self, event: &Event, at: Timestamp, names: &Subjects) {
        match event {
            Event::BreakGlassOpened(opened) => {
                if let Some(broken) = broken_of(opened, at, names) {
                    self.glasses.insert(opened.grant, broken);
                }
            }
            Event::BreakGlassUsed(used) => {
                if let Some(broken) = self.glasses.get_mut(&used.grant) {
                    broken.uses = broken.uses.saturating_add(1);
                }
            }
            Event::BreakGlassEnded(ended) => {
                if let Some(broken) = self.glasses.get_mut(&ended.grant) {
                    broken.in_force.end();
                    (broken.ended, broken.reminded) = (Some(at), at);
                }
            }
            Event::BreakGlassReminded(reminded) => {
                if let Some(broken) = self.glasses.get_mut(&reminded.grant) {
                    broken.reminded = at;
                }
            }
            Event::BreakGlassReviewed(reviewed) => {
                self.glasses.remove(&reviewed.grant);
            }
            _ => {}
        }
    }

    /// After a start: what is left of those that are open, from the latest moment that is known.
    pub(super) fn resume_glasses(&mut self, latest: Timestamp, elapsed: Duration) {
        for broken in self.glasses.values_mut() {
            broken.until = elapsed.saturating_add(broken.expires.since(latest).min(MAX_GLASS));
        }
    }
}

/// One of a record. Where it cannot be told any more whom or what it is bound to, it is over, and still waits to be
/// reviewed if it is known whose it was.
fn broken_of(opened: &GlassOpened, at: Timestamp, names: &Subjects) -> Option<Broken> {
    let person = names.person(&opened.person)?;
    let network = names.open_text(&opened.network).and_then(|network| network.parse().ok());
    let client = names.open_text(&opened.client);
    let reason = names.open_text(&opened.reason).and_then(|reason| Reason::parse(&reason).ok().flatten());
    let is_known = network.is_some() && client.is_some();
    let expires = Timestamp::from_micros(opened.expires_us);
    let glass = Glass {
        id: opened.grant,
        person,
        database: opened.database.clone(),
        client: client.unwrap_or_default(),
        network: network.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        reason: reason.or_else(|| Reason::parse("erased").ok().flatten())?,
        time: expires.since(at).min(MAX_GLASS),
        lifts: Lifts::of(&opened.lifts),
    };
    let ended = (!is_known).then_some(at);
    let (in_force, until) = (InForce::default(), Duration::ZERO);
    Some(Broken { glass, opened: at, expires, until, in_force, ended, reminded: at, uses: 0 })
}
