//! What people say about an open request, to who asks and to those who may answer.

use std::sync::Arc;

use serde::Serialize;
use stepgate_approval::{Reason, escape_for_display};
use stepgate_record::Event;
use stepgate_types::{PersonName, RequestId, Timestamp, Who};

use super::inner::Inner;
use super::view::RequestInfo;
use super::{Desk, DeskError, finish};

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

impl Desk {
    /// Says something about an open request, to who asks and to those who may answer.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn comment(
        &self,
        request: RequestId,
        person: &PersonName,
        text: &str,
    ) -> Result<(), DeskError> {
        let text = Reason::parse(text).ok().flatten().ok_or(DeskError::Comment)?;
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.comment(request, &person, &text).await }).await
    }

    /// Whether this person may answer a request, or could have before it ended.
    #[must_use]
    pub fn answers(&self, person: &PersonName, info: &RequestInfo) -> bool {
        self.0.answers(person, info)
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
