//! What a limit cannot hold back: a notification is no row of a result, and leaves when its transaction ends.

use stepgate_types::{Action, Limit};

use crate::Decision;

/// What the HINT says where nobody could be asked for more than the limit.
const HINT: &str = "It sends what it reads as notifications, which a limit cannot hold back: have the policy's owner name \
                    an approval in the rule that limits it.";

impl Decision {
    /// The decision on a message that sends notifications of what it reads: where rows are limited, all of it is asked
    /// about before it runs, by whom the rest of it would be asked about once the limit is reached.
    #[must_use]
    pub fn before_notifying(self) -> Self {
        let limited = self.enforced && !self.limit.is_none() && self.action < Action::Deny;
        if !limited {
            return self;
        }
        let own = || self.approval.clone().map(|approval| (self.action, approval));
        match self.beyond.clone().or_else(own) {
            Some((action, approval)) => Self {
                action: action.max(self.action),
                approval: Some(approval),
                limit: Limit::NONE,
                beyond: None,
                ..self
            },
            None => {
                Self { action: Action::Deny, approval: None, limit: Limit::NONE, hint: Some(HINT), ..self }
            }
        }
    }
}
