//! From a parsed query to the columns it reads: PostgreSQL's name resolution over the catalog snapshot.
//!
//! Granularity is that of the server's own privilege checks: every column named anywhere counts, whether or
//! not the result shows it. What is not explicitly understood becomes a doubt.

mod apart;
mod command;
mod compare;
mod dml;
mod expr;
mod failure;
mod flow;
mod from;
mod function;
mod large;
mod mark;
mod merge;
mod null;
mod operand;
mod order;
mod origin;
mod probe;
mod query;
mod routine;
mod scope;
mod size;
mod trigger;
mod uses;
mod view;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use pg_raw_parse::Node;
use sqlparser::ast::{ObjectName, ObjectNamePart, SetExpr, Statement};
use stepgate_types::{ColumnName, Estimator, Kind, Use};

use self::compare::{Compared, Comparing, SOMEHOW, note};
use self::flow::Split;
use self::large::Large;
use self::order::Order;
use self::origin::Trail;
use self::routine::Cause;
use self::scope::{Output, Place, folded};
use self::trigger::Fired;
use self::uses::Uses;
use crate::budget::Budget;
use crate::builtin;
use crate::catalog::{Body, Catalog, ColumnRef, RelationIndex, RelationKind};
use crate::facts::{Doubt, Facts, Reason, Sink, SinkKind};
use crate::predicate::Predicate;
use crate::read::Literals;
use crate::session::SessionState;
use crate::statement::{Context, Within};

pub(crate) use self::command::{
    Anew, computes, computes_anew, converts, copy, orders, reads_literals, refers, refresh, rewrites, scan,
    scan_all, validates,
};
pub use self::large::large_objects;
pub(crate) use self::trigger::{Row, close};
pub(crate) use self::view::{ViewColumn, ViewColumns, view};

/// A statement's tree, and where its literals were.
#[derive(Clone, Copy)]
pub(crate) struct Read<'s> {
    pub(crate) statement: &'s Statement,
    pub(crate) literals: &'s Literals,
}

/// Adds to `facts` (whose kind it sets) what this query, INSERT, UPDATE or DELETE does.
///
pub(crate) fn statement(
    Read { statement, literals }: Read<'_>,
    context: Context<'_>,
    asked: &Asked<'_>,
    facts: &mut Facts,
) -> Result {
    let Asked { may_set, stores, operators } = *asked;
    let mut walker = Walker::new(context.catalog, context.session);
    walker.literals = Some(literals);
    walker.body = context.body;
    walker.budget = context.budget.clone();
    walker.may_set = may_set;
    walker.executes = context.executes;
    walker.explains = context.explains;
    walker.counts_blocks = context.counts_blocks;
    walker.node = context.node;
    // What goes into a new relation is told column by column.
    walker.large.followed = !stores;
    walker.runs_implied(operators);
    if let (true, Statement::Query(query)) = (stores, statement) {
        walker.split(query);
    }
    walker.begins_step(statement);
    let output = walker.statement(statement, Place::default());
    walker.ends_step();
    let apart = stores.then(|| walker.taken_apart()).flatten();
    walker.ordered(statement, !operators.is_empty());
    if let Some(Node::ViewStmt(_)) = context.node {
        walker.computed_always();
    }
    let from = apart.filter(|_| walker.called.is_empty());
    let from: Option<Vec<_>> =
        from.map(|each| each.into_iter().map(|columns| walker.base_columns(columns)).collect());
    let current_of = walker.current_of.clone();
    walker.finish(facts);
    let names = output.names.into_iter().map(|name| name.map(|name| name.text));
    Result { names: (!output.open).then(|| names.collect()), from, current_of }
}

/// What is known of a statement before it is walked.
pub(crate) struct Asked<'a> {
    /// Its calls of `set_config` are known to change nothing that matters here.
    pub(crate) may_set: bool,
    /// Its result is stored; then what the result's columns are taken from is told.
    pub(crate) stores: bool,
    /// Operators of somebody's own that it uses, or may use.
    pub(crate) operators: &'a BTreeSet<&'a str>,
}

