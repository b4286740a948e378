//! From tokens to sqlparser's tree, and the proof that the tree is of the same statement.
//!
//! sqlparser gets the tokens rendered anew: no comments, every literal `'x'`, names quoted where it could
//! read them otherwise. Its tree, rendered in turn, must be to PostgreSQL's grammar what the client's own bytes
//! are; so what it swallows, invents or puts elsewhere is noticed (it swallows two tokens after `TABLE t`).

use std::borrow::Cow;

use pg_raw_parse::Node;
use sqlparser::ast::{Expr, SelectItem, SetExpr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Span};

use crate::grammar::{self, Outline, Tree};
use crate::lexer::{self, Numbers, Token, TokenKind, Unreadable, decimal};
use crate::marker;
use crate::normalise::normalise;
use crate::stack;

/// The tree of one query or DML statement, and where its literals were; `node` is the statement that it is, or is part
/// of, in PostgreSQL's reading.
pub(crate) fn statement(
    tokens: &[Token<'_>],
    node: Option<Node<'_>>,
) -> Result<(Statement, Literals), Unreadable> {
    if tokens.iter().any(|token| token.kind.ident().is_some_and(|name| name.starts_with(marker::PREFIX))) {
        return Err("syntax");
    }
    let tokens = &normalise(tokens);
    let nesting = check_height(tokens)?;
    // A limit that sqlparser meets it takes for a slip where another reading is left to try.
    let too_deep = nesting > stack::limits().recursion / 2;
    parse(tokens, node).map_err(|code| if too_deep { stack::TOO_DEEP } else { code })
}

fn parse(tokens: &[Token<'_>], node: Option<Node<'_>>) -> Result<(Statement, Literals), Unreadable> {
    let (text, literals) = render(tokens);
    let parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(stack::limits().recursion);
    let parsed = parser.try_with_sql(&text).and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|_| "syntax")?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err("misread");
    };
    let theirs = grammar::outline(node.and_then(grammar::query).ok_or("readers-disagree")?)?;
    if theirs == outline_of(&statement)? { Ok((statement, literals)) } else { Err("readers-disagree") }
}

/// An expression by itself, as the server prints it.
pub(crate) fn expression(text: &str, numbers: Numbers) -> Option<Expr> {
    let text = format!("select {text}");
    let tree = Tree::parse(&text).ok()?;
    let commands = tree.commands();
    let [command] = commands.as_slice() else { return None };
    let (parsed, _) = statement(&lexer::tokens(&text, numbers).ok()?, Some(command.node)).ok()?;
    let Statement::Query(query) = parsed else { return None };
    let SetExpr::Select(mut select) = *query.body else { return None };
    match (select.projection.pop(), select.projection.is_empty()) {
        (Some(SelectItem::UnnamedExpr(expr)), true) => Some(expr),
        _ => None,
    }
}

/// Where the literals of a tree were in the client's own text.
#[derive(Default)]
pub(crate) struct Literals {
    /// Columns in the text that was parsed, counted as sqlparser does, with offsets in the client's. In order.
    places: Vec<(u64, usize)>,
}

impl Literals {
    /// The offset in the client's text of the literal there.
    pub(crate) fn offset(&self, span: Span) -> Option<usize> {
        let Location { line: 1, column } = span.start else { return None };
        let found = self.places.binary_search_by_key(&column, |place| place.0).ok()?;
        self.places.get(found).map(|place| place.1)
    }
}

/// Prefix operators in a row, apart: sqlparser renders `- -1` and `@ -1` without the blank, the one a comment and the
/// other an operator `@-`. Around all others it puts blanks.
fn set_apart(rendered: String) -> String {
    let meet = |before: char, next: char| {
        matches!((before, next), ('-' | '@' | '~' | '/', '-') | ('-', '@' | '~' | '|'))
    };
    let bytes = rendered.as_bytes();
    if !bytes.windows(2).any(|pair| matches!(pair, [one, other] if meet((*one).into(), (*other).into()))) {
        return rendered;
    }
    let mut text = String::with_capacity(rendered.len() + 8);
    let mut quote = None;
    let mut before = ' ';
    for (at, next) in rendered.char_indices() {
        // `@-@` is one.
        let is_one = text.ends_with("@-") && next == '@'
            || before == '@' && rendered.get(at..).is_some_and(|rest| rest.starts_with("-@"));
        match (quote, next) {
            (Some(open), next) if next == open => quote = None,
            (None, '\'' | '"') => quote = Some(next),
            (None, next) if meet(before, next) && !is_one => text.push(' '),
            _ => {}
        }
        text.push(next);
        before = next;
    }
    text
}

