//! An immutable snapshot of what the server's catalog says.

mod apart;
mod code;
mod columns;
mod comparison;
mod created;
mod fingerprint;
mod functions;
mod hangs;
mod index;
mod listing;
mod load;
mod pinned;
mod planned;
mod plpgsql;
mod queries;
mod relation;
mod routine;
mod rows;
pub(crate) mod trigger;
mod view;
mod writable;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use stepgate_types::{ColumnName, RelationName};

use crate::builtin;
use crate::encoding::ClientEncoding;
use crate::lexer::Numbers;
use crate::marker;
use crate::predicate::Pair;

pub(crate) use code::UserType;
pub use fingerprint::{CATALOG_FINGERPRINT_QUERY, SIZES_QUERY, TEMPORARY_FINGERPRINT_QUERY};
pub(crate) use index::Index;
pub use listing::{ListedColumn, ListedTable};
pub use load::CatalogError;
pub use queries::{CATALOG_QUERIES, CatalogQuery, LOCKS_QUERY};
pub(crate) use relation::{
    Action, Column, ColumnRef, ColumnType, Referred, Relation, RelationIndex, RelationKind, Unique,
};
pub(crate) use routine::{Body, Path, Routine};
pub use rows::Rows;
pub(crate) use trigger::Trigger;
pub use writable::writable_query;

/// How far a column is looked for beneath views that show it as it is.
const MAX_SHOWN: usize = 128;

/// Operators that constructs use without naming them: IN, BETWEEN, LIKE, IS DISTINCT FROM, CASE, rows.
const IMPLIED_OPERATORS: [&str; 12] =
    ["=", "<>", "<", ">", "<=", ">=", "~~", "~~*", "!~~", "!~~*", "~", "!~"];

/// The event triggers that tell the gate of DDL, and do nothing else (`docs/ddl-notify.sql`).
const OWN_EVENT_TRIGGERS: [&str; 2] = ["stepgate_ddl", "stepgate_drop"];

/// What the server's catalog said at one moment. Immutable; share it in an `Arc`.
#[derive(Debug, Default, Clone)]
pub struct Catalog {
    /// Which snapshot it is.
    identity: Arc<()>,
    relations: Vec<Relation>,
    /// schema → name → relation.
    by_name: HashMap<String, HashMap<String, RelationIndex>>,
    by_oid: HashMap<u32, RelationIndex>,
    /// The server's own column that shows values of these (`builtin::MISSING_VALUES`).
    missing_values: (Option<ColumnRef>, Vec<ColumnRef>),
    /// How views are defined.
    definitions: HashMap<RelationIndex, Definition>,
    /// Schemas that all can see, with the rights on them.
    schemas: BTreeSet<(String, String)>,
    /// `server_version_num`; 0 where it is not known.
    version: u32,
    /// The server's encoding is SQL_ASCII: it takes the bytes of a text as they come, whatever the client calls them.
    converts_nothing: bool,
    /// No transaction of a smaller number was under way (`pg_snapshot_xmin`): all that it wrote is in here, or never will be.
    since: Option<u64>,
    /// All functions, by name.
    functions: Arc<functions::Functions>,
    /// name → those routines outside pg_catalog, with their schemas.
    routines: HashMap<String, Vec<(String, Arc<Routine>)>>,
    /// Schema and name of routines outside pg_catalog, by OID.
    routine_names: HashMap<u32, (Box<str>, Box<str>)>,
    /// Operators that somebody defined (extensions apart), by name, with the functions that they run.
    user_operators: HashMap<String, Vec<Arc<Routine>>>,
    /// Somebody defined a cast that runs a function (extensions apart); whether it applies by itself.
    user_casts: UserCasts,
    /// The same where the function may also be one of the server's that only computes: of something, it may make NULL.
    any_casts: UserCasts,
    /// Names of event triggers that fire.
    event_triggers: HashSet<String>,
    /// Names of what is no relation, routine, type or schema, by the first word of what DROP calls it: of casts, none.
    others: HashMap<String, HashSet<String>>,
    /// Some of them, beside the gate's own, run code that is not known.
    code_on_ddl: bool,
    /// Somebody's code may run as late as COMMIT.
    runs_late: bool,
    /// Code that runs outside of any session, and what it may find by names, once that was asked.
    apart: Vec<Arc<Body>>,
    reach: Arc<OnceLock<apart::Reach>>,
    /// Some view or function is unknown because somebody has locked it or what it is made of.
    has_locked: bool,
    /// The functions of those casts.
    casts: Vec<Arc<Routine>>,
    /// Types outside pg_catalog, row types included, by name.
    user_types: HashMap<String, Vec<UserType>>,
    /// Making a value of some of them runs somebody's code.
    checks_literals: bool,
    /// OIDs of those of which making a value runs nothing of somebody's own.
    plain_types: HashSet<u32>,
    /// Every name that may be shown, besides those of functions: relations, columns, schemas, types.
    words: HashSet<String>,
}

