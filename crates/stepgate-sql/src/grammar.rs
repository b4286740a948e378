//! PostgreSQL's own reading of the same bytes: its scanner and grammar, as libpg_query carries them
//! (PostgreSQL 18), independent of our lexer and of sqlparser.
//!
//! Two statements have the same [`outline`] if they name the same relations, columns, functions, types,
//! operators and stars in the same places of the same tree; literals, and what only restricts (ONLY, a lock's
//! strength, a frame, SYMMETRIC), are not part of it.

mod json;
mod said;

use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::RangeVar;
use pg_raw_parse::raw::{A_Expr_Kind, AlterTableType, SubLinkType};
use pg_raw_parse::walk::{Recurse, walk_manual};
use pg_raw_parse::{ConstValue, Node, ParseResult};

use self::said::Step;
use crate::facts::Named;
use crate::lexer::Unreadable;
use crate::marker;

/// A message as PostgreSQL's grammar reads it.
pub(crate) struct Tree(ParseResult);

/// One statement of a message.
#[derive(Clone, Copy)]
pub(crate) struct Command<'t> {
    pub(crate) node: Node<'t>,
    /// Byte offset at which its text, blanks before it included, begins.
    pub(crate) from: usize,
    /// And ends; the last one's at the end of the message.
    pub(crate) to: usize,
}

impl Tree {
    /// Reads a message. The error says nothing of the text.
    pub(crate) fn parse(sql: &str) -> Result<Self, Unreadable> {
        // A panic in the binding, on a node that it does not know, must not end the connection's task.
        catch_unwind(|| pg_raw_parse::parse(sql)).map_err(|_| "misread")?.map(Self).map_err(|_| "syntax")
    }

    /// Its statements, in order.
    pub(crate) fn commands(&self) -> Vec<Command<'_>> {
        let offset = |at: i32| usize::try_from(at).unwrap_or(0);
        self.0
            .iter()
            .map(|raw| {
                let from = offset(raw.stmt_location);
                // Length 0 is "the rest of the text" (parsenodes.h, RawStmt).
                let to = if raw.stmt_len == 0 { usize::MAX } else { from + offset(raw.stmt_len) };
                Command { node: raw.stmt(), from, to }
            })
            .collect()
    }
}

/// The query or DML statement that a statement is, or runs, explains, stores or copies.
pub(crate) fn query(node: Node<'_>) -> Option<Node<'_>> {
    match node {
        Node::SelectStmt(_)
        | Node::InsertStmt(_)
        | Node::UpdateStmt(_)
        | Node::DeleteStmt(_)
        | Node::MergeStmt(_) => Some(node),
        Node::ExplainStmt(it) => query(it.query()),
        Node::PrepareStmt(it) => query(it.query()),
        Node::DeclareCursorStmt(it) => query(it.query()),
        Node::CreateTableAsStmt(it) => query(it.query()),
        Node::ViewStmt(it) => query(it.query()),
        Node::CopyStmt(it) => query(it.query()),
        _ => None,
    }
}

/// The prepared statement or cursor by whose name a statement runs something.
pub(crate) fn goes_on_with(node: Node<'_>) -> Option<Named> {
    let name = |name: Option<&str>| name.map(str::to_owned);
    let current = |condition: Node<'_>| match condition {
        Node::CurrentOfExpr(it) => name(it.cursor_name()).map(Named::Cursor),
        _ => None,
    };
    match node {
        Node::UpdateStmt(it) => current(it.where_clause()),
        Node::DeleteStmt(it) => current(it.where_clause()),
        Node::PrepareStmt(it) => goes_on_with(it.query()),
        Node::ExecuteStmt(it) => name(it.name()).map(Named::Statement),
        Node::FetchStmt(it) => name(it.portalname()).map(Named::Cursor),
        Node::ExplainStmt(it) => goes_on_with(it.query()),
        Node::CreateTableAsStmt(it) => goes_on_with(it.query()),
        _ => None,
    }
}