/// The columns of a statement's result.
#[derive(Default)]
pub(crate) struct Result {
    /// Their names, where they are certain; `None` if it is not certain which columns there are.
    pub(crate) names: Option<Vec<Option<String>>>,
    /// The base columns that each is taken from, if they can be told apart.
    pub(crate) from: Option<Vec<BTreeSet<ColumnName>>>,
    /// The cursor whose current row the statement writes. Which row that is, is not known without it.
    pub(crate) current_of: Option<String>,
}

struct Walker<'c> {
    catalog: &'c Catalog,
    session: &'c SessionState,
    kind: Kind,
    columns: HashMap<ColumnRef, Uses>,
    /// How columns are compared: all that have the use `predicate`, and those of comparisons anywhere.
    compared: Compared,
    comparing: Comparing,
    /// Conditions may ask for rows for which they do not hold.
    turned: bool,
    /// Operators are not grouped as PostgreSQL does.
    muddled: bool,
    trail: Trail,
    /// Something is compared that may be made of any column put out.
    compares_unknown: bool,
    literals: Option<&'c Literals>,
    relations: BTreeSet<RelationIndex>,
    /// Those of them that stand in its text.
    named: BTreeSet<RelationIndex>,
    functions: BTreeSet<String>,
    reasons: BTreeSet<Reason>,
    sinks: BTreeSet<Sink>,
    writes: bool,
    /// The statement in PostgreSQL's own reading.
    node: Option<Node<'c>>,
    /// A part of it writes, beside the statement itself.
    stores_within: bool,
    creates: bool,
    /// Views that are read.
    views: BTreeSet<RelationIndex>,
    /// It marks the rows that it reads (`mark`).
    marks: bool,
    /// It locks rows that it reads, or a view of it does: of each it shows the newest version.
    locks: bool,
    /// A function that returns sets was called somewhere.
    returns_sets: bool,
    /// A volatile function was called somewhere.
    is_volatile: bool,
    /// A window function was called somewhere.
    has_windows: bool,
    may_set: bool,
    /// The select list whose columns are told apart.
    split: Split,
    /// What is stored in columns of relations, and from which it is taken.
    flows: HashMap<RelationIndex, HashMap<usize, HashSet<ColumnRef>>>,
    body: Within<'c>,
    budget: Budget,
    /// Code of somebody's own that runs.
    called: HashMap<Cause, Vec<Arc<Body>>>,
    /// What literals may run when they are parsed, by the routines that they may be given to.
    parsed: Vec<Arc<Body>>,
    /// Some code may be given what it returned before.
    goes_on: bool,
    /// It is run, and not only planned.
    executes: bool,
    /// It is run to show what each part of its plan did.
    explains: bool,
    /// And which blocks that took.
    counts_blocks: bool,
    order: Order,
    /// Triggers that are fired.
    fired: Vec<Fired<'c>>,
    /// The cursor whose current row is written.
    current_of: Option<String>,
    large: Large,
    estimate: Option<u64>,
    estimated_by: Estimator,
    bulk: stepgate_types::BulkShape,
}

impl<'c> Walker<'c> {
    fn new(catalog: &'c Catalog, session: &'c SessionState) -> Self {
        Self {
            catalog,
            session,
            kind: Kind::Select,
            columns: HashMap::new(),
            compared: Compared::new(),
            comparing: Comparing::default(),
            turned: false,
            muddled: false,
            trail: Trail::default(),
            compares_unknown: false,
            literals: None,
            relations: BTreeSet::new(),
            named: BTreeSet::new(),
            functions: BTreeSet::new(),
            reasons: BTreeSet::new(),
            sinks: BTreeSet::new(),
            writes: false,
            node: None,
            stores_within: false,
            creates: false,
            views: BTreeSet::new(),
            marks: false,
            locks: false,
            returns_sets: false,
            is_volatile: false,
            has_windows: false,
            may_set: false,
            split: Split::default(),
            flows: HashMap::new(),
            body: Within::default(),
            called: HashMap::new(),
            parsed: Vec::new(),
            goes_on: false,
            executes: true,
            explains: false,
            counts_blocks: false,
            budget: Budget::default(),
            order: Order::default(),
            fired: Vec::new(),
            current_of: None,
            large: Large::default(),
            estimate: None,
            estimated_by: Estimator::Catalog,
            bulk: stepgate_types::BulkShape::None,
        }
    }

