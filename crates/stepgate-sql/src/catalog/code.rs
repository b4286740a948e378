//! Code that somebody defined, from the answers to the catalog queries: functions, and what runs by itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::load::{Answers, CatalogError, Loader, truth};
use super::routine::{self, Body, Gathered, Path, Routine};
use super::trigger::{self, Step, Trigger};
use super::{Catalog, RelationIndex, UserCasts};
use super::{planned, plpgsql};
use crate::builtin;
use crate::lexer::{self, Numbers, TokenKind};

/// A type outside pg_catalog.
#[derive(Debug, Clone)]
pub(crate) struct UserType {
    pub(crate) schema: String,
    /// Its OID; 0 where that is not known.
    pub(crate) oid: u32,
    /// What making a value of it runs; `None` where that is not known.
    pub(crate) runs: Option<Arc<Routine>>,
    /// Its default, where that runs something of somebody's own: a column without one of its own has it.
    pub(crate) default: Option<Arc<Body>>,
}

impl UserType {
    /// A type of which nothing is known but that it is there.
    pub(super) fn unknown(schema: &str) -> Self {
        Self { schema: schema.to_owned(), oid: 0, runs: None, default: None }
    }
}

/// type → what making a value of it checks.
type Checks<'a> = HashMap<&'a str, Vec<Arc<Body>>>;

/// Routines outside pg_catalog by their OIDs.
pub(super) type Routines<'a> = HashMap<&'a str, Arc<Routine>>;

type Row<'a> = Result<[&'a str; 10], CatalogError>;

/// What policies may run, by OIDs.
pub(super) struct Code<'a> {
    pub(super) routines: Routines<'a>,
    checks: Checks<'a>,
    /// Types of which making a value runs what is not known.
    opaque: HashSet<&'a str>,
}

impl Code<'_> {
    /// What making a value of a type runs; `None` where that is not known.
    pub(super) fn of_type(&self, oid: &str) -> Option<&[Arc<Body>]> {
        (!self.opaque.contains(oid)).then(|| self.checks.get(oid).map_or(&[][..], Vec::as_slice))
    }
}

/// Loads all code. Relations, columns and names of functions are there already.
pub(super) fn load<'a>(loader: &mut Loader, answers: &Answers<'a>) -> Result<Code<'a>, CatalogError> {
    let checks = checks(&loader.catalog, answers)?;
    loader.catalog.checks_literals = checks.values().any(|code| !code.is_empty());
    let routines = routines(&mut loader.catalog, answers, &checks)?;
    operators_and_casts(&mut loader.catalog, answers, &routines)?;
    let opaque = types(&mut loader.catalog, answers, &checks)?;
    on_write(loader, answers, &checks)?;
    ranges(loader, answers, &routines)?;
    triggers(loader, answers)?;
    Ok(Code { routines, checks, opaque })
}

fn checks<'a>(catalog: &Catalog, answers: &Answers<'a>) -> Result<Checks<'a>, CatalogError> {
    let mut own: Checks<'a> = HashMap::new();
    for row in answers.rows::<3>("domain_checks")? {
        let [domain, check, calls] = row?;
        if !truth(calls) && is_plain(check, catalog) {
            continue;
        }
        own.entry(domain).or_default().push(Routine::expression(check, ["value".to_owned()]));
    }
    let mut all: HashMap<&str, Gathered> = HashMap::new();
    for row in answers.rows::<2>("checked_types")? {
        let [of, domain] = row?;
        all.entry(of).or_default().add(own.get(domain).into_iter().flatten());
    }
    Ok(all.into_iter().map(|(of, code)| (of, code.into_bodies())).collect())
}