/// What PostgreSQL's grammar reads in sqlparser's tree, rendered.
fn outline_of(statement: &Statement) -> Result<Outline, Unreadable> {
    let tree = Tree::parse(&set_apart(statement.to_string())).map_err(|_| "misread")?;
    match tree.commands().as_slice() {
        [command] => grammar::outline(grammar::query(command.node).ok_or("misread")?),
        _ => Err("misread"),
    }
}

/// An upper bound of the height of the tree, by brackets and chains of operators, which sqlparser builds (and
/// drops) recursively without a limit of its own. CASE … END is a bracket, and WHEN a comma in it. Says how deeply brackets
/// and prefix operators are nested, for which sqlparser has one.
fn check_height(tokens: &[Token<'_>]) -> Result<usize, Unreadable> {
    let max_height = stack::limits().height;
    let mut open = vec![Bracket::default()];
    let (mut prefixes, mut nesting) = (0, 0);
    for token in tokens {
        let is_prefix = matches!(token.kind, TokenKind::Operator(_)) || token.kind.word() == Some("not");
        prefixes = if is_prefix { prefixes + 1 } else { 0 };
        nesting = nesting.max(open.len() + prefixes);
        let Some(top) = open.last_mut() else { return Err("syntax") };
        match &token.kind {
            TokenKind::Punct(b',') => top.part(),
            TokenKind::Punct(b'(' | b'[') => open.push(Bracket::default()),
            TokenKind::Punct(b')' | b']') => {
                // An END that is missing is the parser's to complain about.
                while open.last().is_some_and(|top| top.is_case) {
                    close(&mut open)?;
                }
                close(&mut open)?;
            }
            TokenKind::Operator(_) | TokenKind::Cast => top.chain += 1,
            TokenKind::Word(word) => match word.as_ref() {
                "case" => open.push(Bracket { is_case: true, ..Bracket::default() }),
                "when" | "then" | "else" if top.is_case => top.part(),
                "end" if top.is_case => close(&mut open)?,
                word => top.chain += usize::from(is_chain_word(word)),
            },
            _ => {}
        }
        if open.iter().map(|it| it.height() + 1).sum::<usize>() > max_height {
            return Err(stack::TOO_DEEP);
        }
    }
    Ok(nesting)
}

/// An open bracket.
#[derive(Default)]
struct Bracket {
    is_case: bool,
    /// The chain since the last comma.
    chain: usize,
    /// The highest before it.
    highest: usize,
}

impl Bracket {
    fn part(&mut self) {
        self.highest = self.height();
        self.chain = 0;
    }

    fn height(&self) -> usize {
        self.chain.max(self.highest)
    }
}

/// What was in a bracket is part of the chain around it.
fn close(open: &mut Vec<Bracket>) -> Result<(), Unreadable> {
    let inner = open.pop().map_or(0, |bracket| bracket.height());
    let around = open.last_mut().ok_or("syntax")?;
    around.chain += inner + 1;
    Ok(())
}

fn is_chain_word(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "is"
            | "in"
            | "like"
            | "ilike"
            | "similar"
            | "between"
            | "collate"
            | "at"
            | "union"
            | "except"
            | "intersect"
            | "overlaps"
            | "escape"
            | "interval"
    )
}

