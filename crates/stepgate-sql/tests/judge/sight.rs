//! Queries whose names are, most of them, of what is in sight there, written in every way that names can be. Tables, items
//! and columns are called alike wherever that can be.

use super::common::Random;

/// The tables. `zz` is what is granted where only rows count: no name means it but in a star.
pub(crate) const TABLES: &str = "
    create type comp as (f text, a int);
    create table t1 (zz int, a int, b text, t2 text, arr text[], j jsonb);
    create table t2 (zz int, a int, c text, t1 int[], d text, q int);
    create table t3 (zz int, b text, a int, q comp, x jsonb, t3 text)";

const NAMES: [&str; 13] = ["a", "b", "c", "d", "t1", "t2", "t3", "q", "x", "arr", "j", "f", "w"];

/// Those of their columns that have parts.
const WITH_PARTS: [&str; 4] = ["arr", "j", "t1", "x"];

/// How deep a query goes.
const DEPTH: usize = 4;

/// Of a longer one something is wrong, most likely.
const LONGEST: usize = 900;

/// What names can refer to: a table, or something of FROM or WITH.
#[derive(Clone)]
struct Item {
    name: String,
    columns: Vec<String>,
}

impl Item {
    fn new(name: impl Into<String>, columns: Vec<String>) -> Self {
        Self { name: name.into(), columns }
    }
}

/// Everything that names may mean in one place.
#[derive(Clone)]
struct Sight {
    items: Vec<Item>,
    tables: Vec<Item>,
}

impl Sight {
    fn with(&self, items: &[Item]) -> Self {
        Self { items: items.iter().chain(&self.items).cloned().collect(), tables: self.tables.clone() }
    }
}

/// One query.
pub(crate) fn query(random: &mut Random) -> String {
    let columns = |names: &str| names.split(' ').map(str::to_owned).collect();
    let tables = [("t1", "zz a b t2 arr j"), ("t2", "zz a c t1 d q"), ("t3", "zz b a q x t3")];
    let tables = tables.map(|(name, names)| Item::new(name, columns(names))).to_vec();
    let sight = Sight { items: Vec::new(), tables };
    loop {
        let query = Queries { random, depth: 0 }.query(&sight, None).0;
        if query.len() <= LONGEST {
            return query;
        }
    }
}

struct Queries<'r> {
    random: &'r mut Random,
    depth: usize,
}

