//! Parse, Bind, Describe and Close wait here until something makes the server act on them. PostgreSQL
//! answers them only at Flush or Sync, so nobody can tell.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use stepgate_record::Release;
use stepgate_sql::Facts;

use crate::advance::MAX_OWED;
use crate::outlet::{Pass, Traces};
use crate::registry::{Prepared, bytes_of};

/// The most bytes, and messages, that wait before they are sent on anyhow. Who decides on one looks at those before it.
pub(crate) const MAX_PARKED: usize = 1 << 20;
const MAX_FRAMES: usize = MAX_OWED;
/// The most that may be known of the statements that were let through, in bytes.
const MAX_FACTS: usize = 8 << 20;

/// A Bind, read.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) portal: Bytes,
    pub(crate) statement: Bytes,
    pub(crate) formats: Vec<i16>,
    pub(crate) values: Vec<Option<Bytes>>,
}

/// A Bind's pass, until the Bind leaves.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) pass: Pass,
    pub(crate) number: u64,
    pub(crate) traces: Arc<Traces>,
    pub(crate) facts: Arc<[Facts]>,
    /// Came already: another Bind behind it is still being decided on.
    pub(crate) release: Option<Release>,
}

/// One frame that waits.
#[derive(Debug)]
pub(crate) enum Parked {
    Parse {
        name: Bytes,
        statement: Arc<Prepared>,
        frame: Bytes,
    },
    /// `pass` is there once the statement was let through.
    Bind {
        bind: Bind,
        pass: Option<Passed>,
        frame: Bytes,
    },
    Describe {
        frame: Bytes,
    },
    Close {
        portal: bool,
        name: Bytes,
        frame: Bytes,
    },
}