    fn statement(&mut self, statement: &Statement, place: Place<'_>) -> Output {
        match statement {
            Statement::Query(query) => {
                let output = self.query(query, place, Uses::OUTPUT);
                match query.body.as_ref() {
                    SetExpr::Insert(_) => self.kind = Kind::Insert,
                    SetExpr::Update(_) => self.kind = Kind::Update,
                    SetExpr::Delete(_) => self.kind = Kind::Delete,
                    SetExpr::Merge(_) => self.kind = Kind::Merge,
                    _ => {
                        let (bulk, at_most) = self.size(query);
                        self.bulk = bulk;
                        self.estimate = at_most.map(|it| it.rows);
                        self.estimated_by = at_most.map(|it| it.by).unwrap_or_default();
                    }
                }
                output
            }
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_) => {
                self.kind = match statement {
                    Statement::Merge(_) => Kind::Merge,
                    Statement::Insert(_) => Kind::Insert,
                    Statement::Update(_) => Kind::Update,
                    _ => Kind::Delete,
                };
                self.write(statement, place)
            }
            _ => {
                self.doubt("unsupported-statement");
                Output::default()
            }
        }
    }

    fn finish(mut self, facts: &mut Facts) {
        self.marked();
        self.locked_apart();
        facts.kind = self.kind;
        facts.through_views |= !self.views.is_empty();
        facts.locks |= self.locks;
        facts.named = self.named_apart();
        facts.read_only &= !(self.writes || self.creates);
        facts.effect.catalog |= self.creates;
        // The first temporary table puts a schema in front of the path.
        facts.effect.session |= self.creates;
        (facts.estimate, facts.estimated_by) = (self.estimate, self.estimated_by);
        facts.bulk = facts.bulk.max(self.bulk);
        facts.functions.extend(self.functions.iter().cloned());
        if self.executes {
            facts.sinks.extend(self.sinks.iter().cloned());
        }
        if self.columns.keys().any(|column| self.is_secret(*column)) {
            facts.doubt(Reason { code: "catalog-relation", doubt: Doubt::Statement });
        }
        if self.current_of.is_some() {
            facts.doubt(Reason { code: "unknown-cursor", doubt: Doubt::Statement });
        }
        for reason in &self.reasons {
            facts.doubt(*reason);
        }
        let called = self.bodies(facts);
        // Nor does a command tag tell how much code stores that it runs.
        self.stores_within |= called.iter().any(|body| !body.read_only);
        // What code shows otherwise than by its value may be what it is given, in a condition too.
        let shows = called.iter().any(|body| body.shown_in().next().is_some());
        // Planning runs code, and stores nothing of the statement's own.
        if !self.flows.is_empty() && self.executes {
            let given = called.iter().flat_map(|body| body.columns.iter());
            let given =
                given.filter(|(_, uses)| uses.contains(&Use::Output)).map(|(column, _)| column.clone());
            for (relation, flow) in self.named_flows(&given.collect()) {
                facts.flows.entry(relation).or_default().add(flow);
            }
        }
        // What code stores, its triggers may store elsewhere.
        let goes_on = !self.fired.is_empty() || (!self.called.is_empty() && facts.flows.len() > 1);
        if goes_on && trigger::close(&mut facts.flows).is_none() {
            facts.doubt(Reason { code: "too-many-copies", doubt: Doubt::Statement });
        }
        for relation in facts.flows.keys() {
            facts.sinks.insert(Sink { kind: SinkKind::Rows, relation: Some(relation.clone()) });
        }
        if self.stores_within && !facts.sinks.is_empty() {
            facts.sinks.insert(Sink { kind: SinkKind::Rows, relation: None });
        }
        let mut lineage = HashSet::new();
        for (column, uses) in &self.columns {
            self.catalog.lineage(*column, &mut lineage);
            let uses = if shows && !uses.without_write().is_empty() { *uses | Uses::OUTPUT } else { *uses };
            for column in lineage.drain() {
                let Some((relation, column)) = self.base_column(column) else { continue };
                let read = uses.without_write();
                let seen = read.set();
                for flow in self.session.tainted(&relation) {
                    let held = flow.all.iter().chain(flow.each.get(&column).into_iter().flatten());
                    for source in held.filter(|_| !seen.is_empty()) {
                        facts.columns.entry(source.clone()).or_default().extend(&seen);
                    }
                    if flow.unknown && !read.is_empty() {
                        facts.doubt(Reason { code: "unknown-contents", doubt: Doubt::Statement });
                    }
                }
                let uses = uses.set();
                if !uses.is_empty() {
                    facts.columns.entry(ColumnName::new(relation, column)).or_default().extend(uses);
                }
            }
        }
        self.compared_by_views();
        self.predicates(facts);
        for index in &self.relations {
            let Some(relation) = self.catalog.relation(*index).filter(|it| it.is_base()) else { continue };
            facts.relations.insert(relation.name.0.clone());
            for child in &relation.children {
                facts.relations.extend(self.catalog.relation(*child).map(|child| child.name.0.clone()));
            }
        }
        self.large.finish(self.session, facts);
    }

    /// What the definitions of views compare to make the columns that are touched.
    fn compared_by_views(&mut self) {
        let catalog = self.catalog;
        for column in self.columns.keys() {
            for (column, pairs) in catalog.compared(*column) {
                note(&mut self.compared, *column, pairs);
            }
            if catalog
                .relation(column.0)
                .is_some_and(|it| !it.split && it.kind == RelationKind::MaterialisedView)
            {
                note(&mut self.compared, *column, &[SOMEHOW]);
            }
        }
    }

    /// Adds how base columns are compared.
    fn predicates(&self, facts: &mut Facts) {
        let (mut lineage, mut same) = (HashSet::new(), HashSet::new());
        let put_out = if self.compares_unknown { self.given() } else { Vec::new() };
        let somehow = [SOMEHOW];
        let compared = self.compared.iter().map(|(column, pairs)| (column, pairs.as_slice()));
        for (column, pairs) in compared.chain(put_out.iter().map(|column| (column, somehow.as_slice()))) {
            self.catalog.lineage(*column, &mut lineage);
            if *pairs != somehow {
                self.catalog.same(*column, &mut same);
            }
            for column in lineage.drain() {
                let Some((relation, name)) = self.base_column(column) else { continue };
                let held = self.session.tainted(&relation);
                let held =
                    held.flat_map(|flow| flow.all.iter().chain(flow.each.get(&name).into_iter().flatten()));
                held.for_each(|source| facts.predicates.insert(Predicate::other(source.clone())));
                let name = ColumnName::new(relation, name);
                let pairs = if same.contains(&column) { pairs } else { &somehow };
                for (op, operand) in pairs {
                    facts.predicates.insert(Predicate { column: name.clone(), op: *op, operand: *operand });
                }
            }
            same.clear();
        }
    }

    /// Whether a column of the server's own catalog shows what others do, or a password.
    fn is_secret(&self, (relation, at): ColumnRef) -> bool {
        let Some(relation) = self.catalog.relation(relation).filter(|it| it.is_system()) else {
            return false;
        };
        let column = relation.columns.get(at);
        column.is_some_and(|column| builtin::is_secret(&relation.name.0.name, &column.name))
    }

    /// Something of the statement is not understood.
    fn doubt(&mut self, code: &'static str) {
        self.reasons.insert(Reason { code, doubt: Doubt::Statement });
    }

    fn doubt_function(&mut self, code: &'static str) {
        self.reasons.insert(Reason { code, doubt: Doubt::Function });
    }

    fn over(&mut self, code: &'static str) {
        self.reasons.insert(Reason { code, doubt: Doubt::Nothing });
    }

    fn touch(&mut self, column: ColumnRef, uses: Uses) {
        self.touch_again(column, uses);
        self.named(column, uses, true);
    }

    /// Touches a column of which is noted how it is compared.
    fn touch_again(&mut self, column: ColumnRef, uses: Uses) {
        let known = self.columns.entry(column).or_default();
        *known = *known | uses;
        for shown in self.catalog.missing_values(column).into_iter().flatten() {
            let known = self.columns.entry(*shown).or_default();
            *known = *known | uses;
        }
    }

    fn touch_all(&mut self, columns: impl IntoIterator<Item = ColumnRef>, uses: Uses) {
        for column in columns {
            if !self.budget.spend(1) {
                return self.doubt("too-complex");
            }
            self.touch(column, uses);
        }
    }

    /// The parts of a name, folded; a doubt where it has other parts than identifiers.
    fn parts(&mut self, name: &ObjectName) -> Vec<String> {
        let mut parts = Vec::with_capacity(name.0.len());
        for part in &name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => parts.push(folded(ident).into_owned()),
                ObjectNamePart::Function(_) => self.doubt("unsupported-name"),
            }
        }
        parts
    }

    /// The relation that a name finds, CTEs apart.
    fn lookup(&self, name: &[String]) -> Option<RelationIndex> {
        match name {
            [name] if self.is_servers_alone(name) => self.catalog.find("pg_catalog", name),
            [name] => {
                let path = self.session.search_path.as_ref()?;
                let mut found = path.iter().filter_map(|schema| self.catalog.find(schema, name));
                let first = found.next();
                // PL/pgSQL goes on with what it found, though another may stand before it by now.
                let planned = self.body.body.is_some_and(|body| body.is_plpgsql);
                let unsure = planned && (found.next().is_some() || self.session.temporaries.contains(name));
                first.filter(|_| !unsure)
            }
            // With the name of this database: of any other the server refuses it (parse_relation.c).
            [.., schema, name] => self.catalog.find(schema, name),
            [] => None,
        }
    }

    /// Whether, in code whose path is not known, a relation's name can mean the server's alone: nobody has another.
    fn is_servers_alone(&self, name: &str) -> bool {
        let SessionState { search_path, created, temporaries, .. } = self.session;
        let in_code = self.body.body.is_some() && search_path.is_none();
        in_code && created.is_empty() && !temporaries.contains(name) && self.catalog.is_only_of_server(name)
    }

    /// Accounts for a relation being read by name, apart from its columns.
    fn read_relation(&mut self, index: RelationIndex) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return self.doubt("unknown-relation") };
        let name = &relation.name.0;
        let of_server = (name.schema == "pg_catalog").then(|| builtin::of_session(&name.name)).flatten();
        let of_session = relation.of_session.iter().copied().chain(of_server);
        self.functions.extend(of_session.map(|function| format!("pg_catalog.{function}")));
        match name.schema.as_str() {
            "pg_catalog" if name.name == "pg_largeobject_metadata" => return self.large_objects_listed(),
            "pg_catalog" if !builtin::harmless_relation(&name.name) => return self.doubt("catalog-relation"),
            "information_schema" if !builtin::harmless_information(&name.name) => {
                return self.doubt("catalog-relation");
            }
            "pg_catalog" | "information_schema" => return,
            "pg_toast" => return self.doubt("catalog-relation"),
            _ => {}
        }
        if relation.kind == RelationKind::View {
            self.views.insert(index);
        }
        // Of what is around it, a view's own locks mark no rows.
        self.writes |= relation.locks;
        self.locks |= relation.locks;
        if relation.doubtful {
            self.doubt_function("view-or-policy-with-unknown-parts");
        }
        self.touch_all(relation.policy_reads.iter().copied(), Uses::PREDICATE);
        let is_view = matches!(relation.kind, RelationKind::View | RelationKind::MaterialisedView);
        if is_view {
            // Its definition may use them without saying so.
            self.runs_implied(&self.catalog.implied_operators());
            self.runs_casts();
        }
        self.runs(Cause::Reading(index), &relation.on_read);
        self.runs(Cause::Showing(index), &relation.on_show);
        if is_view && relation.split {
            relation.reads.iter().for_each(|column| self.touch_again(*column, Uses::PREDICATE));
            self.merge_compared(relation.compared.iter().map(|(column, pairs)| (column, pairs)));
        }
        if is_view && !relation.split {
            self.over("view");
            // Which rows there are hangs on any of them. What columns of a materialised view show, their lineage tells.
            let is_filled = relation.kind == RelationKind::MaterialisedView;
            let uses = if is_filled { Uses::PREDICATE } else { Uses::OUTPUT };
            // Its definition may compare any of them.
            self.somehow(|walker| walker.touch_all(relation.reads.iter().copied(), uses));
        }
        if relation.kind == RelationKind::View {
            self.relations.extend(relation.reads_relations.iter().copied());
        } else {
            self.relations.insert(index);
            self.named.insert(index);
        }
    }
}