/// The relations that a statement stores rows in: by INSERT, UPDATE or MERGE, wherever in it, or by making them.
pub(crate) fn written(node: Node<'_>) -> Vec<&RangeVar> {
    let mut written = Vec::new();
    match node {
        Node::ExplainStmt(it) => return self::written(it.query()),
        Node::PrepareStmt(it) => return self::written(it.query()),
        Node::CreateTableAsStmt(it) => written.extend(it.into().and_then(|into| into.rel())),
        Node::AlterTableStmt(it) if it.cmds().iter().any(computes) => written.extend(it.relation()),
        Node::RefreshMatViewStmt(it) => written.extend(it.relation()),
        _ => {}
    }
    let Some(query) = query(node) else { return written };
    all(query, |node| {
        written.extend(match node {
            Node::InsertStmt(it) => it.relation(),
            Node::UpdateStmt(it) => it.relation(),
            Node::MergeStmt(it) => it.relation(),
            Node::IntoClause(it) => it.rel(),
            _ => None,
        });
        true
    });
    written
}

/// Whether an action of ALTER TABLE computes values for the rows there are.
fn computes(command: Node<'_>) -> bool {
    let Node::AlterTableCmd(command) = command else { return true };
    match (command.subtype, command.def()) {
        (AlterTableType::AT_AddColumn, Node::ColumnDef(it)) => !it.constraints().is_empty(),
        (AlterTableType::AT_AlterColumnType, _) => true,
        _ => false,
    }
}

/// The INTO of a SELECT; of a set operation it stands in the first arm.
pub(crate) fn into(node: Node<'_>) -> Option<&RangeVar> {
    let Node::SelectStmt(mut select) = node else { return None };
    while let Some(first) = select.larg() {
        select = first;
    }
    select.into_clause()?.rel()
}

/// `name`, `schema.name` or `database.schema.name`.
pub(crate) fn name(relation: &RangeVar) -> Vec<String> {
    let parts = [relation.catalogname(), relation.schemaname(), relation.relname()];
    parts.into_iter().flatten().map(str::to_owned).collect()
}

/// What a query names, and where: nodes in pre-order, each with its names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outline(Vec<u8>);

/// The outline of a query or DML statement.
pub(crate) fn outline(query: Node<'_>) -> Result<Outline, Unreadable> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut outline = Outline(Vec::with_capacity(512));
        // An own stack: a chain of operators is as high a tree as it is long.
        let mut open = vec![Step::Node(query)];
        while let Some(step) = open.pop() {
            let node = match step {
                Step::Node(Node::None) => continue,
                Step::Node(node) => node,
                Step::Unsaid => return Err("unsupported-statement"),
                step => {
                    outline.step(step);
                    continue;
                }
            };
            let first = open.len();
            match said::steps(node) {
                Some(steps) => open.extend(steps),
                None => {
                    outline.node(node);
                    push_unwalked(node, &mut open);
                    walk_manual::<()>(node, |child| {
                        open.push(Step::Node(child));
                        Recurse::no()
                    });
                }
            }
            open.get_mut(first..).unwrap_or_default().reverse();
        }
        Ok(outline)
    }))
    .map_err(|_| "misread")?
}

/// Whether all nodes of an expression, itself among them, are so. An expression that holds what PostgreSQL's own
/// walker does not know is not.
pub(crate) fn all<'t>(expression: Node<'t>, mut so: impl FnMut(Node<'t>) -> bool) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        let mut open = vec![expression];
        while let Some(node) = open.pop() {
            if matches!(node, Node::None) {
                continue;
            }
            if !so(node) {
                return false;
            }
            walk_manual::<()>(node, |child| {
                open.push(child);
                Recurse::no()
            });
        }
        true
    }))
    .unwrap_or(false)
}

/// Whether a statement, or a part of it, writes a part of a column, as `SET a[i] = v` and `SET a.f = v` do.
pub(crate) fn writes_parts(statement: Node<'_>) -> bool {
    !all(statement, |node| !matches!(node, Node::ResTarget(it) if !it.indirection().is_empty()))
}

/// Children that `raw_expression_tree_walker` leaves out (nodeFuncs.c).
fn push_unwalked<'t>(node: Node<'t>, open: &mut Vec<Step<'t>>) {
    if let Node::CommonTableExpr(it) = node {
        let marks = it.cycle_clause().map(|it| [it.cycle_mark_value(), it.cycle_mark_default()]);
        // Literals say nothing; what else there is, no other words stand for.
        let other = marks.into_iter().flatten().filter(|it| !matches!(it, Node::A_Const(_)));
        open.extend(other.map(Step::Node));
    }
}