/// How a view is defined.
#[derive(Debug, Default, Clone)]
struct Definition {
    /// Of the row of pg_rewrite.
    version: String,
    /// Empty where it could not be read.
    text: Arc<str>,
}

/// Casts that run functions of somebody's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum UserCasts {
    #[default]
    None,
    /// Only where a cast is written.
    Explicit,
    /// Anywhere.
    Implicit,
}

impl CatalogQuery {
    /// What to ask where a snapshot that was read over the same connection is known: functions are answered with nothing if
    /// they are the same, columns as far as somebody has written those of their relation since.
    #[must_use]
    pub fn sql_after(&self, known: Option<&Catalog>) -> Cow<'static, str> {
        let changed = known
            .and_then(|known| functions::sql_after(self, known).or_else(|| columns::sql_after(self, known)));
        changed.map_or(Cow::Borrowed(self.sql), Cow::Owned)
    }
}

impl Catalog {
    /// Whether a `search_path` has the same schemas in both, by their names and rights.
    #[must_use]
    pub fn has_same_schemas(&self, other: &Self) -> bool {
        self.schemas == other.schemas
    }

    /// Whether some view or function is unknown because somebody had locked it, or what it is made of, for themselves
    /// alone.
    #[must_use]
    pub const fn has_locked(&self) -> bool {
        self.has_locked
    }

    /// Which snapshot this is: compared by address.
    pub(crate) const fn identity(&self) -> &Arc<()> {
        &self.identity
    }

    /// Whether event triggers run with DDL, besides those that tell the gate of it.
    pub(crate) fn runs_on_ddl(&self) -> bool {
        self.event_triggers.iter().any(|name| !OWN_EVENT_TRIGGERS.contains(&name.as_str()))
    }

    /// Whether one of them runs code that is not known: any that is not in C, which only a superuser makes.
    pub(crate) const fn runs_code_on_ddl(&self) -> bool {
        self.code_on_ddl
    }

    /// Whether there is code that a snapshot before has not: of a function that can be read, or of a trigger.
    #[must_use]
    pub fn has_new_code(&self, before: &Self) -> bool {
        let of_functions = self.routines.iter().any(|(name, routines)| {
            let then = before.routines(name);
            routines.iter().any(|(schema, now)| !then.iter().any(|(at, then)| at == schema && now.is(then)))
        });
        let of_triggers = || {
            self.relations.iter().any(|now| {
                let then = before.find_oid(now.oid).and_then(|at| before.relation(at));
                let is_new = |it: &Trigger| {
                    !then.is_some_and(|then| then.triggers.iter().any(|then| it.does_as(then)))
                };
                now.triggers.iter().any(is_new)
                    || now.writes_run_code && !then.is_some_and(|then| then.writes_run_code)
            })
        };
        of_functions || of_triggers()
    }

    /// Whether somebody's code may run as late as COMMIT.
    pub(crate) const fn runs_late(&self) -> bool {
        self.runs_late
    }

