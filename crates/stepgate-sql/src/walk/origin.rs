//! What the columns of subqueries, CTEs and functions in FROM are made of: for comparisons that name them.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use super::Walker;
use super::compare::Comparing;
use super::scope::{Item, Output, Source};
use super::uses::Uses;
use crate::catalog::ColumnRef;

/// The longest trail, in columns named; of a longer one, nothing is certain.
const MAX_TRAIL: usize = 16_384;

/// The most columns that go into one of a result's: a select list has thousands.
const MAX_MADE: usize = 64;

/// The name of a result's column.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// The columns of the catalog that it means, of a relation or of several that are joined. What a query puts out was
    /// accounted for where the query stands.
    pub(super) columns: Vec<ColumnRef>,
}

/// What a result's column is made of.
#[derive(Debug, Clone, Default)]
pub(super) enum Origin {
    /// Perhaps of anything put out.
    #[default]
    Unknown,
    /// It is that column.
    Column(ColumnRef),
    /// Of these: each is it, or goes into it.
    Made(Rc<[(ColumnRef, bool)]>),
}

impl Origin {
    /// Of any of these, in whatever way.
    pub(super) fn any<'o>(all: impl IntoIterator<Item = &'o Self>) -> Self {
        let mut made = Vec::new();
        for origin in all {
            match origin {
                Self::Unknown => return Self::Unknown,
                Self::Column(column) => made.push((*column, false)),
                Self::Made(columns) => made.extend(columns.iter().map(|(column, _)| (*column, false))),
            }
        }
        Self::made(made)
    }

    /// One of the two, row by row.
    pub(super) fn or(&self, other: &Self) -> Self {
        let columns = |origin: &Self| match origin {
            Self::Unknown => None,
            Self::Column(column) => Some(vec![(*column, true)]),
            Self::Made(columns) => Some(columns.to_vec()),
        };
        match (columns(self), columns(other)) {
            (Some(mut made), Some(more)) => {
                made.extend(more);
                Self::made(made)
            }
            _ => Self::Unknown,
        }
    }

    fn made(mut columns: Vec<(ColumnRef, bool)>) -> Self {
        columns.sort_unstable();
        columns.dedup();
        if columns.len() > MAX_MADE { Self::Unknown } else { Self::Made(columns.into()) }
    }
}

impl Name {
    pub(super) fn new(text: impl Into<String>, origin: Origin) -> Self {
        Self { text: text.into(), origin, columns: Vec::new() }
    }

    /// Of a column of the catalog.
    pub(super) fn of(text: impl Into<String>, column: ColumnRef) -> Self {
        Self { text: text.into(), origin: Origin::Column(column), columns: vec![column] }
    }

    /// Of a column merged of both, by the name of this.
    pub(super) fn or(&self, other: &Self) -> Self {
        let mut columns = self.columns.clone();
        columns.extend(other.columns.iter().filter(|column| !self.columns.contains(column)));
        Self { text: self.text.clone(), origin: self.origin.or(&other.origin), columns }
    }

    /// As a column of what a query puts out.
    pub(super) fn put_out(self) -> Self {
        Self { columns: Vec::new(), ..self }
    }

