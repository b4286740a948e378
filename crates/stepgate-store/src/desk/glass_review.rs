//! What was done by break-glass is looked at by somebody else, who is reminded until they do.

use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Bound, Method, Purpose, Reason, Source};
use stepgate_record::{Event, GlassReminded, GlassReviewed};
use stepgate_types::{Actor, GrantId, PersonName, Strength};

use super::glass::{finish_glass, is_of};
use super::inner::Inner;
use super::methods::Needs;
use super::prove::Asked;
use super::{Challenged, Desk, DeskError, GlassError, MethodInfo, Presented, VerifyError};

/// How often somebody is reminded.
const REMIND: Duration = Duration::from_secs(12 * 3600);

impl Desk {
    /// Somebody of those who review says what they found, with a fresh proof. Only then its person may break the glass
    /// again.
    ///
    /// # Errors
    /// See [`GlassError`].
    pub async fn review_glass(
        &self,
        glass: GrantId,
        by: &PersonName,
        comment: &str,
        presented: Presented,
        source: Source,
    ) -> Result<(), GlassError> {
        let (inner, by, comment) = (Arc::clone(&self.0), by.clone(), comment.to_owned());
        finish_glass(async move { inner.review_glass(glass, &by, &comment, &presented, source).await }).await
    }

    /// How much who reviews must prove; `None`: nobody breaks the glass here.
    #[must_use]
    pub fn review_strength(&self) -> Option<Strength> {
        self.0.glass_rules().map(|rules| rules.review)
    }

    /// What this person could review that break-glass by.
    ///
    /// # Errors
    /// It is not theirs to review, or not over yet.
    pub fn methods_for_review(
        &self,
        glass: GrantId,
        by: &PersonName,
        source: Source,
    ) -> Result<Vec<MethodInfo>, GlassError> {
        let needs = self.0.review_needs(glass, by)?;
        Ok(self.0.methods_of(&mut self.0.state(), by, needs, source))
    }

    /// A challenge by which this person may review exactly that break-glass.
    ///
    /// # Errors
    /// See [`GlassError`].
    pub async fn challenge_review(
        &self,
        glass: GrantId,
        by: &PersonName,
        method: Method,
        source: Source,
    ) -> Result<Challenged, GlassError> {
        let _turn = self.0.turn.lock().await;
        let needs = self.0.review_needs(glass, by)?;
        Ok(self.0.challenge_for(by, method, Bound::Purpose(Purpose::Review(glass)), needs, source)?)
    }
}

impl Inner {
    /// Whether this person is among those who review.
    pub(super) fn reviews(&self, person: &PersonName) -> bool {
        let rules = self.glass_rules();
        let known = self.people.get(person).filter(|known| !known.service);
        rules.zip(known).is_some_and(|(rules, known)| is_of(&known, &rules.reviewers))
    }

    /// What this person must prove to review that one at this moment, if they may.
    pub(super) fn review_needs(&self, id: GrantId, by: &PersonName) -> Result<Needs, GlassError> {
        let reviews = self.reviews(by);
        let required = self.glass_rules().map(|rules| rules.review);
        let state = self.state();
        let broken = state.glasses.get(&id).ok_or(DeskError::Unknown)?;
        if broken.glass.person == *by {
            return Err(GlassError::Own);
        }
        let required = required.filter(|_| reviews).ok_or(DeskError::Unknown)?;
        if broken.ended.is_none() {
            return Err(GlassError::StillOpen);
        }
        // By an authenticator that is old enough: whoever could enrol one for a colleague would review themselves.
        Ok(Needs { required, for_others: true })
    }

    async fn review_glass(
        &self,
        id: GrantId,
        by: &PersonName,
        comment: &str,
        presented: &Presented,
        source: Source,
    ) -> Result<(), GlassError> {
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        let Needs { required, for_others } = self.review_needs(id, by)?;
        let comment = Reason::parse(comment).map_err(VerifyError::from)?.ok_or(GlassError::ReasonRequired)?;
        let bound = Bound::Purpose(Purpose::Review(id));
        let asked = Asked { person: by, source, bound: &bound, required, for_others };
        let checked = self.check(&mut self.state(), &asked, presented);
        let proven = match checked {
            Ok(proven) => proven,
            Err(failed) => return Err(self.refuse(failed).await.into()),
        };
        let mut events = proven.events;
        events.push(Event::BreakGlassReviewed(GlassReviewed {
            grant: id,
            by: by.into(),
            comment: comment.text().into(),
        }));
        self.log.append(events, proven.writes.changes.clone()).await?;
        self.state().glasses.remove(&id);
        Ok(())
    }

    /// Ends what is over, and reminds of what nobody has reviewed. The caller has the turn.
    pub(super) async fn look_after_glasses(&self) -> Result<(), DeskError> {
        let (over, not_any_more) = self.glasses_due();
        let itself = Actor::from(None::<PersonName>);
        self.conclude_glasses(&over, "expired", &itself).await?;
        self.conclude_glasses(&not_any_more, "revoked", &itself).await?;
        let now = self.clock.now();
        let mut reminders = Vec::new();
        for (id, broken) in &mut self.state().glasses {
            if broken.ended.is_some() && now.since(broken.reminded) >= REMIND {
                broken.reminded = now;
                reminders.push(Event::BreakGlassReminded(GlassReminded { grant: *id }));
            }
        }
        if !reminders.is_empty() {
            self.log.append_happened(reminders).await?;
        }
        Ok(())
    }
}
