//! Which names DDL may give another meaning, and which names the meaning of a statement hangs on.
//!
//! Whoever looks at the catalog before and after a statement does not see what it was in between: a table renamed and
//! renamed back, a function made and dropped. Both are told by names alone, whatever schema and sort of object they are
//! of: too many, never too few.

use std::collections::{BTreeSet, HashSet};

use crate::catalog::{Body, Catalog, RelationIndex, RelationKind};
use crate::lexer::{Token, plpgsql_tokens};

/// The most names that are told apart: of one message of DDL, and of all that a statement reaches.
const MAX_TOUCHED: usize = 256;
const MAX_MENTIONED: usize = 20_000;

/// What may mean something else once a message has run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Touched {
    /// Nothing that has a name.
    #[default]
    Nothing,
    /// Whatever has one of these names.
    Names(BTreeSet<Box<str>>),
    /// Anything: operators and casts have no names, schemas and extensions many.
    Anything,
}

/// What a message of DDL does to names, as its text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The names.
    pub touched: Touched,
    /// It ends a transaction, or may: what it changes and what comes after it are not committed as one.
    pub ends: bool,
    /// It may commit some of that before the rest.
    pub twice: bool,
    /// Somebody's code may be among it: functions, and what runs them by itself.
    pub code: bool,
}

impl Touched {
    fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (_, Self::Nothing) | (Self::Anything, _) => {}
            (Self::Names(names), Self::Names(more)) => {
                names.extend(more);
                if names.len() > MAX_TOUCHED {
                    *self = Self::Anything;
                }
            }
            (_, more) => *self = more,
        }
    }

    /// The same, and what another message touches.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.add(more);
        self
    }
}

impl Changes {
    /// What the text of a message may change, none of whose statements runs code that does DDL.
    #[must_use]
    pub fn of(sql: &[u8], catalog: &Catalog) -> Self {
        let text = std::str::from_utf8(sql).ok().filter(|text| !text.contains('\\'));
        let Some(tokens) = text.and_then(tokens) else {
            return Self { touched: Touched::Anything, ends: true, twice: true, code: true };
        };
        let mut all = Self::default();
        let statements = tokens.split(|token| token.kind.is_punct(b';')).filter(|it| !it.is_empty());
        let mut several = false;
        for (at, statement) in statements.enumerate() {
            several |= at > 0;
            all.ends |= ends_transaction(statement);
            all.code |= is_of_code(statement);
            all.touched.add(of_statement(statement, catalog));
        }
        all.twice = several && all.ends && all.touched != Touched::Nothing;
        all
    }
}

/// The names that the meaning of a statement hangs on.
#[derive(Debug)]
pub struct Mentioned {
    /// `None`: any.
    names: Option<HashSet<Box<str>>>,
}

impl Mentioned {
    /// Those that a message says, and those that views and code say which it may reach.
    #[must_use]
    pub fn of(sql: &[u8], catalog: &Catalog) -> Self {
        let text = std::str::from_utf8(sql).ok();
        Self {
            names: text.and_then(|text| Reach { catalog, names: HashSet::new(), open: Vec::new() }.all(text)),
        }
    }

    /// Whether it may mean something else by this.
    #[must_use]
    pub fn hangs_on(&self, touched: &Touched) -> bool {
        match (touched, &self.names) {
            (Touched::Nothing, _) => false,
            (Touched::Anything, _) | (Touched::Names(_), None) => true,
            (Touched::Names(touched), Some(names)) => touched.iter().any(|name| names.contains(name)),
        }
    }
}

/// What is reached from names.
struct Reach<'c> {
    catalog: &'c Catalog,
    names: HashSet<Box<str>>,
    /// Those that were not looked up yet.
    open: Vec<Box<str>>,
}

