//! Which names DDL may give another meaning, and which names the meaning of a statement hangs on.
//!
//! Whoever looks at the catalog before and after a statement does not see what it was in between: a table renamed and
//! renamed back, a function made and dropped. Both are told by names, whatever sort of object they are of, and by the schemas
//! in which they may stand: too many, never too few. What touches what is not there touches nothing, unless somebody makes it
//! meanwhile.

mod ddl;
mod mentioned;
mod names;
mod parted;
mod reserved;

pub use self::mentioned::Mentioned;
pub use self::names::{Names, Opens, Schemas};

use std::borrow::Cow;

use crate::catalog::Catalog;
use crate::encoding::ClientEncoding;
use crate::lexer::plpgsql_tokens;
use crate::session::SessionState;

/// The most names that are told apart of what one message touches.
const MAX_TOUCHED: usize = 10_000;

/// What may mean something else once a message has run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Touched {
    /// Nothing that has a name.
    #[default]
    Nothing,
    /// Whatever has one of these names.
    Names(Names),
    /// Anything: operators and casts have no names, schemas and extensions many.
    Anything,
}

/// What is touched if there is anything of a name, which the catalog does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hanging {
    /// That name.
    pub on: Names,
    /// What is touched then.
    pub touches: Touched,
}

/// What a statement does with a transaction that is committed in two phases, under that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TwoPhase {
    /// PREPARE TRANSACTION, of its own.
    Prepares(Box<str>),
    /// COMMIT PREPARED.
    Commits(Box<str>),
    /// ROLLBACK PREPARED.
    Undoes(Box<str>),
}

/// What DDL does to names, as its text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The names.
    pub touched: Touched,
    /// Those of what is dropped, which come to mean something else only if somebody makes something of such a name.
    pub gone: Names,
    /// Those that it changes only if somebody makes something.
    pub hanging: Vec<Hanging>,
    /// Schemas that may come to be on a path, or to be off it.
    pub opens: Opens,
    /// It ends a transaction, or may: what it changes and what comes after it are not committed as one.
    pub ends: bool,
    /// It goes back to a savepoint, or may.
    pub restores: bool,
    /// It may commit some of that before the rest, or nobody will see that it is undone.
    pub twice: bool,
    /// It commits as it goes.
    pub commits: bool,
    /// What failed of it may be there.
    pub lasts: bool,
    /// Somebody's code may be among it: functions, and what runs them by itself.
    pub code: bool,
    /// The same, of what runs only where something is written.
    pub code_on_write: bool,
    /// A view is among it: reading that runs what it calls.
    pub view: bool,
    /// It may have made anything, which is not seen.
    pub unseen: bool,
    /// What it does with a transaction that is committed in two phases, where its name is plain.
    pub phase: Option<TwoPhase>,
}

impl Touched {
    fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (_, Self::Nothing) | (Self::Anything, _) => {}
            (Self::Names(names), Self::Names(more)) => {
                names.extend(more);
                if names.len() > MAX_TOUCHED {
                    *self = Self::Anything;
                }
            }
            (_, more) => *self = more,
        }
    }

    fn names(&self) -> usize {
        match self {
            Self::Names(names) => names.len(),
            _ => 1,
        }
    }

    fn of(names: Names) -> Self {
        match names.len() {
            0 => Self::Nothing,
            1..=MAX_TOUCHED => Self::Names(names),
            _ => Self::Anything,
        }
    }
}

/// By what the server reads a text, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct By {
    /// Where it looks for names without a schema; `None`: anywhere.
    pub path: Option<Vec<String>>,
    /// In which encoding; `None`: one in which ASCII is the same.
    pub encoding: Option<ClientEncoding>,
    /// A backslash in a plain literal is one.
    pub standard: bool,
}