/// The tokens as text that leaves no two readings.
fn render(tokens: &[Token<'_>]) -> (String, Literals) {
    let mut text = String::with_capacity(tokens.len() * 6);
    let mut literals = Literals::default();
    // Bytes that begin no character.
    let mut more = 0;
    for token in tokens {
        if !(token.kind.is_punct(b'.') || text.ends_with('.')) {
            text.push(' ');
        }
        if matches!(token.kind, TokenKind::Text(_) | TokenKind::Number(_)) {
            // After a line break in a name, nothing is found: values are unknown then.
            let column = u64::try_from(text.len() - more + 1).unwrap_or(u64::MAX);
            literals.places.push((column, token.at));
        }
        match &token.kind {
            TokenKind::Word(word) if word.is_ascii() => text.push_str(word),
            TokenKind::Word(word) | TokenKind::Quoted(word) => {
                text.push('"');
                text.push_str(&word.replace('"', "\"\""));
                text.push('"');
                more += word.len() - word.chars().count();
            }
            TokenKind::Text(_) => text.push_str("'x'"),
            TokenKind::Number(it) => text.push_str(&decimal(it).unwrap_or(Cow::Borrowed(it))),
            TokenKind::Param(it) | TokenKind::Operator(it) => text.push_str(it),
            TokenKind::Cast => text.push_str("::"),
            TokenKind::Punct(byte) => text.push(char::from(*byte)),
        }
    }
    (text, literals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Result<Statement, Unreadable> {
        let tree = Tree::parse(sql)?;
        let tokens = crate::lexer::tokens(sql, crate::lexer::Numbers::Decimal).expect("tokens");
        statement(&tokens, tree.commands().first().map(|it| it.node)).map(|(statement, _)| statement)
    }

    #[test]
    fn misreadings_of_the_parser_are_refused() {
        for sql in ["select \"\u{1}rows\"(1)", "select into x from t"] {
            assert!(read(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn everyday_statements_survive_the_cross_check() {
        for sql in [
            "select distinct on (a) a, b as c from s.t x left outer join u using (id) where a != 1 order by 1 asc",
            "select a::timestamptz, cast(b as timestamp with time zone), c::double precision, d::int[] from t",
            "select date_trunc('day', at), extract(epoch from at), substring(a from 1 for 2) from t",
            "select a from t where a not in (1, 2) and b between 1 and 2 and c is not distinct from 3",
            "select a from t where a not like 'x%' escape '!' or b ilike 'y' or c similar to 'z'",
            "select count(*) filter (where a > 1), sum(b) over (partition by c order by d rows between 1 preceding and current row) from t",
            "with recursive a as (select 1 as n union all select n + 1 from a where n < 5) select * from a",
            "select a from t limit 5 offset 3",
            "select a from t fetch first 5 rows only",
            "insert into t (a, b) values (1, default) on conflict (a) do update set b = excluded.b returning *",
            "update t set a = 1, b = b + 1 from u where t.id = u.id returning t.a",
            "delete from t using u where t.id = u.id",
            "select case when a then 1 else 2 end, array[1, 2], (select max(x) from u), row(1, 2), exists (select 1)",
            "select a from t where b = any(array(select 1)) and c > all ($1)",
            "select interval '1 day', date '2024-01-01', at at time zone 'utc' from t",
            "select trim(both ' ' from a), position('x' in a), overlay(a placing 'x' from 1), coalesce(a, 'b') from t",
            "select a from t group by rollup (a, b), cube (c), grouping sets ((a), ())",
            "select a from t where b operator(pg_catalog.~) '^(x)$' collate pg_catalog.default",
            "select 1 union table scratch",
            "select a as table, b as isnull from t",
            "select 1 table from t",
            "table customers",
            "select 'a'\n'b' from t",
            "select a isnull from t",
            "select a notnull, b from t",
            "select inet '1.1.1.1', ssn from t",
            "select \"myType\" 'x' from t",
            "select a from only t for no key update",
            "select - -1, - - - a, @ -a, - @ a, ~ -a, - ~ a, |/ -a, - |/ a, + - a, - + a, @-@ a, a - @ b, a @-@ b, a - - -1, \"--\", 'x--' || \"'--\" || - -1 from t where \"a\"\"--\" = - -b -- - -",
            "select a -> 'b' ->> 'c', a #>> '{x}', a @> '{}' from t for update skip locked",
        ] {
            assert!(read(sql).is_ok(), "{sql}: {:?}", read(sql).err());
        }
    }
}
