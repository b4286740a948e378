//! What a view reads: pg_depend's record of the columns it names, and the words of its definition.
//!
//! pg_depend alone is not enough: it does not record columns of whole rows, nor anything of pg_catalog
//! (`src/backend/catalog/dependency.c`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::routine::{Body, Gathered};
use super::{Catalog, ColumnRef, RelationIndex, RelationKind, pinned};
use crate::builtin;
use crate::lexer::{self, Numbers, TokenKind};
use crate::walk::{self, ViewColumn, ViewColumns};

/// Views upon views deeper than this are doubtful. The server has no such limit, people have.
const MAX_DEPTH: usize = 64;

/// How much may be taken over from view to view in all: each may name all others. What is left then is doubtful, or not
/// told column by column.
const MAX_TAKEN: usize = 10_000_000;

/// One view, as the catalog describes it.
pub(super) struct View {
    definition: Arc<str>,
    depends: Vec<(RelationIndex, i32)>,
    is_barrier: bool,
    /// Identifiers of the definition.
    words: HashSet<String>,
    /// Functions of somebody's own that it calls, and checks of types.
    code: Gathered,
    /// The definition names a whole row (`p.*`; stars of a select list are stored expanded).
    whole_rows: bool,
    /// It locks rows.
    locks: bool,
    doubtful: bool,
}

/// What a view reads, views seen through.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) columns: BTreeSet<ColumnRef>,
    pub(super) relations: BTreeSet<RelationIndex>,
    /// Those views that it names itself.
    pub(super) views: Vec<RelationIndex>,
    pub(super) code: Gathered,
    pub(super) of_session: BTreeSet<&'static str>,
    pub(super) locks: bool,
    pub(super) doubtful: bool,
}

impl View {
    /// `definition` is `pg_get_viewdef` under `search_path = pg_catalog`: all names outside are qualified. Empty: it
    /// could not be read. `is_barrier`: it has that option.
    pub(super) fn new(
        definition: Arc<str>,
        depends: Vec<(RelationIndex, i32)>,
        is_barrier: bool,
        catalog: &Catalog,
    ) -> Self {
        let mut view = Self {
            definition: Arc::clone(&definition),
            depends,
            is_barrier,
            words: HashSet::new(),
            code: Gathered::default(),
            whole_rows: false,
            locks: false,
            doubtful: false,
        };
        let Some(tokens) =
            lexer::tokens(&definition, Numbers::Decimal).ok().filter(|tokens| !tokens.is_empty())
        else {
            (view.doubtful, view.whole_rows, view.locks) = (true, true, true);
            return view;
        };
        let kind = |at: usize| tokens.get(at).map(|token| &token.kind);
        let mut has_secrets = false;
        for at in 0..tokens.len() {
            let after_dot = at > 0 && kind(at - 1).is_some_and(|kind| kind.is_punct(b'.'));
            let before_paren = kind(at + 1).is_some_and(|kind| kind.is_punct(b'('));
            match kind(at) {
                Some(TokenKind::Operator("*")) if after_dot => view.whole_rows = true,
                Some(TokenKind::Word(word) | TokenKind::Quoted(word)) => {
                    // `FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`, `FOR KEY SHARE`.
                    let next = kind(at + 1).and_then(TokenKind::word);
                    view.locks |= word == "for" && matches!(next, Some("update" | "no" | "share" | "key"));
                    let schema = at.checked_sub(2).and_then(kind).and_then(TokenKind::ident);
                    if before_paren && after_dot {
                        let named =
                            catalog.routines(word).iter().filter(|(of, _)| Some(of.as_str()) == schema);
                        let code: Vec<_> = named.map(|(_, routine)| routine.code.as_ref()).collect();
                        view.runs((!code.is_empty()).then_some(code));
                    }
                    view.doubtful |= !pinned::names_harmless(&tokens, at, catalog);
                    // A type, of a cast or of a column that a function of FROM returns; what only has its name counts too.
                    let types = catalog.user_types(word).iter();
                    let types = types.map(|it| it.runs.as_ref().and_then(|it| it.code.as_ref()));
                    view.runs(Some(types.collect()));
                    // A qualified operator.
                    view.doubtful |= word == "operator" && before_paren;
                    has_secrets |= pinned::has_secrets(word, catalog);
                    view.words.insert(word.to_string());
                }
                _ => {}
            }
        }
        // pg_depend has nothing of pg_catalog: which columns it names, only its text tells.
        view.doubtful |= has_secrets && walk::view(&definition, catalog).is_none_or(|it| it.shows_secrets);
        view
    }

    /// Notes code that it runs; a doubt where that is not known.
    fn runs(&mut self, code: Option<Vec<Option<&Vec<Arc<Body>>>>>) {
        match code.and_then(|code| code.into_iter().collect::<Option<Vec<_>>>()) {
            Some(code) => self.code.add(code.into_iter().flatten()),
            None => self.doubtful = true,
        }
    }
}