    /// The name of the relation of that OID.
    #[must_use]
    pub fn name_of(&self, oid: u32) -> Option<&RelationName> {
        Some(&self.relation(self.find_oid(oid)?)?.name.0)
    }

    /// The base columns that a column of a result shows, by OID and attribute number as RowDescription has them; `None` if
    /// there is no relation of that OID. Of the server's own relations and columns, none.
    #[must_use]
    pub fn shown_by(&self, oid: u32, number: i16) -> Option<Vec<ColumnName>> {
        let at = self.find_oid(oid)?;
        let relation = self.relation(at)?;
        let column = relation.columns.iter().position(|column| column.number == i32::from(number));
        let Some(column) = column.map(|column| (at, column)) else { return Some(Vec::new()) };
        if relation.is_base() {
            return Some(self.base_column(column).into_iter().collect());
        }
        let mut lineage = HashSet::new();
        if !relation.is_system() {
            self.lineage(column, &mut lineage);
        }
        Some(lineage.into_iter().filter_map(|column| self.base_column(column)).collect())
    }

    /// Schema and name of the function of that OID.
    #[must_use]
    pub fn function_of(&self, oid: u32) -> Option<(&str, &str)> {
        match self.routine_names.get(&oid) {
            Some((schema, name)) => Some((schema, name)),
            None => self.functions.by_oid.get(&oid).map(|name| ("pg_catalog", &**name)),
        }
    }

    /// Whether there is an event trigger of that name, and it fires.
    #[must_use]
    pub fn has_event_trigger(&self, name: &str) -> bool {
        self.event_triggers.contains(name)
    }

    /// Whether there is a collation, an operator class, a language … of that name: what DROP calls so begins with that word.
    pub(crate) fn has_other(&self, kind: &str, name: &str) -> bool {
        self.others.get(kind).is_some_and(|names| names.contains(name))
    }

    /// Whether there is a relation of that name.
    #[must_use]
    pub fn relation_exists(&self, name: &RelationName) -> bool {
        self.find(&name.schema, &name.name).is_some()
    }

    /// The columns of a relation, in order.
    #[must_use]
    pub fn columns(&self, name: &RelationName) -> Option<impl Iterator<Item = &str>> {
        let relation = self.relation(self.find(&name.schema, &name.name)?)?;
        Some(relation.columns.iter().map(|column| column.name.as_str()))
    }

    /// OID and attribute number of a column; `None` where they are not known.
    #[must_use]
    pub fn place_of(&self, ColumnName { relation, column }: &ColumnName) -> Option<crate::Place> {
        let relation =
            self.relation(self.find(&relation.schema, &relation.name)?).filter(|it| it.oid != 0)?;
        let column = relation.columns.get(*relation.column_index.get(column)?)?;
        Some((relation.oid, column.number))
    }

    /// What the name of a relation stands for: its OID, and the numbers and names of its columns. `None` where that is not
    /// known: nobody but the session that made it has it.
    #[must_use]
    pub fn object(&self, name: &RelationName) -> Option<String> {
        let relation = self.relation(self.find(&name.schema, &name.name)?).filter(|it| it.oid != 0)?;
        let columns = relation.columns.iter().map(|column| format!("{}={}", column.number, column.name));
        Some(format!("{name} {} {}", relation.oid, columns.collect::<Vec<_>>().join(",")))
    }

    /// OID of the type of a base column; that of a domain is the domain's own.
    #[must_use]
    pub fn type_of(&self, ColumnName { relation, column }: &ColumnName) -> Option<u32> {
        let relation = self.relation(self.find(&relation.schema, &relation.name)?)?;
        let column = relation.columns.get(*relation.column_index.get(column)?)?;
        // Of a relation that a session has made it is not known.
        Some(column.of.0).filter(|of| *of != 0)
    }

