//! The order in which rows come though nobody asks for one: that of the index by which they are read. Of one of several
//! columns it tells those too that no statement names.
//!
//! What is here follows the planner as far as it goes without knowing more than the statement (indxpath.c,
//! `build_index_paths`, `check_index_only`); which plan it makes of those that it may, whoever asks can choose.

mod level;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::rc::Rc;

use sqlparser::ast::{
    BinaryOperator, DataType, Distinct, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, OrderBy, Select, SelectItem, Statement, TableWithJoins, UnaryOperator,
    Value, visit_expressions,
};

use self::level::Level;
use super::Walker;
use super::scope::{Item, Source, folded};
use super::uses::Uses;
use crate::catalog::{ColumnRef, Index, Relation, RelationIndex, RelationKind};

/// The most parts of a statement that are looked at for whether they may fail.
const MAX_PARTS: usize = 50_000;

/// Aggregates that are the same in whatever order they are given their rows. Sums are of exact numbers alone.
const UNORDERED: [&str; 6] = ["bool_and", "bool_or", "count", "every", "max", "min"];
const SUMS: [&str; 2] = ["avg", "sum"];

/// Functions that make something of all that they are given.
const NEVER_FAIL: [&str; 8] =
    ["btrim", "coalesce", "greatest", "least", "length", "lower", "nullif", "upper"];

/// Functions that are the same for each row where what they are given is.
const STEADY: [&str; 12] = [
    "current_date",
    "current_timestamp",
    "current_user",
    "date_trunc",
    "make_date",
    "make_interval",
    "make_timestamp",
    "now",
    "session_user",
    "timezone",
    "to_date",
    "to_timestamp",
];

/// OIDs of types of which a sum is the same in any order: integers, numeric, money, interval.
const EXACT: [u32; 6] = [20, 21, 23, 790, 1186, 1700];
/// Those of which two values are the same by whatever a parameter is compared with them as.
const PLAIN: [u32; 5] = [20, 21, 23, 1700, 2950];

/// What is known of the order of rows while a statement is walked.
#[derive(Default)]
pub(super) struct Order {
    /// Whatever is made of the rows that are read here is the same in any order.
    quiet: bool,
    /// What the query puts out, somebody may leave out.
    within: bool,
    /// Its ORDER BY is let go (subselect.c, `simplify_EXISTS_query`).
    unsorted: bool,
    /// A subquery or function of FROM was met.
    derives: bool,
    /// Something in FROM may fail.
    fails: bool,
    scans: Vec<Scan>,
}

/// A relation that is read.
struct Scan {
    relation: RelationIndex,
    /// Columns without which it cannot be read.
    needs: HashSet<usize>,
    /// Nor by an index alone: it is written.
    writes: bool,
    /// The order of its rows can be seen.
    shows: bool,
}

/// What is kept while something else is walked.
pub(super) struct Around {
    quiet: bool,
    within: bool,
    unsorted: bool,
}