impl Parked {
    const fn frame(&self) -> &Bytes {
        match self {
            Self::Parse { frame, .. }
            | Self::Bind { frame, .. }
            | Self::Describe { frame }
            | Self::Close { frame, .. } => frame,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Park {
    frames: VecDeque<Parked>,
    bytes: usize,
    /// What is known of statements that were let through.
    facts: usize,
}

impl Park {
    pub(crate) fn push(&mut self, parked: Parked) {
        self.bytes = self.bytes.saturating_add(parked.frame().len());
        self.frames.push_back(parked);
    }

    pub(crate) fn pop(&mut self) -> Option<Parked> {
        let parked = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(parked.frame().len());
        if let Parked::Bind { pass: Some(passed), .. } = &parked {
            self.facts = self.facts.saturating_sub(bytes_of(&passed.facts));
        }
        Some(parked)
    }

    /// Drops them. Gives the statements that were let through on a ticket and whose release is still to come.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        (self.bytes, self.facts) = (0, 0);
        let unreleased = |parked| match parked {
            Parked::Bind { pass: Some(passed), .. } => {
                (matches!(passed.pass, Pass::Ticket(_)) && passed.release.is_none()).then_some(passed.number)
            }
            _ => None,
        };
        self.frames.drain(..).filter_map(unreleased).collect()
    }

    /// Whether it has a Bind that was let through.
    pub(crate) fn has_passed(&self) -> bool {
        self.frames.iter().any(|parked| matches!(parked, Parked::Bind { pass: Some(_), .. }))
    }

    /// Whether it has a Bind that was let through as that statement.
    pub(crate) fn has(&self, number: u64) -> bool {
        let passed = |parked: &Parked| matches!(parked, Parked::Bind { pass: Some(passed), .. } if passed.number == number);
        self.frames.iter().any(passed)
    }

    /// Whether what goes before the first undecided Bind gives this name of a statement or portal another meaning.
    pub(crate) fn may_rename(&self, renamed: &Bytes) -> bool {
        let undecided = |parked: &&Parked| matches!(parked, Parked::Bind { pass: None, .. });
        self.frames.iter().take_while(|parked| !undecided(parked)).any(|parked| match parked {
            Parked::Parse { name, .. } | Parked::Close { name, .. } => name == renamed,
            Parked::Bind { bind, .. } => bind.portal == *renamed,
            Parked::Describe { .. } => false,
        })
    }

    /// Whether anything before the first undecided Bind gives a name to another text than this, or to a portal.
    pub(crate) fn names_besides(&self, sql: &Bytes) -> bool {
        let undecided = |parked: &&Parked| matches!(parked, Parked::Bind { pass: None, .. });
        self.frames.iter().take_while(|parked| !undecided(parked)).any(|parked| match parked {
            Parked::Parse { name, statement, .. } => !name.is_empty() && statement.text.sql != *sql,
            Parked::Bind { bind, .. } => !bind.portal.is_empty(),
            Parked::Describe { .. } | Parked::Close { .. } => false,
        })
    }

    /// Whether anything in it binds a portal of this name, which fails where there is one.
    pub(crate) fn binds_named(&self, portal: &Bytes) -> bool {
        let binds = |parked: &Parked| matches!(parked, Parked::Bind { bind, .. } if bind.portal == *portal);
        !portal.is_empty() && self.frames.iter().any(binds)
    }

    /// Whether a Bind that was let through, of a statement of this name, is the first thing in it to come by that name.
    pub(crate) fn goes_on_with(&self, statement: &Bytes) -> bool {
        let first = self.frames.iter().find(|parked| match parked {
            Parked::Parse { name, .. } | Parked::Close { name, portal: false, .. } => name == statement,
            Parked::Bind { bind, .. } => bind.statement == *statement,
            Parked::Describe { .. } | Parked::Close { .. } => false,
        });
        matches!(first, Some(Parked::Bind { pass: Some(_), .. }))
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes > MAX_PARKED || self.frames.len() >= MAX_FRAMES || self.facts > MAX_FACTS
    }

    /// Whether the next frame is a Bind that nobody has decided on.
    pub(crate) fn next_is_undecided(&self) -> bool {
        matches!(self.frames.front(), Some(Parked::Bind { pass: None, .. }))
    }

    /// The first Bind that nobody has decided on, with the newest Parse of its statement's name before it.
    pub(crate) fn undecided(&self) -> Option<(&Bind, Option<Arc<Prepared>>)> {
        let position =
            self.frames.iter().position(|parked| matches!(parked, Parked::Bind { pass: None, .. }))?;
        let Some(Parked::Bind { bind, .. }) = self.frames.get(position) else { return None };
        let newest = self.frames.iter().take(position).rev().find_map(|parked| match parked {
            Parked::Parse { name, statement, .. } if *name == bind.statement => Some(Arc::clone(statement)),
            _ => None,
        });
        Some((bind, newest))
    }

    /// Whether the first undecided Bind gives its portal a name, by which others may go on with it.
    pub(crate) fn names_portal(&self) -> bool {
        let undecided = self.frames.iter().find_map(|parked| match parked {
            Parked::Bind { bind, pass: None, .. } => Some(bind),
            _ => None,
        });
        undecided.is_some_and(|bind| !bind.portal.is_empty())
    }

    /// What the first undecided Bind compares with, for whoever decides on it: the frame has it too.
    pub(crate) fn take_values(&mut self) -> (Vec<Option<Bytes>>, Vec<i16>) {
        let first = self.frames.iter_mut().find_map(|parked| match parked {
            Parked::Bind { bind, pass: None, .. } => Some(bind),
            _ => None,
        });
        first
            .map(|bind| (std::mem::take(&mut bind.values), std::mem::take(&mut bind.formats)))
            .unwrap_or_default()
    }

    /// The statements whose Binds were let through.
    pub(crate) fn all_passed(&self) -> Vec<u64> {
        let passed = |parked: &Parked| match parked {
            Parked::Bind { pass: Some(passed), .. } => Some(passed.number),
            _ => None,
        };
        self.frames.iter().filter_map(passed).collect()
    }

    /// Whether a portal is to be described before the first undecided Bind.
    pub(crate) fn describes(&self) -> bool {
        let before =
            self.frames.iter().take_while(|parked| !matches!(parked, Parked::Bind { pass: None, .. }));
        before
            .into_iter()
            .any(|parked| matches!(parked, Parked::Describe { frame } if frame.get(5) == Some(&b'P')))
    }

    /// How many frames go before the newest Parse of the first undecided Bind's statement, if none of them is a Bind.
    pub(crate) fn before_parse(&self) -> Option<usize> {
        let first = self.frames.iter().position(|parked| matches!(parked, Parked::Bind { .. }))?;
        let Some(Parked::Bind { bind, pass: None, .. }) = self.frames.get(first) else { return None };
        let named = |parked: &Parked| matches!(parked, Parked::Parse { name, .. } if *name == bind.statement);
        self.frames.iter().take(first).rposition(named)
    }

    /// The statements of its Parses, if it binds no others.
    pub(crate) fn all_parsed(&self) -> Option<Vec<Arc<Prepared>>> {
        let mut parsed: Vec<(&Bytes, &Arc<Prepared>)> = Vec::new();
        for frame in &self.frames {
            match frame {
                Parked::Parse { name, statement, .. } => parsed.push((name, statement)),
                Parked::Bind { bind, .. } if !parsed.iter().any(|(name, _)| **name == bind.statement) => {
                    return None;
                }
                _ => {}
            }
        }
        Some(parsed.into_iter().map(|(_, statement)| Arc::clone(statement)).collect())
    }

    /// The pass of a statement whose Bind is still here.
    pub(crate) fn passed(&mut self, number: u64) -> Option<&mut Passed> {
        self.frames.iter_mut().find_map(|parked| match parked {
            Parked::Bind { pass: Some(passed), .. } if passed.number == number => Some(passed),
            _ => None,
        })
    }

    /// Lets the first undecided Bind through; `false`: there is none.
    pub(crate) fn pass(&mut self, passed: Passed) -> bool {
        let undecided = self.frames.iter_mut().find_map(|parked| match parked {
            Parked::Bind { pass, .. } if pass.is_none() => Some(pass),
            _ => None,
        });
        let Some(pass) = undecided else { return false };
        self.facts = self.facts.saturating_add(bytes_of(&passed.facts));
        *pass = Some(passed);
        true
    }
}
