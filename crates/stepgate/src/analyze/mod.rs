//! `stepgate analyze`: the facts of statements, without running them.

mod input;
mod names;
mod search_path;
mod source;
mod split;
mod track;
mod transaction;

use std::collections::BTreeSet;
use std::io::Write;

use stepgate_policy::Map;
use stepgate_sql::{Catalog, Facts, json_line};
use stepgate_types::Label;

use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::rules;
use input::Item;

/// Stack of the analysing thread, in bytes.
const STACK: usize = 64 * 1024 * 1024;

pub(crate) use self::input::messages;
pub(crate) use self::names::Names;
pub(crate) use self::source::{Origin, Source, from_url};
pub(crate) use self::split::split;

/// Reads, analyses, prints.
pub(crate) fn run(args: &AnalyzeArgs) -> Result<(), Failure> {
    deeply(|| run_here(args))
}

/// What is known of the statements of one session.
pub(crate) struct Analysed {
    /// Each message and the facts of its statements.
    pub(crate) messages: Vec<(String, Vec<Facts>)>,
    /// As the server had it at the beginning.
    pub(crate) catalog: Catalog,
}

/// Facts of each statement of `sql`, as one session would have them. `name` is the database's. `look` sees each message
/// before the next.
pub(crate) fn facts_of(
    sql: &str,
    name: &str,
    origin: Origin<'_>,
    search_path: Option<&[String]>,
    mut look: impl FnMut(&Source, &str, &mut [Facts]) + Send,
) -> Result<Analysed, Failure> {
    deeply(|| {
        let mut source = Source::open(origin, name, search_path)?;
        let catalog = source.catalog().clone();
        let mut names = Names::default();
        let mut messages = Vec::new();
        for (_, sql) in split(sql) {
            let mut facts = names.facts(sql, source.catalog(), source.session());
            look(&source, sql, &mut facts);
            names.after(sql, &facts);
            source.after(sql, &facts);
            messages.push((sql.to_owned(), facts));
        }
        Ok(Analysed { messages, catalog })
    })
}

/// Runs what analyses statements where deep ones have room.
pub(crate) fn deeply<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let handle = builder
            .spawn_scoped(scope, work)
            .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
        handle.join().map_err(|_| Failure::usage("the analysis failed"))?
    })
}

fn run_here(args: &AnalyzeArgs) -> Result<(), Failure> {
    let (schema, file) = input::files(args);
    let map = args.map.as_deref().map(rules::load_map).transpose()?;
    let name = name(args, map.as_ref())?;
    let items = input::read(file, args.input)?;
    let origin = args.database.as_deref().map_or(Origin::Schema(&schema), Origin::Url);
    let mut source = Source::open(origin, &name, args.search_path.as_deref())?;
    let mut names = Names::default();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for item in items {
        match item {
            Item::Reset => {
                source.reset();
                names = Names::default();
            }
            Item::Message { line, sql } => {
                for object in objects(&mut source, &mut names, map.as_ref(), &name, line, &sql) {
                    match writeln!(out, "{object}") {
                        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                        result => result.map_err(|error| Failure::usage(format!("cannot write: {error}")))?,
                    }
                }
            }
        }
    }
    out.flush().map_err(|error| Failure::usage(format!("cannot write: {error}")))
}

fn objects(
    source: &mut Source,
    names: &mut Names,
    map: Option<&Map>,
    name: &str,
    line: usize,
    sql: &str,
) -> Vec<serde_json::Value> {
    let facts = names.facts(sql, source.catalog(), source.session());
    let objects = facts.iter().enumerate().map(|(index, facts)| {
        let (labels, risky) = map.map_or((BTreeSet::new(), false), |map| map.labels_of(name, facts));
        let labels: Vec<Label> = labels.into_iter().collect();
        json_line(facts, line, index, name, &labels, risky)
    });
    let objects = objects.collect();
    names.after(sql, &facts);
    source.after(sql, &facts);
    objects
}

/// What the database is called: as told, as the URL names it, or as the map's only one.
fn name(args: &AnalyzeArgs, map: Option<&Map>) -> Result<String, Failure> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    if let Some(url) = &args.database
        && let Some(dbname) = crate::url::DatabaseUrl::parse(url)?.dbname
    {
        return Ok(dbname);
    }
    let mut names = map.into_iter().flat_map(Map::databases);
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(name.to_owned()),
        _ => Err(Failure::usage("what is the database called?").hint("say it with --name DB")),
    }
}
