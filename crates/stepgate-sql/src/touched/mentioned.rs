//! Which names the meaning of a statement hangs on, and where they may be looked for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::names::{Opens, Schemas, on_path};
use super::{By, Touched};
use crate::catalog::{Action, Body, Catalog, Path, RelationIndex, RelationKind, Routine, UserCasts};
use crate::lexer::{Token, TokenKind, plpgsql_tokens};

/// The most names that are told apart of all that a statement reaches.
const MAX_MENTIONED: usize = 20_000;

/// The names that the meaning of a statement hangs on.
#[derive(Debug)]
pub struct Mentioned {
    /// `None`: any.
    names: Option<HashMap<Box<str>, Places>>,
    /// Where those are looked for that stand without a schema.
    path: Schemas,
    /// How many bytes were read for that.
    read: usize,
}

/// Where something of a name is looked for.
#[derive(Debug, Clone, Default)]
struct Places {
    anywhere: bool,
    on_path: bool,
    schemas: BTreeSet<Box<str>>,
}

/// One of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'n> {
    Anywhere,
    OnPath,
    In(&'n str),
}

impl Mentioned {
    /// Those that a message says, and those that views and code say which it may reach.
    #[must_use]
    pub fn of(sql: &[u8], catalog: &Catalog, by: &By) -> Self {
        let text = by.text(sql, catalog);
        let text = text.as_deref();
        let path = on_path(by.path.as_deref().filter(|_| text.is_some_and(keeps_path)));
        let names = text.and_then(|text| {
            let reach = |blind: bool| {
                Reach { catalog, path: &path, blind, ..Reach::new(catalog, &path) }.all(text, by.standard)
            };
            match reach(false)? {
                Reached::Names(names, read) => Some((names, read)),
                Reached::UnderAnotherPath => match reach(true)? {
                    Reached::Names(names, read) => Some((names, read.saturating_mul(2))),
                    Reached::UnderAnotherPath => None,
                },
            }
        });
        let (names, read) = names.map_or((None, sql.len()), |(names, read)| (Some(names), read));
        Self { names, path, read }
    }

    /// About how many bytes were read to know them.
    #[must_use]
    pub fn read(&self) -> usize {
        self.read
    }

    /// Whether it may mean something else by this, schemas coming to be on its path.
    #[must_use]
    pub fn hangs_on(&self, touched: &Touched, opens: &Opens) -> bool {
        match (touched, &self.names) {
            (Touched::Nothing, _) => false,
            (Touched::Anything, _) | (Touched::Names(_), None) => true,
            (Touched::Names(touched), Some(_)) => {
                touched.with_schemas().any(|(name, schemas)| self.hangs_on_name(name, schemas, opens))
            }
        }
    }

    /// The same of one name, in one of these schemas.
    #[must_use]
    pub fn hangs_on_name(&self, name: &str, schemas: &Schemas, opens: &Opens) -> bool {
        let Some(names) = &self.names else { return true };
        let Some(places) = names.get(name) else { return false };
        let Some(schemas) = schemas else { return true };
        let is_on_path = |schema: &str| {
            self.path.as_ref().is_none_or(|path| path.contains(schema)) || opens.schemas.contains(schema)
        };
        places.anywhere
            || schemas.iter().any(|schema| places.schemas.contains(schema))
            || (places.on_path && (opens.any || schemas.iter().any(|schema| is_on_path(schema))))
    }
}

