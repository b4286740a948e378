//! SELECT, VALUES, set operations and WITH (`src/backend/parser/analyze.c`, `parse_clause.c`, `parse_cte.c`).

use std::rc::Rc;

use sqlparser::ast::{
    AccessExpr, Cte, Distinct, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Ident, LimitClause, LockClause, NamedWindowDefinition, ObjectName, OrderBy, OrderByExpr,
    OrderByKind, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    SetOperator, SetQuantifier, TableAlias, Value, Values, WildcardAdditionalOptions, With,
};

use super::Walker;
use super::origin::{Name, Origin};
use super::scope::{Ctes, Hit, Item, MAX_COLUMNS, Output, Place, Scope, expanded, folded};
use super::uses::Uses;
use crate::facts::{Sink, SinkKind};
use crate::marker;

/// What ORDER BY may refer to besides the output.
struct Level<'q> {
    items: Vec<Rc<Item>>,
    projection: &'q [SelectItem],
}

impl Walker<'_> {
    /// A query whose result has `uses`. Returns its columns.
    pub(super) fn query(&mut self, query: &Query, place: Place<'_>, uses: Uses) -> Output {
        match &query.with {
            None => self.body(query, place, uses),
            Some(with) => self.with(with, place, &mut |walker, place| walker.body(query, place, uses)),
        }
    }

    /// Runs `then` where the CTEs of a WITH are visible.
    pub(super) fn with<T>(
        &mut self,
        with: &With,
        place: Place<'_>,
        then: &mut dyn FnMut(&mut Self, Place<'_>) -> T,
    ) -> T {
        let With { with_token: _, recursive, cte_tables } = with;
        self.goes_on |= *recursive;
        let names: Vec<String> = cte_tables.iter().map(|cte| folded(&cte.alias.name).into_owned()).collect();
        let mut list: Vec<(String, Rc<Output>)> = Vec::with_capacity(cte_tables.len());
        for (at, cte) in cte_tables.iter().enumerate() {
            let pending = if *recursive { names.get(at..).unwrap_or_default() } else { &[] };
            let ctes = Ctes { list: &list, pending, outer: place.ctes };
            let place = Place { scope: place.scope, ctes: Some(&ctes) };
            // Who asks for what is not in it asks for the opposite of its conditions.
            let output = self.apart_from_order(|walker| {
                walker.turned(|walker| walker.traced(|walker| walker.cte(cte, *recursive, place)))
            });
            let name = names.get(at).cloned().unwrap_or_default();
            list.push((name, Rc::new(output)));
        }
        let ctes = Ctes { list: &list, pending: &[], outer: place.ctes };
        then(self, Place { scope: place.scope, ctes: Some(&ctes) })
    }

    fn cte(&mut self, cte: &Cte, recursive: bool, place: Place<'_>) -> Output {
        let Cte { alias, query, from, materialized: _, closing_paren_token: _ } = cte;
        if from.is_some() {
            self.doubt("unsupported-query");
        }
        let TableAlias { explicit: _, name: _, columns: _, at: _ } = alias;
        let (name, columns) = self.alias(Some(alias));
        let name = name.unwrap_or_default();
        // Those that SEARCH and CYCLE add come after its own. In the recursive part they have no certain place.
        let (added, columns): (Vec<String>, Vec<String>) =
            columns.into_iter().partition(|column| marker::named(column).is_some());
        let added = added.iter().map(|column| marker::named(column).map(str::to_owned));
        // A recursive union: its right side sees the columns of its left side under the CTE's own name.
        if let (true, SetExpr::SetOperation { op: SetOperator::Union, left, right, set_quantifier: _ }) =
            (recursive, query.body.as_ref())
            && query.with.is_none()
        {
            let left = self.set_expr(left, place, Uses::OUTPUT).renamed(&columns);
            let open = left.open || added.len() > 0;
            let itself = [(name, Rc::new(Output { open, ..left.clone().of_unknown_origin() }))];
            let pending = place.ctes.map_or(&[][..], |ctes| ctes.pending.get(1..).unwrap_or_default());
            let around = place.ctes.map(|ctes| Ctes { pending, ..*ctes });
            let ctes = Ctes { list: &itself, pending: &[], outer: around.as_ref() };
            let place = Place { scope: place.scope, ctes: Some(&ctes) };
            let right = self.set_expr(right, place, Uses::OUTPUT);
            self.tail(query, None, &left, place);
            // Each round may compare what the round before has made.
            let mut output = left.mixed(&right);
            self.somehow(|walker| walker.came_from(&output.rest, Uses::PREDICATE));
            let made = output.rest.clone();
            output.names.extend(added.map(|name| Some(Name::new(name?, made.clone()))));
            return output;
        }
        if added.len() > 0 {
            // The server refuses it.
            self.doubt("unsupported-query");
        }
        // Triggers may store what is deleted.
        if matches!(
            query.body.as_ref(),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        ) {
            // No command tag tells how much it stores.
            self.stores_within = true;
        }
        self.query(query, place, Uses::OUTPUT).renamed(&columns)
    }

    fn body(&mut self, query: &Query, place: Place<'_>, uses: Uses) -> Output {
        let around = self.cut(query.limit_clause.is_some() || query.fetch.is_some());
        let output = if let SetExpr::Select(select) = query.body.as_ref() {
            let (output, level) = self.select(select, query.order_by.as_ref(), place, uses);
            self.tail(query, Some(&level), &output, place);
            output
        } else {
            let output = self.set_expr(&query.body, place, uses);
            self.tail(query, None, &output, place);
            output
        };
        self.goes_back(around);
        output
    }

    pub(super) fn set_expr(&mut self, body: &SetExpr, place: Place<'_>, uses: Uses) -> Output {
        match body {
            SetExpr::Select(select) => {
                let around = self.cut(false);
                let output = self.select(select, None, place, uses).0;
                self.goes_back(around);
                output
            }
            SetExpr::Query(query) => self.query(query, place, uses),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                if !matches!(op, SetOperator::Union | SetOperator::Except | SetOperator::Intersect) {
                    self.doubt("unsupported-query");
                }
                let uses = match set_quantifier {
                    SetQuantifier::All => uses,
                    SetQuantifier::None | SetQuantifier::Distinct => uses | Uses::GROUPING,
                    SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
                        self.doubt("unsupported-query");
                        uses
                    }
                };
                if matches!(op, SetOperator::Union) {
                    let output = self.set_expr(left, place, uses);
                    let more = self.set_expr(right, place, uses);
                    return if self.trail.is_kept() { output.united(&more) } else { output };
                }
                // Rows of the one are looked for in the other.
                self.somehow(|walker| {
                    let output = walker.set_expr(left, place, uses);
                    walker.turned(|walker| walker.set_expr(right, place, uses));
                    output
                })
            }
            SetExpr::Values(values) => {
                let Values { explicit_row: _, value_keyword, rows } = values;
                if *value_keyword {
                    self.doubt("unsupported-query");
                }
                let start = self.trail.here();
                let width = rows.last().map_or(0, |row| row.content.len());
                self.values(values, place, uses);
                if rows.iter().flat_map(|row| &row.content).any(is_expanded) {
                    return Output::uncertain();
                }
                let origin = self.trail.since(start, false);
                let names =
                    (1..=width).map(|at| Some(Name::new(format!("column{at}"), origin.clone()))).collect();
                Output { names, ..Output::default() }
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.write(statement, place),
            SetExpr::Table(_) => {
                self.doubt("unsupported-query");
                Output::default()
            }
        }
    }

    /// What follows the body: ORDER BY, LIMIT, FOR UPDATE.
    fn tail(&mut self, query: &Query, level: Option<&Level<'_>>, output: &Output, place: Place<'_>) {
        let Query {
            with: _,
            body: _,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty()
        {
            self.doubt("unsupported-query");
        }
        if let Some(order_by) = order_by {
            self.order_by(order_by, level, output, place);
        }
        let scope = Scope { items: level.map_or(&[][..], |level| &level.items), outer: place.scope };
        let within = place.within(&scope);
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                if !limit_by.is_empty() {
                    self.doubt("unsupported-query");
                }
                self.exprs(limit, within, Uses::PREDICATE);
                self.exprs(offset.as_ref().map(|offset| &offset.value), within, Uses::PREDICATE);
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => self.doubt("unsupported-query"),
        }
        if let Some(Fetch { with_ties: _, percent, quantity }) = fetch {
            if *percent {
                self.doubt("unsupported-query");
            }
            self.exprs(quantity, within, Uses::PREDICATE);
        }
        for LockClause { lock_type: _, of: _, nonblock: _ } in locks {
            (self.writes, self.marks, self.locks) = (true, true, true);
        }
    }

    fn order_by(&mut self, order_by: &OrderBy, level: Option<&Level<'_>>, output: &Output, place: Place<'_>) {
        let OrderBy { kind, interpolate } = order_by;
        let (OrderByKind::Expressions(exprs), None) = (kind, interpolate) else {
            return self.doubt("unsupported-query");
        };
        for OrderByExpr { expr, options: _, with_fill } in exprs {
            if with_fill.is_some() {
                self.doubt("unsupported-query");
            }
            match level {
                Some(level) => self.output_or_expr(expr, level, place, Uses::ORDERING),
                // Of a set operation only names and numbers of its output can be sorted by; of a
                // parenthesised query also columns below, which is not followed.
                None => match expr {
                    Expr::Value(_) => {}
                    Expr::Identifier(name)
                        if output
                            .names
                            .iter()
                            .any(|known| known.as_deref() == Some(folded(name).as_ref())) => {}
                    _ => self.doubt("unsupported-query"),
                },
            }
        }
    }

    /// `findTargetlistEntrySQL92`: a bare name or number of the output, else an expression over FROM.
    fn output_or_expr(&mut self, expr: &Expr, level: &Level<'_>, place: Place<'_>, uses: Uses) {
        let scope = Scope { items: &level.items, outer: place.scope };
        let within = place.within(&scope);
        match expr {
            Expr::Value(value) => {
                if let Some(expr) = ordinal(&value.value, level.projection) {
                    self.expr(expr, within, uses);
                }
            }
            Expr::Identifier(name) => match self.output_named(name, level) {
                Some(named) => self.expr(named, within, uses),
                None => {
                    // A column that `(expression).*` stands for has a name as well.
                    let expands = level.projection.iter().filter_map(expanded_expr);
                    expands.for_each(|expr| self.expr(expr, within, uses));
                    self.expr(expr, within, uses);
                }
            },
            other => self.expr(other, within, uses),
        }
    }

    /// GROUP BY prefers a column of FROM over a name of the output.
    fn group_item(&mut self, expr: &Expr, level: &Level<'_>, place: Place<'_>) {
        let scope = Scope { items: &level.items, outer: place.scope };
        match expr {
            Expr::Identifier(name) if self.hit_level(&folded(name), &level.items) != Hit::Miss => {
                self.expr(expr, place.within(&scope), Uses::GROUPING);
            }
            Expr::Nested(inner) => self.group_item(inner, level, place),
            Expr::Tuple(parts) => parts.iter().for_each(|part| self.group_item(part, level, place)),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                sets.iter().flatten().for_each(|part| self.group_item(part, level, place));
            }
            // The same within GROUPING SETS.
            Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) if matches!(self.parts(name).as_slice(), [name] if marker::GROUPING.contains(&name.as_str())) => {
                for arg in &list.args {
                    match arg {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => {
                            self.group_item(part, level, place)
                        }
                        _ => self.doubt("unsupported-query"),
                    }
                }
            }
            other => self.output_or_expr(other, level, place, Uses::GROUPING),
        }
    }

    /// The output expression of that name, where it has one. Stars come by their column names, which FROM has
    /// as well.
    fn output_named<'q>(&self, name: &Ident, level: &Level<'q>) -> Option<&'q Expr> {
        let wanted = folded(name);
        level.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                (folded(alias) == wanted && !is_expanded(expr)).then_some(expr)
            }
            SelectItem::UnnamedExpr(expr) => {
                (expr_name(expr).as_deref() == Some(wanted.as_ref())).then_some(expr)
            }
            _ => None,
        })
    }

    fn select<'q>(
        &mut self,
        select: &'q Select,
        order: Option<&OrderBy>,
        place: Place<'_>,
        uses: Uses,
    ) -> (Output, Level<'q>) {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if !optimizer_hints.is_empty()
            || select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || !matches!(flavor, SelectFlavor::Standard)
        {
            self.doubt("unsupported-query");
        }
        if into.is_some() {
            self.creates = true;
            self.kind = stepgate_types::Kind::Ddl;
            self.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
        }
        let (outermost, sorted) = self.begins_level(select);
        let start = self.scanned();
        let items = self.from(from, &[], place);
        self.ends_from(select, order.filter(|_| sorted), &items, (start, outermost));
        let level = Level { items, projection };
        let scope = Scope { items: &level.items, outer: place.scope };
        let within = place.within(&scope);
        self.conditions(selection, within);
        self.conditions(having, within);
        for NamedWindowDefinition(_, window) in named_window {
            self.named_window(window, within);
        }
        self.group_by(group_by, &level, place);
        let uses = match distinct {
            None | Some(Distinct::All) => uses,
            Some(Distinct::Distinct) => uses | Uses::GROUPING,
            Some(Distinct::On(exprs)) => {
                exprs.iter().for_each(|expr| self.output_or_expr(expr, &level, place, Uses::GROUPING));
                uses
            }
        };
        let output = if self.splits(select) {
            self.split_projection(projection, &level.items, within, uses)
        } else {
            self.projection(projection, &level.items, within, uses)
        };
        (output, level)
    }

    fn group_by(&mut self, group_by: &GroupByExpr, level: &Level<'_>, place: Place<'_>) {
        match group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                exprs.iter().for_each(|expr| self.group_item(expr, level, place));
            }
            _ => self.doubt("unsupported-query"),
        }
    }

    /// A select list or RETURNING.
    pub(super) fn projection(
        &mut self,
        projection: &[SelectItem],
        items: &[Rc<Item>],
        place: Place<'_>,
        uses: Uses,
    ) -> Output {
        let mut output = Output::default();
        let mut unnamed = Vec::new();
        for item in projection {
            if self.budget.is_spent() {
                self.doubt("too-complex");
                output.open = true;
                break;
            }
            let start = self.trail.here();
            match item {
                // Any number of columns, even none; an alias is let go (`parse_target.c`, `transformTargetList`).
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ }
                    if is_expanded(expr) =>
                {
                    match row_of(expr) {
                        Some(name) => self.star_of(name, place, uses, &mut output, &mut unnamed),
                        None => {
                            self.expr(expr, place, uses);
                            output.open = true;
                        }
                    }
                }
                SelectItem::UnnamedExpr(expr) => {
                    self.expr(expr, place, uses);
                    let origin = self.trail.since(start, is_bare(expr));
                    let name = expr_name(expr);
                    if name.is_none() {
                        unnamed.push(origin.clone());
                    }
                    output.names.push(name.map(|name| Name::new(name, origin)));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expr(expr, place, uses);
                    let origin = self.trail.since(start, is_bare(expr));
                    output.names.push(Some(Name::new(folded(alias), origin)));
                }
                SelectItem::Wildcard(options) => {
                    self.plain_wildcard(options);
                    for item in items {
                        self.whole_row(item, uses);
                    }
                    let more = expanded(items, self.catalog);
                    unnamed.extend(more.unnamed().cloned());
                    self.append(&mut output, more);
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.plain_wildcard(options);
                    match kind {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => {
                            self.star_of(name, place, uses, &mut output, &mut unnamed);
                        }
                        SelectItemQualifiedWildcardKind::Expr(expr) => {
                            self.expr(expr, place, uses);
                            output.open = true;
                        }
                    }
                }
                SelectItem::ExprWithAliases { .. } => self.doubt("unsupported-query"),
            }
        }
        if !output.open {
            output.rest = Origin::any(&unnamed);
        }
        output
    }

    /// `t.*` in a list.
    fn star_of(
        &mut self,
        name: &ObjectName,
        place: Place<'_>,
        uses: Uses,
        output: &mut Output,
        unnamed: &mut Vec<Origin>,
    ) {
        match self.row(name, place, uses) {
            Some(item) => {
                let more = item.output(self.catalog);
                unnamed.extend(more.unnamed().cloned());
                self.append(output, more);
            }
            None => output.open = true,
        }
    }

    fn append(&mut self, output: &mut Output, more: Output) {
        output.open |= more.open;
        if output.names.len() + more.names.len() > MAX_COLUMNS || !self.budget.spend(more.names.len()) {
            self.doubt("too-complex");
            output.open = true;
            return;
        }
        output.names.extend(more.names.into_iter().map(|name| name.map(Name::put_out)));
    }

    fn plain_wildcard(&mut self, options: &WildcardAdditionalOptions) {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        if opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some()
        {
            self.doubt("unsupported-query");
        }
    }
}