fn routines<'a>(
    catalog: &mut Catalog,
    answers: &Answers<'a>,
    checks: &Checks<'_>,
) -> Result<Routines<'a>, CatalogError> {
    let mut by_oid: Routines<'a> = HashMap::new();
    let mut aggregates: HashMap<&str, Vec<&str>> = HashMap::new();
    for row in answers.rows::<2>("aggregates")? {
        let [oid, function] = row?;
        aggregates.entry(oid).or_default().extend((function != "0").then_some(function));
    }
    // What aggregates run is there before they are.
    let is_aggregate = |row: &Row<'_>| row.as_ref().is_ok_and(|[oid, ..]| aggregates.contains_key(oid));
    let rows: Vec<Row<'_>> = answers.rows("routines")?.collect();
    let (last, first): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_aggregate);
    for row in first.into_iter().chain(last) {
        let [oid, schema, name, returns_set, form, body, own_path, arguments, defaults, types] = row?;
        let (text, path) = match form {
            "text" if truth(own_path) => (Some(body.to_owned()), Path::Own),
            "text" => (Some(body.to_owned()), Path::Caller),
            "bound" => (routine::bound_statements(body), Path::Bound),
            _ => (None, Path::Bound),
        };
        catalog.has_locked |= form == "locked";
        let arguments = arguments.split(',').map(str::to_owned).collect();
        let (function, pins_path) = (name.to_owned(), truth(own_path));
        let source = (form.is_empty() && !body.is_empty() && defaults.is_empty())
            .then(|| Arc::new(Body { text: body.to_owned(), ..Body::default() }));
        let body = text.map(|text| {
            let schema = schema.to_owned();
            Arc::new(Body { text, path, schema, function, arguments, pins_path, ..Body::default() })
        });
        let mut on_literal = Gathered::default();
        on_literal.add(types.split(',').filter_map(|it| checks.get(it)).flatten());
        let on_literal = on_literal.into_bodies();
        let code = (body.is_some() || form == "computing").then(|| {
            let mut code = on_literal.clone();
            if pins_path {
                // What it returns is checked while it runs.
                let within: Vec<_> = code.iter().map(Body::pinned).collect();
                code.extend(within);
            }
            code.extend(body);
            if !defaults.is_empty() {
                code.push(Routine::expression(defaults, Vec::new()));
            }
            code
        });
        let code = match aggregates.get(oid) {
            // What it is given is made of its own types, whatever its functions take.
            Some(functions) => functions
                .iter()
                .map(|function| by_oid.get(function).and_then(|it| it.code.as_deref()))
                .chain([Some(on_literal.as_slice())])
                .collect::<Option<Vec<_>>>()
                .map(|code| code.concat()),
            None => code,
        };
        let goes_on = aggregates.contains_key(oid);
        let routine =
            Arc::new(Routine { returns_set: truth(returns_set), goes_on, code, source, on_literal });
        if let Ok(oid) = oid.parse() {
            catalog.routine_names.insert(oid, (schema.into(), name.into()));
        }
        by_oid.insert(oid, Arc::clone(&routine));
        catalog.routines.entry(name.to_owned()).or_default().push((schema.to_owned(), routine));
    }
    Ok(by_oid)
}

fn operators_and_casts(
    catalog: &mut Catalog,
    answers: &Answers<'_>,
    routines: &Routines<'_>,
) -> Result<(), CatalogError> {
    let runs = |function: &str| routines.get(function).cloned().unwrap_or_default();
    for row in answers.rows::<2>("operators")? {
        let [name, function] = row?;
        let functions = catalog.user_operators.entry(name.to_owned()).or_default();
        functions.extend((function != "0").then(|| runs(function)));
    }
    for row in answers.rows::<2>("casts")? {
        let [context, function] = row?;
        let casts = if context == "e" { UserCasts::Explicit } else { UserCasts::Implicit };
        catalog.any_casts = catalog.any_casts.max(casts);
        if function == "0" {
            continue;
        }
        catalog.user_casts = catalog.user_casts.max(casts);
        catalog.casts.push(runs(function));
    }
    Ok(())
}

/// Adds them. Says which are opaque.
fn types<'a>(
    catalog: &mut Catalog,
    answers: &Answers<'a>,
    checks: &Checks<'_>,
) -> Result<HashSet<&'a str>, CatalogError> {
    let mut all_opaque = HashSet::new();
    for row in answers.rows::<6>("types")? {
        let [oid, schema, name, opaque, default, calls] = row?;
        let has_plain_default = default.is_empty() || (!truth(calls) && is_plain(default, catalog));
        let code = checks.get(oid).cloned().unwrap_or_default();
        all_opaque.extend(truth(opaque).then_some(oid));
        let oid: u32 = oid.parse().unwrap_or_default();
        if !truth(opaque) && code.is_empty() && oid != 0 {
            catalog.plain_types.insert(oid);
        }
        let of = UserType {
            schema: schema.to_owned(),
            oid,
            runs: (!truth(opaque)).then(|| Arc::new(Routine::of(code))),
            default: (!has_plain_default).then(|| Routine::expression(default, Vec::new())),
        };
        catalog.user_types.entry(name.to_owned()).or_default().push(of);
    }
    Ok(all_opaque)
}

