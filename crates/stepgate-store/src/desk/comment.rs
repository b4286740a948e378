//! What people say about an open request, to who asks and to those who may answer.

use serde::Serialize;
use stepgate_approval::{Reason, escape_for_display};
use stepgate_record::Event;
use stepgate_types::{PersonName, RequestId, Timestamp, Who};

use super::DeskError;
use super::inner::Inner;

/// Comments on one request: a question and its answer a few times over. The rest is for elsewhere.
const MAX_COMMENTS: usize = 32;

/// One comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comment {
    /// Who.
    pub person: PersonName,
    /// When, RFC 3339.
    pub at: String,
    /// What, as harmless text.
    pub text: String,
}

impl Comment {
    pub(super) fn new(person: PersonName, at: Timestamp, text: &Reason) -> Self {
        Self { person, at: at.to_string(), text: escape_for_display(text.text().as_bytes()) }
    }
}

impl Inner {
    /// Adds a comment, for whoever may look at the request.
    pub(super) async fn comment(
        &self,
        request: RequestId,
        person: &PersonName,
        text: &Reason,
    ) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        if self.looking(request, person, |entry| entry.comments.len())? >= MAX_COMMENTS {
            return Err(DeskError::TooManyComments);
        }
        let event = Event::StepupCommented {
            request,
            person: Who::from(person),
            text: Who::Name(text.text().to_owned()),
        };
        self.log.append(vec![event], Vec::new()).await?;
        let comment = Comment::new(person.clone(), self.clock.now(), text);
        self.state().entry_mut(request)?.comments.push(comment);
        self.tell(request);
        Ok(())
    }
}
