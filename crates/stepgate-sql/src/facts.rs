//! What the analysis knows of one statement.

use std::collections::{BTreeMap, BTreeSet};

use crate::builtin;
use crate::effect::Effect;
use crate::predicate::Predicates;
use crate::scan::Scan;
use crate::statement::preparable;
use crate::taint::{Flow, TEMPORARY, remembered};
use serde::Serialize;
use stepgate_types::{BulkShape, Certainty, ColumnName, Estimator, Kind, RelationName, Use};

/// What the analysis knows of one statement. All names are the catalog's; nothing in here comes from a
/// literal, a comment or an alias of the statement, so that all of it may be recorded and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The line within the message at which the statement begins, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// The kinds of the statements that it is made of besides: what EXECUTE goes on with, what EXPLAIN ANALYZE, a cursor, COPY
    /// or CREATE TABLE AS runs, what a WITH writes. Of what is not known there, all that it may be.
    #[serde(skip)]
    pub within: BTreeSet<Kind>,
    /// How far the rest can be trusted.
    pub certainty: Certainty,
    /// Why certainty is not exact; empty where it is.
    pub reasons: BTreeSet<Reason>,
    /// Base relations it reaches (tables, foreign tables, materialised views), views seen through.
    pub relations: BTreeSet<RelationName>,
    /// Base columns it touches, and how.
    pub columns: BTreeMap<ColumnName, BTreeSet<Use>>,
    /// How it compares base columns: at least one for each that has the use `predicate`.
    #[serde(skip)]
    pub predicates: Predicates,
    /// Functions it calls, as `schema.name` of the catalog.
    pub functions: BTreeSet<String>,
    /// Where it stores what it reads.
    pub sinks: BTreeSet<Sink>,
    /// What it stores where: rows it writes from other columns, relations it makes.
    #[serde(skip)]
    pub flows: BTreeMap<RelationName, Flow>,
    /// Whether, and why, it counts as an export in bulk.
    pub bulk: BulkShape,
    /// An upper bound of the rows it returns or copies, from catalog statistics; `None` is unknown,
    /// and unknown matches any threshold.
    pub estimate: Option<u64>,
    /// Whose that is: the catalog's, the statement's own where a number in it bounds the rows, or the planner's, of which
    /// the analysis itself knows nothing.
    #[serde(skip)]
    pub estimated_by: Estimator,
    /// That it goes over relations a row at a time, where its form proves it.
    #[serde(skip)]
    pub scan: Option<Scan>,
    /// How many relations its text names; 0 where rows of one of them are another's as well.
    #[serde(skip)]
    pub named: usize,
    /// A view's definition is part of what it reads.
    #[serde(skip)]
    pub through_views: bool,
    /// It locks rows that it reads, or a view of it does (FOR UPDATE and the like).
    #[serde(skip)]
    pub locks: bool,
    /// Parsing it may read data, which PostgreSQL does for a Parse, too, that nothing is ever bound to.
    #[serde(skip)]
    pub parsing_reads: bool,
    /// It names things, be it operators alone: what those are may hang on search_path, and on what others make.
    #[serde(skip)]
    pub looks_up: bool,
    /// Proven to change nothing, neither data nor session nor catalog.
    pub read_only: bool,
    /// What it may change that later analysis depends on.
    pub effect: Effect,
    /// What it goes on with that has been given a name before, be it understood or not (EXECUTE, also in EXPLAIN and CREATE
    /// TABLE AS; FETCH, MOVE, WHERE CURRENT OF): its text is part of what runs.
    #[serde(skip)]
    pub goes_on_with: Option<Named>,
    /// SHA-256 (hex) of the normalised statement.
    pub fingerprint: String,
    /// The statement with only keywords, and names and operators that the catalog knows; all else is a placeholder.
    /// At most [`Facts::MAX_NORMALISED`] bytes.
    pub normalised: String,
}

/// What has been given a name, in one of the two name spaces that SQL shares with the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A prepared statement (PREPARE, Parse).
    Statement(String),
    /// A cursor or portal (DECLARE, Bind).
    Cursor(String),
}

