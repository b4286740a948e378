//! FROM: left to right, with LATERAL, joins and their aliases (`src/backend/parser/parse_clause.c`).

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use sqlparser::ast::{
    Expr, FunctionArg, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableAlias,
    TableFactor, TableFunctionArgs, TableSample, TableSampleKind, TableSampleModifier, TableWithJoins,
};

use super::Walker;
use super::compare::Comparing;
use super::expr::VALUE_WORDS;
use super::origin::{Name, Origin};
use super::scope::{CteHit, Hit, Item, Output, Place, Scope, Source, common, expanded, folded, merged};
use super::uses::Uses;
use crate::builtin;
use crate::marker;
use crate::predicate::{Comparison, Operand, OperandClass};

type Items = Vec<Rc<Item>>;

/// The most items of one FROM: a name is looked for in each.
const MAX_ITEMS: usize = 256;

/// Forms of the grammar that look like functions and have another's name, by which their columns are called.
const RENAMED: [&str; 4] = ["cast", "collation", "treat", "trim"];

/// Whether a name is one of these words and not quoted.
fn is_word(name: &ObjectName, words: &[&str]) -> bool {
    let [ObjectNamePart::Identifier(word)] = name.0.as_slice() else { return false };
    word.quote_style.is_none() && words.contains(&folded(word).as_ref())
}

/// Whether it keeps rows that have no match.
const fn is_outer(join: &Join) -> bool {
    !matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
}

