//! Code that somebody defined, seen through by its text.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use stepgate_types::{Certainty, ColumnName, Kind, Use};

use super::{Row, Walker};
use crate::analyze;
use crate::catalog::{Body, Path, RelationIndex, Routine, UserCasts, UserType};
use crate::facts::{Doubt, Facts, Reason};
use crate::statement::{Context, Within};

/// Deepest nesting of bodies.
const MAX_DEPTH: usize = 3;

/// The most causes for which one statement runs code, and one within a body: with the depth they bound the work.
const MAX_CALLED: usize = 64;
const MAX_CALLED_WITHIN: usize = 8;

/// The code of a body that is run within itself: what it does is counted already.
const RECURSIVE: &str = "recursive-function";

/// What reading a body costs besides what is in it.
const BODY_STEPS: usize = 400;

/// Why code runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// A function is called, by schema (as written: `f` and `public.f` may be different functions) and name.
    Call(Option<String>, String),
    Operator(String),
    /// A value is made of a type, by schema and name as written.
    Type(Option<String>, String),
    /// A cast, written or not.
    Cast,
    /// A view is read: its definition shows what this computes.
    Showing(RelationIndex),
    /// A relation is read.
    Reading(RelationIndex),
    /// A relation is written: what is computed is stored in it, or only looked at.
    Writing(RelationIndex),
    Checking(RelationIndex),
}

impl Cause {
    /// Whether nothing in the statement says so.
    const fn is_unsaid(&self) -> bool {
        matches!(self, Self::Showing(_) | Self::Reading(_) | Self::Writing(_) | Self::Checking(_))
    }

    /// Whether what is computed is looked at and then forgotten.
    const fn only_checks(&self) -> bool {
        matches!(self, Self::Type(..) | Self::Reading(_) | Self::Checking(_))
    }
}

impl Within<'_> {
    /// Whether the body runs within itself, its names meaning the same.
    fn is_recursive(&self) -> bool {
        let same = |it: &&Self| match (it.body, self.body) {
            (Some(one), Some(other)) => {
                std::ptr::eq(one, other)
                    && (it.path, it.in_force, it.row) == (self.path, self.in_force, self.row)
            }
            _ => false,
        };
        std::iter::successors(self.around, |it| it.around).any(|it| same(&it))
    }
}

/// The columns that are used so.
fn with_use(facts: &Facts, used: Use) -> impl Iterator<Item = &ColumnName> {
    facts.columns.iter().filter(move |(_, uses)| uses.contains(&used)).map(|(column, _)| column)
}