impl Reach<'_> {
    fn all(mut self, text: &str) -> Option<HashSet<Box<str>>> {
        self.text(text)?;
        if text.contains('\\') {
            // Where its literals end hangs on `standard_conforming_strings`: names may stand in what looks like one.
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$');
            text.split(|letter| !is_part(letter)).for_each(|word| {
                self.name(word);
                self.name(&word.to_ascii_lowercase());
            });
        }
        while let Some(name) = self.open.pop() {
            if self.names.len() > MAX_MENTIONED {
                return None;
            }
            for at in self.catalog.of_name(&name) {
                self.relation(at)?;
            }
            for (_, routine) in self.catalog.routines(&name) {
                self.bodies(routine.code.iter().flatten().chain(&routine.on_literal))?;
            }
        }
        Some(self.names)
    }

    fn relation(&mut self, at: RelationIndex) -> Option<()> {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(at).filter(|it| !it.is_system()) else { return Some(()) };
        if relation.kind != RelationKind::Table {
            // Of one that is not known, whoever reads it was let through for anything.
            self.relations(relation.views.iter().flatten());
        }
        self.relations(&relation.family);
        relation.reread.functions.iter().for_each(|name| self.name(name));
        let written = relation.on_write.iter().chain(&relation.on_check);
        let read = relation.on_show.iter().chain(&relation.on_read).chain(&relation.on_literal);
        let steps = relation.triggers.iter().flat_map(|trigger| trigger.when.iter().chain(&*trigger.does));
        self.bodies(written.chain(read).chain(steps.map(|step| &step.body)))
    }

    fn relations<'i>(&mut self, of: impl IntoIterator<Item = &'i RelationIndex>) {
        for at in of {
            if let Some(relation) = self.catalog.relation(*at) {
                self.name(&relation.name.0.name);
            }
        }
    }

    fn bodies<'b>(&mut self, bodies: impl Iterator<Item = &'b std::sync::Arc<Body>>) -> Option<()> {
        for body in bodies {
            self.name(&body.function);
            self.text(&body.text)?;
        }
        Some(())
    }

    fn text(&mut self, text: &str) -> Option<()> {
        for token in &tokens(text)? {
            if let Some(name) = token.kind.ident() {
                self.name(name);
            }
        }
        Some(())
    }

    fn name(&mut self, name: &str) {
        if !self.names.contains(name) {
            self.names.insert(name.into());
            self.open.push(name.into());
        }
    }
}

/// The tokens of a text whose names are the same in every encoding.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    if text.is_ascii() { plpgsql_tokens(text).ok() } else { None }
}