/// Whether it is a name and nothing else.
pub(super) fn is_bare(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_bare(inner),
        _ => false,
    }
}

/// `t.*`, and `(expression).*` as `normalise` says it: in a list they stand for as many columns as the row has.
pub(super) fn is_expanded(expr: &Expr) -> bool {
    match expr {
        Expr::CompoundFieldAccess { root: _, access_chain } => {
            matches!(access_chain.last(), Some(AccessExpr::Dot(Expr::Identifier(field))) if field.value == "*")
        }
        _ => row_of(expr).is_some(),
    }
}

/// The `t` of `t.*`.
fn row_of(expr: &Expr) -> Option<&ObjectName> {
    match expr {
        Expr::Nested(inner) => row_of(inner),
        Expr::QualifiedWildcard(name, _) => Some(name),
        _ => None,
    }
}

fn expanded_expr(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => {
            is_expanded(expr).then_some(expr)
        }
        _ => None,
    }
}

/// The item of a select list that `ORDER BY 2` means; none where a star stands before it (all is read then).
pub(super) fn ordinal<'q>(value: &Value, projection: &'q [SelectItem]) -> Option<&'q Expr> {
    let Value::Number(number, _) = value else { return None };
    let at: usize = number.parse().ok()?;
    let upto = projection.get(..at)?;
    let expands = |item: &SelectItem| match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        item => expanded_expr(item).is_some(),
    };
    if upto.iter().any(expands) {
        return None;
    }
    match upto.last()? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => Some(expr),
        _ => None,
    }
}

/// The column name the server gives an expression (`parse_target.c`, `FigureColname`), where it is certain.
pub(super) fn expr_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident).into_owned()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| folded(ident).into_owned()),
        Expr::Nested(inner) => expr_name(inner),
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => expr_name(expr),
            _ => None,
        },
        Expr::Function(Function { name, .. }) => match name.0.last()? {
            sqlparser::ast::ObjectNamePart::Identifier(ident) => {
                let name = folded(ident).into_owned();
                Some(marker::named(&name).map_or_else(|| name.clone(), str::to_owned))
            }
            sqlparser::ast::ObjectNamePart::Function(_) => None,
        },
        _ => None,
    }
}