    /// The text of a definition that cannot be read now, if an older snapshot has the same one of the same view: all
    /// that it names has the same names still.
    fn same_definition(
        &self,
        at: RelationIndex,
        definition: &Definition,
        depends: &[(RelationIndex, i32)],
        before: &Self,
    ) -> Option<Arc<str>> {
        let then = |at: RelationIndex| before.by_oid.get(&self.relation(at)?.oid).copied();
        let has_same_names = |at: RelationIndex| {
            let (now, then) = (self.relation(at)?, before.relation(then(at)?)?);
            (now.name.0 == then.name.0 && now.has_same_columns(then)).then_some(())
        };
        let known = before.definitions.get(&then(at)?)?;
        depends.iter().try_for_each(|(on, _)| has_same_names(*on))?;
        has_same_names(at)?;
        (known.version == definition.version && !known.text.is_empty()).then(|| Arc::clone(&known.text))
    }

    /// In which encoding a client's text is read that says it is in that one. Where the server converts none, the same bytes
    /// are the same name, and names are known here as UTF-8.
    pub(crate) const fn encoding_of(&self, said: ClientEncoding) -> ClientEncoding {
        match said {
            ClientEncoding::SingleByte(_) if self.converts_nothing => ClientEncoding::Utf8,
            said => said,
        }
    }

    /// How the server writes numbers.
    pub(crate) const fn numbers(&self) -> Numbers {
        if self.version >= 160_000 { Numbers::Any } else { Numbers::Decimal }
    }

    /// Whether a construct of the grammar is one to the server, whose name may else be somebody's.
    pub(crate) fn has_construct(&self, name: &str) -> bool {
        marker::since(name).is_none_or(|since| self.version >= since)
    }

    /// Whether EXPLAIN ANALYZE tells of blocks though nobody says BUFFERS.
    pub(crate) const fn explains_blocks(&self) -> bool {
        self.version >= 180_000
    }

    /// Whether `system_user` is a word of the grammar.
    pub(crate) const fn has_system_user(&self) -> bool {
        self.version >= 160_000
    }

    pub(crate) fn find(&self, schema: &str, name: &str) -> Option<RelationIndex> {
        self.by_name.get(schema)?.get(name).copied()
    }

    /// The columns of which that one of the server's own has values.
    pub(crate) fn missing_values(&self, of: ColumnRef) -> Option<&[ColumnRef]> {
        let (at, columns) = &self.missing_values;
        (*at == Some(of)).then_some(columns.as_slice())
    }

    pub(crate) fn find_oid(&self, oid: u32) -> Option<RelationIndex> {
        self.by_oid.get(&oid).copied()
    }

    /// Whether there is a relation of that OID and, but for 0, a column of that number in it.
    pub(crate) fn has_place(&self, (oid, number): (u32, i32)) -> bool {
        let relation = self.find_oid(oid).and_then(|at| self.relation(at));
        relation.is_some_and(|it| number == 0 || it.columns.iter().any(|column| column.number == number))
    }

    /// Relations whose columns are base columns, temporary ones apart.
    pub(crate) fn base_relations(&self) -> impl Iterator<Item = (RelationIndex, &Relation)> {
        let shared =
            |relation: &Relation| relation.is_base() && !relation.name.0.schema.starts_with("pg_temp");
        self.relations.iter().enumerate().filter(move |(_, relation)| shared(relation))
    }

    /// The name of a base column.
    pub(crate) fn base_column(&self, (relation, at): ColumnRef) -> Option<ColumnName> {
        let relation = self.relation(relation).filter(|relation| relation.is_base())?;
        Some(ColumnName::new(relation.name.0.clone(), relation.columns.get(at)?.name.clone()))
    }

    /// Whether some relation that is not temporary has that name.
    pub(crate) fn is_named_elsewhere(&self, name: &str) -> bool {
        let mut schemas = self.by_name.iter().filter(|(_, relations)| relations.contains_key(name));
        schemas.any(|(schema, _)| !schema.starts_with("pg_temp"))
    }