impl Named {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Statement(name) | Self::Cursor(name) => name,
        }
    }
}

/// Functions of the server's own whose result is made of their arguments alone: neither aggregates nor windows, and none that
/// reads a table. In order.
const OF_ONE_ROW: [&str; 105] = [
    "abs",
    "age",
    "array_length",
    "array_to_string",
    "bpchar",
    "btrim",
    "cardinality",
    "ceil",
    "ceiling",
    "char",
    "char_length",
    "character_length",
    "chr",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "convert_from",
    "date",
    "date_part",
    "date_trunc",
    "decode",
    "encode",
    "extract",
    "float4",
    "float8",
    "floor",
    "format",
    "greatest",
    "initcap",
    "int2",
    "int4",
    "int8",
    "isfinite",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "left",
    "length",
    "like",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "md5",
    "mod",
    "notlike",
    "now",
    "nullif",
    "numeric",
    "octet_length",
    "overlay",
    "pg_typeof",
    "position",
    "power",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "round",
    "row_to_json",
    "rpad",
    "rtrim",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "sign",
    "split_part",
    "sqrt",
    "starts_with",
    "statement_timestamp",
    "strpos",
    "substr",
    "substring",
    "text",
    "textcat",
    "texteq",
    "textlike",
    "textnlike",
    "timestamp",
    "timestamptz",
    "timezone",
    "to_char",
    "to_date",
    "to_hex",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "transaction_timestamp",
    "translate",
    "trim",
    "trunc",
    "upper",
    "varchar",
];

impl Facts {
    /// The longest normalised statement, in bytes: a record holds at most 4 KiB in all.
    pub const MAX_NORMALISED: usize = 1024;

    /// A statement of this kind at this line of which nothing else is known yet: exact, read-only.
    pub(crate) fn new(kind: Kind, line: usize) -> Self {
        Self {
            line,
            kind,
            within: BTreeSet::new(),
            certainty: Certainty::Exact,
            reasons: BTreeSet::new(),
            relations: BTreeSet::new(),
            columns: BTreeMap::new(),
            predicates: Predicates::default(),
            functions: BTreeSet::new(),
            sinks: BTreeSet::new(),
            flows: BTreeMap::new(),
            bulk: BulkShape::None,
            estimate: Some(0),
            estimated_by: Estimator::Catalog,
            scan: None,
            named: 0,
            through_views: false,
            locks: false,
            parsing_reads: false,
            looks_up: false,
            read_only: true,
            effect: Effect::default(),
            goes_on_with: None,
            fingerprint: String::new(),
            normalised: String::new(),
        }
    }

