//! Putting commitments in the place of names, before an event is recorded.

use std::sync::Arc;
use std::time::Instant;

use stepgate_record::{Event, commitment, is_plain};
use stepgate_types::{Commit, SubjectKind, Who};
use zeroize::Zeroizing;

use super::{Inner, MAX_VALUE, Pending, State, Subject, Subjects, put};
use crate::{Change, LogError};

/// New values that records are about to be queued with. If this is dropped before they were, nothing has happened.
pub(crate) struct Staged {
    inner: Option<Arc<Inner>>,
    commits: Vec<Commit>,
    changes: Vec<Change>,
    _staging: Option<Arc<()>>,
}

impl Staged {
    fn new(inner: Option<&Arc<Inner>>) -> Self {
        let staging = inner.map(|inner| Arc::clone(&inner.state().staging));
        Self { inner: inner.cloned(), commits: Vec::new(), changes: Vec::new(), _staging: staging }
    }

    /// What has to be.
    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// It is queued with this record.
    pub(crate) fn queued(&self, first: u64) {
        let Some(inner) = &self.inner else { return };
        let mut state = inner.state();
        for commit in &self.commits {
            if let Some(pending) = state.pending.get_mut(commit) {
                pending.queued.get_or_insert(first);
            }
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Some(inner) = self.inner.as_ref().filter(|_| !self.commits.is_empty()) else { return };
        let mut state = inner.state();
        for commit in &self.commits {
            let Some(pending) = state.pending.get_mut(commit) else { continue };
            pending.users = pending.users.saturating_sub(1);
            if pending.users == 0 && pending.queued.is_none() {
                state.pending.remove(commit);
                state.forget(commit);
            }
        }
    }
}

impl Subjects {
    /// Puts commitments in the place of the names in `events`; `durable` is how many records are on disk.
    pub(crate) fn commit(&self, events: &mut [Event], durable: u64) -> Result<Staged, LogError> {
        let mut staged = Staged::new(self.0.as_ref());
        let mut failed = None;
        for event in events {
            // Whoever failed to log in may be anybody, and brings as many addresses as they like.
            let stranger = matches!(event, Event::SessionAuthFailed(_));
            event.personal(&mut |kind, who| {
                let Who::Name(name) = who else { return };
                if is_plain(kind, name) || failed.is_some() {
                    return;
                }
                if stranger
                    && kind == SubjectKind::Address
                    && let Some(inner) = &self.0
                {
                    *name = inner.rationed(std::mem::take(name), Instant::now());
                }
                match self.stage(kind, name, durable, &mut staged) {
                    Ok((commit, _)) => *who = Who::Commit(commit),
                    Err(error) => failed = Some(error),
                }
            });
        }
        failed.map_or(Ok(staged), Err)
    }

    /// The commitment to one value, with its key, to be queued with an event that names it.
    pub(crate) fn reserve(
        &self,
        kind: SubjectKind,
        value: &str,
        durable: u64,
    ) -> Result<(Commit, Subject, Staged), LogError> {
        let mut staged = Staged::new(self.0.as_ref());
        let (commit, subject) = self.stage(kind, value, durable, &mut staged)?;
        Ok((commit, subject, staged))
    }

    fn stage(
        &self,
        kind: SubjectKind,
        value: &str,
        durable: u64,
        staged: &mut Staged,
    ) -> Result<(Commit, Subject), LogError> {
        let inner = self.0.as_ref().ok_or(LogError::Closed)?;
        if value.len() > MAX_VALUE {
            return Err(LogError::TooLarge("a name or reason is too long".to_owned()));
        }
        let mut state = inner.state();
        if !state.pending.is_empty() {
            // Those on disk are found there.
            state.pending.retain(|_, it| it.users > 0 || it.queued.is_none_or(|first| first >= durable));
        }
        // Equal reasons are nobody's to find: each has a key of its own.
        let found = if kind == SubjectKind::Reason { None } else { inner.find(&mut state, kind, value) };
        let found = found.and_then(|commit| Some((commit, inner.open(&mut state, &commit)?)));
        let (commit, subject) = match found {
            Some(found) => found,
            None => inner.make(&mut state, kind, value)?,
        };
        if let Some(pending) = state.pending.get_mut(&commit)
            && !staged.commits.contains(&commit)
        {
            pending.users += 1;
            staged.commits.push(commit);
            if pending.queued.is_none() {
                // Whoever comes first brings it; twice is no harm.
                staged.changes.extend(pending.changes.iter().cloned());
            }
        }
        Ok((commit, subject))
    }
}

impl Inner {
    fn make(&self, state: &mut State, kind: SubjectKind, value: &str) -> Result<(Commit, Subject), LogError> {
        let key = self.vault.random().map_err(|error| LogError::Io(error.to_string()))?;
        let subject = Subject { kind, value: value.to_owned(), key: Zeroizing::new(key) };
        let commit = commitment(kind, value, &subject.key);
        let changes = put(&state.current, &commit, &subject)?;
        let epoch = state.current.epoch;
        state.trim();
        state.pending.insert(commit, Pending { epoch, changes, queued: None, users: 0 });
        state.known.insert(commit, subject.clone());
        if kind != SubjectKind::Reason {
            state.by_value(kind).insert(value.to_owned(), commit);
        }
        Ok((commit, subject))
    }
}
