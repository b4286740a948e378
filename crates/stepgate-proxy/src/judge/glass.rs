//! Statements that pass unasked, since their person has broken the glass (DESIGN §4.8). They are recorded as all others
//! are, and before that, that it was gone by; what runs by it stops before its next row once it is over.

use stepgate_approval::Reach;
use stepgate_record::Event;
use stepgate_store::{Block, LogError};
use stepgate_types::{GrantId, Kind, Limit};

use super::metering::Limited;
use super::{Case, Hold, Verdict};

impl Case<'_> {
    /// Lets it through by its person's break-glass, if it is within that. What others have approved goes by their word.
    pub(super) async fn permit_by_glass(&self, approved: Option<&Hold>) -> Result<Option<Verdict>, LogError> {
        let Some((glass, used, block)) = self.glass().filter(|_| approved.is_none()) else { return Ok(None) };
        let verdict = self.permit_after(Some(used), "forward", None, Some(glass)).await?;
        self.by_glass_alone(verdict, glass, &block).await.map(Some)
    }

    /// Goes on by it beyond its limit, where people would be asked.
    pub(super) async fn goes_on_by_glass(&self, limited: &mut Limited) -> Result<bool, LogError> {
        let Some((glass, used, block)) = self.glass() else { return Ok(false) };
        let goes_on = self.goes_on(limited, None, Some(glass));
        self.judge.gate.log.append(vec![used, goes_on], Vec::new()).await?;
        self.judge.give_back(limited);
        limited.goes_by_glass(glass, &block);
        Ok(true)
    }

    /// What is open for it, and what is to be on disk before it goes by that.
    fn glass(&self) -> Option<(GrantId, Event, Block)> {
        let reach = Reach {
            person: &self.who.person,
            database: &self.who.database,
            client: &self.who.client,
            address: self.who.address,
            // What cannot be read may change who may do what.
            control: self.facts.kinds.contains(&Kind::Control) || !self.is_known(),
            action: self.decision.action,
        };
        let (glass, used, in_force) = self.judge.gate.desk.go_by_glass(&reach, self.statement())?;
        Some((glass, used, Block { limit: Limit::NONE, debited: None, in_force }))
    }
}
