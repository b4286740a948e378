//! From which columns that is taken which a statement stores.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use sqlparser::ast::{Expr, Query, Select, SelectItem, SetExpr, Values};
use stepgate_types::ColumnName;

use super::Walker;
use super::compare::{Compared, SOMEHOW, note};
use super::query::is_expanded;
use super::scope::{Item, Output, Place, Source};
use super::uses::Uses;
use crate::catalog::{Action, ColumnRef, RelationIndex};
use crate::taint::Flow;

/// Columns and how they are used.
pub(super) type Touched = HashMap<ColumnRef, Uses>;

/// The select list that is told apart, and what each of its columns was seen to take.
#[derive(Default)]
pub(super) struct Split {
    /// Of which SELECT or VALUES; compared, never followed.
    pub(super) select: Option<*const Select>,
    pub(super) values: Option<*const Values>,
    /// One for each column. `None`: they cannot be told apart.
    pub(super) each: Option<Vec<Touched>>,
    /// How each item of the list compares columns.
    pub(super) compared: Vec<Compared>,
    /// What of the list the server computes whichever of its columns is asked for: items with volatile functions
    /// (allpaths.c, `remove_unused_subquery_outputs`), and keys of windows, which are sorted by.
    pub(super) always: HashSet<ColumnRef>,
}