/// What writing relations runs.
fn on_write(loader: &mut Loader, answers: &Answers<'_>, checks: &Checks<'_>) -> Result<(), CatalogError> {
    // Thousands of columns may have an expression each.
    let mut names_of: HashMap<RelationIndex, Arc<[String]>> = HashMap::new();
    for row in answers.rows::<4>("write_code")? {
        let [oid, expression, calls, role] = row?;
        let Some(at) = loader.known(oid) else { continue };
        loader.catalog.has_locked |= expression == "?";
        let is_plain = !truth(calls) && is_plain(expression, &loader.catalog);
        let catalog = &loader.catalog;
        let names = names_of.entry(at).or_insert_with(|| {
            let columns = catalog.relation(at).into_iter().flat_map(|relation| &relation.columns);
            columns.map(|column| column.name.clone()).collect()
        });
        if !is_plain && matches!(role, "index" | "planned") {
            loader.catalog.apart.push(Routine::expression(expression, Vec::new()));
        }
        let planned = matches!(role, "check" | "index" | "planned")
            && planned::may_run(expression, names, &loader.catalog);
        let Some(relation) = loader.catalog.relations.get_mut(at) else { continue };
        if !is_plain && planned {
            relation.on_read.push(Routine::expression(expression, Arc::clone(names)));
        }
        if role == "planned" {
            continue;
        }
        relation.computes |= role != "default";
        if !is_plain {
            let code = Routine::expression(expression, Arc::clone(names));
            let list = if matches!(role, "check" | "index") {
                &mut relation.on_check
            } else {
                &mut relation.on_write
            };
            list.push(code);
            relation.bounded |= role != "default";
        }
    }
    let mut of_types: HashMap<RelationIndex, Gathered> = HashMap::new();
    for row in answers.rows::<2>("columns_of_types")? {
        let [oid, of] = row?;
        let (Some(at), Some(code)) = (loader.known(oid), checks.get(of)) else { continue };
        of_types.entry(at).or_default().add(code);
    }
    for (at, code) in of_types {
        if let Some(relation) = loader.catalog.relations.get_mut(at) {
            relation.on_check.extend(code.bodies().iter().cloned());
            relation.on_read.extend(code.bodies().iter().cloned());
            relation.on_literal.extend(code.into_bodies());
        }
    }
    Ok(())
}

/// What measures the values of range types, and runs wherever a table with such a column is read or written.
fn ranges(loader: &mut Loader, answers: &Answers<'_>, routines: &Routines<'_>) -> Result<(), CatalogError> {
    let mut measured = HashSet::new();
    for row in answers.rows::<2>("columns_of_ranges")? {
        let [oid, function] = row?;
        let Some(at) = loader.known(oid).filter(|at| measured.insert((*at, function))) else { continue };
        match routines.get(function).map(|routine| (&routine.code, &routine.source)) {
            Some((Some(code), _)) => loader.catalog.apart.extend(code.iter().cloned()),
            Some((None, Some(source))) => loader.catalog.apart.push(Arc::clone(source)),
            _ => loader.catalog.apart.push(Body::unknown()),
        }
        let Some(relation) = loader.catalog.relations.get_mut(at) else { continue };
        match routines.get(function).and_then(|routine| routine.code.as_deref()) {
            Some(code) => {
                relation.on_check.extend(code.iter().cloned());
                relation.on_read.extend(code.iter().cloned());
            }
            None => {
                relation.doubtful = true;
                relation.writes_run_code = true;
                relation.on_check.push(Body::unknown());
            }
        }
    }
    Ok(())
}

/// Triggers: those that can be read, and which relations have others.
fn triggers(loader: &mut Loader, answers: &Answers<'_>) -> Result<(), CatalogError> {
    let mut functions: HashMap<&str, Option<Arc<[Step]>>> = HashMap::new();
    for row in answers.rows::<3>("trigger_functions")? {
        let [oid, own_path, source] = row?;
        let path = if truth(own_path) { Path::Own } else { Path::Caller };
        functions.insert(oid, plpgsql::steps(source, path));
    }
    for row in answers.rows::<6>("triggers")? {
        let [oid, kind, function, of_server, arguments, definition] = row?;
        let Some(at) = loader.known(oid) else { continue };
        let calls = function.parse().ok().and_then(|of: u32| loader.catalog.routine_names.get(&of).cloned());
        let Some(relation) = loader.catalog.relations.get_mut(at) else { continue };
        let columns: Vec<&str> = relation.columns.iter().map(|column| column.name.as_str()).collect();
        let does = match of_server {
            _ if function.is_empty() => None,
            "" => functions.get(function).cloned().flatten(),
            name => trigger::of_server(name, arguments, &columns),
        };
        let when = if definition.is_empty() { Some(Arc::default()) } else { plpgsql::when(definition) };
        match (kind.parse(), when, does) {
            (Ok(kind), Some(when), Some(does)) => {
                relation.triggers.push(Trigger { kind, calls, when, does });
            }
            _ => relation.writes_run_code = true,
        }
    }
    Ok(())
}

/// Whether an expression that the server printed names nothing outside pg_catalog, and calls no function but those that
/// only compute. (Its columns come without the table's name.)
fn is_plain(expression: &str, catalog: &Catalog) -> bool {
    let Ok(tokens) = lexer::tokens(expression, Numbers::Decimal) else { return false };
    let is = |at: usize, byte: u8| tokens.get(at).is_some_and(|token| token.kind.is_punct(byte));
    tokens.iter().enumerate().all(|(at, token)| match &token.kind {
        TokenKind::Word(word) | TokenKind::Quoted(word) if is(at + 1, b'(') => {
            builtin::may_precede_paren(word)
                || builtin::harmless_writer(word)
                || catalog.is_pure_function(word)
        }
        TokenKind::Punct(b'.') => false,
        _ => true,
    })
}