/// What each view reads in the end.
pub(super) fn see_through(
    views: &HashMap<RelationIndex, View>,
    catalog: &Catalog,
) -> HashMap<RelationIndex, Rc<Seen>> {
    let mut seeing = Seeing { views, catalog, done: HashMap::new(), room: MAX_TAKEN };
    // Always in the same order, so that the same ones are doubtful.
    let each: BTreeSet<_> = views.keys().collect();
    for view in each {
        seeing.see(*view, 0);
    }
    seeing.done
}

/// Views being seen through.
struct Seeing<'a> {
    views: &'a HashMap<RelationIndex, View>,
    catalog: &'a Catalog,
    done: HashMap<RelationIndex, Rc<Seen>>,
    /// What may be taken over yet.
    room: usize,
}

impl Seeing<'_> {
    fn see(&mut self, at: RelationIndex, depth: usize) -> Rc<Seen> {
        if let Some(seen) = self.done.get(&at) {
            return Rc::clone(seen);
        }
        let Some(view) = self.views.get(&at).filter(|_| depth < MAX_DEPTH) else {
            return Rc::new(Seen { doubtful: true, ..Seen::default() });
        };
        let (doubtful, locks) = (view.doubtful, view.locks);
        let mut seen = Seen { doubtful, locks, code: view.code.clone(), ..Seen::default() };
        seen.of_session.extend(view.words.iter().filter_map(|word| builtin::of_session(word)));
        // A row for each column of what it names: each of these is looked at once.
        for (on, numbers) in view.beneath() {
            let Some(relation) = self.catalog.relation(on) else { continue };
            let is_view = relation.kind == RelationKind::View && !relation.is_system();
            seen.views.extend(is_view.then_some(on));
            let is_filled = relation.kind == RelationKind::MaterialisedView && relation.is_base();
            if is_view || is_filled {
                let below = self.see(on, depth + 1);
                let takes = self.takes(&below);
                seen.doubtful |= below.doubtful || !takes;
                seen.code.add(below.code.bodies());
                if is_view && takes {
                    seen.columns.extend(&below.columns);
                    seen.relations.extend(&below.relations);
                    seen.of_session.extend(&below.of_session);
                    seen.locks |= below.locks;
                }
            }
            if relation.is_base() {
                seen.relations.insert(on);
                seen.columns.extend(&relation.apart);
                if view.words.contains("tableoid") {
                    seen.columns.extend(&relation.parts);
                }
                for (position, column) in relation.columns.iter().enumerate() {
                    let is_named = numbers.contains(&column.number) || view.words.contains(&column.name);
                    if view.whole_rows || is_named {
                        seen.columns.insert((on, position));
                    }
                }
            }
        }
        let seen = Rc::new(seen);
        self.done.insert(at, Rc::clone(&seen));
        seen
    }

    /// Whether there is room for all of that.
    fn takes(&mut self, below: &Seen) -> bool {
        let size = below.columns.len() + below.relations.len() + below.code.bodies().len();
        let left = self.room.checked_sub(size);
        self.room = left.unwrap_or(0);
        left.is_some()
    }
}

/// Tells the columns of views apart, where that is certain.
pub(super) fn split(views: &HashMap<RelationIndex, View>, catalog: &mut Catalog) {
    let mut done = HashSet::new();
    let mut room = MAX_TAKEN;
    let each: BTreeSet<_> = views.keys().collect();
    for view in each {
        split_one(*view, views, catalog, &mut done, &mut room, 0);
    }
}

/// What a view is made from comes first: what that reads besides, this one reads too.
fn split_one(
    at: RelationIndex,
    views: &HashMap<RelationIndex, View>,
    catalog: &mut Catalog,
    done: &mut HashSet<RelationIndex>,
    room: &mut usize,
    depth: usize,
) {
    let Some(view) = views.get(&at).filter(|_| depth < MAX_DEPTH) else { return };
    if !done.insert(at) {
        return;
    }
    for (on, _) in view.beneath() {
        split_one(on, views, catalog, done, room, depth + 1);
    }
    let columns = Some(&view.definition).filter(|_| *room > 0).and_then(|it| walk::view(it, catalog));
    let Some(columns) = columns.filter(|it| view.is_covered(it, catalog)) else {
        return take_rows(at, view, catalog, room);
    };
    // What one reads besides what it shows, whoever is made from it has, too.
    *room = room.saturating_sub(columns.size());
    let Some(relation) = catalog.relations.get_mut(at) else { return };
    if relation.columns.len() != columns.each.len() {
        return take_rows(at, view, catalog, room);
    }
    for (column, ViewColumn { reads, compared, bare }) in relation.columns.iter_mut().zip(columns.each) {
        column.shows = reads.first().copied().filter(|_| bare && reads.len() == 1);
        column.reads = reads;
        column.compared = compared;
    }
    relation.reads = columns.always;
    relation.compared = columns.compared;
    relation.split = true;
    relation.merged = columns.merges && !view.is_barrier;
}

