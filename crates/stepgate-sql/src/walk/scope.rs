//! What names mean where: FROM items, levels of subqueries, CTEs (`src/backend/parser/parse_relation.c`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use sqlparser::ast::Ident;

use super::origin::{Name, Origin};
use crate::catalog::{Catalog, ColumnRef, RelationIndex, RelationKind};

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
    pub(super) names: Vec<Option<Name>>,
    /// There may be more columns than these.
    pub(super) open: bool,
    /// What columns without a certain name are made of.
    pub(super) rest: Origin,
}

impl Output {
    /// Of which no column is certain.
    pub(super) fn uncertain() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// The same with the first columns renamed, as `AS x (a, b)` does.
    pub(super) fn renamed(&self, names: &[String]) -> Self {
        if self.open && !names.is_empty() {
            // Which of the others they take the place of is not certain.
            let origin = self.anything();
            let names = names.iter().map(|name| Some(Name::new(name, origin.clone())));
            return Self { names: names.collect(), open: true, rest: origin };
        }
        let mut renamed = self.clone();
        for (at, name) in names.iter().enumerate() {
            match renamed.names.get_mut(at) {
                Some(Some(known)) => known.text.clone_from(name),
                Some(unnamed) => *unnamed = Some(Name::new(name, self.rest.clone())),
                None => renamed.names.push(Some(Name::new(name, self.rest.clone()))),
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
    /// The first of some that USING or NATURAL joined: what `*` makes of them, and how many they are. Merged columns
    /// come once, and first (parse_clause.c, `transformFromClauseItem`).
    pub(super) star: RefCell<Option<(Output, usize)>>,
}

/// The most columns a result can have (`MaxTupleAttributeNumber`).
pub(super) const MAX_COLUMNS: usize = 1_664;

#[derive(Debug)]
pub(super) enum Source {
    /// A relation of the catalog. `renamed`: new names of its first columns; `aliased`: `schema.name` does
    /// not refer to it any more.
    Relation { index: RelationIndex, renamed: Vec<String>, aliased: bool },
    /// A subquery, CTE, function or VALUES: its columns were accounted for where it stands.
    Derived(Output),
    /// A join with an alias: the columns of its sides.
    Join(Vec<Rc<Item>>),
    /// `USING (…) AS j`: the merged columns, which are found by way of `j` only (parse_clause.c, `p_cols_visible`).
    Merged(Vec<Name>),
    /// A join whose alias renames its columns.
    Renamed(Vec<Name>),
    /// `excluded` of ON CONFLICT: the proposed row. Like the server, which asks for SELECT on the column, we count it
    /// as the table's.
    Excluded(RelationIndex),
}

/// What a column name means in one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hit {
    /// These columns of the catalog.
    Columns(Vec<ColumnRef>),
    /// A column accounted for already.
    Harmless,
    /// A system column of that one relation; over a join a bare name does not find it.
    System,
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
                // Of two by one name the server refuses to take any: both count.
                let anew = (0..).zip(renamed).filter(|(_, new)| *new == name).map(|(at, _)| at);
                let own = relation.column(name).filter(|at| *at >= renamed.len());
                let columns: Vec<_> = anew.chain(own).map(|at| (*index, at)).collect();
                if !columns.is_empty() {
                    Hit::Columns(columns)
                } else if SYSTEM_COLUMNS.contains(&name) && relation.kind != RelationKind::View {
                    Hit::System
                } else {
                    Hit::Miss
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
                    all = all.and(side.bare(name, catalog));
                }
                if all == Hit::System { Hit::Miss } else { all }
            }
            Source::Merged(names) | Source::Renamed(names) => {
                let named = names.iter().filter(|known| known.text == name);
                named.fold(Hit::Miss, |hit, known| hit.and(known.hit()))
            }
            Source::Excluded(index) => match catalog.relation(*index).and_then(|it| it.column(name)) {
                Some(at) => Hit::Columns(vec![(*index, at)]),
                None => Hit::Miss,
            },
        }
    }

    /// Whether it is a function's result without names for its columns, and called so: if that is no row, its one column has
    /// that name (parse_relation.c, `chooseScalarFunctionAlias`). `f(x)` gives the column another.
    pub(super) fn is_value_of(&self, name: &str) -> bool {
        let unnamed =
            matches!(&self.source, Source::Derived(output) if output.open && output.names.is_empty());
        unnamed && self.alias.as_deref() == Some(name)
    }

    /// What the name alone means in it.
    pub(super) fn bare(&self, name: &str, catalog: &Catalog) -> Hit {
        match self.source {
            Source::Merged(_) => Hit::Miss,
            _ => self.hit(name, catalog),
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
            Source::Merged(names) | Source::Renamed(names) => {
                names.iter().flat_map(|name| name.columns.iter().copied()).collect()
            }
        }
    }

    /// The names of its columns, as `*` expands them.
    pub(super) fn output(&self, catalog: &Catalog) -> Output {
        match &self.source {
            Source::Relation { index, renamed, .. } => {
                let columns = catalog.relation(*index).map(|relation| relation.columns.as_slice());
                let columns = columns.unwrap_or_default().iter().enumerate();
                let names = columns.map(|(at, column)| Some(Name::of(&column.name, (*index, at))));
                Output { names: names.collect(), ..Output::default() }.renamed(renamed)
            }
            Source::Derived(output) => output.clone(),
            Source::Join(sides) => expanded(sides, catalog),
            Source::Merged(names) | Source::Renamed(names) => {
                Output { names: names.iter().cloned().map(Some).collect(), ..Output::default() }
            }
            Source::Excluded(_) => Output::uncertain(),
        }
    }
}