    /// Whether there is a temporary relation, of whatever session, whose name is `meant`.
    pub(crate) fn has_temporary(&self, meant: impl Fn(&String) -> bool) -> bool {
        let schemas = self.by_name.iter().filter(|(schema, _)| schema.starts_with("pg_temp"));
        schemas.flat_map(|(_, relations)| relations.keys()).any(meant)
    }

    /// All relations of that name, in whatever schema.
    pub(crate) fn of_name(&self, name: &str) -> impl Iterator<Item = RelationIndex> {
        self.by_name.values().filter_map(|relations| relations.get(name)).copied()
    }

    /// The names of what is in a schema: relations, functions and types.
    pub(crate) fn names_in<'n>(&'n self, schema: &'n str) -> impl Iterator<Item = &'n str> {
        let relations = self.by_name.get(schema).into_iter().flat_map(HashMap::keys).map(String::as_str);
        let is_there = move |at: &str| at == schema;
        let routines = self.routines.iter().filter(move |(_, all)| all.iter().any(|(at, _)| is_there(at)));
        let types = self.user_types.iter().filter(move |(_, all)| all.iter().any(|it| is_there(&it.schema)));
        let routines = routines.map(|(name, _)| name.as_str());
        relations.chain(routines).chain(types.map(|(name, _)| name.as_str()))
    }

    /// Temporary relations of that name, of whatever session.
    pub(crate) fn temporary(&self, name: &str) -> impl Iterator<Item = &Relation> {
        let schemas = self.by_name.iter().filter(|(schema, _)| schema.starts_with("pg_temp"));
        schemas.filter_map(move |(_, relations)| self.relation(*relations.get(name)?))
    }

    /// The relation that one of another snapshot is here.
    pub(crate) fn same_relation(&self, other: &Relation) -> Option<&Relation> {
        self.relation(self.find_oid(other.oid).filter(|_| other.oid != 0)?)
    }

    /// The base relations that views of that name are made of.
    pub(crate) fn beneath_views(&self, name: &str) -> impl Iterator<Item = RelationName> {
        let named = self.by_name.values().filter_map(move |relations| relations.get(name));
        let views = named.filter_map(|at| self.relation(*at)).filter(|it| it.kind == RelationKind::View);
        views.flat_map(|view| &view.reads_relations).filter_map(|at| Some(self.relation(*at)?.name.0.clone()))
    }

    /// Whether the only relation of that name is the server's.
    pub(crate) fn is_only_of_server(&self, name: &str) -> bool {
        let mut schemas = self.by_name.iter().filter(|(_, relations)| relations.contains_key(name));
        schemas.all(|(schema, _)| schema == "pg_catalog")
    }

    /// Whether rows are kept apart by something, in partitions or children.
    pub(crate) fn keeps_apart(&self) -> bool {
        self.relations.iter().any(|relation| !relation.parts.is_empty())
    }

    pub(crate) fn relation(&self, index: RelationIndex) -> Option<&Relation> {
        self.relations.get(index)
    }

    /// Whether a command on some relation of that name runs code, there or in what belongs to it; `runs` says of which.
    pub(crate) fn runs_code(&self, name: &str, runs: fn(&Relation) -> bool) -> bool {
        let named = self.by_name.values().filter_map(|relations| relations.get(name)).copied();
        let with_children = |at| {
            let children =
                self.relation(at).into_iter().flat_map(|relation| relation.children.iter().copied());
            std::iter::once(at).chain(children)
        };
        named.flat_map(with_children).filter_map(|at| self.relation(at)).any(runs)
    }

    /// Whether a command on any relation runs code; `runs` says of which.
    pub(crate) fn any_code(&self, runs: fn(&Relation) -> bool) -> bool {
        self.relations.iter().any(|relation| runs(relation) && !relation.is_system())
    }

    /// Whether writing any relation runs code.
    pub(crate) fn any_code_on_write(&self) -> bool {
        self.relations.iter().any(|relation| relation.runs_code() && !relation.is_system())
    }