/// Whether a message looks for all its names by the path that it begins with: one statement, in a transaction of its own or
/// not.
fn keeps_path(text: &str) -> bool {
    let Ok(tokens) = plpgsql_tokens(text) else { return false };
    let statements = tokens.split(|token| token.kind.is_punct(b';')).filter(|it| !it.is_empty());
    let first =
        |statement: &[Token<'_>]| statement.first().and_then(|token| token.kind.word().map(str::to_owned));
    let mut words: Vec<Option<String>> = statements.map(first).collect();
    words.pop_if(|word| matches!(word.as_deref(), Some("commit" | "end")));
    words.iter().skip_while(|word| matches!(word.as_deref(), Some("begin" | "start"))).count() <= 1
}

/// What was reached.
enum Reached {
    /// For which so many bytes were read.
    Names(HashMap<Box<str>, Places>, usize),
    /// Some of it runs under a path of its own, and with it what it calls.
    UnderAnotherPath,
}

/// What is reached from names.
struct Reach<'c> {
    catalog: &'c Catalog,
    path: &'c Schemas,
    /// Under which path code runs is not known.
    blind: bool,
    pinned: bool,
    /// How many bytes of code were read.
    read: usize,
    names: HashMap<Box<str>, Places>,
    /// Those that were not looked up yet.
    open: Vec<(Box<str>, Option<Box<str>>, bool)>,
}

impl<'c> Reach<'c> {
    fn new(catalog: &'c Catalog, path: &'c Schemas) -> Self {
        Self { catalog, path, blind: false, pinned: false, read: 0, names: HashMap::new(), open: Vec::new() }
    }

    fn all(mut self, text: &str, standard: bool) -> Option<Reached> {
        self.text(text, Place::OnPath)?;
        if !standard && text.contains('\\') {
            // Where its literals end hangs on `standard_conforming_strings`: names may stand in what looks like one.
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$');
            text.split(|letter| !is_part(letter)).for_each(|word| {
                self.name(word, Place::Anywhere);
                self.name(&word.to_ascii_lowercase(), Place::Anywhere);
            });
        }
        self.implied()?;
        while let Some((name, schema, on_path)) = self.open.pop() {
            if self.names.len() > MAX_MENTIONED {
                return None;
            }
            if self.pinned && !self.blind {
                return Some(Reached::UnderAnotherPath);
            }
            let place = match &schema {
                Some(schema) => Place::In(schema),
                None if on_path => Place::OnPath,
                None => Place::Anywhere,
            };
            self.look_up(&name, place)?;
        }
        let again = self.pinned && !self.blind;
        Some(if again { Reached::UnderAnotherPath } else { Reached::Names(self.names, self.read) })
    }

    /// Whether something in that schema is found there.
    fn is_found(&self, schema: &str, place: Place<'_>) -> bool {
        match place {
            Place::Anywhere => true,
            Place::OnPath => self.path.as_ref().is_none_or(|path| path.contains(schema)),
            Place::In(said) => said == schema,
        }
    }

    fn look_up(&mut self, name: &str, place: Place<'_>) -> Option<()> {
        let catalog = self.catalog;
        for at in catalog.of_name(name) {
            if catalog.relation(at).is_some_and(|it| self.is_found(&it.name.0.schema, place)) {
                self.relation(at)?;
            }
        }
        for (schema, routine) in catalog.routines(name) {
            if self.is_found(schema, place) {
                self.routine(routine)?;
            }
        }
        for of in catalog.user_types(name) {
            if self.is_found(&of.schema, place) {
                of.runs.iter().try_for_each(|routine| self.routine(routine))?;
                self.bodies(of.default.iter())?;
            }
        }
        Some(())
    }

    /// What a statement runs without saying so: casts, and operators that constructs of the grammar stand for.
    fn implied(&mut self) -> Option<()> {
        let catalog = self.catalog;
        if catalog.user_casts() != UserCasts::None {
            catalog.casts().iter().try_for_each(|routine| self.routine(routine))?;
        }
        catalog.implied_operators().into_iter().try_for_each(|operator| self.operator(operator))
    }

    fn operator(&mut self, operator: &str) -> Option<()> {
        let routines = self.catalog.operators(operator);
        routines.iter().try_for_each(|routine| self.routine(routine))
    }

    fn routine(&mut self, routine: &'c Routine) -> Option<()> {
        self.bodies(routine.code.iter().flatten().chain(&routine.on_literal))
    }