impl Walker<'_> {
    /// A relation is read.
    pub(super) fn scans(&mut self, relation: RelationIndex, writes: bool) {
        let shows = !self.order.quiet;
        self.order.scans.push(Scan { relation, needs: HashSet::new(), writes, shows });
    }

    /// How many are, so far.
    pub(super) fn scanned(&self) -> usize {
        self.order.scans.len()
    }

    /// A subquery or function of FROM.
    pub(super) fn derives(&mut self, fails: bool) {
        self.order.derives = true;
        self.order.fails |= fails;
    }

    /// A query of which the first rows are taken, or that is put where nobody knows what becomes of it.
    pub(super) fn cut(&mut self, cuts: bool) -> Around {
        let Order { quiet, within, unsorted, .. } = self.order;
        self.order.quiet &= !cuts;
        Around { quiet, within, unsorted }
    }

    /// Walks WITH: what becomes of its queries is not followed.
    pub(super) fn apart_from_order<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let around = self.cut(true);
        (self.order.within, self.order.unsorted) = (true, false);
        self.order.derives = true;
        let done = walk(self);
        self.goes_back(around);
        done
    }

    pub(super) fn goes_back(&mut self, around: Around) {
        let Around { quiet, within, unsorted } = around;
        (self.order.quiet, self.order.within, self.order.unsorted) = (quiet, within, unsorted);
    }

    /// Walks a query that is asked for no more than whether it has rows.
    pub(super) fn exists(&mut self, walk: impl FnOnce(&mut Self)) {
        let around = self.cut(false);
        (self.order.within, self.order.unsorted) = (true, true);
        walk(self);
        self.goes_back(around);
    }

    /// Before FROM of a query. Whether all that it puts out is somebody's to see.
    pub(super) fn begins_level(&mut self, select: &Select) -> (bool, bool) {
        let outermost = !std::mem::replace(&mut self.order.within, true);
        let sorted = !std::mem::take(&mut self.order.unsorted);
        if matches!(select.distinct, Some(Distinct::On(_))) {
            self.order.quiet = false;
        }
        self.order.quiet |= makes_one_row(select);
        (outermost, sorted)
    }

    /// After FROM: what is read in it, from the scan of that number on.
    pub(super) fn ends_from(
        &mut self,
        select: &Select,
        order: Option<&OrderBy>,
        items: &[Rc<Item>],
        from: (usize, bool),
    ) {
        let (start, outermost) = from;
        let level = Level { walker: self, items };
        // Of a row that is wide there is much to note, which only indexes ask for.
        let scans = self.order.scans.get(start..).unwrap_or_default();
        let is_asked = scans.iter().any(|scan| self.has_index(scan.relation));
        let needs = if is_asked { level.needs(select, outermost) } else { Vec::new() };
        let settled = level.settles(&select.from, select.selection.as_ref(), order, select);
        self.settle(start, items, settled, needs);
        self.order.quiet |= settled;
    }

    /// The same of UPDATE and DELETE. `seen`: whether the order of rows can be seen by what is done with them.
    pub(super) fn ends_target(
        &mut self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        items: &[Rc<Item>],
        start: usize,
        seen: bool,
    ) {
        let level = Level { walker: self, items };
        let settled = !seen || level.is_determined(from, selection, &[], 1);
        self.settle(start, items, settled, Vec::new());
    }

    fn settle(&mut self, start: usize, items: &[Rc<Item>], settled: bool, needs: Vec<HashSet<usize>>) {
        let scans = self.order.scans.get_mut(start..).unwrap_or_default();
        let is_table = |item: &Rc<Item>| matches!(item.source, Source::Relation { .. });
        if scans.len() != items.len() || !items.iter().all(is_table) {
            return;
        }
        let mut needs = needs.into_iter();
        for scan in scans {
            scan.shows &= !settled;
            scan.needs = needs.next().unwrap_or_default();
        }
    }

    /// Whether a relation that is no view, or a child of it, has an index that may tell more than is asked.
    fn has_index(&self, at: RelationIndex) -> bool {
        let has = |at: &RelationIndex| self.catalog.relation(*at).is_some_and(|it| !it.indexes.is_empty());
        has(&at) || self.catalog.relation(at).is_some_and(|it| it.children.iter().any(has))
    }

    /// Adds what the order tells in which rows come.
    pub(super) fn ordered(&mut self, statement: &Statement, has_operators: bool) {
        let catalog = self.catalog;
        let scans = std::mem::take(&mut self.order.scans);
        let read: Vec<(RelationIndex, &Scan)> = scans
            .iter()
            .flat_map(|scan| {
                let relation = catalog.relation(scan.relation);
                let beneath =
                    relation.filter(|it| it.kind == RelationKind::View).map(|it| &it.reads_relations);
                let itself = beneath.is_none().then_some(scan.relation);
                itself.into_iter().chain(beneath.into_iter().flatten().copied()).map(move |at| (at, scan))
            })
            .filter(|(at, _)| self.has_index(*at))
            .collect();
        if read.is_empty() || !self.executes {
            return;
        }
        // What a function puts out, who calls it may compare, and may fail by before it is sorted.
        let is_merged = self.body.body.is_some_and(|body| !body.is_plpgsql);
        let fails = is_merged
            || has_operators
            || !self.called.is_empty()
            || self.order.fails
            || self.may_fail(statement);
        let mut uses: HashMap<ColumnRef, Uses> = HashMap::new();
        let mut lineage = HashSet::new();
        for (column, used) in &self.columns {
            catalog.lineage(*column, &mut lineage);
            for base in lineage.drain() {
                let known = uses.entry(base).or_default();
                *known = *known | *used;
            }
        }
        let sorts = is_merged
            || visit_expressions(statement, |expr| {
                if is_distinct(expr) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .is_break();
        let mut told = HashSet::new();
        for (at, scan) in read {
            let Some(relation) = catalog.relation(at) else { continue };
            let is_view = at != scan.relation;
            if !(scan.shows || fails || is_view) {
                continue;
            }
            for member in std::iter::once(at).chain(relation.children.iter().copied()) {
                let Some(own) = catalog.relation(member) else { continue };
                let reading =
                    Reading { uses: &uses, member, own, relation, scan, compares: is_merged, sorts };
                for index in own.indexes.iter().filter(|index| reading.may_use(index)) {
                    let keys = index.keys.iter().take(index.telling).flatten();
                    told.extend(keys.map(|key| (member, *key)).filter(|key| !reading.is_read(*key)));
                }
            }
        }
        for column in told {
            self.touch_again(column, Uses::ORDERING);
        }
    }

    /// Whether something of the statement may fail for one row and not for another, or hangs on those before it: by where it
    /// stops, or with what, it tells which row comes first.
    fn may_fail(&self, statement: &Statement) -> bool {
        let mut parts = 0;
        visit_expressions(statement, |expr| {
            parts += 1;
            if parts < MAX_PARTS && self.is_steady(expr, &mut parts) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })
        .is_break()
    }

    /// What is in it apart.
    fn is_steady(&self, expr: &Expr, parts: &mut usize) -> bool {
        let mut same = |expr: &Expr| {
            let names = |expr: &Expr| {
                *parts += 1;
                let is_name = matches!(
                    expr,
                    Expr::Identifier(_)
                        | Expr::CompoundIdentifier(_)
                        | Expr::Subquery(_)
                        | Expr::Exists { .. }
                );
                if is_name || *parts > MAX_PARTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            visit_expressions(expr, names).is_continue()
        };
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Nested(_)
            | Expr::Tuple(_) => true,
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_) => true,
            Expr::IsNotFalse(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::Between { .. } => true,
            Expr::InList { .. } | Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => true,
            Expr::AnyOp { .. } | Expr::AllOp { .. } | Expr::Case { .. } | Expr::QualifiedWildcard(..) => true,
            Expr::UnaryOp { op: UnaryOperator::Not, .. } | Expr::Extract { .. } => true,
            Expr::Cast { data_type: DataType::Text, .. } => true,
            Expr::BinaryOp { op, .. }
                if is_comparison(op) || matches!(op, BinaryOperator::And | BinaryOperator::Or) =>
            {
                true
            }
            Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } => same(pattern),
            Expr::Function(function) if function.over.is_none() && function.within_group.is_empty() => {
                match called(function) {
                    Some(name)
                        if UNORDERED.contains(&name.as_str()) || NEVER_FAIL.contains(&name.as_str()) =>
                    {
                        true
                    }
                    Some(name) if SUMS.contains(&name.as_str()) => self.is_exact(function),
                    // By a field that it knows, or refuses for each row.
                    Some(name) if name == "date_trunc" && argument(function).is_some_and(is_literal) => true,
                    Some(name) => STEADY.contains(&name.as_str()) && same(expr),
                    None => false,
                }
            }
            Expr::Function(_) => false,
            other => same(other),
        }
    }

    /// Whether it is a sum of a column of exact numbers, whichever of the relations that is of.
    fn is_exact(&self, function: &Function) -> bool {
        let Some(Expr::Identifier(name)) = argument(function).map(last_name) else { return false };
        let name = folded(&name);
        let types = self.relations.iter().filter_map(|at| {
            let relation = self.catalog.relation(*at)?;
            relation.columns.get(relation.column(&name)?)
        });
        let types: Vec<u32> = types.map(|column| column.of.0).collect();
        !self.order.derives && !types.is_empty() && types.iter().all(|of| EXACT.contains(of))
    }
}