impl By {
    /// That of a session.
    #[must_use]
    pub fn session(session: &SessionState) -> Self {
        let SessionState { search_path, encoding, standard_conforming_strings: standard, .. } = session;
        Self { path: search_path.clone(), encoding: Some(*encoding), standard: *standard }
    }

    /// Nothing is known of it: an EXECUTE or FETCH may go on by another path.
    #[must_use]
    pub fn anything() -> Self {
        Self::default()
    }

    fn text<'t>(&self, sql: &'t [u8], catalog: &Catalog) -> Option<Cow<'t, str>> {
        match self.encoding {
            Some(encoding) => catalog.encoding_of(encoding).text(sql),
            None => std::str::from_utf8(sql).ok().filter(|text| text.is_ascii()).map(Cow::Borrowed),
        }
    }
}

impl Changes {
    /// What the text of a message may change, none of whose statements runs code that does DDL.
    #[must_use]
    pub fn of(sql: &[u8], catalog: &Catalog, by: &By) -> Self {
        let mut all = Self::default();
        Self::each(sql, catalog, by).into_iter().for_each(|of| all.add(of));
        all
    }

    /// The same of each of its statements, as far as they can be told apart (`parted.rs`).
    #[must_use]
    pub fn each(sql: &[u8], catalog: &Catalog, by: &By) -> Vec<Self> {
        let text = by.text(sql, catalog).filter(|text| by.standard || !text.contains('\\'));
        let Some(tokens) = text.as_deref().and_then(|text| plpgsql_tokens(text).ok()) else {
            return vec![Self {
                touched: Touched::Anything,
                ends: true,
                restores: true,
                twice: true,
                lasts: true,
                code: true,
                ..Self::default()
            }];
        };
        let mut path = by.path.as_deref();
        let statements = parted::statements(text.as_deref().unwrap_or_default(), &tokens);
        let several = statements.len() > 1;
        let each = statements.into_iter().map(|statement| {
            let of = match ddl::changes(statement, catalog, path) {
                // It fails (`PreventInTransactionBlock` of xact.c).
                _ if several && ddl::commits_prepared(statement) => Self { ends: true, ..Self::default() },
                of => of,
            };
            path = path.filter(|_| ddl::keeps_path(statement));
            of
        });
        let mut each: Vec<Self> = each.collect();
        if each.len() > 1 && each.iter().any(|of| of.ends) {
            each.iter_mut().for_each(|of| of.twice |= !of.is_nothing());
        }
        each
    }

    /// What another statement, which comes after it, changes as well.
    pub fn add(&mut self, more: Self) {
        self.touched.add(more.touched);
        self.gone.extend(more.gone);
        self.hanging.extend(more.hanging);
        self.opens.extend(more.opens);
        self.ends |= more.ends;
        self.twice |= more.twice;
        self.restores |= more.restores;
        self.commits |= more.commits;
        self.lasts |= more.lasts;
        self.code |= more.code;
        self.code_on_write |= more.code_on_write;
        self.view |= more.view;
        self.unseen |= more.unseen;
        self.phase = self.phase.take().or(more.phase);
    }

    /// Whether it changes nothing, whatever anybody makes.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let made = self.touched == Touched::Nothing && self.opens.is_nothing() && !self.unseen;
        made && self.hanging.is_empty() && self.gone.is_empty()
    }

    /// The same, once whatever it was about is there, whatever else has these names by then.
    #[must_use]
    pub fn at_any_time(mut self) -> Self {
        let gone = std::mem::take(&mut self.gone);
        self.code |= !gone.is_empty();
        self.touched.add(Touched::of(gone));
        for Hanging { touches, .. } in std::mem::take(&mut self.hanging) {
            self.touched.add(touches);
            self.code = true;
        }
        self
    }

    /// About how many names are in it.
    #[must_use]
    pub fn names(&self) -> usize {
        let touched = self.touched.names().saturating_add(self.gone.len());
        self.hanging.iter().fold(touched, |all, it| all.saturating_add(it.touches.names()))
    }
}
