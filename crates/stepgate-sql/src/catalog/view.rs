//! What a view reads: pg_depend's record of the columns it names, and the words of its definition.
//!
//! pg_depend alone is not enough: it does not record columns of whole rows, nor anything of pg_catalog
//! (`src/backend/catalog/dependency.c`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::routine::Body;
use super::{Catalog, ColumnRef, RelationIndex, RelationKind};
use crate::builtin;
use crate::lexer::{self, Numbers, TokenKind};
use crate::walk::{self, ViewColumn, ViewColumns};

/// Views upon views deeper than this are doubtful. The server has no such limit, people have.
const MAX_DEPTH: usize = 64;

/// One view, as the catalog describes it.
pub(super) struct View {
    definition: Arc<str>,
    depends: Vec<(RelationIndex, i32)>,
    /// Identifiers of the definition.
    words: HashSet<String>,
    /// Functions of somebody's own that it calls, and checks of types.
    code: Vec<Arc<Body>>,
    /// The definition names a whole row (`p.*`; stars of a select list are stored expanded).
    whole_rows: bool,
    doubtful: bool,
}

/// What a view reads, views seen through.
#[derive(Default, Clone)]
pub(super) struct Seen {
    pub(super) columns: BTreeSet<ColumnRef>,
    pub(super) relations: BTreeSet<RelationIndex>,
    pub(super) code: Vec<Arc<Body>>,
    pub(super) doubtful: bool,
}

impl View {
    /// `definition` is `pg_get_viewdef` under `search_path = pg_catalog`: all names outside are qualified. Empty: it
    /// could not be read.
    pub(super) fn new(definition: Arc<str>, depends: Vec<(RelationIndex, i32)>, catalog: &Catalog) -> Self {
        let mut view = Self {
            definition: Arc::clone(&definition),
            depends,
            words: HashSet::new(),
            code: Vec::new(),
            whole_rows: false,
            doubtful: false,
        };
        let Some(tokens) =
            lexer::tokens(&definition, Numbers::Decimal).ok().filter(|tokens| !tokens.is_empty())
        else {
            view.doubtful = true;
            view.whole_rows = true;
            return view;
        };
        let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
        for at in 0..tokens.len() {
            let after_dot = at > 0 && kind(at - 1).is_some_and(|kind| kind.is_punct(b'.'));
            let before_paren = kind(at + 1).is_some_and(|kind| kind.is_punct(b'('));
            match kind(at) {
                Some(TokenKind::Operator("*")) if after_dot => view.whole_rows = true,
                Some(TokenKind::Word(word) | TokenKind::Quoted(word)) => {
                    let schema = at.checked_sub(2).and_then(kind).and_then(TokenKind::ident);
                    if before_paren && after_dot {
                        let named =
                            catalog.routines(word).iter().filter(|(of, _)| Some(of.as_str()) == schema);
                        let code: Vec<_> = named.map(|(_, routine)| routine.code.as_ref()).collect();
                        view.runs((!code.is_empty()).then_some(code));
                    } else if before_paren && !names_cte(&tokens, at) {
                        view.doubtful |=
                            !(builtin::may_precede_paren(word) || catalog.is_pure_function(word));
                    }
                    // A type, of a cast or of a column that a function of FROM returns; what only has its name counts too.
                    let types = catalog.user_types(word).iter();
                    let types = types.map(|it| it.runs.as_ref().and_then(|it| it.code.as_ref()));
                    view.runs(Some(types.collect()));
                    // A qualified operator, or a relation of the server that is not harmless.
                    view.doubtful |= word == "operator" && before_paren;
                    view.doubtful |= word == "information_schema";
                    view.doubtful |= catalog.find("pg_catalog", word).is_some()
                        && (!builtin::harmless_relation(word) || !builtin::secret_columns(word).is_empty());
                    view.words.insert(word.to_string());
                }
                _ => {}
            }
        }
        view
    }

    /// Notes code that it runs; a doubt where that is not known.
    fn runs(&mut self, code: Option<Vec<Option<&Vec<Arc<Body>>>>>) {
        match code.and_then(|code| code.into_iter().collect::<Option<Vec<_>>>()) {
            Some(code) => self.code.extend(code.into_iter().flatten().cloned()),
            None => self.doubtful = true,
        }
    }
}