impl Walker<'_> {
    /// The items that a FROM clause makes. `before`: items that LATERAL sees besides (UPDATE's target).
    pub(super) fn from(&mut self, from: &[TableWithJoins], before: &[Rc<Item>], place: Place<'_>) -> Items {
        let mut all: Items = before.to_vec();
        let own = all.len();
        for table in from {
            if all.len() >= MAX_ITEMS {
                self.doubt("too-complex");
                break;
            }
            let joined = self.joined(table, &all, place);
            all.extend(joined);
        }
        all.split_off(own)
    }

    fn joined(&mut self, table: &TableWithJoins, before: &[Rc<Item>], place: Place<'_>) -> Items {
        let TableWithJoins { relation, joins } = table;
        let walk = |walker: &mut Self| {
            let mut items = walker.factor(relation, before, place);
            for join in joins {
                walker.join(join, &mut items, before, place);
            }
            items
        };
        // Rows without a match are those for which the conditions of one side do not hold.
        if joins.iter().any(is_outer) { self.turned(walk) } else { walk(self) }
    }

    fn join(&mut self, join: &Join, left: &mut Items, before: &[Rc<Item>], place: Place<'_>) {
        let Join { relation, global, join_operator } = join;
        if left.len() + before.len() >= MAX_ITEMS {
            return self.doubt("too-complex");
        }
        if *global {
            self.doubt("unsupported-join");
        }
        let mut siblings = before.to_vec();
        siblings.extend(left.iter().cloned());
        let right = self.factor(relation, &siblings, place);
        let constraint = match join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => constraint,
            _ => return self.doubt("unsupported-join"),
        };
        match constraint {
            JoinConstraint::None => left.extend(right),
            JoinConstraint::On(condition) => {
                left.extend(right);
                let scope = Scope { items: left, outer: place.scope };
                self.conditions([condition], place.within(&scope));
            }
            // To find out what columns there are costs as much again for each that follows.
            JoinConstraint::Using(_) | JoinConstraint::Natural if self.budget.is_spent() => {
                self.doubt("too-complex");
            }
            JoinConstraint::Using(names) => {
                let mut merged = Vec::with_capacity(names.len());
                let mut alias = None;
                for name in names {
                    match self.parts(name).as_slice() {
                        [name] => match marker::named(name) {
                            Some(name) => alias = Some(name.to_owned()),
                            None => {
                                self.merge_column(name, left, &right);
                                merged.push(name.clone());
                            }
                        },
                        _ => self.doubt("unsupported-join"),
                    }
                }
                self.join_merged(&merged, left, right, alias);
            }
            JoinConstraint::Natural => {
                self.natural(left, &right);
                let (ours, theirs) = (expanded(left, self.catalog), expanded(&right, self.catalog));
                let names = ours.names.into_iter().flatten().map(|name| name.text);
                let theirs: HashSet<&str> =
                    theirs.names.iter().flatten().map(|name| name.text.as_str()).collect();
                let names: Vec<String> = names.filter(|name| theirs.contains(name.as_str())).collect();
                self.join_merged(&names, left, right, None);
            }
        }
    }

    /// `alias`: the name of the merged columns, if they have one.
    fn join_merged(&mut self, names: &[String], left: &mut Items, right: Items, alias: Option<String>) {
        let (ours, theirs) = (expanded(left, self.catalog), expanded(&right, self.catalog));
        if !self.budget.spend(ours.names.len() + theirs.names.len()) {
            return self.doubt("too-complex");
        }
        let common = common(names, &ours, &theirs);
        left.extend(right);
        left.extend(alias.map(|alias| {
            let source = Source::Merged(common.clone());
            Rc::new(Item { alias: Some(alias), source, star: RefCell::default() })
        }));
        let star = merged(common, ours, theirs);
        if let Some(first) = left.first() {
            first.star.replace(Some((star, left.len())));
        }
    }

    /// A column that USING merges is compared on both sides.
    fn merge_column(&mut self, name: &str, left: &[Rc<Item>], right: &[Rc<Item>]) {
        let mut pairs = vec![(Comparison::Eq, Operand::of(OperandClass::Column))];
        if self.turned {
            pairs.push((Comparison::Ne, Operand::of(OperandClass::Column)));
        }
        self.comparing(Comparing::By(pairs), |walker| {
            for side in [left, right] {
                match walker.hit_level(name, side) {
                    Hit::Columns(columns) => walker.touch_all(columns, Uses::PREDICATE),
                    Hit::Harmless | Hit::System | Hit::Unsure => {}
                    Hit::Miss => walker.doubt("unresolved-name"),
                }
                walker.through(name, side, Uses::PREDICATE);
            }
        });
    }

    fn natural(&mut self, left: &[Rc<Item>], right: &[Rc<Item>]) {
        for item in right {
            let output = item.output(self.catalog);
            for Name { text: name, .. } in output.names.iter().flatten() {
                if !self.budget.spend(left.len()) {
                    return self.doubt("too-complex");
                }
                if self.hit_level(name, left) != Hit::Miss {
                    self.merge_column(name, left, right);
                }
            }
            if output.open || output.names.iter().any(Option::is_none) {
                // It may share any column of the left side.
                let whole: Vec<_> = left.iter().flat_map(|item| item.whole(self.catalog)).collect();
                self.touch_all(whole, Uses::PREDICATE);
                left.iter().for_each(|item| self.through_row(item, Uses::PREDICATE));
                self.over("natural-join");
            }
        }
    }

    /// What a name means among the items of one level.
    pub(super) fn hit_level(&self, name: &str, items: &[Rc<Item>]) -> Hit {
        let hit = items.iter().fold(Hit::Miss, |hit, item| hit.and(item.bare(name, self.catalog)));
        // Of several items the server either finds it ambiguous or, over a join, looks further out.
        match hit {
            Hit::System if items.len() == 1 => Hit::Harmless,
            Hit::System => Hit::Unsure,
            hit => hit,
        }
    }

    /// TABLESAMPLE leaves rows out, by how much its argument says. Methods of extensions do not parse.
    fn sample(&mut self, sample: Option<&TableSampleKind>, place: Place<'_>) {
        let Some(sample) = sample else { return };
        let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample;
        let TableSample { modifier, name: _, quantity, seed: _, bucket, offset } = sample.as_ref();
        // `t sample (a)` is an alias to the server.
        if bucket.is_some() || !matches!(modifier, TableSampleModifier::TableSample) {
            self.doubt("unsupported-from");
        }
        let of = quantity.as_ref().map(|quantity| &quantity.value);
        for expr in of.into_iter().chain(offset) {
            self.expr(expr, place, Uses::PREDICATE);
        }
    }

    fn factor(&mut self, factor: &TableFactor, before: &[Rc<Item>], place: Place<'_>) -> Items {
        let lateral_scope = Scope { items: before, outer: place.scope };
        let lateral_place = place.within(&lateral_scope);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if !with_hints.is_empty()
                    || version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_hints.is_empty()
                {
                    self.doubt("unsupported-from");
                }
                self.sample(sample.as_ref(), place);
                match args {
                    Some(TableFunctionArgs { args, settings }) => {
                        if settings.is_some() {
                            self.doubt("unsupported-from");
                        }
                        self.function_item(name, args, *with_ordinality, alias.as_ref(), lateral_place)
                    }
                    None => {
                        if *with_ordinality {
                            self.doubt("unsupported-from");
                        }
                        self.table_item(name, alias.as_ref(), place)
                    }
                }
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                if sample.is_some() {
                    self.doubt("unsupported-from");
                }
                let place = if *lateral { lateral_place } else { place };
                self.derives(false);
                let output = self.traced(|walker| walker.query(subquery, place, Uses::OUTPUT));
                self.derived(&output, alias.as_ref())
            }
            TableFactor::Function { lateral: _, name, args, with_ordinality, alias } => {
                self.function_item(name, args, *with_ordinality, alias.as_ref(), lateral_place)
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality: _,
            } => {
                if *with_offset || with_offset_alias.is_some() {
                    self.doubt("unsupported-from");
                }
                self.derives(false);
                self.function_name(&["unnest".to_owned()]);
                let origin = self.made_of(|walker| {
                    walker.somehow(|walker| walker.exprs(array_exprs, lateral_place, Uses::OUTPUT));
                });
                self.open_item("unnest", alias.as_ref(), origin)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let items = self.joined(table_with_joins, before, place);
                match alias {
                    None => items,
                    Some(alias) => {
                        let (alias, renamed) = self.alias(Some(alias));
                        let source = if renamed.is_empty() {
                            Source::Join(items)
                        } else {
                            self.renamed(&items, renamed)
                        };
                        vec![Rc::new(Item { alias, source, star: RefCell::default() })]
                    }
                }
            }
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => {
                self.doubt("unsupported-from");
                Vec::new()
            }
        }
    }

    /// The columns of a join, the first of them by new names. Each is what stands at its place: another may have had its
    /// name.
    fn renamed(&mut self, items: &[Rc<Item>], renamed: Vec<String>) -> Source {
        let output = expanded(items, self.catalog);
        if output.unnamed().is_some() || renamed.len() > output.names.len() {
            self.doubt("unsupported-from");
        }
        let mut names: Vec<Name> = output.names.into_iter().flatten().collect();
        names.iter_mut().zip(renamed).for_each(|(name, text)| name.text = text);
        Source::Renamed(names)
    }

    fn table_item(&mut self, name: &ObjectName, alias: Option<&TableAlias>, place: Place<'_>) -> Items {
        let parts = self.parts(name);
        let Some(last) = parts.last().cloned() else { return Vec::new() };
        let (alias_name, renamed) = self.alias(alias);
        // A function from 16 on, else a table.
        let is_system_user = is_word(name, &["system_user"]);
        if is_system_user && !self.catalog.has_system_user() {
            self.doubt("unsupported-from");
            return Vec::new();
        }
        if is_system_user || is_word(name, &VALUE_WORDS) {
            // A function without parentheses, whatever tables there are: one column, by the alias or its own name.
            let alias = alias_name.unwrap_or(last);
            let value = Some(Name::new(alias.clone(), Origin::any([])));
            let output = Output { names: vec![value], ..Output::default() };
            let source = Source::Derived(output.renamed(&renamed));
            return vec![Rc::new(Item { alias: Some(alias), source, star: RefCell::default() })];
        }
        if let ([name], Some(ctes)) = (parts.as_slice(), place.ctes) {
            match ctes.find(name) {
                CteHit::Found(output) => {
                    let source = Source::Derived(output.renamed(&renamed));
                    return vec![Rc::new(Item {
                        alias: Some(alias_name.unwrap_or(last)),
                        source,
                        star: RefCell::default(),
                    })];
                }
                CteHit::Pending => {
                    self.doubt("forward-reference");
                    return Vec::new();
                }
                CteHit::None => {}
            }
        }
        let Some(index) = self.lookup(&parts) else {
            self.doubt("unknown-relation");
            return Vec::new();
        };
        self.read_relation(index);
        self.apart(index);
        self.scans(index, false);
        let aliased = alias_name.is_some();
        let source = Source::Relation { index, renamed, aliased };
        vec![Rc::new(Item { alias: Some(alias_name.unwrap_or(last)), source, star: RefCell::default() })]
    }

    fn derived(&mut self, output: &Output, alias: Option<&TableAlias>) -> Items {
        let (alias, renamed) = self.alias(alias);
        vec![Rc::new(Item {
            alias,
            source: Source::Derived(output.renamed(&renamed)),
            star: RefCell::default(),
        })]
    }

    /// The alias and its column names, both folded.
    pub(super) fn alias(&mut self, alias: Option<&TableAlias>) -> (Option<String>, Vec<String>) {
        let Some(TableAlias { explicit: _, name, columns, at }) = alias else { return (None, Vec::new()) };
        if at.is_some() {
            self.doubt("unsupported-from");
        }
        let mut names = Vec::with_capacity(columns.len());
        for column in columns {
            if let Some(data_type) = &column.data_type {
                self.data_type(data_type);
            }
            names.push(folded(&column.name).into_owned());
        }
        (Some(folded(name).into_owned()), names)
    }

    fn function_item(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        place: Place<'_>,
    ) -> Items {
        if is_word(name, &RENAMED) {
            self.doubt("unsupported-from");
        }
        let parts = self.parts(name);
        self.derives(!args.is_empty());
        self.function_name(&parts);
        // How many rows there are, if any, may depend on them.
        let origin =
            self.made_of(|walker| walker.somehow(|walker| walker.function_args(args, place, Uses::OUTPUT)));
        let last = parts.last().cloned().unwrap_or_default();
        let of_server = match parts.as_slice() {
            [name] => self.is_of_server(name),
            [schema, _] | [_, schema, _] => schema == "pg_catalog",
            _ => false,
        };
        let columns = if last == marker::XMLTABLE || last == marker::JSON_TABLE {
            // The alias names all of them.
            Some(&[][..])
        } else {
            builtin::function_columns(&last).filter(|_| of_server)
        };
        if let Some(columns) = columns {
            let (alias, renamed) = self.alias(alias);
            let ordinality = with_ordinality.then_some(&"ordinality");
            let names = columns.iter().chain(ordinality).map(|name| Some(Name::new(*name, origin.clone())));
            let output = Output { names: names.collect(), ..Output::default() };
            let source = Source::Derived(output.renamed(&renamed));
            return vec![Rc::new(Item {
                alias: Some(alias.unwrap_or(last)),
                source,
                star: RefCell::default(),
            })];
        }
        self.open_item(&last, alias, origin)
    }

    /// A function's result: only columns named in the statement itself are certain, since an element of an
    /// array may be a row.
    fn open_item(&mut self, name: &str, alias: Option<&TableAlias>, origin: Origin) -> Items {
        let (alias, names) = self.alias(alias);
        let output = Output { names: Vec::new(), open: true, rest: origin }.renamed(&names);
        vec![Rc::new(Item {
            alias: Some(alias.unwrap_or_else(|| name.to_owned())),
            source: Source::Derived(output),
            star: RefCell::default(),
        })]
    }

    /// Resolves a name that may be a column, a whole row or a qualified column.
    pub(super) fn name(&mut self, parts: &[&Ident], place: Place<'_>, uses: Uses) {
        let parts: Vec<_> = parts.iter().map(|part| folded(part)).collect();
        match parts.as_slice() {
            [name] => self.bare_name(name, place, uses),
            [item, column] => self.qualified(item, column, place, uses),
            // With the name of this database before it: of any other the server refuses it (parse_expr.c, `transformColumnRef`).
            [schema, relation, column] | [_, schema, relation, column] => {
                self.schema_qualified(schema, relation, column, place, uses);
            }
            _ => self.doubt("unresolved-name"),
        }
    }

    /// `parse_expr.c`, `transformColumnRef`: a column of any level, innermost first; else a whole row.
    fn bare_name(&mut self, name: &str, place: Place<'_>, uses: Uses) {
        let mut unsure = false;
        for items in place.scope.into_iter().flat_map(Scope::levels) {
            let hit = self.hit_level(name, items);
            self.kept_apart(name, items, uses);
            if hit != Hit::Miss {
                self.through(name, items, uses);
            }
            match hit {
                Hit::Columns(columns) => return self.touch_all(columns, uses),
                Hit::Harmless | Hit::System => return,
                // It may also mean something further out: account for that as well.
                Hit::Unsure => unsure = true,
                Hit::Miss => {}
            }
        }
        if let Some(item) = self.item(name, place) {
            return self.whole_row(&item, uses);
        }
        self.apart_from_row(name);
        if !self.row_of_trigger(name, None) && !unsure && !self.is_argument(name) {
            self.doubt("unresolved-name");
        }
    }

    /// The nearest item of that alias.
    pub(super) fn item(&self, alias: &str, place: Place<'_>) -> Option<Rc<Item>> {
        place
            .scope
            .into_iter()
            .flat_map(Scope::levels)
            .find_map(|items| items.iter().find(|item| item.alias.as_deref() == Some(alias)).cloned())
    }

    pub(super) fn whole_row(&mut self, item: &Item, uses: Uses) {
        let columns = item.whole(self.catalog);
        if !self.budget.spend(columns.len()) {
            return self.doubt("too-complex");
        }
        for column in columns {
            self.touch_again(column, uses);
            self.named(column, uses, false);
        }
        self.through_row(item, uses);
    }

    fn qualified(&mut self, alias: &str, column: &str, place: Place<'_>, uses: Uses) {
        match self.item(alias, place) {
            Some(item) => self.column_of(&item, column, uses),
            None if self.row_of_trigger(alias, Some(column)) => {}
            None if self.is_part_of_argument(alias, column) => {}
            None => self.doubt("unresolved-name"),
        }
    }

    fn column_of(&mut self, item: &Rc<Item>, column: &str, uses: Uses) {
        let hit = item.hit(column, self.catalog);
        self.kept_apart(column, std::slice::from_ref(item), uses);
        if hit != Hit::Miss {
            self.through(column, std::slice::from_ref(item), uses);
        }
        match hit {
            Hit::Columns(columns) => self.touch_all(columns, uses),
            Hit::Harmless | Hit::System => {}
            // `p.f` calls f(p) where p has no column f.
            Hit::Unsure
                if self.catalog.is_user_function(column)
                    || self.catalog.is_function(column) && !item.is_value_of(column) =>
            {
                self.whole_row(item, uses);
                self.doubt_function("unknown-function");
            }
            Hit::Unsure => self.cast_by_field(column),
            Hit::Miss => {
                self.whole_row(item, uses);
                self.doubt("unresolved-name");
            }
        }
    }

    fn schema_qualified(&mut self, schema: &str, relation: &str, column: &str, place: Place<'_>, uses: Uses) {
        match self.schema_item(schema, relation, place) {
            Some(item) => self.column_of(&item, column, uses),
            None => self.doubt("unresolved-name"),
        }
    }

    /// The item that `schema.relation` denotes: that very relation, without an alias.
    pub(super) fn schema_item(&self, schema: &str, relation: &str, place: Place<'_>) -> Option<Rc<Item>> {
        let wanted = self.catalog.find(schema, relation)?;
        place.scope.into_iter().flat_map(Scope::levels).find_map(|items| {
            let is = |item: &&Rc<Item>| {
                matches!(item.source, Source::Relation { index, aliased: false, .. } if index == wanted)
            };
            items.iter().find(is).cloned()
        })
    }

    pub(super) fn exprs<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        place: Place<'_>,
        uses: Uses,
    ) {
        for expr in exprs {
            self.expr(expr, place, uses);
        }
    }
}
