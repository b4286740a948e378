//! What the server's planner may be asked about a statement, and how far its answer is to be believed.
//!
//! Two things must hold before it is asked. **Asking does nothing**: planning runs immutable functions on constants,
//! and estimating runs operators on statistics, so nothing may be called that is not the server's own. What the text
//! calls is known here; what the table brings with it (policies, indexes, types, statistics) is looked up by
//! whoever asks, when they ask.
//!
//! **The answer is about data, not about the text.** A planner guesses where it has no statistics, and multiplies
//! what it holds for independent: `id between 0.5 and 1e9` is half a percent of any table to it, `random() < 2` a
//! third, and ten conditions that all rows meet are one row. Whoever writes the statement must not be able to talk
//! the estimate down. So the question is about one table alone, restricted by comparisons of its columns, of which
//! there are statistics, with literals and moments around now, and of several comparisons the answer is taken that
//! holds however they hang together ([`Question::at_most`]). Joins, views, subqueries and other functions in
//! conditions are not asked about: the catalog's bound stands.

mod condition;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{FuncCall, RangeVar, SelectStmt};
use pg_raw_parse::raw::{A_Expr_Kind, SetOperation};
use stepgate_types::{Certainty, Kind, RelationName};

use self::condition::Conditions;
use crate::builtin;
use crate::catalog::{Catalog, Relation};
use crate::effect::Effect;
use crate::facts::Facts;
use crate::grammar::Tree;
use crate::session::SessionState;

/// The longest text that is asked about, in bytes, and the deepest expression in it.
const MAX_TEXT: usize = 4 * 1024;
const MAX_DEPTH: usize = 32;

/// The moment at which the transaction began.
const NOW: &str = "now";

/// Operators that only compute, of whatever types of the server's own.
const COMPUTE: [&str; 8] = ["+", "-", "*", "/", "%", "||", "->", "->>"];

/// A statement about which the planner may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The only table that it reads.
    pub relation: RelationName,
    /// The columns that it compares.
    pub columns: BTreeSet<String>,
    /// The functions of pg_catalog that it calls, by name.
    pub functions: BTreeSet<String>,
    /// Comparisons that may hang together.
    pub conditions: u32,
}

impl Question {
    /// The question about this message, whose only statement has these facts by this catalog and state; `None` where the
    /// planner must not be asked, or could not tell more than the catalog.
    #[must_use]
    pub fn about(sql: &[u8], facts: &Facts, catalog: &Catalog, session: &SessionState) -> Option<Self> {
        let plain = facts.kind == Kind::Select
            && facts.certainty == Certainty::Exact
            && facts.read_only
            && facts.sinks.is_empty()
            && facts.effect == Effect::default()
            && facts.estimate.is_some();
        if !plain
            || facts.relations.len() != 1
            || sql.len() > MAX_TEXT
            || !session.standard_conforming_strings
        {
            return None;
        }
        let text = catalog.encoding_of(session.encoding).text(sql)?;
        let tree = Tree::parse(&text).ok()?;
        // The binding panics on nodes that it does not know.
        catch_unwind(AssertUnwindSafe(|| {
            let commands = tree.commands();
            let [command] = commands.as_slice() else { return None };
            let Node::SelectStmt(select) = command.node else { return None };
            Reader::new(select, facts, catalog, session)?.select(select)
        }))
        .ok()
        .flatten()
    }

    /// The most rows that the table gives, where the planner expects `planned` of its `rows`.
    ///
    /// It multiplies the shares of conditions as if they had nothing to do with each other. Of k conditions that
    /// together leave a share p, the one that leaves least leaves at most the k-th root of p, and all together no more
    /// than that one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "rows of a table; saturates"
    )]
    pub fn at_most(&self, planned: u64, rows: u64) -> u64 {
        if self.conditions <= 1 || planned >= rows || rows == 0 {
            return planned;
        }
        let share = planned.max(1) as f64 / rows as f64;
        (rows as f64 * share.powf(1.0 / f64::from(self.conditions))).ceil() as u64
    }
}

/// Reads the statement's tree.
struct Reader<'r> {
    catalog: &'r Catalog,
    relation: &'r Relation,
    /// What the table is called in the statement.
    called: &'r str,
    functions: BTreeSet<String>,
}

impl<'r> Reader<'r> {
    /// If the statement is of one table of the server's own kind, and nothing else.
    fn new(
        select: &'r SelectStmt,
        facts: &Facts,
        catalog: &'r Catalog,
        session: &SessionState,
    ) -> Option<Self> {
        let mut from = select.from_clause().iter();
        let (Some(Node::RangeVar(table)), None) = (from.next(), from.next()) else { return None };
        let relation = found(table, catalog, session)?;
        let same = facts.relations.contains(&relation.name.0) && relation.is_base();
        // What a parent holds is in its children, each with statistics of its own.
        if !same || !relation.family.is_empty() || relation.doubtful || !relation.on_read.is_empty() {
            return None;
        }
        let called = match table.alias() {
            Some(alias) if alias.colnames().is_empty() => alias.aliasname()?,
            Some(_) => return None,
            None => table.relname()?,
        };
        Some(Self { catalog, relation, called, functions: BTreeSet::new() })
    }