fn ends_transaction(statement: &[Token<'_>]) -> bool {
    let mut words = statement.iter().filter_map(|token| token.kind.word());
    match words.next() {
        Some("commit" | "end" | "abort") => true,
        Some("rollback") => !words.any(|word| word == "to"),
        Some("prepare") => words.next() == Some("transaction"),
        _ => false,
    }
}

/// Words between CREATE, ALTER or DROP and what is made, changed or dropped.
const BETWEEN: [&str; 15] = [
    "or",
    "replace",
    "trusted",
    "procedural",
    "constraint",
    "unlogged",
    "temp",
    "temporary",
    "global",
    "local",
    "recursive",
    "materialized",
    "foreign",
    "unique",
    "concurrently",
];

/// Whether it makes, changes or drops what is neither a relation nor of one.
fn is_of_code(statement: &[Token<'_>]) -> bool {
    let mut words = statement.iter().filter_map(|token| token.kind.word());
    matches!(words.next(), Some("create" | "alter" | "drop"))
        && !matches!(
            words.find(|word| !BETWEEN.contains(word)),
            Some("table" | "view" | "sequence" | "index" | "statistics" | "collation" | "schema")
        )
}

fn of_statement(statement: &[Token<'_>], catalog: &Catalog) -> Touched {
    let words: Vec<&str> = statement.iter().filter_map(|token| token.kind.word()).collect();
    let Some((first, rest)) = words.split_first() else { return Touched::Nothing };
    let what = rest.iter().find(|word| !BETWEEN.contains(*word)).copied().unwrap_or_default();
    let says = |word: &str| words.contains(&word);
    match (*first, what) {
        ("commit", "prepared") => Touched::Anything,
        (
            "create" | "alter" | "drop",
            "default" | "role" | "user" | "group" | "database" | "tablespace" | "index",
        )
        | (
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" | "comment"
            | "grant" | "revoke" | "analyze" | "analyse" | "vacuum" | "reindex" | "cluster" | "refresh"
            | "truncate" | "lock" | "checkpoint" | "set" | "reset" | "show" | "discard",
            _,
        ) => Touched::Nothing,
        ("create", "table" | "view" | "sequence") if says("temp") || says("temporary") => Touched::Nothing,
        ("alter" | "drop", "table" | "view" | "sequence") if !changes_shared(statement, catalog) => {
            Touched::Nothing
        }
        ("create", "table" | "view") if !says("inherits") && !says("partition") => {
            name_of(statement, what, catalog)
        }
        ("create", "function" | "procedure" | "aggregate" | "type" | "domain" | "sequence") => {
            name_of(statement, what, catalog)
        }
        ("alter", "table" | "view" | "sequence")
            if !["rename", "schema", "attach", "detach", "inherit", "cascade"]
                .iter()
                .any(|word| says(word)) =>
        {
            name_of(statement, what, catalog)
        }
        (
            "create" | "alter" | "drop",
            "table" | "view" | "sequence" | "function" | "procedure" | "routine" | "aggregate" | "type"
            | "domain" | "trigger" | "rule" | "policy" | "collation" | "statistics",
        ) => all_names(statement, catalog, says("cascade")),
        ("select" | "with", _) if says("into") => name_of(statement, "into", catalog),
        // An empty one means nothing to anybody.
        ("create", "schema") if !rest.contains(&"create") => Touched::Nothing,
        ("drop", "schema") if !says("cascade") => Touched::Nothing,
        ("alter" | "drop", "schema") => in_schemas(statement, catalog),
        ("create" | "alter" | "drop" | "import", _) => Touched::Anything,
        _ => all_names(statement, catalog, false),
    }
}

/// What is in the schemas that it names.
fn in_schemas(statement: &[Token<'_>], catalog: &Catalog) -> Touched {
    let mut all = BTreeSet::new();
    for name in statement.iter().filter_map(|token| token.kind.ident()) {
        all.extend(catalog.names_in(name).take(MAX_TOUCHED + 1).map(Box::from));
    }
    if all.len() > MAX_TOUCHED { Touched::Anything } else { Touched::Names(all) }
}

/// Whether it names a relation that is not temporary: what happens to those of a session is its own affair.
fn changes_shared(statement: &[Token<'_>], catalog: &Catalog) -> bool {
    statement.iter().filter_map(|token| token.kind.ident()).any(|name| catalog.is_named_elsewhere(name))
}

/// The name behind that word, without its schema.
fn name_of(statement: &[Token<'_>], what: &str, catalog: &Catalog) -> Touched {
    let mut rest = statement.iter().skip_while(|token| token.kind.word() != Some(what)).skip(1).peekable();
    while rest.next_if(|token| matches!(token.kind.word(), Some("if" | "not" | "exists" | "only"))).is_some()
    {
    }
    let mut name = None;
    while let Some(part) = rest.next().and_then(|token| token.kind.ident()) {
        name = Some(part);
        if rest.next_if(|token| token.kind.is_punct(b'.')).is_none() {
            break;
        }
    }
    name.map_or(Touched::Anything, |name| with_relatives([name], catalog, false))
}

/// All names in it that are no words of the grammar.
fn all_names(statement: &[Token<'_>], catalog: &Catalog, cascades: bool) -> Touched {
    let is_name =
        |token: &&Token<'_>| token.kind.word().is_none_or(|word| RESERVED.binary_search(&word).is_err());
    let names = statement.iter().skip(1).filter(is_name).filter_map(|token| token.kind.ident());
    with_relatives(names, catalog, cascades)
}

/// Names, and those of ancestors and descendants, which change with them; `cascades`: and of what is dropped with them.
fn with_relatives<'n>(
    names: impl IntoIterator<Item = &'n str>,
    catalog: &Catalog,
    cascades: bool,
) -> Touched {
    let mut all: BTreeSet<Box<str>> = BTreeSet::new();
    let mut gone: Vec<RelationIndex> = Vec::new();
    for name in names {
        all.insert(name.into());
        gone.extend(catalog.of_name(name));
    }
    let family = gone.iter().filter_map(|at| catalog.relation(*at)).flat_map(|relation| &relation.family);
    let family = family.filter_map(|at| catalog.relation(*at));
    all.extend(family.map(|relation| relation.name.0.name.as_str().into()));
    if cascades && !gone.is_empty() {
        // Functions may go with the type of a relation's rows.
        let Some(more) = catalog.dropped_with(gone, MAX_TOUCHED) else { return Touched::Anything };
        all.extend(more.into_iter().map(Box::from));
    }
    if all.len() > MAX_TOUCHED { Touched::Anything } else { Touched::Names(all) }
}

/// Words that are no name unless they are quoted (`reserved_keyword` of gram.y, PostgreSQL 13 to 18). In order.
const RESERVED: [&str; 77] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];