    /// Relations of which building an index or analysing may show what is in them.
    pub(crate) fn fragile(&self) -> impl Iterator<Item = (RelationIndex, &Relation)> {
        let fragile = |relation: &Relation| !relation.invalid.is_empty() || !relation.sampled.is_empty();
        self.relations.iter().enumerate().filter(move |(_, relation)| fragile(relation))
    }

    /// Whether some schema other than pg_catalog has a function of that name.
    pub(crate) fn is_user_function(&self, name: &str) -> bool {
        self.functions.of_users.contains(name)
    }

    /// Whether pg_catalog has a function of that name.
    pub(crate) fn is_server_function(&self, name: &str) -> bool {
        self.functions.of_server.contains(name)
    }

    /// Whether every function of that name in pg_catalog only computes.
    pub(crate) fn is_pure_function(&self, name: &str) -> bool {
        builtin::pure_function(name) || self.functions.pure.contains(name)
    }

    /// Whether pg_catalog has a function of that name, and no other schema: a call by that name alone can be of no other.
    #[must_use]
    pub fn is_servers_alone(&self, name: &str) -> bool {
        self.is_server_function(name) && !self.is_user_function(name)
    }

    /// Whether there is any function of that name at all.
    pub(crate) fn is_function(&self, name: &str) -> bool {
        self.functions.of_server.contains(name) || self.is_user_function(name)
    }