/// A relation that is read by one of its indexes, or one of its children's.
struct Reading<'r> {
    uses: &'r HashMap<ColumnRef, Uses>,
    member: RelationIndex,
    own: &'r Relation,
    relation: &'r Relation,
    scan: &'r Scan,
    /// What is put out may be compared.
    compares: bool,
    /// And sorted.
    sorts: bool,
}

impl Reading<'_> {
    fn of(&self, at: usize) -> Uses {
        self.uses.get(&(self.member, at)).copied().unwrap_or_default()
    }

    fn is_read(&self, (_, at): ColumnRef) -> bool {
        self.of(at).are_taken()
    }

    /// Whether the server may read it by that index for the sake of what the statement names.
    fn may_use(&self, index: &Index) -> bool {
        let compared = |at: &usize| self.of(*at).are_predicate() || self.compares && self.of(*at).are_taken();
        let sorted = |at: &usize| self.of(*at).are_sorted() || self.sorts && self.of(*at).are_taken();
        let met = index.condition.as_ref().map(|columns| columns.is_empty() || columns.iter().any(compared));
        if met == Some(false) {
            return false;
        }
        let named = |key: &Vec<usize>, is: &dyn Fn(&usize) -> bool| {
            if index.vague { key.iter().any(is) } else { key.iter().all(is) }
        };
        met == Some(true)
            || index.keys.iter().any(|key| named(key, &compared))
            || index.keys.first().is_some_and(|key| named(key, &sorted))
            || self.is_alone(index)
    }

    /// Whether the index may have all that is needed.
    fn is_alone(&self, index: &Index) -> bool {
        let has = |at: &usize| {
            let own = self.relation.columns.get(*at).and_then(|column| self.own.column(&column.name));
            own.is_some_and(|at| index.holds.contains(&at))
        };
        !self.scan.writes
            && self.scan.needs.iter().all(has)
            && index.holds.iter().any(|at| self.of(*at).are_taken())
    }
}