    fn relation(&mut self, at: RelationIndex) -> Option<()> {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(at).filter(|it| !it.is_system()) else { return Some(()) };
        if relation.kind != RelationKind::Table {
            // Of one that is not known, whoever reads it was let through for anything.
            self.relations(relation.views.iter().flatten());
        }
        self.relations(&relation.family);
        // Where a column gets another type, these are found anew.
        relation.reread.functions.iter().for_each(|name| self.name(name, Place::OnPath));
        relation.reread.operators.iter().try_for_each(|operator| self.operator(operator))?;
        // What a foreign key does to rows that refer.
        let acts = relation.referred.iter().filter(|it| [it.on_delete, it.on_update] != [Action::Refuse; 2]);
        let written: Vec<RelationIndex> = acts.flat_map(|it| it.theirs.iter().map(|(at, _)| *at)).collect();
        self.relations(&written);
        let written = relation.on_write.iter().chain(&relation.on_check);
        let read = relation.on_show.iter().chain(&relation.on_read).chain(&relation.on_literal);
        for (schema, name) in relation.triggers.iter().filter_map(|trigger| trigger.calls.as_ref()) {
            self.name(name, Place::In(schema));
        }
        let steps = relation.triggers.iter().flat_map(|trigger| trigger.when.iter().chain(&*trigger.does));
        self.bodies(written.chain(read).chain(steps.map(|step| &step.body)))
    }

    fn relations<'i>(&mut self, of: impl IntoIterator<Item = &'i RelationIndex>) {
        for at in of {
            if let Some(relation) = self.catalog.relation(*at) {
                self.name(&relation.name.0.name, Place::In(&relation.name.0.schema));
            }
        }
    }

    fn bodies<'b>(&mut self, bodies: impl Iterator<Item = &'b Arc<Body>>) -> Option<()> {
        for body in bodies {
            self.pinned |= body.pins_path || body.path == Path::Own;
            if !body.function.is_empty() {
                let known = Some(body.schema.as_str()).filter(|schema| !schema.is_empty());
                self.name(&body.function, known.map_or(Place::Anywhere, Place::In));
            }
            self.text(&body.text, if self.blind { Place::Anywhere } else { Place::OnPath })?;
        }
        Some(())
    }

    /// `bare`: where names stand that have no schema.
    fn text(&mut self, text: &str, bare: Place<'_>) -> Option<()> {
        self.read = self.read.saturating_add(text.len());
        let tokens = plpgsql_tokens(text).ok()?;
        let is_dot = |at: Option<usize>| {
            at.and_then(|at| tokens.get(at)).is_some_and(|token: &Token<'_>| token.kind.is_punct(b'.'))
        };
        for (at, token) in tokens.iter().enumerate() {
            if let TokenKind::Operator(operator) = &token.kind {
                self.operator(operator)?;
            }
            let Some(name) = token.kind.ident() else { continue };
            // What stands before a dot is a schema, or is named elsewhere.
            if is_dot(Some(at + 1)) {
                continue;
            }
            let before = at.checked_sub(2).filter(|_| is_dot(at.checked_sub(1)));
            let schema = before.and_then(|at| tokens.get(at)).and_then(|token| token.kind.ident());
            if let Some(schema) = schema {
                self.name(name, Place::In(schema));
            }
            let is_called = tokens.get(at + 1).is_some_and(|next| next.kind.is_punct(b'('));
            // What stands before the dot may also be a table's alias, and this a function of its rows.
            if schema.is_none() || !is_called {
                self.name(name, bare);
            }
        }
        Some(())
    }

    fn name(&mut self, name: &str, place: Place<'_>) {
        // What comes after it may look elsewhere.
        self.pinned |= name == "set_config";
        let places = match self.names.get_mut(name) {
            Some(places) => places,
            None => self.names.entry(name.into()).or_default(),
        };
        let (is_new, schema) = match place {
            Place::Anywhere => (!std::mem::replace(&mut places.anywhere, true), None),
            Place::OnPath => (!std::mem::replace(&mut places.on_path, true), None),
            Place::In(schema) => {
                let is_new = !places.schemas.contains(schema) && places.schemas.insert(schema.into());
                (is_new, Some(schema.into()))
            }
        };
        if is_new {
            self.open.push((name.into(), schema, place == Place::OnPath));
        }
    }
}