    /// Routines of that name outside pg_catalog, each with its schema.
    pub(crate) fn routines(&self, name: &str) -> &[(String, Arc<Routine>)] {
        self.routines.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether there are functions of that name outside pg_catalog, in that schema where one is given, and none of them runs
    /// anything of somebody's own: those of some extensions.
    pub(crate) fn only_computes(&self, schema: Option<&str>, name: &str) -> bool {
        let mut found =
            self.routines(name).iter().filter(|(at, _)| schema.is_none_or(|schema| at == schema)).peekable();
        found.peek().is_some() && found.all(|(_, it)| it.code.as_ref().is_some_and(Vec::is_empty))
    }

    pub(crate) fn is_user_type(&self, name: &str) -> bool {
        self.user_types.contains_key(name)
    }

    /// Whether making a value of the type with this OID may run somebody's code: a domain's checks. From 12000 on they are
    /// not the server's own (access/transam.h).
    #[must_use]
    pub fn runs_code_of_type(&self, oid: u32) -> bool {
        oid >= 12_000 && !self.plain_types.contains(&oid)
    }

    /// Types of that name outside pg_catalog.
    pub(crate) fn user_types(&self, name: &str) -> &[UserType] {
        self.user_types.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether there are types of that name, and making a value of any of them runs no code of somebody's own.
    pub(crate) fn is_unchecked_type(&self, name: &str) -> bool {
        let runs_nothing = |of: &UserType| {
            of.runs.as_ref().and_then(|runs| runs.code.as_ref()).is_some_and(|code| code.is_empty())
        };
        self.user_types.get(name).is_some_and(|types| types.iter().all(runs_nothing))
    }

    /// Whether a column of a type of that name may have a default by it that runs code of somebody's own.
    pub(crate) fn brings_default(&self, name: &str) -> bool {
        self.user_types(name).iter().any(|of| of.default.is_some())
    }

    /// Whether reading a literal as a value of some type runs somebody's code, which the server does when it parses.
    pub(crate) const fn checks_literals(&self) -> bool {
        self.checks_literals
    }

    pub(crate) fn is_user_operator(&self, name: &str) -> bool {
        self.user_operators.contains_key(name)
    }

    /// Operators of somebody's own that a query may use without saying so.
    pub(crate) fn implied_operators(&self) -> BTreeSet<&'static str> {
        IMPLIED_OPERATORS.into_iter().filter(|operator| self.is_user_operator(operator)).collect()
    }

    /// Whether an operator of that name may be used without being written.
    pub(crate) fn is_implied_operator(name: &str) -> bool {
        IMPLIED_OPERATORS.contains(&name)
    }

    /// All operators of somebody's own.
    pub(crate) fn own_operators(&self) -> impl Iterator<Item = &str> {
        self.user_operators.keys().map(String::as_str)
    }

    /// Whether somebody made an operator that may be meant where values are compared.
    pub(crate) fn has_own_comparisons(&self) -> bool {
        let own = &self.user_operators;
        !own.is_empty() && ["=", "<>", "<", "<=", ">", ">="].iter().any(|name| own.contains_key(*name))
    }

    /// The functions that operators of that name run.
    pub(crate) fn operators(&self, name: &str) -> &[Arc<Routine>] {
        self.user_operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// The functions that casts run.
    pub(crate) fn casts(&self) -> &[Arc<Routine>] {
        &self.casts
    }

    pub(crate) fn user_casts(&self) -> UserCasts {
        self.user_casts
    }

    /// Casts by which somebody may have NULL made of something.
    pub(crate) const fn any_casts(&self) -> UserCasts {
        self.any_casts
    }

    /// Whether the catalog knows that name, as whatever: then it may be shown and recorded.
    pub(crate) fn knows(&self, word: &str) -> bool {
        self.words.contains(word) || self.functions.has(word)
    }

    fn column(&self, (relation, at): ColumnRef) -> Option<(&Relation, &Column)> {
        let relation = self.relation(relation)?;
        Some((relation, relation.columns.get(at)?))
    }

    /// The same column of partitions, parents and children.
    fn in_family<'c>(
        &'c self,
        relation: &'c Relation,
        column: &'c Column,
    ) -> impl Iterator<Item = ColumnRef> {
        let same = |member: &RelationIndex| Some((*member, self.relation(*member)?.column(&column.name)?));
        relation.family.iter().filter_map(same)
    }

    /// The column itself wherever it is: in partitions, parents and children, and beneath views that show it as it is.
    pub(crate) fn same(&self, column: ColumnRef, found: &mut HashSet<ColumnRef>) {
        let Some((relation, known)) = self.column(column) else { return };
        if !found.insert(column) {
            return;
        }
        for member in self.in_family(relation, known) {
            self.same(member, found);
        }
        if let Some(shown) = known.shows {
            self.same(shown, found);
        }
    }

    /// Whether its value is made when it is read, however many views show it as it is.
    pub(crate) fn is_computed(&self, column: ColumnRef) -> bool {
        let shown = |at: &ColumnRef| self.column(*at)?.1.shows;
        // Views may be made of each other, though nobody can read them then.
        let Some(last) = std::iter::successors(Some(column), shown).take(MAX_SHOWN).last() else {
            return true;
        };
        let Some((relation, known)) = self.column(last) else { return true };
        match relation.kind {
            RelationKind::View => !known.reads.is_empty(),
            // From then on, generated columns need not be stored.
            _ => self.version >= 180_000 && !known.sources.is_empty(),
        }
    }

    /// How the expression of a view's column compares others.
    pub(crate) fn compared(&self, column: ColumnRef) -> &[(ColumnRef, Vec<Pair>)] {
        let known = self.relation(column.0).and_then(|relation| relation.columns.get(column.1));
        known.map_or(&[], |known| known.compared.as_slice())
    }

    /// Every base column that reading this one may show: the same column of partitions, parents and
    /// children, what a generated column is computed from, what a materialised view was made from.
    pub(crate) fn lineage(&self, column: ColumnRef, found: &mut HashSet<ColumnRef>) {
        let Some((relation, known)) = self.column(column) else { return };
        if !found.insert(column) {
            return;
        }
        for member in self.in_family(relation, known) {
            self.lineage(member, found);
        }
        for source in &known.sources {
            self.lineage((column.0, *source), found);
        }
        let whole = if relation.split { &[][..] } else { relation.reads.as_slice() };
        for source in known.reads.iter().chain(whole) {
            self.lineage(*source, found);
        }
    }
}
