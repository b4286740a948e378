//! What all handles of a desk share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use stepgate_approval::{GlassRules, Open, Rights, Wanted};
use stepgate_record::Event;
use stepgate_types::{Clock, Entropy, GrantId, Limit, PersonName, RequestId, Timestamp};
use tokio::sync::broadcast;

use super::DeskError;
use super::caps::Caps;
use super::disown::EndSession;
use super::methods::Methods;
use super::policies::TwoPerson;
use super::sealed::Shelf;
use super::state::{Entry, Kept, State};
use super::view::RequestInfo;
use crate::{Factors, Log, People, Vault};

/// Characters of a client's name that records keep as they are.
const HARMLESS: &[u8] = b" ._-/()";

/// Since when somebody has a right who has it now, whenever they were given it.
pub(super) const LATER: Timestamp = Timestamp::from_micros(i64::MAX);

/// The longest client's name that records keep as it is: PostgreSQL's own limit (NAMEDATALEN - 1).
const MAX_CLIENT: usize = 63;

pub(super) struct Inner {
    pub(super) log: Log,
    pub(super) people: People,
    pub(super) factors: Factors,
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Held from looking at the state until the step taken by it is on disk and in the state: no two
    /// steps cross, so that nothing is approved twice.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Never held while waiting for the disk: who only looks never waits.
    pub(super) state: Mutex<State>,
    pub(super) methods: RwLock<Methods>,
    pub(super) changed: broadcast::Sender<RequestId>,
    /// Where open requests are kept, if they are.
    pub(super) shelf: Option<Arc<Shelf>>,
    pub(super) caps: Mutex<Caps>,
    /// Ends sessions of which their person says that they are not theirs; set by who has the sessions.
    pub(super) end_session: OnceLock<EndSession>,
    /// Who may break the glass, if anybody.
    pub(super) glass_rules: Mutex<Option<GlassRules>>,
    /// Who approves policies, if anybody has to.
    pub(super) two_person: Mutex<Option<TwoPerson>>,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By which groups a person may answer at this moment: their own, and those lent to them; of somebody unknown,
    /// none. A service answers nothing.
    pub(super) fn groups_of(&self, person: &PersonName) -> Rights {
        self.groups_since(person, LATER)
    }

    /// Of those the ones that they have had all along since then: whose right was taken, or has ended, had said by another
    /// what they have said, also where it was given back.
    fn groups_since(&self, person: &PersonName, then: Timestamp) -> Rights {
        let Some(known) = self.people.get(person).filter(|known| !known.service) else {
            return Rights::default();
        };
        Rights {
            own: known.groups_since(then).cloned().collect(),
            lent: self.people.lent_since(person, then, self.clock.now()),
        }
    }

    /// By which groups a person may answer that request, or, where they have approved it, has their approval counted: by
    /// what they have had all along since. Whoever has asked for some of the same has none, and nor has who answers in their place.
    pub(super) fn rights_to(&self, state: &State, open: &Open, person: &PersonName) -> Rights {
        let wishers = state.wishers(open.ask());
        if wishers.contains(person) {
            return Rights::default();
        }
        let voted = open.approvers().get(person).copied();
        let mut rights = self.groups_since(person, voted.unwrap_or(LATER));
        rights.lent.retain(|by, _| !wishers.contains(by));
        rights
    }