    /// A message without a statement.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Kind::Empty, 1)
    }

    /// A prepared statement or cursor that somebody made out of sight. It may do anything.
    #[must_use]
    pub fn unseen() -> Self {
        let mut facts = Self::new(Kind::Execute, 1);
        facts.within = preparable();
        facts.doubt(Reason { code: "unseen-statement", doubt: Doubt::DynamicSql });
        facts.effect = Effect { session: true, catalog: true, ..Effect::default() };
        facts
    }

    /// Those of a FETCH or MOVE from a cursor, or of a write to its current row: what it reads was accounted for when it
    /// was declared, with these effects.
    #[must_use]
    pub fn fetched(&self, declared: &Effect) -> Self {
        Self {
            certainty: Certainty::Exact,
            reasons: BTreeSet::new(),
            effect: Effect { names: BTreeSet::new(), ..declared.clone() },
            ..self.clone()
        }
    }

    /// The same, by the planner's estimate of its rows where that is less than the catalog's bound.
    #[must_use]
    pub fn planned(&self, rows: u64) -> Self {
        if self.estimate.is_some_and(|known| known <= rows) {
            return self.clone();
        }
        Self { estimate: Some(rows), estimated_by: Estimator::Planner, ..self.clone() }
    }

    /// Those of an EXECUTE: what was prepared, as its names are resolved now. Its parameters are the EXECUTE's
    /// arguments, and its literals not in the EXECUTE's text.
    #[must_use]
    pub fn executed(&self, prepared: &Self) -> Self {
        let itself = Some(prepared.kind).filter(|kind| *kind != Kind::Prepare);
        Self {
            within: prepared.within.iter().copied().chain(itself).collect(),
            line: self.line,
            predicates: prepared.predicates.elsewhere(),
            kind: Kind::Execute,
            effect: Effect { names: BTreeSet::new(), ..prepared.effect.clone() },
            goes_on_with: self.goes_on_with.clone(),
            fingerprint: self.fingerprint.clone(),
            normalised: self.normalised.clone(),
            ..prepared.clone()
        }
    }

    /// The kinds of the statements that run with it. What PREPARE holds is for later.
    pub fn runs(&self) -> impl Iterator<Item = Kind> {
        self.within.iter().copied().filter(|_| self.kind != Kind::Prepare)
    }

    /// Whether it runs no code but the server's own: what it does was settled when it was planned, whatever becomes of
    /// functions, and of the names in them, until it runs.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.certainty == Certainty::Exact
            && self.functions.iter().all(|function| function.starts_with("pg_catalog."))
    }

    /// Whether the rows of a cursor with it are made of what was there when it was opened. Of rows that are locked as they are
    /// fetched, the newest version counts (PostgreSQL documentation, "SELECT", "The Locking Clause").
    #[must_use]
    pub fn is_settled_once_open(&self) -> bool {
        self.is_settled() && !self.locks
    }

    /// Whether what it gives hangs on what was set or done in its session alone.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        let name = |function: &String| function.strip_prefix("pg_catalog.").and_then(builtin::of_session);
        self.functions.iter().any(|function| name(function).is_some())
    }

    /// Whether what it shows hangs on how views and somebody's functions are defined when it runs.
    #[must_use]
    pub fn hangs_on_definitions(&self) -> bool {
        self.through_views || !self.is_settled()
    }

    /// Whether it changes what other sessions' names mean, as far as it is understood.
    #[must_use]
    pub fn changes_names_of_others(&self) -> bool {
        self.effect.catalog && self.effect.creates.as_ref().is_none_or(|created| !created.temporary)
    }

    /// Whether code of somebody's own runs in it, or may: a function, trigger, operator or cast.
    #[must_use]
    pub fn runs_code(&self) -> bool {
        let is_code = |reason: &Reason| {
            matches!(reason.doubt, Doubt::Function | Doubt::DynamicSql)
                || matches!(reason.code, "function-body" | "trigger")
        };
        self.reasons.iter().any(is_code)
            || self.functions.iter().any(|function| !function.starts_with("pg_catalog."))
    }

    /// The relations that it is known to store something in.
    pub fn stores_in(&self) -> impl Iterator<Item = &RelationName> {
        let written = self.columns.iter().filter(|(_, uses)| uses.contains(&Use::Write));
        let sinks = self.sinks.iter().filter_map(|sink| sink.relation.as_ref());
        written.map(|(column, _)| &column.relation).chain(self.flows.keys()).chain(sinks)
    }

    /// What it stores of other columns where other sessions see it.
    pub fn copies(&self) -> impl Iterator<Item = (&RelationName, Flow)> {
        let shared = self.flows.iter().filter(|(into, _)| remembered(&into.schema) != TEMPORARY);
        shared.filter_map(|(into, flow)| Some((into, flow.from_elsewhere(into)?)))
    }

    /// Whether it may read or write the relation.
    #[must_use]
    pub fn may_reach(&self, relation: &RelationName) -> bool {
        self.certainty == Certainty::Unknown
            || self.relations.contains(relation)
            || self.columns.keys().any(|column| column.relation == *relation)
    }

    /// Whether the rows of this relation of which it tells anything are those whose keys its results show, if they show
    /// one of each row: it goes over the relation once, and makes each row of one.
    #[must_use]
    pub fn shows_row_by_row(&self, relation: &RelationName) -> bool {
        let is_row_by_row =
            |scan: &Scan| scan.row_by_row && self.functions.is_empty() && self.once(scan, relation);
        self.scan.as_ref().is_some_and(is_row_by_row)
    }

    /// About how many bytes it takes: a wide table makes many of a few words.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let predicates = self.predicates.iter().count();
        let flows: usize = self.flows.values().map(Flow::pairs).sum();
        256 * self.columns.len() + 128 * (self.relations.len() + self.functions.len() + predicates + flows)
    }

    /// Whether each row that it returns tells something of one row of this relation at most: by a form as for
    /// [`Facts::shows_row_by_row`], with functions of one row at a time.
    #[must_use]
    pub fn tells_of_one_row(&self, relation: &RelationName) -> bool {
        let of_one_row = |name: &String| {
            name.strip_prefix("pg_catalog.").is_some_and(|name| OF_ONE_ROW.binary_search(&name).is_ok())
        };
        let is = |scan: &Scan| {
            scan.ungrouped && self.functions.iter().all(of_one_row) && self.once(scan, relation)
        };
        self.scan.as_ref().is_some_and(is)
    }

    /// The columns that it writes in rows that are there. Rows that are new are the client's own, unless it looks at others
    /// for them (ON CONFLICT).
    pub fn rewrites(&self) -> impl Iterator<Item = &ColumnName> {
        let looks = |relation: &RelationName| {
            self.columns.iter().any(|(column, uses)| {
                column.relation == *relation && uses.iter().any(|used| *used != Use::Write)
            })
        };
        let written = self.columns.iter().filter(|(_, uses)| uses.contains(&Use::Write));
        let old = move |column: &&ColumnName| self.kind != Kind::Insert || looks(&column.relation);
        written.map(|(column, _)| column).filter(|_| !self.read_only).filter(old)
    }

    /// Whether those rows are the ones whose keys its condition names, by this column.
    #[must_use]
    pub fn is_held_to_keys(&self, relation: &RelationName, key: &str) -> bool {
        let is_held = |scan: &Scan| scan.held_to_constants.contains(key) && self.once(scan, relation);
        self.scan.as_ref().is_some_and(is_held)
    }

    /// Whether all that it reads it reads by the names in its text, and no relation twice.
    fn once(&self, scan: &Scan, relation: &RelationName) -> bool {
        let each_once = scan.relations == 1 || scan.relations == self.named;
        let plain = self.certainty == Certainty::Exact && !self.through_views;
        plain && each_once && self.relations.contains(relation)
    }

    /// What holds if either may: the statement keeps its place, kind and text.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.within.extend(&other.within);
        all.certainty = all.certainty.max(other.certainty);
        all.reasons.extend(&other.reasons);
        all.relations.extend(other.relations.iter().cloned());
        for (column, uses) in &other.columns {
            all.columns.entry(column.clone()).or_default().extend(uses);
        }
        all.predicates.extend(&other.predicates);
        all.functions.extend(other.functions.iter().cloned());
        all.sinks.extend(other.sinks.iter().cloned());
        for (relation, flow) in &other.flows {
            all.flows.entry(relation.clone()).or_default().add(flow.clone());
        }
        all.bulk = all.bulk.max(other.bulk);
        all.estimate = all.estimate.zip(other.estimate).map(|(one, other)| one.max(other));
        all.estimated_by = all.estimated_by.max(other.estimated_by);
        all.scan = all.scan.filter(|scan| other.scan.as_ref() == Some(scan) && all.named == other.named);
        all.through_views |= other.through_views;
        all.locks |= other.locks;
        all.parsing_reads |= other.parsing_reads;
        all.looks_up |= other.looks_up;
        all.read_only &= other.read_only;
        all.effect.session |= other.effect.session;
        all.effect.catalog |= other.effect.catalog;
        all.effect.transaction |= other.effect.transaction;
        all.effect.moves |= other.effect.moves;
        all.effect.binds |= other.effect.binds;
        all.effect.isolation = all.effect.isolation.max(other.effect.isolation);
        all.effect.settings = all.effect.settings.max(other.effect.settings);
        all.effect.names.extend(other.effect.names.iter().cloned());
        if let Some(created) = &mut all.effect.creates {
            created.sure &= other.effect.creates.as_ref() == Some(created);
        }
        if all.effect.drops != other.effect.drops {
            all.effect.drops = Vec::new();
        }
        all.effect.indexes = all.effect.indexes.filter(|it| other.effect.indexes.as_ref() == Some(it));
        all
    }

    /// Where functions that it calls put what they are given, so that it can be seen without a read of any relation.
    pub(crate) fn shown_in(&self) -> impl Iterator<Item = SinkKind> {
        self.functions.iter().filter_map(|name| builtin::shows_in(name.strip_prefix("pg_catalog.")?))
    }

    /// Runs a function's body as well: what it reads may come back as the function's value.
    pub(crate) fn run(&mut self, body: &Self) {
        self.also(body);
        for column in body.columns.iter().filter(|(_, uses)| uses.iter().any(|used| *used != Use::Write)) {
            self.columns.entry(column.0.clone()).or_default().insert(Use::Output);
        }
        self.doubt(Reason { code: "function-body", doubt: Doubt::Nothing });
    }

    /// Does this as well, which returns nothing.
    pub(crate) fn also(&mut self, other: &Self) {
        let own = self.estimate;
        let compared = std::mem::take(&mut self.predicates);
        *self = self.union(other);
        self.predicates = compared;
        self.predicates.extend(&other.predicates.elsewhere());
        self.estimate = own.filter(|_| self.certainty != Certainty::Unknown);
    }

    /// A whole message that cannot be read. It may do anything.
    pub(crate) fn unreadable(code: &'static str) -> Self {
        let mut facts = Self::new(Kind::Unknown, 1);
        facts.doubt(Reason { code, doubt: Doubt::Statement });
        facts.effect = Effect { session: true, catalog: true, transaction: true, ..Effect::default() };
        facts
    }

    /// The same, given values of a type that runs what is not known.
    #[must_use]
    pub fn given_unknown_types(&self) -> Self {
        let mut facts = self.clone();
        facts.doubt(Reason { code: "unknown-type", doubt: Doubt::Function });
        facts
    }

    /// Records a reason. Unless it doubts nothing, certainty, estimate and read-only are lost by it.
    pub(crate) fn doubt(&mut self, reason: Reason) {
        self.reasons.insert(reason);
        if reason.doubt == Doubt::Nothing {
            self.certainty = self.certainty.max(Certainty::Over);
        } else {
            self.certainty = Certainty::Unknown;
            self.estimate = None;
            self.read_only = false;
        }
    }
}