    fn select(mut self, select: &SelectStmt) -> Option<Question> {
        let alone = select.op == SetOperation::SETOP_NONE
            && select.into_clause().is_none()
            && select.with_clause().is_none()
            && select.locking_clause().is_empty()
            && select.values_lists().is_empty()
            && select.window_clause().is_empty()
            && matches!(select.having_clause(), Node::None);
        let bounds = [select.limit_offset(), select.limit_count()];
        if !alone || !bounds.iter().all(|bound| matches!(bound, Node::None | Node::A_Const(_))) {
            return None;
        }
        for target in select.target_list() {
            let is_star = matches!(target.val(), Node::ColumnRef(it) if self.is_star(it.fields()));
            (target.indirection().is_empty() && (is_star || self.computes(target.val(), 0))).then_some(())?;
        }
        let distinct = select.distinct_clause().iter().chain(select.group_clause());
        for node in distinct {
            (matches!(node, Node::None) || self.computes(node, 0)).then_some(())?;
        }
        for sort in select.sort_clause() {
            (sort.use_op().is_empty() && self.computes(sort.node(), 0)).then_some(())?;
        }
        let conditions = Conditions::of(&self, select.where_clause())?;
        // The only one that conditions may call.
        self.functions.insert(NOW.to_owned());
        Some(Question {
            relation: self.relation.name.0.clone(),
            conditions: conditions.count(),
            columns: conditions.into_columns(),
            functions: self.functions,
        })
    }

    /// `*` or `t.*`.
    fn is_star(&self, fields: &NodeList) -> bool {
        let mut fields = fields.iter();
        match (fields.next(), fields.next(), fields.next()) {
            (Some(Node::A_Star(_)), None, None) => true,
            (Some(of), Some(Node::A_Star(_)), None) => of.as_str() == Some(self.called),
            _ => false,
        }
    }

    /// The position of the column that this names. Neither a whole row nor, as `t.f`, a function is one.
    fn column(&self, node: Node<'_>) -> Option<usize> {
        let Node::ColumnRef(it) = node else { return None };
        let mut fields = it.fields().iter().map(Node::as_str);
        let name = match (fields.next()?, fields.next(), fields.next()) {
            (name, None, None) => name,
            (of, Some(name), None) if of == Some(self.called) => name,
            _ => return None,
        };
        self.relation.column(name?)
    }

    /// Whether an expression only computes, by what is the server's own. Of what it computes it says nothing.
    fn computes(&mut self, node: Node<'_>, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            return false;
        }
        match node {
            Node::ColumnRef(_) => self.column(node).is_some(),
            Node::A_Const(_) => true,
            Node::FuncCall(it) => {
                let name = self.calls(it);
                self.functions.extend(name.map(str::to_owned));
                name.is_some() && it.args().iter().all(|it| self.computes(it, depth + 1))
            }
            Node::TypeCast(it) => {
                let names = it.type_name().filter(|it| !it.pct_type && !it.setof).map(|it| it.names());
                let names = names.map(|names| names.iter().map(|it| it.sval()).collect::<Vec<_>>());
                names.is_some_and(|names| self.is_type_of_server(&names))
                    && self.computes(it.arg(), depth + 1)
            }
            Node::A_Expr(it) => {
                let mut name = it.name().iter().map(Node::as_str);
                let known =
                    matches!((name.next(), name.next()), (Some(Some(name)), None) if COMPUTE.contains(&name));
                let sides = [it.lexpr(), it.rexpr()];
                let is_side = |it: &Node<'_>| !matches!(it, Node::None);
                known
                    && it.kind == A_Expr_Kind::AEXPR_OP
                    && sides.into_iter().filter(is_side).all(|it| self.computes(it, depth + 1))
            }
            _ => false,
        }
    }

    /// The name of the function of pg_catalog that is called, if that is all there is to the call.
    fn calls<'n>(&self, call: &'n FuncCall) -> Option<&'n str> {
        let plain = call.agg_order().is_empty()
            && matches!(call.agg_filter(), Node::None)
            && call.over().is_none()
            && !call.func_variadic
            && !call.agg_within_group;
        let mut parts = call.funcname().iter().map(Node::as_str);
        let (Some(Some(first)), second, None) = (parts.next(), parts.next().flatten(), parts.next()) else {
            return None;
        };
        let name = match second {
            Some(name) if first == "pg_catalog" => name,
            None if !self.catalog.is_user_function(first) && !self.catalog.is_user_type(first) => first,
            _ => return None,
        };
        let known = plain && self.catalog.is_pure_function(name) && !builtin::returns_a_set(name);
        known.then_some(name)
    }

    fn is_type_of_server(&self, names: &[Option<&str>]) -> bool {
        match names {
            [Some("pg_catalog"), Some(name)] => builtin::builtin_type(name),
            [Some(name)] => builtin::builtin_type(name) && !self.catalog.is_user_type(name),
            _ => false,
        }
    }
}

/// The relation that a name finds. A CTE has no place here, for there is no WITH.
fn found<'c>(table: &RangeVar, catalog: &'c Catalog, session: &SessionState) -> Option<&'c Relation> {
    let name = table.relname()?;
    let path = session.search_path.as_ref()?;
    // What is temporary, the gate's own connection does not have.
    let temporary = |schema: &str| schema.starts_with("pg_temp") || schema.starts_with("pg_toast");
    let index = match (table.catalogname(), table.schemaname()) {
        (None, Some(schema)) if !temporary(schema) => catalog.find(schema, name)?,
        (None, None) if !path.iter().any(|schema| temporary(schema)) => {
            path.iter().find_map(|schema| catalog.find(schema, name))?
        }
        _ => return None,
    };
    catalog.relation(index)
}