impl Walker<'_> {
    /// Accounts for a call of functions that somebody defined. Which of several of one name is called depends on
    /// types that are not known here: so all of them are.
    ///
    /// `schema`: as written; else wherever the search path finds it, and PostgreSQL may take one from further
    /// back if its arguments fit better, also one of the server's own that only computes.
    pub(super) fn routine(&mut self, schema: Option<&str>, name: &str) {
        let catalog = self.catalog;
        let path = self.session.search_path.as_deref().unwrap_or_default();
        let within = |at: &String| schema.map_or_else(|| path.contains(at), |schema| at == schema);
        let found: Vec<_> = catalog.routines(name).iter().filter(|(at, _)| within(at)).collect();
        let is_beside = schema.is_none() && catalog.is_server_function(name);
        if found.is_empty() || (is_beside && !catalog.is_pure_function(name)) {
            return self.doubt_function("unknown-function");
        }
        if is_beside {
            self.call(name);
        }
        for (at, routine) in &found {
            self.returns_sets |= routine.returns_set;
            self.functions.insert(format!("{at}.{name}"));
        }
        let cause = Cause::Call(schema.map(str::to_owned), name.to_owned());
        self.runs_routines(cause, found.into_iter().map(|(_, routine)| routine.as_ref()));
    }

    fn runs_routines<'r>(&mut self, cause: Cause, routines: impl IntoIterator<Item = &'r Routine>) {
        let routines: Vec<_> = routines.into_iter().collect();
        self.parsed.extend(routines.iter().flat_map(|it| &it.on_literal).cloned());
        self.goes_on |= routines.iter().any(|it| it.goes_on);
        let code: Option<Vec<&[Arc<Body>]>> = routines.into_iter().map(|it| it.code.as_deref()).collect();
        match code {
            Some(code) => self.runs(cause, &code.concat()),
            None => self.doubt_function("unknown-function"),
        }
    }

    /// Notes that code runs. It is read when this statement is done with, for the stack's sake.
    pub(super) fn runs(&mut self, cause: Cause, code: &[Arc<Body>]) {
        let most = if self.body.depth == 0 { MAX_CALLED } else { MAX_CALLED_WITHIN };
        if code.is_empty() {
            return;
        }
        // Only of a function it is known where it is called.
        self.goes_on |= !matches!(cause, Cause::Call(..)) && !cause.only_checks();
        if self.called.contains_key(&cause) {
            self.goes_on = true;
            return;
        }
        if self.called.len() >= most {
            return self.doubt_function("unknown-function");
        }
        self.called.insert(cause, code.to_vec());
    }

    /// What runs in any statement: casts that apply by themselves, and these operators.
    pub(super) fn runs_implied(&mut self, operators: &BTreeSet<&str>) {
        for operator in operators {
            let routines = self.catalog.operators(operator).iter().map(Arc::as_ref);
            self.runs_routines(Cause::Operator((*operator).to_owned()), routines);
        }
        if self.catalog.user_casts() == UserCasts::Implicit {
            self.runs_casts();
        }
    }

    /// A cast is written.
    pub(super) fn runs_casts(&mut self) {
        self.runs_routines(Cause::Cast, self.catalog.casts().iter().map(Arc::as_ref));
    }

    /// A relation is written: what its defaults, checks and indexes call runs, and may be stored in it.
    pub(super) fn runs_on_write(&mut self, index: RelationIndex) {
        let Some(relation) = self.catalog.relation(index) else { return };
        if !relation.on_write.is_empty() {
            self.flows.entry(index).or_default();
            self.runs(Cause::Writing(index), &relation.on_write);
        }
        self.runs(Cause::Checking(index), &relation.on_check);
        // Policies apply to rows that are written too.
        self.runs(Cause::Reading(index), &relation.on_read);
    }

    /// The server plans a query of its own of this relation, for a foreign key.
    pub(super) fn runs_when_planned(&mut self, index: RelationIndex) {
        let Some(relation) = self.catalog.relation(index) else { return };
        self.runs(Cause::Reading(index), &relation.on_read);
    }

    /// Literals are read as values of a relation's columns. Of one that is not known yet, columns may be of any type.
    pub(super) fn reads_literals(&mut self, name: &[String]) {
        let catalog = self.catalog;
        match self.lookup(name).and_then(|index| Some((index, catalog.relation(index)?))) {
            Some((index, relation)) => self.runs(Cause::Reading(index), &relation.on_literal),
            None if catalog.checks_literals() => self.doubt("unknown-relation"),
            None => {}
        }
    }

    /// A value is made of a type outside pg_catalog; of one of those that have the name, if there are several.
    pub(super) fn runs_type(&mut self, types: &[&UserType], schema: Option<&str>, name: &str) {
        let code: Option<Vec<&[Arc<Body>]>> =
            types.iter().map(|it| it.runs.as_ref().and_then(|it| it.code.as_deref())).collect();
        match code {
            Some(code) => self.runs(Cause::Type(schema.map(str::to_owned), name.to_owned()), &code.concat()),
            None => self.doubt_function("unknown-type"),
        }
    }

    /// Adds what all code does that runs, and tells it of each body whose value may be stored.
    pub(super) fn bodies(&self, facts: &mut Facts) -> Vec<Facts> {
        let mut all = Vec::new();
        let mut seen = HashSet::new();
        let mut moves = facts.effect.session;
        let mut by_path = false;
        let mut again = self.goes_on;
        for (cause, code) in &self.called {
            let kind = (cause.is_unsaid(), cause.only_checks());
            for body in code {
                if !seen.insert((Arc::as_ptr(body), kind)) {
                    // By another name it is called once more.
                    again = true;
                    continue;
                }
                let mut facts = self.body_facts(body, None);
                moves |= facts.effect.session;
                by_path |= body.path == Path::Caller;
                // Where what is stored so comes from would have to be told from what is written.
                if cause.is_unsaid() && !facts.read_only {
                    facts.doubt(Reason { code: "trigger-or-rule", doubt: Doubt::Function });
                }
                all.push((facts, cause.only_checks()));
            }
        }
        for (body, _) in &all {
            facts.run(body);
        }
        facts.parsing_reads |= self.body.depth == 0 && self.parsing_reads();
        self.stored_by(&all, again, facts);
        let by_code = (!self.executes).then(|| (facts.flows.clone(), facts.sinks.clone()));
        let (one_moves, one_by_path) = self.triggers(facts);
        // What is not executed fires none.
        if let Some(by_code) = by_code {
            (facts.flows, facts.sinks) = by_code;
        }
        // What a recursive call is given is not followed into what it writes.
        if facts.reasons.iter().any(|reason| reason.code == RECURSIVE) && !facts.read_only {
            facts.doubt(Reason { code: "unknown-function", doubt: Doubt::Function });
        }
        // One may set the path by which the next finds its names.
        if (moves || one_moves) && (by_path || one_by_path) {
            facts.doubt(Reason { code: "state-changed-in-message", doubt: Doubt::Statement });
        }
        all.retain(|(_, only_checks)| !only_checks);
        all.into_iter().map(|(body, _)| body).collect()
    }

    /// What bodies write may be their arguments: whatever is taken anywhere in the statement, and the values of other
    /// bodies. `bodies`: each with whether it only checks; `again`: some may be given what it returned before.
    fn stored_by(&self, bodies: &[(Facts, bool)], again: bool, facts: &mut Facts) {
        if !bodies.iter().any(|(body, _)| body.columns.values().any(|uses| uses.contains(&Use::Write))) {
            return;
        }
        let taken = self.columns.iter().filter(|(_, uses)| uses.are_taken()).map(|(column, _)| *column);
        let taken = self.base_columns(taken);
        for (at, (body, _)) in bodies.iter().enumerate() {
            let others = bodies.iter().enumerate().filter(|(other, (_, only_checks))| {
                // A function that is called once is not given what it returned.
                !only_checks && (*other != at || again)
            });
            let values = others.flat_map(|(_, (other, _))| with_use(other, Use::Output));
            let arguments: BTreeSet<_> = taken.iter().chain(values).collect();
            if arguments.is_empty() {
                continue;
            }
            for column in with_use(body, Use::Write) {
                let flow = facts.flows.entry(column.relation.clone()).or_default();
                let into = flow.each.entry(column.column.clone()).or_default();
                into.extend(arguments.iter().copied().cloned());
            }
        }
    }

    /// Whether parsing the statement may read data, or do what is not known: a literal is read as its type when it is parsed
    /// (parse_coerce.c, `coerce_type`), and of an array, range or row of domains that checks these.
    fn parsing_reads(&self) -> bool {
        let named = self.called.iter().filter(|(cause, _)| matches!(cause, Cause::Type(..)));
        // A view has columns of types that those beneath it are not of.
        let read = self.called.keys().filter_map(|cause| match cause {
            Cause::Reading(index) => Some(index),
            _ => None,
        });
        let of_columns = self.relations.iter().chain(read).filter_map(|index| self.catalog.relation(*index));
        let code = named.flat_map(|(_, code)| code).chain(of_columns.flat_map(|it| &it.on_literal));
        let mut seen = HashSet::new();
        let mut code = code.chain(&self.parsed).filter(|body| seen.insert(Arc::as_ptr(body)));
        code.any(|body| {
            let facts = self.body_facts(body, None);
            facts.certainty == Certainty::Unknown || !facts.read_only || !facts.columns.is_empty()
        })
    }

    /// What running a body does.
    pub(super) fn body_facts(&self, body: &Body, row: Option<Row<'_>>) -> Facts {
        let unknown = || {
            let mut facts = Facts::new(Kind::Select, 1);
            facts.doubt(Reason { code: "unknown-function", doubt: Doubt::Function });
            facts
        };
        let mut session = self.session.clone();
        let has_own_path = body.pins_path || body.path == Path::Own;
        let in_force = self.in_force().filter(|_| !has_own_path).map(<[String]>::to_vec);
        session.search_path = match body.path {
            Path::Caller => in_force.clone(),
            // What a path of its own finds depends on the owner's rights and on temporary objects, and somebody's may
            // stand before the server's.
            Path::Own => None,
            Path::Bound => Some(vec!["pg_catalog".to_owned()]),
        };
        let within = Within {
            depth: self.body.depth + 1,
            body: Some(body),
            path: session.search_path.as_deref(),
            in_force: in_force.as_deref().filter(|_| body.path == Path::Bound),
            around: Some(&self.body),
            // A trigger's statements are none of the one that fires it.
            marks: row.is_none() && self.marks_rows(),
            row,
        };
        if within.is_recursive() {
            let mut facts = Facts::new(Kind::Select, 1);
            facts.doubt(Reason { code: RECURSIVE, doubt: Doubt::Nothing });
            return facts;
        }
        if self.body.depth >= MAX_DEPTH || !self.budget.spend(BODY_STEPS) {
            return unknown();
        }
        let of_message = Context::of(&self.budget, self.catalog, &session);
        let context = Context {
            body: within,
            explains: self.explains,
            counts_blocks: self.counts_blocks,
            ..of_message
        };
        let mut all = Facts::new(Kind::Select, 1);
        for facts in analyze::body(&body.text, context) {
            let queries = matches!(facts.kind, Kind::Select | Kind::Insert | Kind::Update | Kind::Delete);
            all = if queries { all.union(&facts) } else { all.union(&unknown()) };
        }
        all
    }

    /// The search path by which code that is called from here finds its names, where it is known.
    fn in_force(&self) -> Option<&[String]> {
        let is_bound = self.body.body.is_some_and(|body| body.path == Path::Bound);
        if is_bound { self.body.in_force } else { self.session.search_path.as_deref() }
    }

    /// Whether an unqualified name of a function may mean one outside pg_catalog: of the schemas of the path, where that
    /// is certain. The temporary one is not looked at (namespace.c, `FuncnameGetCandidates`).
    pub(super) fn may_be_of_user(&self, name: &str) -> bool {
        if self.body.body.is_some_and(|body| body.path == Path::Bound) {
            return false;
        }
        let known = self.catalog.routines(name);
        let elsewhere =
            |path: &Vec<String>| !known.is_empty() && !known.iter().any(|(schema, _)| path.contains(schema));
        self.catalog.is_user_function(name) && !self.session.search_path.as_ref().is_some_and(elsewhere)
    }

    /// Whether a name that is called, in that schema if one is given, may mean a type outside pg_catalog.
    pub(super) fn may_be_type_of_user(&self, schema: Option<&str>, name: &str) -> bool {
        let bound = self.body.body.is_some_and(|body| body.path == Path::Bound);
        let is_there = |it: &UserType| schema.is_none_or(|schema| it.schema == schema);
        !bound && self.catalog.user_types(name).iter().any(is_there)
    }

    /// Whether a call by a name alone can be of the server's function, and of no other and no type.
    pub(super) fn is_of_server(&self, name: &str) -> bool {
        !self.may_be_of_user(name) && !self.may_be_type_of_user(None, name)
    }

    /// Whether a name that is no column may be an argument of the function in whose body it stands.
    pub(super) fn is_argument(&self, name: &str) -> bool {
        self.body.body.is_some_and(|body| body.arguments.iter().any(|argument| argument == name))
    }

    /// Whether `name.field` may be an argument by the function's name, or a field of one.
    pub(super) fn is_part_of_argument(&mut self, name: &str, field: &str) -> bool {
        let by_function = self.body.body.is_some_and(|body| body.function == name) && self.is_argument(field);
        let of_argument = !by_function && self.is_argument(name);
        // `x.f` calls f(x) where x has no field f.
        if of_argument {
            self.cast_by_field(field);
            if self.catalog.is_function(field) {
                self.function_name(&[field.to_owned()]);
            }
        }
        by_function || of_argument
    }
}