impl Outline {
    fn tag(&mut self, tag: &[u8]) {
        self.0.push(b'\n');
        self.0.extend_from_slice(tag);
    }

    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A name, or that there is none.
    fn name(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.number(i64::try_from(name.len()).unwrap_or(i64::MAX));
                self.0.extend_from_slice(name.as_bytes());
            }
            None => self.number(-1),
        }
    }

    fn names(&mut self, names: &NodeList) {
        for name in names {
            match name {
                Node::String(it) => self.name(it.sval()),
                Node::A_Star(_) => self.0.push(b'*'),
                _ => self.0.push(b'?'),
            }
        }
    }

    /// An operator, of the server if no other schema is named; who defines one of its name is asked of the tokens.
    fn operator(&mut self, names: &NodeList) {
        let marked = names.iter().next().and_then(|name| marker::named(name.as_str()?));
        if marked.is_some() {
            return self.name(marked);
        }
        for name in names.iter().filter(|name| names.len() != 2 || name.as_str() != Some("pg_catalog")) {
            self.name(name.as_str());
        }
    }

    fn list(&mut self, length: usize) {
        self.tag(b"list");
        self.number(i64::try_from(length).unwrap_or(i64::MAX));
    }

    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Node(node) | Step::Leaf(node) => self.node(node),
            Step::Unsaid => {}
            Step::Call(name, operands) => {
                self.tag(b"function");
                self.name(Some(name));
                self.number(0);
                if operands > 0 {
                    self.list(operands);
                }
            }
            Step::CurrentOf(cursor) => {
                self.tag(b"function");
                self.name(Some(marker::CURRENT));
                self.name(cursor);
                self.number(0);
            }
            Step::TableFunction(ordinality) => {
                self.tag(b"table function");
                self.number(i64::from(ordinality));
            }
            Step::Members(all) => {
                self.tag(b"operator");
                let kind = if all { A_Expr_Kind::AEXPR_OP_ALL } else { A_Expr_Kind::AEXPR_OP_ANY };
                self.number(i64::from(kind));
                self.name(Some("="));
            }
            Step::Operator(names) => {
                self.tag(b"function");
                let named =
                    names.iter().filter(|name| names.len() != 2 || name.as_str() != Some("pg_catalog"));
                named.for_each(|name| self.name(name.as_str().map(marker::marked).as_deref()));
                self.number(0);
                self.list(1);
            }
            Step::Cast => self.tag(b"node"),
            Step::Literal => self.tag(b"literal"),
            Step::List(length) => self.list(length),
            Step::Subquery => {
                self.tag(b"sublink");
                self.number(i64::from(SubLinkType::EXPR_SUBLINK));
            }
            Step::Alias(name, columns) => {
                self.tag(b"alias");
                self.name(name);
                columns.into_iter().for_each(|column| self.name(column));
            }
            Step::Target(name) => {
                self.tag(b"target");
                self.name(name);
            }
            Step::Null(test) => {
                self.tag(b"null");
                self.number(i64::from(test));
            }
        }
    }

    fn node(&mut self, node: Node<'_>) {
        match node {
            Node::NodeList(it) => self.list(it.len()),
            Node::SelectStmt(it) => {
                self.tag(b"select");
                self.number(i64::from(it.op));
                self.number(i64::from(it.all));
            }
            Node::InsertStmt(_) => self.tag(b"insert"),
            Node::UpdateStmt(_) => self.tag(b"update"),
            Node::DeleteStmt(_) => self.tag(b"delete"),
            Node::MergeStmt(_) => self.tag(b"merge"),
            Node::RangeVar(it) => {
                self.tag(b"relation");
                self.name(it.catalogname());
                self.name(it.schemaname());
                self.name(it.relname());
            }
            Node::ColumnRef(it) => {
                self.tag(b"column");
                self.names(it.fields());
            }
            Node::FuncCall(it) => {
                self.tag(b"function");
                self.names(it.funcname());
                self.number(i64::from(it.agg_star));
            }
            Node::TypeName(it) => {
                self.tag(b"type");
                for name in it.names() {
                    self.name(name.sval());
                }
                self.number(i64::try_from(it.array_bounds().len()).unwrap_or(i64::MAX));
            }
            Node::ResTarget(it) => {
                self.tag(b"target");
                self.name(it.name());
            }
            // A field called `*` is how `normalise` says `(expression).*`.
            Node::String(it) if it.sval() == Some("*") => self.tag(b"*"),
            Node::String(it) => {
                self.tag(b"name");
                self.name(it.sval());
            }
            Node::A_Star(_) => self.tag(b"*"),
            _ => self.other(node),
        }
    }

    fn other(&mut self, node: Node<'_>) {
        match node {
            Node::JoinExpr(it) => {
                self.tag(b"join");
                self.number(i64::from(it.jointype));
                self.number(i64::from(it.is_natural));
                for name in it.using_clause() {
                    self.name(name.sval());
                }
                if let Some(alias) = it.join_using_alias() {
                    self.name(alias.aliasname().map(marker::marked).as_deref());
                }
            }
            Node::Alias(it) => {
                self.tag(b"alias");
                self.name(it.aliasname());
                self.names(it.colnames());
            }
            Node::WithClause(it) => {
                self.tag(b"with");
                self.number(i64::from(it.recursive));
            }
            Node::CommonTableExpr(it) => {
                self.tag(b"cte");
                self.name(it.ctename());
                self.names(it.aliascolnames());
                // The columns that SEARCH and CYCLE add; what these read, the query itself names.
                let search = it.search_clause().map(|search| search.search_seq_column());
                let cycle = it.cycle_clause().map(|it| [it.cycle_mark_column(), it.cycle_path_column()]);
                for added in search.into_iter().chain(cycle.into_iter().flatten()) {
                    self.name(added.map(marker::marked).as_deref());
                }
            }
            Node::A_Expr(it) => {
                self.tag(b"operator");
                match it.kind {
                    A_Expr_Kind::AEXPR_BETWEEN | A_Expr_Kind::AEXPR_BETWEEN_SYM => self.tag(b"between"),
                    A_Expr_Kind::AEXPR_NOT_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => {
                        self.tag(b"not between");
                    }
                    kind => {
                        self.number(i64::from(kind));
                        self.operator(it.name());
                    }
                }
            }
            Node::SubLink(it) => {
                self.tag(b"sublink");
                self.number(i64::from(it.sub_link_type));
                self.operator(it.oper_name());
            }
            Node::CollateClause(it) => {
                self.tag(b"type");
                for (at, name) in it.collname().iter().enumerate() {
                    let marked = name.as_str().filter(|_| at == 0).map(marker::marked);
                    self.name(marked.as_deref().or(name.as_str()));
                }
                self.number(0);
            }
            Node::WindowDef(it) => {
                self.tag(b"window");
                self.name(it.name());
                self.name(it.refname());
            }
            Node::SortBy(it) => {
                self.tag(b"sort");
                self.names(it.use_op());
            }
            Node::A_Const(it) => match it.val() {
                // Positions of ORDER BY and GROUP BY are numbers; what other literals say is no name.
                Some(ConstValue::Integer(number)) => {
                    self.tag(b"number");
                    self.number(i64::from(number));
                }
                _ => self.tag(b"literal"),
            },
            Node::ParamRef(it) => {
                self.tag(b"parameter");
                self.number(i64::from(it.number));
            }
            Node::IntoClause(it) => {
                self.tag(b"into");
                self.names(it.col_names());
            }
            Node::RangeTableSample(it) => {
                self.tag(b"sample");
                self.names(it.method());
            }
            Node::InferClause(it) => {
                self.tag(b"infer");
                self.name(it.conname());
                said::inferred(it).iter().flatten().for_each(|name| self.name(Some(name)));
            }
            Node::OnConflictClause(it) => {
                self.tag(b"conflict");
                self.number(i64::from(it.action));
            }
            Node::MergeWhenClause(it) => {
                self.tag(b"when");
                self.number(i64::from(it.match_kind));
                self.number(i64::from(it.command_type));
            }
            Node::ReturningOption(it) => {
                self.tag(b"returning");
                self.number(i64::from(it.option));
                self.name(it.value());
            }
            Node::NamedArgExpr(it) => {
                self.tag(b"argument");
                self.name(it.name());
            }
            _ => self.rare(node),
        }
    }

    fn rare(&mut self, node: Node<'_>) {
        match node {
            Node::BoolExpr(it) => {
                self.tag(b"logic");
                self.number(i64::from(it.boolop));
            }
            Node::NullTest(it) => {
                self.tag(b"null");
                self.number(i64::from(it.nulltesttype));
            }
            Node::BooleanTest(it) => {
                self.tag(b"truth");
                self.number(i64::from(it.booltesttype));
            }
            Node::MinMaxExpr(it) => {
                self.tag(b"extreme");
                self.number(i64::from(it.op));
            }
            Node::SQLValueFunction(it) => {
                self.tag(b"value");
                self.number(i64::from(it.op));
            }
            Node::ColumnDef(it) => {
                self.tag(b"definition");
                self.name(it.colname());
            }
            Node::RangeFunction(it) => {
                self.tag(b"table function");
                self.number(i64::from(it.ordinality));
            }
            Node::LockingClause(_) => self.tag(b"lock"),
            // Nodes without names, whose children tell the rest: CASE, COALESCE, ROW, ARRAY, casts, subscripts …
            _ => self.tag(b"node"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// As libpg_query is shipped, each parse replaces the process's stderr while it lasts (`.cargo/config.toml`).
    #[test]
    fn reading_a_statement_never_touches_the_stderr_of_the_process() {
        let stderr = || std::fs::read_link("/proc/self/fd/2").expect("a descriptor");
        let before = stderr();
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    threads.spawn(|| {
                        for _ in 0..2_000 {
                            Tree::parse("select a from b where c = 'd' and e in (select f from g)")
                                .expect("a tree");
                            assert!(Tree::parse("select from where").is_err());
                        }
                    })
                })
                .collect();
            let watcher = threads.spawn(|| {
                let mut looked = 0_usize;
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(stderr(), before);
                    looked += 1;
                }
                looked
            });
            for reader in readers {
                reader.join().expect("no panic");
            }
            done.store(true, Ordering::Relaxed);
            assert!(watcher.join().expect("stderr stays") > 100);
        });
        assert_eq!(stderr(), before);
    }

    #[test]
    fn an_outline_tells_names_and_their_places_and_nothing_of_literals() {
        let of = |sql: &str| {
            let tree = Tree::parse(sql).expect("a tree");
            let commands = tree.commands();
            outline(commands.first().and_then(|command| query(command.node)).expect("a query"))
                .expect("an outline")
        };
        for (one, other) in [
            ("select a from t", "SELECT  A /* x */ FROM T"),
            ("select U&\"\\0061\" from t", "select a from t"),
            ("select 'x' from t", "select 'y'\n'z' from t"),
            ("table t", "select * from t"),
            ("explain select a from only t for update", "select a from t for share"),
        ] {
            assert_eq!(of(one), of(other), "{one}");
        }
        for (one, other) in [
            ("select a from t", "select b from t"),
            ("select a from t", "select a from s.t"),
            ("select a from t", "select a as b from t"),
            ("select a b from t", "select b a from t"),
            ("select t.* from t", "select * from t"),
            ("select a, b from t", "select b, a from t"),
            ("select a from t where b = 1", "select a = b from t"),
            ("select f(a) from t", "select g(a) from t"),
            ("select a::int from t", "select a::text from t"),
            ("select a + 1 from t", "select a - 1 from t"),
            ("select a from t order by 1", "select a from t order by 2"),
            ("select a from t union select b from u", "select a from t except select b from u"),
            ("select a from t join u using (x)", "select a from t join u using (y)"),
            ("with x as (select 1) select a from t", "with y as (select 1) select a from t"),
            ("select \"*\" from t", "select * from t"),
            ("select \"A\" from t", "select a from t"),
        ] {
            assert_ne!(of(one), of(other), "{one}");
        }
    }
}