    pub(super) fn caps(&self) -> Caps {
        *self.caps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Approvals of somebody who was removed are none, and none of who has the name by now; nor are those of who has lost the
    /// right by which they were given.
    pub(super) fn sift_votes(&self) {
        let mut state = self.state();
        let is_same = |voter: &PersonName, at| self.people.get(voter).is_some_and(|known| known.added <= at);
        state.keep_votes(is_same);
        if self.has_two_person() {
            state.policies.keep_votes(|voter, at| self.approves_since(voter, at).is_ok());
        }
        let counts =
            |entry: &Entry, voter| entry.open.may_answer(voter, &self.rights_to(&state, &entry.open, voter));
        let lost = state.open.iter().flat_map(|(id, entry)| {
            let voters = entry.open.approvers().keys().filter(|voter| !counts(entry, voter));
            voters.map(|voter| (*id, voter.clone()))
        });
        for (id, lost) in lost.collect::<Vec<_>>() {
            if let Some(entry) = state.open.get_mut(&id) {
                entry.open.keep_votes(|voter, _| *voter != lost);
            }
        }
    }

    /// Approvals of this person's are none any more, by whatever they were proven.
    pub(super) fn void_votes(&self, person: &PersonName) {
        self.state().keep_votes(|voter, _| voter != person);
    }

    /// Whether this person may answer a request, or could have.
    pub(super) fn answers(&self, person: &PersonName, info: &RequestInfo) -> bool {
        if info.itself {
            return info.person == *person;
        }
        let rights = self.groups_of(person);
        let lent = rights.lent.iter().filter(|(by, _)| !info.is_of(by)).flat_map(|(_, groups)| groups);
        let mut groups = rights.own.iter().chain(lent);
        !info.is_of(person) && groups.any(|group| info.groups.contains(group))
    }

    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], DeskError> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes).map_err(|_| DeskError::NoEntropy)?;
        Ok(bytes)
    }

    pub(super) fn tell(&self, request: RequestId) {
        // Nobody listening is no error.
        let _ = self.changed.send(request);
    }

    /// How grants and their records name a client: a client chooses its name, which could hold anything.
    pub(super) fn client_mark(&self, client: &str) -> String {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || HARMLESS.contains(&byte);
        if client.len() <= MAX_CLIENT && client.bytes().all(harmless) {
            client.to_owned()
        } else {
            format!("hmac-sha256:{}", self.vault.hmac_hex("grant client", client.as_bytes()))
        }
    }

    pub(super) fn covering_grant(&self, wanted: &Wanted) -> Option<GrantId> {
        self.covering_grant_within(wanted, Limit::NONE)
    }

    /// A grant that covers this and was approved for at most so much.
    pub(super) fn covering_grant_within(&self, wanted: &Wanted, most: Limit) -> Option<GrantId> {
        let person = self.people.get(&wanted.person)?;
        let wanted = Wanted { client: self.client_mark(&wanted.client), ..wanted.clone() };
        let now = self.clock.now();
        let state = self.state();
        // Somebody removed and added again is somebody else.
        let mut grants = state.grants.values().filter(|kept| person.added <= kept.issued);
        let has_left = |kept: &Kept| !kept.left.is_spent() && kept.grant.limit.is_within(most);
        let covers = |kept: &&Kept| has_left(kept) && kept.grant.covers(&wanted, now).is_ok();
        grants.find(covers).map(|kept| kept.grant.id)
    }

    /// Records that `viewer` is about to see the statement of a request, once for each. Where that cannot be recorded,
    /// nothing is shown.
    pub(super) fn first_look(&self, request: RequestId, viewer: &PersonName) -> Result<(), DeskError> {
        if !self.looking(request, viewer, |entry| entry.reading.knows(viewer))? {
            self.log.note(Event::ChallengeShown { request, to: viewer.into() })?;
        }
        Ok(())
    }

    /// Lets `viewer` look at an open request, if they asked it or may answer it. To everybody else it
    /// does not exist; how it ended is told to the same people.
    pub(super) fn looking<T>(
        &self,
        request: RequestId,
        viewer: &PersonName,
        look: impl FnOnce(&mut Entry) -> T,
    ) -> Result<T, DeskError> {
        let groups = self.groups_of(viewer);
        let mut state = self.state();
        if let Some((outcome, info)) = state.past.get(request) {
            let concerned = info.is_of(viewer) || self.answers(viewer, info);
            return Err(if concerned { DeskError::Ended(outcome) } else { DeskError::Unknown });
        }
        let entry = state.entry_mut(request)?;
        let ask = entry.open.ask();
        let asks = ask.person == *viewer || ask.asker() == viewer;
        let allowed = asks || entry.open.may_answer(viewer, &groups);
        if allowed { Ok(look(entry)) } else { Err(DeskError::Unknown) }
    }
}
