//! What one statement of DDL does to names.
//!
//! Of what it drops no name comes to mean something else as long as nothing else has that name: whoever says it fails, and
//! the catalog tells afterwards. What is not there is neither changed nor dropped.

use std::collections::BTreeSet;

use super::names::{on_path, only};
use super::reserved::is_reserved;
use super::{Changes, Hanging, MAX_TOUCHED, Names, Opens, Schemas, Touched, TwoPhase};
use crate::catalog::{Catalog, Relation, RelationIndex};
use crate::lexer::{Token, TokenKind};

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

/// What one statement changes.
pub(super) fn changes(tokens: &[Token<'_>], catalog: &Catalog, path: Option<&[String]>) -> Changes {
    let words: Vec<&str> = tokens.iter().filter_map(|token| token.kind.word()).collect();
    let between = words.iter().skip(1).take_while(|word| BETWEEN.contains(*word)).count();
    let what = words.get(1 + between).copied().unwrap_or_default();
    let statement = Statement { tokens, words: &words, between, what, catalog, path: on_path(path) };
    let mut changes = statement.changes();
    changes.ends = ends_transaction(&words);
    changes.restores = words.first() == Some(&"rollback") && words.contains(&"to");
    // An index that was begun runs code on writes. What else may be left where such a statement fails (an index that is not
    // valid, a partition that is about to go) gives no name another meaning; and who has no right to any of it says so, too.
    changes.commits = words.contains(&"concurrently");
    changes.lasts = changes.commits && words.first() == Some(&"create");
    changes.phase = phase(tokens);
    changes
}

fn phase(tokens: &[Token<'_>]) -> Option<TwoPhase> {
    let [first, second, Token { kind: TokenKind::Text(Some(name)), .. }] = tokens else { return None };
    match (first.kind.word()?, second.kind.word()?) {
        ("prepare", "transaction") => Some(TwoPhase::Prepares(name.as_ref().into())),
        ("commit", "prepared") => Some(TwoPhase::Commits(name.as_ref().into())),
        ("rollback", "prepared") => Some(TwoPhase::Undoes(name.as_ref().into())),
        _ => None,
    }
}

/// Whether a path is the same once it has run.
pub(super) fn keeps_path(tokens: &[Token<'_>]) -> bool {
    let mut words = tokens.iter().filter_map(|token| token.kind.word());
    match words.next() {
        Some("begin" | "start" | "savepoint" | "release" | "comment" | "lock") => true,
        // Neither schemas nor anything that may run a function.
        Some("create" | "alter" | "drop") => {
            let runs = ["schema", "as", "default", "using", "check", "generated", "index", "role", "user"];
            !words.any(|word| runs.contains(&word))
        }
        _ => false,
    }
}

/// Whether it commits what another transaction has done, which no transaction block may.
pub(super) fn commits_prepared(tokens: &[Token<'_>]) -> bool {
    let mut words = tokens.iter().filter_map(|token| token.kind.word());
    (words.next(), words.next()) == (Some("commit"), Some("prepared"))
}

fn ends_transaction(words: &[&str]) -> bool {
    match words {
        ["commit" | "end" | "abort", ..] | ["prepare", "transaction", ..] => true,
        ["rollback", rest @ ..] => !rest.contains(&"to"),
        _ => false,
    }
}

/// A name with what stands before its dots.
type Chain<'t> = Vec<&'t str>;

struct Statement<'s, 't> {
    tokens: &'t [Token<'t>],
    words: &'s [&'t str],
    /// How many words stand between the first and what it is about.
    between: usize,
    what: &'t str,
    catalog: &'s Catalog,
    /// Where names without a schema stand.
    path: Schemas,
}

impl<'t> Statement<'_, 't> {
    fn says(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn changes(&self) -> Changes {
        let Some(first) = self.words.first().copied() else { return Changes::default() };
        match (first, self.what) {
            ("commit", "prepared") | ("import", _) => anything(),
            ("grant" | "revoke", _) => Changes { opens: self.grants(), ..Changes::default() },
            ("reassign", _) => Changes { opens: anybody(), ..Changes::default() },
            ("create" | "alter" | "drop", "role" | "user" | "group") => {
                // What a role's settings are, its open sessions do not learn.
                let opens = if self.says("set") || self.says("reset") { Opens::default() } else { anybody() };
                Changes { opens, ..Changes::default() }
            }
            ("select" | "with", _) if self.says("into") => self.into(),
            (
                "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release"
                | "comment" | "security" | "analyze" | "analyse" | "vacuum" | "reindex" | "cluster"
                | "refresh" | "truncate" | "lock" | "checkpoint" | "set" | "reset" | "show" | "discard"
                | "select" | "with" | "insert" | "update" | "delete" | "merge" | "values" | "table" | "copy"
                | "fetch" | "move" | "declare" | "close" | "prepare" | "execute" | "deallocate" | "listen"
                | "unlisten" | "notify",
                _,
            )
            | ("alter", "default")
            | ("create" | "alter" | "drop", "database" | "tablespace")
            // Nothing means anything by these.
            | ("drop", "index" | "statistics" | "publication" | "subscription") => Changes::default(),
            ("drop", "collation") if !self.says("cascade") => Changes::default(),
            ("create", "schema") if self.words.iter().skip(1).any(|word| *word == "create") => anything(),
            ("create" | "alter" | "drop", "schema") => self.schema(first),
            ("create", _) => self.create(),
            ("alter", _) => self.alter(),
            ("drop", _) => self.drop(),
            _ => Changes { unseen: matches!(first, "do" | "call"), ..touching(self.all(&self.anywhere())) },
        }
    }

    fn create(&self) -> Changes {
        let header = self.words.get(1..=self.between).unwrap_or_default();
        let is_temporary = header.iter().any(|word| matches!(*word, "temp" | "temporary"));
        match self.what {
            "table" | "view" | "sequence" if is_temporary => Changes::default(),
            "index" => self.index(),
            "table" | "view" | "sequence" => {
                let view = self.what == "view";
                Changes { view, ..self.relation().map_or_else(anything, touching) }
            }
            "function" | "procedure" | "aggregate" | "type" | "domain" => {
                Changes { code: true, ..self.named().map_or_else(anything, touching) }
            }
            "trigger" | "rule" | "policy" => self.on_table(),
            // Of which table they were, their DROP does not say.
            "statistics" => {
                let last = self.tokens.iter().rposition(|token| token.kind.word() == Some("from"));
                let table = last.and_then(|at| chain(self.tokens.get(at + 1..)?));
                Changes { twice: true, ..self.on(table) }
            }
            "collation" => self.named().map_or_else(anything, touching),
            "extension" | "server" => self.made_once(),
            _ => anything(),
        }
    }

    /// Writing its table computes its expressions; of which table it was, its DROP does not say.
    fn index(&self) -> Changes {
        let mut depth = 0_usize;
        let computes = self.tokens.iter().any(|token| {
            depth = match &token.kind {
                kind if kind.is_punct(b'(') => depth.saturating_add(1),
                kind if kind.is_punct(b')') => depth.saturating_sub(1),
                _ => depth,
            };
            depth > 1 || token.kind.word() == Some("where")
        });
        if !computes {
            return Changes::default();
        }
        Changes { twice: true, code_on_write: true, ..self.on(self.chain_behind("on")) }
    }

    /// A relation, and what it becomes a child of.
    fn relation(&self) -> Option<Names> {
        let mut names = self.named()?;
        let rest = |at: usize| self.tokens.get(at..).unwrap_or_default();
        for (at, token) in self.tokens.iter().enumerate().skip(1) {
            let before = self.tokens.get(at - 1).and_then(|token| token.kind.word());
            match token.kind.word() {
                Some("of") if before == Some("partition") => {
                    names.extend(self.with_relatives(&chain(rest(at + 1))?));
                }
                Some("inherits") => {
                    let list =
                        rest(at + 1).split(|token| token.kind.is_punct(b')')).next().unwrap_or_default();
                    for parent in list.split(|token| matches!(token.kind, TokenKind::Punct(b',' | b'('))) {
                        names.extend(chain(parent).map(|it| self.with_relatives(&it)).unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
        Some(names)
    }

    /// What runs with a table.
    fn on_table(&self) -> Changes {
        let word = if self.what == "rule" && self.words.first() == Some(&"create") { "to" } else { "on" };
        Changes { code: true, ..self.on(self.chain_behind(word)) }
    }

    /// What belongs to a table, if that is there.
    fn on(&self, table: Option<Chain<'_>>) -> Changes {
        let Some(table) = table else { return anything() };
        let (names, schemas) = (self.with_relatives(&table), self.schemas_of(&table));
        match table.last() {
            _ if is_own(&table) => Changes::default(),
            Some(name) if self.standing(name, &schemas).next().is_none() => {
                let hanging = Hanging { on: Names::one(name, schemas), touches: Touched::of(names) };
                Changes { hanging: vec![hanging], ..Changes::default() }
            }
            _ => touching(names),
        }
    }

    fn alter(&self) -> Changes {
        let is_relation = matches!(self.what, "table" | "view" | "sequence" | "index");
        let is_routine = matches!(self.what, "function" | "procedure" | "routine" | "aggregate");
        match self.what {
            // Of an index it says RENAME alone; but PostgreSQL takes any relation for one then.
            "index" if !self.says("rename") => Changes::default(),
            "trigger" | "rule" | "policy" => self.on_table(),
            "collation" | "statistics" => Changes::default(),
            _ if is_relation => self.moved(is_relation),
            "type" | "domain" => self.moved(is_relation),
            _ if is_routine => self.moved(is_relation),
            _ => anything(),
        }
    }

    /// What is given another name, or changed otherwise; if it is there.
    fn moved(&self, is_relation: bool) -> Changes {
        let Some(chain) = self.chain_behind(self.what) else { return anything() };
        if is_own(&chain) {
            return Changes::default();
        }
        let standing = self.schemas_of(&chain);
        let schemas = match (&standing, self.says("schema")) {
            (Some(of), true) => Some(of.union(&self.idents()).cloned().collect::<BTreeSet<_>>().into()),
            _ => standing.clone(),
        };
        let is_renamed = !is_relation || self.says("rename") || self.says("schema");
        let mut names = if is_renamed { self.all_outside(&schemas) } else { self.with_relatives(&chain) };
        for word in ["partition", "inherit"].into_iter().filter(|word| self.says(word)) {
            names.extend(self.behind(word).unwrap_or_default());
        }
        let Some(name) = chain.last() else { return anything() };
        if !self.is_there(&chain) {
            let hanging = Hanging { on: Names::one(name, standing), touches: Touched::of(names) };
            return Changes { hanging: vec![hanging], code: !is_relation, ..Changes::default() };
        }
        if self.says("cascade") {
            let mut of_name: Vec<RelationIndex> = self.standing(name, &standing).collect();
            if !is_relation {
                let columns = self.catalog.typed(None);
                columns.iter().for_each(|at| self.add(*at, &mut names));
                of_name.extend(columns);
            }
            let Some(more) = self.catalog.dropped_with(of_name, MAX_TOUCHED) else { return anything() };
            more.into_iter().for_each(|(schema, name)| names.add(name, &only(schema)));
        }
        let (code, code_on_write) = self.code_of(&names);
        Changes { code: code || !is_relation, code_on_write, ..touching(names) }
    }

    fn drop(&self) -> Changes {
        match self.what {
            "table" | "view" | "sequence" | "function" | "procedure" | "routine" | "aggregate" | "type"
            | "domain" => self.dropped(),
            "trigger" | "rule" | "policy" => {
                let Some(table) = self.chain_behind("on") else { return anything() };
                let names = self.with_relatives(&table);
                let is_one = |it: &&Relation| it.triggers.len() <= 1 && !it.writes_run_code;
                if self.what == "policy" || self.relations_of(&names).iter().all(is_one) {
                    return Changes { gone: names, ..Changes::default() };
                }
                Changes { code: true, ..touching(names) }
            }
            "collation" | "conversion" | "text" | "operator" | "cast" | "transform" | "access"
            | "language" | "data" | "server" | "extension" | "event" => self.dropped_other(),
            _ => anything(),
        }
    }

    /// What is told apart by name alone. Whoever it is, IF EXISTS lets them drop what is not there.
    fn dropped_other(&self) -> Changes {
        let name = |token: &'t Token<'t>| match &token.kind {
            TokenKind::Operator(name) => Some(*name),
            kind => kind.ident(),
        };
        let names = || self.tokens.iter().skip(1).filter_map(name);
        if self.catalog.has_other(self.what, "")
            || names().any(|name| self.catalog.has_other(self.what, name))
        {
            return anything();
        }
        let mut on = Names::default();
        names().for_each(|name| on.add(name, &None));
        anything_if(on)
    }

    /// IF NOT EXISTS lets anybody make what is there.
    fn made_once(&self) -> Changes {
        let name = self.chain_behind(self.what).and_then(|chain| chain.last().copied());
        match name.filter(|name| self.says("exists") && self.catalog.has_other(self.what, name)) {
            Some(name) => anything_if(Names::one(name, None)),
            None => anything(),
        }
    }

    fn dropped(&self) -> Changes {
        let Some(chains) = self.chains() else { return anything() };
        let mut changes = Changes::default();
        let (mut touched, mut gone) = (Names::default(), Names::default());
        let mut relations: Vec<RelationIndex> = Vec::new();
        for chain in chains.iter().filter(|chain| !is_own(chain)) {
            let (Some(name), schemas) = (chain.last(), self.schemas_of(chain)) else { continue };
            if !self.is_there(chain) {
                let names = Names::one(name, schemas);
                changes.hanging.push(Hanging { on: names.clone(), touches: Touched::of(names) });
                continue;
            }
            let names = if self.has_others(name) { &mut touched } else { &mut gone };
            chain.iter().for_each(|part| names.add(part, &schemas));
            relations.extend(self.standing(name, &schemas));
            self.family(name, &schemas, names);
        }
        if self.says("cascade") && !(touched.is_empty() && gone.is_empty()) {
            let Some(columns) = self.columns_dropped(&touched, &gone) else { return anything() };
            for at in &columns {
                // What a name meant by a column of it, it means by another table's.
                self.add(*at, &mut touched);
            }
            relations.extend(columns);
            // Functions may go with the type of a relation's rows.
            let Some(more) = self.catalog.dropped_with(relations, MAX_TOUCHED) else { return anything() };
            for (schema, name) in more {
                let names = if self.has_others(name) { &mut touched } else { &mut gone };
                names.add(name, &only(schema));
            }
        }
        let is_routine = matches!(self.what, "function" | "procedure" | "routine" | "aggregate");
        let (code, touched) = (!touched.is_empty() && is_routine, Touched::of(touched));
        Changes { code, touched, gone, ..changes }
    }

    /// Relations that may lose columns, or what runs with them, if something of these names is dropped with all that hangs
    /// on it. `None`: whichever.
    fn columns_dropped(&self, touched: &Names, gone: &Names) -> Option<Vec<RelationIndex>> {
        let names = || touched.iter().chain(gone.iter());
        match self.what {
            // Of types that others are made of, too.
            "type" | "domain" => {
                let mut all = self.catalog.typed(None);
                names().for_each(|name| all.extend(self.catalog.saying(name)));
                Some(all)
            }
            "table" | "view" => {
                let types: Vec<u32> =
                    names().flat_map(|name| self.catalog.types_of(name)).filter(|of| *of != 0).collect();
                Some(self.catalog.typed(Some(&types)))
            }
            "function" | "procedure" | "routine" | "aggregate" => {
                Some(names().flat_map(|name| self.catalog.saying(name)).collect())
            }
            "sequence" => Some(Vec::new()),
            _ => None,
        }
    }

    fn add(&self, at: RelationIndex, names: &mut Names) {
        if let Some(relation) = self.catalog.relation(at) {
            names.add(&relation.name.0.name, &only(&relation.name.0.schema));
        }
    }

    fn schema(&self, first: &str) -> Changes {
        let opens = Opens { any: false, schemas: self.idents() };
        if first == "create" || (first == "drop" && !self.says("cascade")) {
            // An empty one means nothing to anybody.
            return Changes { opens, ..Changes::default() };
        }
        let schemas: Schemas = Some(self.idents().into());
        let mut all = Names::default();
        for schema in &opens.schemas {
            let names = self.catalog.names_in(schema).take(MAX_TOUCHED + 1);
            names.for_each(|name| all.add(name, &schemas));
        }
        if self.says("cascade") && !all.is_empty() {
            let mut gone = self.catalog.typed(None);
            for name in all.iter().filter(|name| !self.catalog.routines(name).is_empty()) {
                gone.extend(self.catalog.saying(name));
            }
            gone.extend(self.relations_at(&all));
            gone.iter().for_each(|at| self.add(*at, &mut all));
            let Some(more) = self.catalog.dropped_with(gone, MAX_TOUCHED) else { return anything() };
            more.into_iter().for_each(|(schema, name)| all.add(name, &only(schema)));
        }
        let (code, code_on_write) = self.code_of(&all);
        let code = code || all.iter().any(|name| !self.catalog.routines(name).is_empty());
        Changes { code, code_on_write, opens, ..touching(all) }
    }

    /// GRANT of a role, or of what a path hangs on.
    fn grants(&self) -> Opens {
        match self.says("on") {
            false => anybody(),
            true if self.says("schema") => Opens { any: false, schemas: self.idents() },
            true => Opens::default(),
        }
    }

    /// SELECT … INTO: nobody says which of several that is.
    fn into(&self) -> Changes {
        let mut all = Changes::default();
        for (at, _) in self.tokens.iter().enumerate().filter(|(_, token)| token.kind.word() == Some("into")) {
            let mut rest = self.tokens.get(at + 1..).unwrap_or_default();
            let mut is_temporary = false;
            // Each may also be the table's own name.
            while let [word, name, ..] = rest
                && let Some(said @ ("temp" | "temporary" | "local" | "global" | "unlogged" | "table")) =
                    word.kind.word()
                && name.kind.ident().is_some()
                && (said == "table"
                    || !name.kind.word().is_some_and(is_reserved)
                    || name.kind.word() == Some("table"))
            {
                is_temporary |= matches!(said, "temp" | "temporary");
                rest = rest.get(1..).unwrap_or_default();
            }
            match chain(rest) {
                _ if is_temporary => {}
                Some(chain) => all.add(touching(self.with_relatives(&chain))),
                None => return anything(),
            }
        }
        all
    }

    /// The name of what is made.
    fn named(&self) -> Option<Names> {
        let chain = self.chain_behind(self.what)?;
        Some(if is_own(&chain) { Names::default() } else { self.with_relatives(&chain) })
    }

    fn behind(&self, word: &str) -> Option<Names> {
        self.chain_behind(word).map(|chain| self.with_relatives(&chain))
    }

    fn chain_behind(&self, word: &str) -> Option<Chain<'t>> {
        let at = self.tokens.iter().position(|token| token.kind.word() == Some(word))?;
        chain(self.tokens.get(at + 1..)?)
    }

    /// The names of a list, without what stands in parentheses behind each. `None`: it is none.
    fn chains(&self) -> Option<Vec<Chain<'t>>> {
        let at = self.tokens.iter().position(|token| token.kind.word() == Some(self.what))?;
        let (mut all, mut depth, mut begins) = (Vec::new(), 0_usize, true);
        let rest = self.tokens.get(at + 1..)?;
        for (at, token) in rest.iter().enumerate() {
            match &token.kind {
                kind if kind.is_punct(b'(') => depth = depth.saturating_add(1),
                kind if kind.is_punct(b')') => depth = depth.checked_sub(1)?,
                kind if kind.is_punct(b',') && depth == 0 => begins = true,
                _ if begins => {
                    all.push(chain(rest.get(at..)?)?);
                    begins = false;
                }
                _ => {}
            }
        }
        (!begins).then_some(all)
    }

    fn schemas_of(&self, chain: &Chain<'_>) -> Schemas {
        match chain.as_slice() {
            [.., schema, _] => only(schema),
            _ => self.path.clone(),
        }
    }

    /// All that may be a schema in it, and the path's.
    fn anywhere(&self) -> Schemas {
        let path = self.path.as_ref()?;
        Some(path.union(&self.idents()).cloned().collect::<BTreeSet<_>>().into())
    }

    fn idents(&self) -> BTreeSet<Box<str>> {
        self.tokens.iter().skip(1).filter_map(|token| token.kind.ident()).map(Box::from).collect()
    }

    /// Whether the catalog has it.
    fn is_there(&self, chain: &Chain<'_>) -> bool {
        let (Some(name), schemas) = (chain.last(), self.schemas_of(chain)) else { return true };
        let is_in = |schema: &str| schemas.as_ref().is_none_or(|of| of.contains(schema));
        let has_relation = || self.standing(name, &schemas).next().is_some();
        match self.what {
            "function" | "procedure" | "routine" | "aggregate" => {
                let server = is_in("pg_catalog") && self.catalog.is_server_function(name);
                server || self.catalog.routines(name).iter().any(|(schema, _)| is_in(schema))
            }
            "type" | "domain" => {
                has_relation() || self.catalog.user_types(name).iter().any(|of| is_in(&of.schema))
            }
            _ => has_relation(),
        }
    }

    /// Whether something else may have that name that is dropped, wherever it stands.
    fn has_others(&self, name: &str) -> bool {
        let catalog = self.catalog;
        let routines = catalog.routines(name).len() + usize::from(catalog.is_server_function(name));
        let types = catalog.user_types(name).iter().filter(|of| !is_temporary(&of.schema)).count();
        let relations = self.standing(name, &None).count();
        // A relation's rows have a type of its name.
        routines + types.max(relations) > 1
    }

    /// Relations of that name in such schemas: what happens to a session's temporary ones is its own affair.
    fn standing<'s>(&'s self, name: &str, schemas: &'s Schemas) -> impl Iterator<Item = RelationIndex> + 's {
        let is_in =
            |schema: &str| !is_temporary(schema) && schemas.as_ref().is_none_or(|of| of.contains(schema));
        let standing =
            move |at: &RelationIndex| self.catalog.relation(*at).is_some_and(|it| is_in(&it.name.0.schema));
        self.catalog.of_name(name).filter(standing).collect::<Vec<_>>().into_iter()
    }

    /// Names of ancestors and descendants, which change with it.
    fn family(&self, name: &str, schemas: &Schemas, names: &mut Names) {
        for relation in self.standing(name, schemas).filter_map(|at| self.catalog.relation(at)) {
            let family = relation.family.iter().filter_map(|at| self.catalog.relation(*at));
            family.for_each(|it| names.add(&it.name.0.name, &only(&it.name.0.schema)));
        }
    }

    fn with_relatives(&self, chain: &Chain<'_>) -> Names {
        let (Some(name), schemas) = (chain.last(), self.schemas_of(chain)) else { return Names::default() };
        let mut names = Names::one(name, schemas.clone());
        self.family(name, &schemas, &mut names);
        names
    }

    /// All names in it that are no words of the grammar.
    fn all(&self, schemas: &Schemas) -> Names {
        self.all_of(self.tokens.iter().skip(1), schemas)
    }

    /// The same without what stands in parentheses: what a function is given.
    fn all_outside(&self, schemas: &Schemas) -> Names {
        let mut depth = 0_usize;
        let outside = self.tokens.iter().skip(1).filter(|token| {
            match &token.kind {
                kind if kind.is_punct(b'(') => depth = depth.saturating_add(1),
                kind if kind.is_punct(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        self.all_of(outside, schemas)
    }

    fn all_of<'a>(&self, tokens: impl Iterator<Item = &'a Token<'a>>, schemas: &Schemas) -> Names {
        let is_name = |token: &&Token<'_>| !token.kind.word().is_some_and(is_reserved);
        let mut names = Names::default();
        for name in tokens.filter(is_name).filter_map(|token| token.kind.ident()) {
            names.add(name, schemas);
            self.family(name, schemas, &mut names);
        }
        names
    }

    /// Whether what has such a name runs code when it is read, and when it is written.
    fn code_of(&self, names: &Names) -> (bool, bool) {
        let relations = self.relations_of(names);
        let read = relations.iter().any(|it| it.doubtful || !it.on_show.is_empty() || !it.on_read.is_empty());
        (read, relations.iter().any(|it| it.runs_code() || !it.on_check.is_empty()))
    }

    fn relations_at(&self, names: &Names) -> Vec<RelationIndex> {
        names.with_schemas().flat_map(|(name, schemas)| self.standing(name, schemas)).collect()
    }

    fn relations_of(&self, names: &Names) -> Vec<&Relation> {
        self.relations_at(names).into_iter().filter_map(|at| self.catalog.relation(at)).collect()
    }
}

/// The name at the beginning of these, with what stands before its dots.
fn chain<'t>(tokens: &'t [Token<'t>]) -> Option<Chain<'t>> {
    let says = |at: usize, word: &str| tokens.get(at).and_then(|token| token.kind.word()) == Some(word);
    let mut at = usize::from(says(0, "concurrently"));
    at += match (says(at, "if"), says(at + 1, "not"), says(at + 1, "exists")) {
        (true, true, _) => 3,
        (true, _, true) => 2,
        _ => 0,
    };
    at += usize::from(says(at, "only"));
    let mut rest = tokens.get(at..)?.iter().peekable();
    let mut chain = Vec::new();
    while let Some(part) = rest.next().and_then(|token| token.kind.ident()) {
        chain.push(part);
        if rest.next_if(|token| token.kind.is_punct(b'.')).is_none() {
            break;
        }
    }
    (!chain.is_empty()).then_some(chain)
}

/// Whether it stands in the session's own temporary schema: what happens to that is its own affair.
fn is_own(chain: &Chain<'_>) -> bool {
    matches!(chain.as_slice(), [.., schema, _] if is_temporary(schema))
}

fn is_temporary(schema: &str) -> bool {
    schema.starts_with("pg_temp")
}

fn touching(names: Names) -> Changes {
    Changes { touched: Touched::of(names), ..Changes::default() }
}

fn anything() -> Changes {
    Changes { touched: Touched::Anything, code: true, ..Changes::default() }
}

/// Anything, if somebody makes or drops something of such a name.
fn anything_if(on: Names) -> Changes {
    let hanging = vec![Hanging { on, touches: Touched::Anything }];
    Changes { hanging, code: true, ..Changes::default() }
}

fn anybody() -> Opens {
    Opens { any: true, ..Opens::default() }
}