/// Why facts are not exact: a stable code for records and `analyze`, and what the doubt is about, which
/// decides the entry of the map's `unknown:` that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// Kebab-case, for example `unknown-function`.
    pub code: &'static str,
    /// What could not be known.
    pub doubt: Doubt,
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

/// What a reason doubts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Nothing: an over-approximation that misses nothing.
    Nothing,
    /// The statement as a whole (`unknown.statements`).
    Statement,
    /// A function, operator or cast that is not known to be pure (`unknown.functions`).
    Function,
    /// SQL made at run time: DO, CALL, EXECUTE of unknown text (`unknown.dynamic_sql`).
    DynamicSql,
}

/// A place where a statement stores what it reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Sink {
    /// Which kind of place.
    pub kind: SinkKind,
    /// The relation written to, where the catalog knows it.
    pub relation: Option<RelationName>,
}

/// Kinds of sinks (DESIGN §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// CREATE TABLE AS, SELECT INTO.
    Table,
    /// INSERT … SELECT, an UPDATE from other columns, MERGE.
    Rows,
    /// CREATE VIEW or MATERIALIZED VIEW.
    View,
    /// COPY TO a file or program of the server.
    ServerFile,
    /// A large object.
    LargeObject,
    /// What `pg_notify` sends to everybody who listens.
    Notification,
    /// A setting (`set_config`), which `current_setting` shows.
    Setting,
    /// The key of an advisory lock, which `pg_locks` shows to every session.
    AdvisoryLock,
}

impl SinkKind {
    /// Whether what goes there can be seen without a read of any relation: no later statement is asked about for it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Notification | Self::Setting | Self::AdvisoryLock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_one_row_are_in_order() {
        assert!(OF_ONE_ROW.is_sorted());
    }
}