/// Which rows a view has of which only the whole is told hangs on what those beneath it hang on, materialised ones among them.
fn take_rows(at: RelationIndex, view: &View, catalog: &mut Catalog, room: &mut usize) {
    let beneath = view.beneath().into_keys().filter_map(|on| catalog.relation(on));
    let views = beneath.filter(|it| matches!(it.kind, RelationKind::View | RelationKind::MaterialisedView));
    let mut reads: BTreeSet<ColumnRef> = views.flat_map(|it| &it.reads).copied().collect();
    let left = room.checked_sub(reads.len());
    *room = left.unwrap_or(0);
    let Some(relation) = catalog.relations.get_mut(at) else { return };
    relation.doubtful |= left.is_none();
    reads.extend(&relation.reads);
    relation.reads = reads.into_iter().collect();
}

impl View {
    /// What it names, as pg_depend has it: each relation once, with the numbers of its columns.
    fn beneath(&self) -> BTreeMap<RelationIndex, HashSet<i32>> {
        let mut beneath: BTreeMap<RelationIndex, HashSet<i32>> = BTreeMap::new();
        for (on, number) in &self.depends {
            beneath.entry(*on).or_default().insert(*number);
        }
        beneath
    }

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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use stepgate_testkit::Cluster;

    use super::super::{CATALOG_QUERIES, Rows};
    use super::*;

    /// What the server answers now, with marks that are in no text of these tests.
    fn read(cluster: &Cluster) -> Catalog {
        let answers = CATALOG_QUERIES.iter().map(|query| {
            let sql = format!("set search_path = pg_catalog; {}", query.sql);
            let output = cluster
                .psql_command("shop")
                .args(["-qAt", "-F", "\u{1f}", "-R", "\u{1e}", "-P", "null=\u{1d}", "-c", &sql])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\u{1e}').unwrap_or(text);
            let value = |value: &str| (value != "\u{1d}").then(|| value.to_owned());
            let rows = text.split('\u{1e}').filter(|row| !row.is_empty());
            let rows: Rows = rows.map(|row| row.split('\u{1f}').map(value).collect::<Vec<_>>()).collect();
            (query.name, rows)
        });
        Catalog::from_rows(&answers.collect::<Vec<_>>()).unwrap()
    }

    fn shop(schema: &str) -> Catalog {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        cluster.load("shop", schema).unwrap();
        read(&cluster)
    }

    fn view<'c>(catalog: &'c Catalog, name: &str) -> &'c super::super::Relation {
        catalog.relation(catalog.find("public", name).unwrap()).unwrap()
    }

    /// A chain of them was read once for each column of each: as often as columns to the power of its length.
    #[test]
    fn views_upon_views_of_many_columns_take_over_what_is_beneath_them_once() {
        let columns: Vec<String> = (0..100).map(|at| format!("c{at}")).collect();
        let made: Vec<String> = columns.iter().map(|column| format!("f(t.id) as {column}")).collect();
        let mut schema = format!(
            "create table t (id int, secret text);
             create function f(n int) returns text language sql as 'select secret from public.t where id = $1';
             create view v0 as select {} from t;",
            made.join(", ")
        );
        for at in 1..64 {
            let _ = write!(schema, "create view v{at} as select {} from v{};", columns.join(", "), at - 1);
        }
        // And each of some with all that came before it.
        schema.push_str("create view w0 as select c0 as c from v0;");
        for at in 1..40 {
            let all: Vec<String> = (0..at).map(|below| format!("w{below}")).collect();
            let _ = write!(schema, "create view w{at} as select w0.c from {};", all.join(", "));
        }
        let catalog = shop(&schema);
        for name in (0..64).map(|at| format!("v{at}")).chain((0..40).map(|at| format!("w{at}"))) {
            let view = view(&catalog, &name);
            assert_eq!(view.on_show.len(), 1, "{name}");
            assert!(!view.doubtful, "{name}");
            assert!(view.reads.len() <= 2 * 100, "{name}: {}", view.reads.len());
            assert_eq!(view.reads_relations.len(), 1, "{name}");
        }
    }

    /// What a type checks, all types have that are made of it.
    #[test]
    fn of_more_code_than_anybody_reads_nothing_is_known() {
        let mut schema =
            String::from("create function f(t text) returns boolean language sql as 'select true';");
        for at in 0..600 {
            let _ = write!(schema, "create domain d{at} as text check (f(value));");
        }
        let fields: Vec<String> = (0..600).map(|at| format!("c{at} d{at}")).collect();
        let _ =
            write!(schema, "create table wide ({}); create table narrow (c d0, d d0[]);", fields.join(", "));
        let catalog = shop(&schema);
        let wide = view(&catalog, "wide");
        assert_eq!((wide.on_check.len(), wide.on_read.len(), wide.on_literal.len()), (1, 1, 1));
        assert_eq!(wide.on_check[0].text, "?");
        assert_eq!(view(&catalog, "narrow").on_check.len(), 1);
    }
}