    /// Whether it is made of nothing but the columns that it means.
    fn is_of_catalog(&self) -> bool {
        match &self.origin {
            Origin::Unknown => false,
            Origin::Column(column) => self.columns.contains(column),
            Origin::Made(made) => {
                made.iter().all(|(column, itself)| *itself && self.columns.contains(column))
            }
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Output {
    /// Of a set operation: rows of this and of the other.
    pub(super) fn united(mut self, other: &Self) -> Self {
        for (at, name) in self.names.iter_mut().enumerate() {
            let Some(name) = name else { continue };
            name.origin = match other.names.get(at) {
                Some(Some(theirs)) if !other.open => name.origin.or(&theirs.origin),
                Some(None) if !other.open => name.origin.or(&other.rest),
                _ => Origin::Unknown,
            };
        }
        if self.unnamed().is_some() {
            self.rest = Origin::any([&self.rest, &other.anything()]);
        }
        self
    }

    /// The same, made of nobody knows what.
    pub(super) fn of_unknown_origin(mut self) -> Self {
        for name in self.names.iter_mut().flatten() {
            name.origin = Origin::Unknown;
        }
        Self { rest: Origin::Unknown, ..self }
    }

    /// Every column made of any of this and the other: what a recursion makes of them.
    pub(super) fn mixed(mut self, other: &Self) -> Self {
        let origin = Origin::any([&self.anything(), &other.anything()]);
        for name in self.names.iter_mut().flatten() {
            name.origin = origin.clone();
        }
        Self { rest: origin, ..self }
    }

    /// What any of its columns is made of.
    pub(super) fn anything(&self) -> Origin {
        Origin::any(self.names.iter().flatten().map(|name| &name.origin).chain(self.unnamed()))
    }

    /// What its columns without a certain name are made of, if it has such.
    pub(super) fn unnamed(&self) -> Option<&Origin> {
        (self.open || self.names.iter().any(Option::is_none)).then_some(&self.rest)
    }
}

/// Columns in the order in which they are named, while that is of interest.
#[derive(Default)]
pub(super) struct Trail {
    depth: usize,
    passed: Vec<(ColumnRef, bool)>,
    lost: bool,
}

impl Trail {
    pub(super) fn pass(&mut self, column: ColumnRef, itself: bool) {
        if self.depth == 0 {
            return;
        }
        if self.passed.len() < MAX_TRAIL {
            self.passed.push((column, itself));
        } else {
            self.lost = true;
        }
    }

    /// Something was named of which nobody knows what it is made of.
    fn lose(&mut self) {
        self.lost |= self.depth > 0;
    }

    pub(super) const fn is_kept(&self) -> bool {
        self.depth > 0
    }

    pub(super) fn here(&self) -> usize {
        self.passed.len()
    }

    /// What was named since. `bare`: nothing but a name.
    pub(super) fn since(&self, start: usize, bare: bool) -> Origin {
        if self.lost || self.depth == 0 {
            return Origin::Unknown;
        }
        let passed = self.passed.get(start..).unwrap_or_default();
        match passed {
            [(column, true)] if bare => Origin::Column(*column),
            passed => {
                Origin::made(passed.iter().map(|(column, itself)| (*column, *itself && bare)).collect())
            }
        }
    }
}

impl Walker<'_> {
    /// Walks a subquery, CTE or function of FROM, whose columns may be compared.
    pub(super) fn traced<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.depth += 1;
        let result = walk(self);
        self.trail.depth -= 1;
        if self.trail.depth == 0 {
            self.trail.passed.clear();
            self.trail.lost = false;
        }
        result
    }

    /// What columns are made of that a function of FROM makes.
    pub(super) fn made_of(&mut self, walk: impl FnOnce(&mut Self)) -> Origin {
        self.traced(|walker| {
            let start = walker.trail.here();
            walk(walker);
            walker.trail.since(start, false)
        })
    }

    /// A name was found among these items: what is done with it is done with what it is made of.
    pub(super) fn through(&mut self, name: &str, items: &[Rc<Item>], uses: Uses) {
        if self.looks_through(uses) {
            for item in items {
                self.through_item(Some(name), item, uses);
            }
        }
    }

    /// The whole row of an item was named.
    pub(super) fn through_row(&mut self, item: &Item, uses: Uses) {
        if self.looks_through(uses) {
            self.through_item(None, item, uses);
        }
    }

    fn looks_through(&self, uses: Uses) -> bool {
        self.trail.is_kept() || uses.are_predicate() || !matches!(self.comparing, Comparing::Nothing)
    }

    fn through_item(&mut self, wanted: Option<&str>, item: &Item, uses: Uses) {
        match &item.source {
            Source::Relation { .. } | Source::Excluded(_) => {}
            Source::Join(sides) => sides.iter().for_each(|side| self.through_item(wanted, side, uses)),
            Source::Merged(names) | Source::Renamed(names) => {
                let named = |name: &&Name| wanted.is_none_or(|wanted| wanted == name.text);
                // The columns of the catalog are named by themselves.
                let beyond = names.iter().filter(named).filter(|name| !name.is_of_catalog());
                beyond.for_each(|name| self.came_from(&name.origin, uses));
            }
            Source::Derived(output) => match wanted {
                None => self.came_from(&output.anything(), uses),
                Some(wanted) => {
                    let mut named =
                        output.names.iter().flatten().filter(|name| name.text == wanted).peekable();
                    if let (None, Some(origin)) = (named.peek(), output.unnamed()) {
                        self.came_from(origin, uses);
                    }
                    named.for_each(|name| self.came_from(&name.origin, uses));
                }
            },
        }
    }

    /// What is compared is made of that.
    pub(super) fn came_from(&mut self, origin: &Origin, uses: Uses) {
        match origin {
            Origin::Column(column) => self.named(*column, uses, true),
            Origin::Made(columns) => {
                columns.iter().for_each(|(column, itself)| self.named(*column, uses, *itself));
            }
            Origin::Unknown => {
                self.trail.lose();
                self.compares_unknown |=
                    uses.are_predicate() || !matches!(self.comparing, Comparing::Nothing);
            }
        }
    }
}