/// The columns that `*` makes of these items.
pub(super) fn expanded(items: &[Rc<Item>], catalog: &Catalog) -> Output {
    let mut all = Output::default();
    let mut unnamed = Vec::new();
    let mut rest = items;
    while let Some(item) = rest.first() {
        let alone = || match item.source {
            // The sides have these columns already.
            Source::Merged(_) => (Output::default(), 1),
            _ => (item.output(catalog), 1),
        };
        let (output, taken) = item.star.borrow().clone().unwrap_or_else(alone);
        if all.names.len() + output.names.len() > MAX_COLUMNS {
            // The server refuses it; nobody shall make the gate count on.
            return Output::uncertain();
        }
        unnamed.extend(output.unnamed().cloned());
        all.names.extend(output.names);
        all.open |= output.open;
        rest = rest.get(taken..).unwrap_or_default();
    }
    all.rest = Origin::any(&unnamed);
    all
}

/// The columns of that name of both sides, merged.
pub(super) fn common(names: &[String], left: &Output, right: &Output) -> Vec<Name> {
    let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
    let sides = left.names.iter().chain(&right.names).flatten();
    let mut known: HashMap<&str, Name> = HashMap::new();
    for name in sides.filter(|name| wanted.contains(name.text.as_str())) {
        known.entry(&name.text).and_modify(|one| *one = one.or(name)).or_insert_with(|| name.clone());
    }
    // What has no certain name may be one of them.
    let unsure = left.unnamed().or(right.unnamed()).is_some();
    let column = |text: &String| match known.get(text.as_str()) {
        Some(name) if !unsure => name.clone(),
        Some(name) => Name { origin: Origin::Unknown, ..name.clone() },
        None => Name::new(text, Origin::Unknown),
    };
    names.iter().map(column).collect()
}

/// What `*` makes of two sides of which these columns are merged.
pub(super) fn merged(common: Vec<Name>, left: Output, right: Output) -> Output {
    if left.unnamed().or(right.unnamed()).is_some() {
        // Where a side may have more, nothing after its columns has a certain place, nor have the merged ones.
        return Output::uncertain();
    }
    let known: HashSet<String> = common.iter().map(|name| name.text.clone()).collect();
    let sides = left.names.into_iter().chain(right.names).flatten();
    let rest = sides.filter(|name| !known.contains(&name.text));
    let names = common.into_iter().chain(rest).map(Some).collect();
    Output { names, ..Output::default() }
}

impl Name {
    fn hit(&self) -> Hit {
        if self.columns.is_empty() { Hit::Harmless } else { Hit::Columns(self.columns.clone()) }
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
            (Self::System, Self::Miss) | (Self::Miss, Self::System) => Self::System,
            (Self::System, _) | (_, Self::System) => Self::Unsure,
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