/// Whether the word there is the name of a CTE with a list of columns, and not a call: `name (a, b) AS (SELECT`.
fn names_cte(tokens: &[lexer::Token<'_>], at: usize) -> bool {
    let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
    let word = |at: usize| kind(at).and_then(TokenKind::word);
    let mut end = at + 2;
    while kind(end).is_some_and(|it| it.ident().is_some())
        && kind(end + 1).is_some_and(|it| it.is_punct(b','))
    {
        end += 2;
    }
    // A column list after a function's alias names types where the query begins here, and quotes keywords.
    let opens = kind(end + 1).is_some_and(|it| it.is_punct(b')'))
        && word(end + 2) == Some("as")
        && kind(end + 3).is_some_and(|it| it.is_punct(b'('));
    opens && matches!(word(end + 4), Some("select" | "values" | "with"))
}

/// What each view reads in the end.
pub(super) fn see_through(
    views: &HashMap<RelationIndex, View>,
    catalog: &Catalog,
) -> HashMap<RelationIndex, Seen> {
    let mut seen = HashMap::new();
    for view in views.keys() {
        see(*view, views, catalog, &mut seen, 0);
    }
    seen
}

fn see(
    at: RelationIndex,
    views: &HashMap<RelationIndex, View>,
    catalog: &Catalog,
    done: &mut HashMap<RelationIndex, Seen>,
    depth: usize,
) -> Seen {
    if let Some(seen) = done.get(&at) {
        return seen.clone();
    }
    let Some(view) = views.get(&at).filter(|_| depth < MAX_DEPTH) else {
        return Seen { doubtful: true, ..Seen::default() };
    };
    let mut seen = Seen { doubtful: view.doubtful, code: view.code.clone(), ..Seen::default() };
    for (on, attnum) in &view.depends {
        let Some(relation) = catalog.relation(*on) else { continue };
        if relation.kind == RelationKind::View && !relation.is_system() {
            let below = see(*on, views, catalog, done, depth + 1);
            seen.columns.extend(below.columns);
            seen.relations.extend(below.relations);
            seen.code.extend(below.code);
            seen.doubtful |= below.doubtful;
        } else if relation.is_base() {
            seen.relations.insert(*on);
            if relation.kind == RelationKind::MaterialisedView {
                let below = see(*on, views, catalog, done, depth + 1);
                seen.doubtful |= below.doubtful;
                seen.code.extend(below.code);
            }
            for (position, column) in relation.columns.iter().enumerate() {
                if view.whole_rows || column.number == *attnum || view.words.contains(&column.name) {
                    seen.columns.insert((*on, position));
                }
            }
        }
    }
    done.insert(at, seen.clone());
    seen
}

/// Tells the columns of views apart, where that is certain.
pub(super) fn split(views: &HashMap<RelationIndex, View>, catalog: &mut Catalog) {
    let mut done = HashSet::new();
    for view in views.keys() {
        split_one(*view, views, catalog, &mut done, 0);
    }
}

/// What a view is made from comes first: what that reads besides, this one reads too.
fn split_one(
    at: RelationIndex,
    views: &HashMap<RelationIndex, View>,
    catalog: &mut Catalog,
    done: &mut HashSet<RelationIndex>,
    depth: usize,
) {
    let Some(view) = views.get(&at).filter(|_| depth < MAX_DEPTH) else { return };
    if !done.insert(at) {
        return;
    }
    for (on, _) in &view.depends {
        split_one(*on, views, catalog, done, depth + 1);
    }
    let Some(columns) = walk::view(&view.definition, catalog).filter(|it| view.is_covered(it, catalog))
    else {
        return;
    };
    let Some(relation) = catalog.relations.get_mut(at) else { return };
    if relation.columns.len() != columns.each.len() {
        return;
    }
    for (column, ViewColumn { reads, compared, bare }) in relation.columns.iter_mut().zip(columns.each) {
        column.shows = reads.first().copied().filter(|_| bare && reads.len() == 1);
        column.reads = reads;
        column.compared = compared;
    }
    relation.reads = columns.always;
    relation.compared = columns.compared;
    relation.split = true;
}

impl View {
    /// Whether every column that pg_depend says the definition names was found in it.
    fn is_covered(&self, found: &ViewColumns, catalog: &Catalog) -> bool {
        let all: HashSet<&ColumnRef> =
            found.each.iter().flat_map(|it| &it.reads).chain(&found.always).collect();
        let is_found = |(on, attnum): &(RelationIndex, i32)| {
            let Some(relation) = catalog.relation(*on) else { return false };
            let position = relation.columns.iter().position(|column| column.number == *attnum);
            *attnum == 0
                || relation.is_system()
                || position.is_some_and(|position| all.contains(&(*on, position)))
        };
        !self.whole_rows && self.depends.iter().all(is_found)
    }
}