/// Whether a query makes one row of all that it reads, the same in whatever order that comes.
fn makes_one_row(select: &Select) -> bool {
    let has_groups = !matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty());
    let aggregates = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => has_aggregate(expr),
        _ => false,
    };
    !has_groups
        && !matches!(select.distinct, Some(Distinct::On(_)))
        && select.projection.iter().any(aggregates)
}

fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => has_aggregate(inner),
        Expr::BinaryOp { left, right, .. } => has_aggregate(left) || has_aggregate(right),
        Expr::Function(function) if function.over.is_none() => called(function).is_some_and(|name| {
            UNORDERED.contains(&name.as_str())
                || SUMS.contains(&name.as_str())
                || NEVER_FAIL.contains(&name.as_str()) && argument(function).is_some_and(has_aggregate)
        }),
        _ => false,
    }
}

/// The server's function that is called.
fn called(function: &Function) -> Option<String> {
    let mut parts = function.name.0.iter().map(|part| part.as_ident().map(|name| folded(name).into_owned()));
    match (parts.next()??, parts.next(), parts.next()) {
        (name, None, _) => Some(name),
        (schema, Some(name), None) if schema == "pg_catalog" => name,
        _ => None,
    }
}

/// The first argument.
fn argument(function: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// Of a name, its last part.
fn last_name(expr: &Expr) -> Expr {
    match expr {
        Expr::CompoundIdentifier(parts) => {
            parts.last().map_or_else(|| expr.clone(), |name| Expr::Identifier(name.clone()))
        }
        _ => expr.clone(),
    }
}

/// Whether it is an aggregate of different values, for which rows may be sorted.
fn is_distinct(expr: &Expr) -> bool {
    let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr else { return false };
    matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct))
}

fn conjuncts(condition: Option<&Expr>) -> Vec<&Expr> {
    let mut all = Vec::new();
    let mut open: Vec<&Expr> = condition.into_iter().collect();
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => open.extend([&**left, &**right]),
            other => all.push(other),
        }
    }
    all
}

const fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_literal(inner),
        Expr::Value(value) => {
            matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_))
        }
        _ => false,
    }
}

fn is_given(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

fn is_value(expr: &Expr) -> bool {
    is_literal(expr) || is_given(expr) || matches!(expr, Expr::Cast { expr, .. } if is_value(expr))
}
