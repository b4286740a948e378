//! What names mean where: FROM items, levels of subqueries, CTEs (`src/backend/parser/parse_relation.c`).

use std::borrow::Cow;
use std::rc::Rc;

use sqlparser::ast::Ident;

use crate::catalog::{Catalog, ColumnRef, RelationIndex};

/// An identifier as the server sees it.
pub(super) fn folded(ident: &Ident) -> Cow<'_, str> {
    if ident.quote_style.is_none() && ident.value.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(ident.value.to_ascii_lowercase())
    } else {
        Cow::Borrowed(&ident.value)
    }
}

/// The columns of a query's result. `None` where the name is not certain: claiming a column that is not
/// there would keep a name from reaching the table it really means.
#[derive(Debug, Clone, Default)]
pub(super) struct Output {
    pub(super) names: Vec<Option<String>>,
    /// There may be more columns than these.
    pub(super) open: bool,
}

impl Output {
    /// The same with the first columns renamed, as `AS x (a, b)` does.
    pub(super) fn renamed(&self, names: &[String]) -> Self {
        let mut renamed = self.clone();
        for (at, name) in names.iter().enumerate() {
            match renamed.names.get_mut(at) {
                Some(slot) => *slot = Some(name.clone()),
                None => renamed.names.push(Some(name.clone())),
            }
        }
        renamed
    }
}

/// One thing of FROM that names can refer to.
#[derive(Debug)]
pub(super) struct Item {
    /// The name by which it is qualified; `None` for a subquery without alias.
    pub(super) alias: Option<String>,
    pub(super) source: Source,
}

#[derive(Debug)]
pub(super) enum Source {
    /// A relation of the catalog. `renamed`: new names of its first columns; `aliased`: `schema.name` does
    /// not refer to it any more.
    Relation { index: RelationIndex, renamed: Vec<String>, aliased: bool },
    /// A subquery, CTE, function or VALUES: its columns were accounted for where it stands.
    Derived(Output),
    /// A join with an alias: the columns of its sides.
    Join(Vec<Rc<Item>>),
    /// `excluded` of ON CONFLICT: the proposed row. Like the server, which asks for SELECT on the column, we count it
    /// as the table's.
    Excluded(RelationIndex),
}

/// What a column name means in one item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hit {
    /// These columns of the catalog.
    Columns(Vec<ColumnRef>),
    /// A column accounted for already, or a system column.
    Harmless,
    /// The item may or may not have that column.
    Unsure,
    /// It has not.
    Miss,
}

const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl Item {
    pub(super) fn hit(&self, name: &str, catalog: &Catalog) -> Hit {
        match &self.source {
            Source::Relation { index, renamed, .. } => {
                let Some(relation) = catalog.relation(*index) else { return Hit::Unsure };
                if let Some(at) = renamed.iter().position(|new| new == name) {
                    return Hit::Columns(vec![(*index, at)]);
                }
                match relation.column(name) {
                    Some(at) if at >= renamed.len() => Hit::Columns(vec![(*index, at)]),
                    _ if SYSTEM_COLUMNS.contains(&name) => Hit::Harmless,
                    _ => Hit::Miss,
                }
            }
            Source::Derived(output) => {
                if output.names.iter().any(|known| known.as_deref() == Some(name)) {
                    Hit::Harmless
                } else if output.open || output.names.iter().any(Option::is_none) {
                    Hit::Unsure
                } else {
                    Hit::Miss
                }
            }
            Source::Join(sides) => {
                let mut all = Hit::Miss;
                for side in sides {
                    all = all.and(side.hit(name, catalog));
                }
                all
            }
            Source::Excluded(index) => match catalog.relation(*index).and_then(|it| it.column(name)) {
                Some(at) => Hit::Columns(vec![(*index, at)]),
                None => Hit::Miss,
            },
        }
    }

    /// Every column of the catalog that the item's whole row holds.
    pub(super) fn whole(&self, catalog: &Catalog) -> Vec<ColumnRef> {
        match &self.source {
            Source::Relation { index, .. } | Source::Excluded(index) => {
                let count = catalog.relation(*index).map_or(0, |relation| relation.columns.len());
                (0..count).map(|at| (*index, at)).collect()
            }
            Source::Derived(_) => Vec::new(),
            Source::Join(sides) => sides.iter().flat_map(|side| side.whole(catalog)).collect(),
        }
    }

    /// The names of its columns, as `*` expands them.
    pub(super) fn output(&self, catalog: &Catalog) -> Output {
        match &self.source {
            Source::Relation { index, renamed, .. } => {
                let columns = catalog.relation(*index).map(|relation| relation.columns.as_slice());
                let names = columns.unwrap_or_default().iter().map(|column| Some(column.name.clone()));
                Output { names: names.collect(), open: false }.renamed(renamed)
            }
            Source::Derived(output) => output.clone(),
            Source::Join(sides) => {
                let mut all = Output::default();
                for side in sides {
                    let output = side.output(catalog);
                    all.names.extend(output.names);
                    all.open |= output.open;
                }
                all
            }
            Source::Excluded(_) => Output { names: Vec::new(), open: true },
        }
    }
}

impl Hit {
    /// Both: a column merged by USING, or an ambiguous one (which the server refuses).
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Columns(mut some), Self::Columns(more)) => {
                some.extend(more);
                Self::Columns(some)
            }
            (Self::Columns(some), _) | (_, Self::Columns(some)) => Self::Columns(some),
            (Self::Harmless, _) | (_, Self::Harmless) => Self::Harmless,
            (Self::Unsure, _) | (_, Self::Unsure) => Self::Unsure,
            (Self::Miss, Self::Miss) => Self::Miss,
        }
    }
}

/// The FROM items of one query level, and the levels around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) items: &'a [Rc<Item>],
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// This level and those around it, innermost first.
    pub(super) fn levels(&'a self) -> impl Iterator<Item = &'a [Rc<Item>]> {
        std::iter::successors(Some(self), |scope| scope.outer).map(|scope| scope.items)
    }
}

/// The CTEs visible at one place, innermost WITH first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ctes<'a> {
    pub(super) list: &'a [(String, Rc<Output>)],
    /// Names of the same WITH RECURSIVE that are not analysed yet.
    pub(super) pending: &'a [String],
    pub(super) outer: Option<&'a Ctes<'a>>,
}

/// What a relation name finds among CTEs.
pub(super) enum CteHit {
    Found(Rc<Output>),
    /// A CTE that is not analysed yet.
    Pending,
    None,
}

impl Ctes<'_> {
    pub(super) fn find(&self, name: &str) -> CteHit {
        let mut at = Some(self);
        while let Some(ctes) = at {
            if let Some((_, output)) = ctes.list.iter().rev().find(|(known, _)| known == name) {
                return CteHit::Found(Rc::clone(output));
            }
            if ctes.pending.iter().any(|known| known == name) {
                return CteHit::Pending;
            }
            at = ctes.outer;
        }
        CteHit::None
    }
}

/// Where an expression or query stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) scope: Option<&'a Scope<'a>>,
    pub(super) ctes: Option<&'a Ctes<'a>>,
}

impl<'a> Place<'a> {
    /// The same CTEs within another scope.
    pub(super) fn within(self, scope: &'a Scope<'a>) -> Self {
        Self { scope: Some(scope), ctes: self.ctes }
    }
}