impl Walker<'_> {
    /// Asks for the columns of a query to be told apart, if it is one SELECT or VALUES.
    pub(super) fn split(&mut self, query: &Query) {
        match query.body.as_ref() {
            SetExpr::Select(select) => self.split.select = Some(std::ptr::from_ref(select.as_ref())),
            SetExpr::Values(values) => self.split.values = Some(std::ptr::from_ref(values)),
            _ => {}
        }
    }

    /// The rows of VALUES, column by column if that was asked for.
    pub(super) fn values(&mut self, values: &Values, place: Place<'_>, uses: Uses) {
        let rows = || values.rows.iter().map(|row| row.content.as_slice());
        let width = rows().map(<[Expr]>::len).max().unwrap_or_default();
        let apart = self.split.values.is_some_and(|it| std::ptr::eq(it, values));
        if !apart || rows().any(|row| row.len() != width || row.iter().any(is_expanded)) {
            return rows().for_each(|row| self.exprs(row, place, uses));
        }
        let mut each = Vec::with_capacity(width);
        for at in 0..width {
            let around = std::mem::take(&mut self.columns);
            self.exprs(rows().filter_map(|row| row.get(at)), place, uses);
            each.push(std::mem::replace(&mut self.columns, around));
        }
        self.split.each = Some(each);
    }

    /// Whether that was asked of this SELECT.
    pub(super) fn splits(&self, select: &Select) -> bool {
        self.split.select.is_some_and(|it| std::ptr::eq(it, select))
    }

    /// A select list, column by column. What it touches is in `self.split` only, for the asker to take.
    pub(super) fn split_projection(
        &mut self,
        projection: &[SelectItem],
        items: &[Rc<Item>],
        place: Place<'_>,
        uses: Uses,
    ) -> Output {
        let mut each = Some(Vec::with_capacity(projection.len()));
        let mut all = Vec::with_capacity(projection.len());
        let mut output = Output::default();
        for item in projection {
            let around = (std::mem::take(&mut self.columns), std::mem::take(&mut self.compared));
            let was_volatile = std::mem::replace(&mut self.is_volatile, false);
            let more = self.projection(std::slice::from_ref(item), items, place, uses);
            let touched = std::mem::replace(&mut self.columns, around.0);
            self.split.compared.push(std::mem::replace(&mut self.compared, around.1));
            if self.is_volatile {
                self.split.always.extend(touched.keys());
            }
            self.is_volatile |= was_volatile;
            let apart = match item {
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => Some(vec![touched.clone()]),
                _ => star(item, items, &touched),
            };
            let apart = apart.filter(|apart| !more.open && apart.len() == more.names.len());
            each = each.zip(apart).map(|(mut each, apart)| {
                each.extend(apart);
                each
            });
            all.push(touched);
            output.names.extend(more.names);
            output.open |= more.open;
        }
        if each.is_none() {
            all.iter().for_each(|touched| self.merge_touched(touched));
        }
        self.split.each = each;
        output
    }

    pub(super) fn merge_touched(&mut self, touched: &Touched) {
        for (column, uses) in touched {
            self.touch_again(*column, *uses);
        }
    }

    /// What the columns of the query take that was split, with what went before it; merged back. `None`: any of them
    /// may take all of [`Self::given`].
    pub(super) fn taken_apart(&mut self) -> Option<Vec<Vec<ColumnRef>>> {
        (self.split.select, self.split.values) = (None, None);
        for compared in std::mem::take(&mut self.split.compared) {
            self.merge_compared(&compared);
        }
        let around = self.given();
        let each = self.split.each.take()?;
        for touched in &each {
            self.merge_touched(touched);
        }
        let of = |touched: &Touched| given(touched).chain(around.iter().copied()).collect();
        Some(each.iter().map(of).collect())
    }

    /// Touches what of the list is computed in any case.
    pub(super) fn computed_always(&mut self) {
        for column in std::mem::take(&mut self.split.always) {
            self.touch_again(column, Uses::HIDDEN);
            note(&mut self.compared, column, &[SOMEHOW]);
        }
    }

    /// The columns whose values anything so far has put out.
    pub(super) fn given(&self) -> Vec<ColumnRef> {
        given(&self.columns).collect()
    }

    /// Runs `walk` and tells what it puts out.
    pub(super) fn gives(&mut self, walk: impl FnOnce(&mut Self)) -> Vec<ColumnRef> {
        given(&self.touches(walk)).collect()
    }

    /// Runs `walk` and tells what it touches.
    pub(super) fn touches(&mut self, walk: impl FnOnce(&mut Self)) -> Touched {
        let before = std::mem::take(&mut self.columns);
        walk(self);
        let touched = std::mem::replace(&mut self.columns, before);
        self.merge_touched(&touched);
        touched
    }

    /// Values from these columns are stored in that one.
    pub(super) fn flow(&mut self, to: ColumnRef, from: impl IntoIterator<Item = ColumnRef>) {
        let from = from.into_iter().filter(|from| *from != to);
        self.flows.entry(to.0).or_default().entry(to.1).or_default().extend(from);
    }

    /// ON UPDATE CASCADE stores the same in what refers to that column.
    pub(super) fn flow_on(&mut self, index: RelationIndex, at: usize, from: &[ColumnRef]) {
        for to in self.cascading(index, at) {
            let known = self.flows.get(&to.0).and_then(|columns| columns.get(&to.1));
            if known.is_some_and(|known| from.iter().all(|from| known.contains(from) || *from == to)) {
                continue;
            }
            self.flow(to, from.iter().copied());
            self.flow_on(to.0, to.1, from);
        }
    }

    /// The columns that are written where that one is. A row may be a child's, which others refer to by keys of its own, and
    /// what they refer to may be computed from the column.
    fn cascading(&self, index: RelationIndex, at: usize) -> Vec<ColumnRef> {
        let catalog = self.catalog;
        let Some(parent) = catalog.relation(index) else { return Vec::new() };
        let Some(column) = parent.columns.get(at) else { return Vec::new() };
        let mut all = Vec::new();
        for member in std::iter::once(index).chain(parent.children.iter().copied()) {
            let Some(relation) = catalog.relation(member) else { continue };
            let Some(own) = relation.column(&column.name) else { continue };
            let is_written =
                |at: usize| at == own || relation.columns.get(at).is_some_and(|it| it.sources.contains(&own));
            let keys = relation.referred.iter().filter(|key| key.on_update == Action::Cascade);
            let pairs = keys.flat_map(|key| key.own.iter().zip(&key.theirs));
            all.extend(pairs.filter(|(own, _)| is_written(**own)).map(|(_, to)| *to));
        }
        all
    }

    /// The flows by name. `called`: what functions put out, which may go anywhere.
    pub(super) fn named_flows(
        &self,
        called: &BTreeSet<ColumnName>,
    ) -> BTreeMap<stepgate_types::RelationName, Flow> {
        let mut named = BTreeMap::new();
        for (index, columns) in &self.flows {
            let Some(relation) = self.catalog.relation(*index) else { continue };
            let mut flow = Flow { all: called.clone(), ..Flow::default() };
            for (at, from) in columns {
                let Some(column) = relation.columns.get(*at) else { continue };
                flow.each.insert(column.name.clone(), self.base_columns(from.iter().copied()));
            }
            if let Some(flow) = flow.only(|_| true) {
                named.insert(relation.name.0.clone(), flow);
            }
        }
        named
    }

    /// The base columns that these show, and what those hold of others.
    pub(super) fn base_columns(&self, columns: impl IntoIterator<Item = ColumnRef>) -> BTreeSet<ColumnName> {
        let mut lineage = HashSet::new();
        for column in columns {
            self.catalog.lineage(column, &mut lineage);
        }
        let mut base = BTreeSet::new();
        for column in lineage {
            let Some((name, column)) = self.base_column(column) else { continue };
            for flow in self.session.tainted(&name) {
                base.extend(flow.all.iter().chain(flow.each.get(&column).into_iter().flatten()).cloned());
            }
            base.insert(ColumnName::new(name, column));
        }
        base
    }

    pub(super) fn base_column(
        &self,
        (relation, at): (RelationIndex, usize),
    ) -> Option<(stepgate_types::RelationName, String)> {
        let relation = self.catalog.relation(relation).filter(|it| it.is_base())?;
        Some((relation.name.0.clone(), relation.columns.get(at)?.name.clone()))
    }
}

fn given(touched: &Touched) -> impl Iterator<Item = ColumnRef> {
    touched.iter().filter(|(_, uses)| uses.are_output()).map(|(column, _)| *column)
}

/// What each column takes that a star stands for, if it is of one relation alone.
fn star(item: &SelectItem, items: &[Rc<Item>], touched: &Touched) -> Option<Vec<Touched>> {
    let (SelectItem::Wildcard(_), [only]) = (item, items) else { return None };
    let Source::Relation { index, .. } = &only.source else { return None };
    let column = |at: usize| touched.get(&(*index, at)).map(|uses| Touched::from([((*index, at), *uses)]));
    (0..touched.len()).map(column).collect()
}