impl Queries<'_> {
    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.random.below(times) == 0
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.random.below(of.len())]
    }

    fn name(&mut self) -> String {
        (*self.one(&NAMES)).to_owned()
    }

    /// New names of the first columns, up to so many.
    fn renamed(&mut self, columns: &[String], most: usize) -> (String, Vec<String>) {
        let mut names: Vec<String> = (0..=self.random.below(most)).map(|_| self.name()).collect();
        let list = names.join(", ");
        names.extend(columns.iter().skip(names.len()).cloned());
        (list, names)
    }

    /// A column, row or part of either.
    fn reference(&mut self, sight: &Sight) -> String {
        let known: Vec<&Item> = sight.items.iter().filter(|item| !item.columns.is_empty()).collect();
        if known.is_empty() || self.once_in(7) {
            return self.name();
        }
        let Item { name, columns } = self.one(&known);
        let column = self.one(columns);
        let parts = columns.iter().filter(|it| WITH_PARTS.contains(&it.as_str()));
        let of_parts = *self.one(&parts.chain([column]).collect::<Vec<_>>());
        let part = *self.one(&["[1]", "[1:2]", "['a']"]);
        let schema = if self.once_in(6) { "public." } else { "" };
        match self.random.below(20) {
            0..7 => column.clone(),
            7..13 => format!("{schema}{name}.{column}"),
            13 => name.clone(),
            14 => format!("({name}).{column}"),
            15 => format!("({name}.{column}).{}", self.one(&["f", "a"])),
            16..18 => format!("{schema}{name}.{of_parts}{part}"),
            18 => format!("{of_parts}{part}"),
            _ => format!("({name}.*)"),
        }
    }

    fn expr(&mut self, sight: &Sight) -> String {
        self.depth += 1;
        let one = self.reference(sight);
        let expr = match self.random.below(if self.depth > DEPTH { 20 } else { 36 }) {
            0..20 => one,
            20 | 21 => format!("(select {})", self.expr(sight)),
            22 | 23 => format!("({})", self.query(sight, Some(1)).0),
            24 | 25 => format!("coalesce(({})::text, {one}::text)", self.expr(sight)),
            26 | 27 => format!("({one})::text"),
            28 => format!("row_to_json({})", self.name()),
            29 => format!("array(select {one})"),
            30 => format!("({one} is null)"),
            31 => format!("count({one}) over (order by {})", self.reference(sight)),
            32 => format!("(array_agg({one}) filter (where {} is not null))[1]", self.reference(sight)),
            33 => format!("case when {one} is null then {}::text end", self.reference(sight)),
            34 => format!("({one} in (select {}))", self.reference(sight)),
            _ => format!("(row({one}, {})).f1", self.reference(sight)),
        };
        self.depth -= 1;
        expr
    }

    /// A thing of FROM, and what it is called. `before`: what stands left of it.
    fn item(&mut self, sight: &Sight, before: &[Item]) -> (String, Vec<Item>) {
        let alias = self.name();
        match self.random.below(if self.depth > DEPTH { 8 } else { 17 }) {
            0..8 => {
                let Item { name, columns } = self.one(&sight.tables).clone();
                match self.random.below(10) {
                    0..3 => (name.clone(), vec![Item::new(name, columns)]),
                    3..6 => (format!("{name} {alias}"), vec![Item::new(alias, columns)]),
                    _ => {
                        let (list, columns) = self.renamed(&columns, 3);
                        (format!("{name} as {alias} ({list})"), vec![Item::new(alias, columns)])
                    }
                }
            }
            8..11 => {
                let lateral = self.once_in(2);
                let sight = if lateral { sight.with(before) } else { sight.clone() };
                let (query, mut columns) = self.query(&sight, None);
                let lateral = if lateral { "lateral " } else { "" };
                let mut text = format!("{lateral}({query}) as {alias}");
                if self.once_in(2) {
                    let list;
                    (list, columns) = self.renamed(&columns, 1);
                    text = format!("{text} ({list})");
                }
                (text, vec![Item::new(alias, columns)])
            }
            11 => {
                let of = self.reference(&sight.with(before));
                let column = self.name();
                let function = match self.random.below(3) {
                    0 => format!("unnest({of}) as {alias} ({column})"),
                    1 => format!("jsonb_each({of}) as {alias} ({column})"),
                    _ => format!("generate_series(1, 2) as {alias} ({column})"),
                };
                (function, vec![Item::new(alias, vec![column])])
            }
            12 => self.anew(sight, before, alias),
            _ => self.join(sight, before, alias),
        }
    }

    /// A join of a table one of whose columns has the name of another, which an alias calls anew once more.
    fn anew(&mut self, sight: &Sight, before: &[Item], alias: String) -> (String, Vec<Item>) {
        let Item { name, mut columns } = self.one(&sight.tables).clone();
        let again = self.one(&columns).clone();
        let table = format!("{name} as {} ({again})", self.name());
        columns.splice(..1, [again]);
        self.depth += 1;
        let (other, more) = self.item(sight, before);
        self.depth -= 1;
        let others = more.into_iter().flat_map(|item| item.columns);
        let (join, all): (_, Vec<String>) = if self.once_in(3) {
            (format!("{other} cross join {table}"), others.chain(columns).collect())
        } else {
            (format!("{table} cross join {other}"), columns.into_iter().chain(others).collect())
        };
        let (list, columns) = self.renamed(&all, 2);
        (format!("({join}) as {alias} ({list})"), vec![Item::new(alias, columns)])
    }

    fn join(&mut self, sight: &Sight, before: &[Item], alias: String) -> (String, Vec<Item>) {
        self.depth += 1;
        let (left, mut items) = self.item(sight, before);
        let (right, more) = self.item(sight, &[before, &items].concat());
        self.depth -= 1;
        items.extend(more);
        let kind = *self.one(&["", "left ", "full "]);
        let join = match self.random.below(10) {
            0..3 => {
                let names = if self.once_in(2) { format!(" as {alias}") } else { String::new() };
                format!("{left} {kind}join {right} using ({}){names}", self.one(&["a", "b", "zz", "q"]))
            }
            3 => format!("{left} natural {kind}join {right}"),
            4..8 => {
                let condition = self.reference(&sight.with(&items));
                format!("{left} {kind}join {right} on {condition} is not null")
            }
            _ => format!("{left} cross join {right}"),
        };
        let all: Vec<String> = items.iter().flat_map(|item| item.columns.iter().cloned()).collect();
        match self.random.below(10) {
            0..2 => (format!("({join}) as {alias}"), vec![Item::new(alias, all)]),
            2..5 => {
                let (list, columns) = self.renamed(&all, 2);
                (format!("({join}) as {alias} ({list})"), vec![Item::new(alias, columns)])
            }
            5..7 => (format!("({join})"), items),
            _ => (join, items),
        }
    }

    /// A query, and what its columns are called, as far as that is known. `width`: how many there shall be.
    fn query(&mut self, sight: &Sight, width: Option<usize>) -> (String, Vec<String>) {
        self.depth += 1;
        let mut sight = sight.clone();
        let mut text = String::new();
        if self.depth < DEPTH && self.once_in(5) {
            let name = self.name();
            let (query, mut columns) = self.query(&sight, None);
            let mut list = String::new();
            if self.once_in(2) {
                (list, columns) = self.renamed(&columns, 1);
                list = format!(" ({list})");
            }
            text = format!("with {name}{list} as ({query}) ");
            sight.tables.retain(|table| table.name != name);
            // Twice, to be taken more often.
            sight.tables.extend([Item::new(name.clone(), columns.clone()), Item::new(name, columns)]);
        }
        let (mut from, mut items) = self.item(&sight, &[]);
        if self.once_in(3) {
            let (other, more) = self.item(&sight, &items);
            from = format!("{from}, {other}");
            items.extend(more);
        }
        let within = sight.with(&items);
        let (list, names) = self.list(&within, &items, width);
        let distinct = if self.once_in(6) { "distinct " } else { "" };
        text = format!("{text}select {distinct}{list} from {from}");
        if self.once_in(3) {
            text = format!("{text} where {} is not null", self.reference(&within));
        }
        let sorted = names.iter().cloned().chain(["1".to_owned(), self.reference(&within)]);
        let sorted: Vec<String> = sorted.collect();
        if self.once_in(8) {
            text = format!("{text} group by {}", self.one(&sorted));
        }
        if self.once_in(4) {
            text = format!("{text} order by {}", self.one(&sorted));
        }
        self.depth -= 1;
        (text, names)
    }

    /// A select list.
    fn list(&mut self, within: &Sight, items: &[Item], width: Option<usize>) -> (String, Vec<String>) {
        let (mut list, mut names) = (Vec::new(), Vec::new());
        let count = width.unwrap_or_else(|| 1 + self.random.below(3));
        for _ in 0..count {
            if width.is_none() && self.once_in(8) {
                let item = self.one(items);
                let whole = self.once_in(2);
                let of = if whole { items } else { std::slice::from_ref(item) };
                list.push(if whole { "*".to_owned() } else { format!("{}.*", item.name) });
                names.extend(of.iter().flat_map(|item| item.columns.iter().cloned()));
                continue;
            }
            let expr = self.expr(within);
            let name = match expr.rsplit('.').next() {
                Some(last) if self.once_in(2) && last.chars().all(char::is_alphanumeric) => last.to_owned(),
                _ => self.name(),
            };
            list.push(format!("{expr} as {name}"));
            names.push(name);
        }
        (list.join(", "), names)
    }
}
