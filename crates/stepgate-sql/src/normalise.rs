//! Tokens that say the same to PostgreSQL in a form that sqlparser reads as PostgreSQL does.
//!
//! Each rule answers a misreading or a gap of sqlparser 0.63; what a rule does not cover for certain is left
//! as it is, and `read` refuses it. Rules may lose what restricts a statement (ONLY, a lock's strength), never
//! what it reads. References are to PostgreSQL's `src/backend/parser/gram.y`.

mod clause;
mod construct;
mod json;
mod query;
mod value;
mod words;
mod write;
mod xml;

use std::borrow::Cow;

use crate::lexer::{Token, TokenKind};
use crate::marker;

/// The statement's tokens in that form.
pub(crate) fn normalise<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let said = construct::said(tokens);
    let mut out: Vec<Token<'a>> = Vec::with_capacity(said.len() + 8);
    let mut rest = said.as_ref();
    let mut clauses = value::Clauses::default();
    while let [token, after @ ..] = rest {
        clauses.follow(&out);
        let taken = table_command(&out, rest, &mut out_of(token.at))
            .or_else(|| only(&out, rest))
            .or_else(|| lock_strength(&out, rest, token.at))
            .or_else(|| frame_exclusion(&out, rest))
            .or_else(|| clause::frame_bound(&out, rest, token.at))
            .or_else(|| overriding(&out, rest))
            .or_else(|| clause::limit(&out, rest, token.at))
            .or_else(|| clause::named_function(&out, rest, token.at))
            .or_else(|| clause::all_of_family(&out, rest, &clauses))
            .or_else(|| value::query(&out, rest, &clauses, token.at))
            .or_else(|| value::row(&out, rest, token.at))
            .or_else(|| clause::collate(&out, rest, token.at));
        match taken {
            Some(Rewrite { tokens, taken }) => {
                out.extend(tokens);
                rest = rest.get(taken..).unwrap_or_default();
            }
            None => {
                one(&mut out, token, after.first());
                rest = after;
            }
        }
    }
    out
}

/// Tokens in place of the first `taken` ones.
struct Rewrite<'a> {
    tokens: Vec<Token<'a>>,
    taken: usize,
}

/// Makes tokens that stand where one stood.
fn out_of<'a>(at: usize) -> impl FnMut(TokenKind<'a>) -> Token<'a> {
    move |kind| Token { kind, at }
}

fn word(word: &'static str) -> TokenKind<'static> {
    TokenKind::Word(Cow::Borrowed(word))
}

fn word_at<'t>(tokens: &'t [Token<'_>], at: usize) -> Option<&'t str> {
    tokens.get(at).and_then(|token| token.kind.word())
}

fn last_word<'t>(out: &'t [Token<'_>]) -> Option<&'t str> {
    out.last().and_then(|token| token.kind.word())
}

fn is_punct(tokens: &[Token<'_>], at: usize, byte: u8) -> bool {
    tokens.get(at).is_some_and(|token| token.kind.is_punct(byte))
}

/// Whether a word there can only be a label or part of a name: after AS or a dot.
fn is_label(out: &[Token<'_>]) -> bool {
    last_word(out) == Some("as") || out.last().is_some_and(|token| token.kind.is_punct(b'.'))
}

/// How many tokens a name `a`, `a.b` … takes there; none where a word begins it that cannot.
fn name_length(tokens: &[Token<'_>]) -> Option<usize> {
    let mut length = 0;
    loop {
        let token = tokens.get(length)?;
        token.kind.ident()?;
        if length == 0 && token.kind.word().is_some_and(cannot_name_relation) {
            return None;
        }
        length += 1;
        if !is_punct(tokens, length, b'.') {
            return Some(length);
        }
        length += 1;
    }
}

/// Reserved words (`reserved_keyword` of gram.y) that can follow the label `table` of a select list.
fn cannot_name_relation(word: &str) -> bool {
    matches!(
        word,
        "from"
            | "into"
            | "where"
            | "group"
            | "having"
            | "window"
            | "union"
            | "except"
            | "intersect"
            | "order"
            | "limit"
            | "offset"
            | "fetch"
            | "for"
            | "as"
            | "on"
            | "returning"
            | "only"
            | "table"
            | "select"
            | "with"
            | "then"
            | "else"
            | "end"
            | "when"
            | "and"
            | "or"
            | "not"
    )
}

/// `TABLE relation_expr` (`simple_select`) is `SELECT * FROM relation_expr`. sqlparser takes two tokens too many.
fn table_command<'a>(
    out: &[Token<'a>],
    rest: &[Token<'a>],
    make: &mut impl FnMut(TokenKind<'a>) -> Token<'a>,
) -> Option<Rewrite<'a>> {
    // `SELECT … INTO [TEMPORARY | UNLOGGED] TABLE t`.
    let of_into = matches!(last_word(out), Some("into" | "temporary" | "unlogged"));
    if word_at(rest, 0) != Some("table") || is_label(out) || of_into {
        return None;
    }
    let skipped = if word_at(rest, 1) == Some("only") { 2 } else { 1 };
    let length = name_length(rest.get(skipped..)?)?;
    let mut tokens = vec![make(word("select")), make(TokenKind::Operator("*")), make(word("from"))];
    tokens.extend(rest.iter().skip(skipped).take(length).cloned());
    let end = skipped + length;
    let star = matches!(rest.get(end).map(|token| &token.kind), Some(TokenKind::Operator("*")));
    Some(Rewrite { tokens, taken: end + usize::from(star) })
}

/// `ONLY t` and `ONLY (t)` (`relation_expr`) leave children out; what is left out is counted all the same.
/// ONLY is reserved: where a relation may stand it is nothing else.
fn only<'a>(out: &[Token<'a>], rest: &[Token<'a>]) -> Option<Rewrite<'a>> {
    let before = matches!(last_word(out), Some("from" | "join" | "update" | "using" | "into"))
        || out.last().is_some_and(|token| token.kind.is_punct(b','));
    if word_at(rest, 0) != Some("only") || !before {
        return None;
    }
    let bracketed = is_punct(rest, 1, b'(');
    let from = if bracketed { 2 } else { 1 };
    let length = name_length(rest.get(from..)?)?;
    if bracketed && !is_punct(rest, from + length, b')') {
        return None;
    }
    let tokens = rest.iter().skip(from).take(length).cloned().collect();
    Some(Rewrite { tokens, taken: from + length + usize::from(bracketed) })
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE` (`for_locking_strength`), which sqlparser does not know.
fn lock_strength<'a>(out: &[Token<'a>], rest: &[Token<'a>], at: usize) -> Option<Rewrite<'a>> {
    if word_at(rest, 0) != Some("for") || is_label(out) {
        return None;
    }
    let (strength, taken) = match (word_at(rest, 1)?, word_at(rest, 2)?, word_at(rest, 3)) {
        ("no", "key", Some("update")) => ("update", 4),
        ("key", "share", _) => ("share", 3),
        _ => return None,
    };
    let mut make = out_of(at);
    Some(Rewrite { tokens: vec![make(word("for")), make(word(strength))], taken })
}

/// `EXCLUDE …` at the end of a window frame (`opt_window_exclusion_clause`): of rows read anyhow. Nowhere else
/// do these words stand between the end of a frame's bound and a closing bracket.
fn frame_exclusion<'a>(out: &[Token<'a>], rest: &[Token<'a>]) -> Option<Rewrite<'a>> {
    if word_at(rest, 0) != Some("exclude")
        || !matches!(last_word(out), Some("row" | "preceding" | "following"))
    {
        return None;
    }
    let taken = match (word_at(rest, 1)?, word_at(rest, 2)) {
        ("group" | "ties", _) => 2,
        ("current", Some("row")) | ("no", Some("others")) => 3,
        _ => return None,
    };
    is_punct(rest, taken, b')').then(|| Rewrite { tokens: Vec::new(), taken })
}

/// `OVERRIDING {SYSTEM | USER} VALUE` (`insert_rest`): whose value an identity column takes.
fn overriding<'a>(out: &[Token<'a>], rest: &[Token<'a>]) -> Option<Rewrite<'a>> {
    let words = [word_at(rest, 0)?, word_at(rest, 1)?, word_at(rest, 2)?];
    let source = matches!(word_at(rest, 3), Some("values" | "select" | "with" | "table"));
    let is_it =
        matches!(words, ["overriding", "system" | "user", "value"]) && (source || is_punct(rest, 3, b'('));
    (is_it && !is_label(out)).then(|| Rewrite { tokens: Vec::new(), taken: 3 })
}

/// Reserved words that change nothing of what is read: `VARIADIC` before an argument (`func_expr`), `SYMMETRIC`
/// and `ASYMMETRIC` after BETWEEN (`a_expr`), `DISTINCT` and `ALL` after GROUP BY (`group_clause`), `FROM` where TRIM
/// names no characters (`trim_list`).
fn says_nothing(word: &str, out: &[Token<'_>]) -> bool {
    let before = out.last().map(|token| &token.kind);
    match word {
        "variadic" => before.is_some_and(|kind| kind.is_punct(b'(') || kind.is_punct(b',')),
        "from" => {
            let [.., before, last] = out else { return false };
            matches!(last.kind.word(), Some("leading" | "trailing" | "both"))
                || last.kind.is_punct(b'(') && before.kind.word() == Some("trim")
        }
        "symmetric" | "asymmetric" => last_word(out) == Some("between"),
        "distinct" | "all" => {
            let group =
                out.len().checked_sub(2).and_then(|at| out.get(at)).and_then(|token| token.kind.word());
            last_word(out) == Some("by") && group == Some("group")
        }
        _ => false,
    }
}

/// Rules about one token and what was before it.
fn one<'a>(out: &mut Vec<Token<'a>>, token: &Token<'a>, next: Option<&Token<'a>>) {
    let mut make = out_of(token.at);
    match &token.kind {
        TokenKind::Text(more) => {
            // Literals that follow each other are one (scan.l, `quotecontinue`); the server checks the newline.
            if let Some(Token { kind: TokenKind::Text(text), .. }) = out.last_mut() {
                *text =
                    text.as_ref().zip(more.as_ref()).map(|(text, more)| Cow::Owned(format!("{text}{more}")));
                return;
            }
            // `type 'literal'` (`AexprConst`) is a cast of a literal.
            let of = match words::of_literal(out) {
                Some((taken, of)) => {
                    out.truncate(out.len().saturating_sub(taken));
                    of.into_iter().map(&mut make).collect()
                }
                None => out.split_off(out.len().saturating_sub(typed_by(out).unwrap_or(0))),
            };
            if of.is_empty() {
                return out.push(token.clone());
            }
            out.extend([make(word("cast")), make(TokenKind::Punct(b'(')), token.clone(), make(word("as"))]);
            out.extend(of);
            out.push(make(TokenKind::Punct(b')')));
        }
        // `a ISNULL`, `a NOTNULL` (`a_expr`): AS_LABEL keywords, so never a label without AS.
        TokenKind::Word(kind) if is_null_test(kind, out, next) => {
            out.push(make(word("is")));
            if kind == "notnull" {
                out.push(make(word("not")));
            }
            out.push(make(word("null")));
        }
        TokenKind::Word(kind) if says_nothing(kind, out) => {}
        // `pg_catalog.current_user()`: after a dot no word is a keyword.
        TokenKind::Word(name) if after_dot(out) && next.is_some_and(|it| it.kind.is_punct(b'(')) => {
            out.push(make(TokenKind::Quoted(name.clone())));
        }
        TokenKind::Operator(operator) if !is_known_operator(operator) && ends_operand(out) => {
            let marked = TokenKind::Quoted(Cow::Owned(marker::marked(operator)));
            let open = [word("operator"), TokenKind::Punct(b'('), marked, TokenKind::Punct(b'.')];
            out.extend(open.into_iter().map(&mut make));
            out.extend([make(TokenKind::Operator("=")), make(TokenKind::Punct(b')'))]);
        }
        // `(expression).*` (`indirection_el`), as a field of that name: the walk reads the whole of either.
        TokenKind::Operator("*") if ends_expression(out) => {
            out.push(make(TokenKind::Quoted(Cow::Borrowed("*"))));
        }
        // `INTO TEMP t` (`OptTempTableName`), but not `INSERT INTO temp`.
        TokenKind::Word(kind) if kind == "temp" && is_into_option(out, next) => {
            out.push(make(word("temporary")));
        }
        _ => out.push(token.clone()),
    }
}

fn after_dot(out: &[Token<'_>]) -> bool {
    out.last().is_some_and(|token| token.kind.is_punct(b'.'))
}

/// Whether what stands before may be an operand, so that an operator is a binary one.
fn ends_operand(out: &[Token<'_>]) -> bool {
    out.last().is_some_and(|token| match &token.kind {
        TokenKind::Punct(byte) => matches!(byte, b')' | b']'),
        TokenKind::Word(word) => !may_precede_text(word) && word != "operator" && word != "using",
        TokenKind::Operator(_) | TokenKind::Cast => false,
        _ => true,
    })
}

/// Operators that sqlparser reads as one. Others it gets as `OPERATOR (name.=)`, whose name is the operator, marked: it
/// has the same precedence (gram.y, `qual_Op`).
fn is_known_operator(operator: &str) -> bool {
    let known = [
        "=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "%", "^", "||", "->", "->>", "#>", "#>>",
        "@>", "<@", "~", "!~", "~*", "!~*", "~~", "!~~", "~~*", "!~~*", "&&", "&", "|", "#", "<<", ">>",
        "@@", "@?", "#-", "?", "?|", "?&", "^@", "=>",
    ];
    known.contains(&operator)
}

/// Whether `).` or `].` stands before.
fn ends_expression(out: &[Token<'_>]) -> bool {
    let [.., bracket, dot] = out else { return false };
    dot.kind.is_punct(b'.') && (bracket.kind.is_punct(b')') || bracket.kind.is_punct(b']'))
}

fn is_into_option(out: &[Token<'_>], next: Option<&Token<'_>>) -> bool {
    let [.., before, into] = out else { return false };
    let named = next.and_then(|next| next.kind.ident().map(|name| (name, next.kind.word())));
    into.kind.word() == Some("into")
        && !matches!(before.kind.word(), Some("insert" | "merge"))
        && named
            .is_some_and(|(_, word)| word.is_none_or(|word| word == "table" || !cannot_name_relation(word)))
}

fn is_null_test(word: &str, out: &[Token<'_>], next: Option<&Token<'_>>) -> bool {
    let opens = next.is_some_and(|next| next.kind.is_punct(b'(') || next.kind.is_punct(b'.'));
    matches!(word, "isnull" | "notnull") && !out.is_empty() && !is_label(out) && !opens
}

/// How many of the last tokens name the type of a literal that follows them; none if it is an operand.
fn typed_by(out: &[Token<'_>]) -> Option<usize> {
    let names = |token: &Token<'_>| match &token.kind {
        TokenKind::Quoted(_) => true,
        TokenKind::Word(word) => !may_precede_text(word),
        _ => false,
    };
    out.last().filter(|token| names(token))?;
    let mut length = 1;
    while let [.., before, dot] = out.get(..out.len() - length)? {
        if !dot.kind.is_punct(b'.') || before.kind.ident().is_none() {
            break;
        }
        length += 2;
    }
    Some(length)
}

/// Keywords after which a literal is an operand, and types whose literals sqlparser knows.
fn may_precede_text(word: &str) -> bool {
    matches!(
        word,
        "all"
            | "and"
            | "any"
            | "between"
            | "both"
            | "by"
            | "case"
            | "distinct"
            | "else"
            | "escape"
            | "filter"
            | "for"
            | "from"
            | "having"
            | "ilike"
            | "in"
            | "leading"
            | "like"
            | "limit"
            | "not"
            | "offset"
            | "on"
            | "or"
            | "placing"
            | "returning"
            | "select"
            | "set"
            | "some"
            | "symmetric"
            | "then"
            | "to"
            | "trailing"
            | "when"
            | "where"
            | "zone"
            | "date"
            | "interval"
            | "time"
            | "timestamp"
            | "timestamptz"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    /// Both as tokens, their places apart.
    fn same(one: &str, other: &str) {
        let kinds = |sql: &str| -> Vec<TokenKind<'static>> {
            let tokens = lexer::tokens(sql, lexer::Numbers::Decimal).expect("tokens");
            let sql: &'static [Token<'static>] = Vec::leak(
                normalise(&tokens)
                    .into_iter()
                    .map(|token| Token { kind: owned(token.kind), at: 0 })
                    .collect(),
            );
            sql.iter().map(|token| token.kind.clone()).collect()
        };
        let plain: Vec<TokenKind<'static>> = lexer::tokens(other, lexer::Numbers::Decimal)
            .expect("tokens")
            .into_iter()
            .map(|token| owned(token.kind))
            .collect();
        assert_eq!(kinds(one), plain, "{one}");
    }

    fn owned(kind: TokenKind<'_>) -> TokenKind<'static> {
        let leak = |text: &str| -> &'static str { String::leak(text.to_owned()) };
        match kind {
            TokenKind::Word(word) => TokenKind::Word(Cow::Owned(word.into_owned())),
            TokenKind::Quoted(word) => TokenKind::Quoted(Cow::Owned(word.into_owned())),
            TokenKind::Text(text) => TokenKind::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            TokenKind::Number(it) => TokenKind::Number(leak(it)),
            TokenKind::Param(it) => TokenKind::Param(leak(it)),
            TokenKind::Operator(it) => TokenKind::Operator(leak(it)),
            TokenKind::Cast => TokenKind::Cast,
            TokenKind::Punct(byte) => TokenKind::Punct(byte),
        }
    }

    #[test]
    fn what_sqlparser_misreads_is_said_in_other_words() {
        same("table a.b", "select * from a.b");
        same("select 1 union table only t * order by 1", "select 1 union select * from t order by 1");
        same("with x as (table t) table x", "with x as (select * from t) select * from x");
        same("insert into t table u", "insert into t select * from u");
        same("select 'a'\n'b' 'c'", "select 'abc'");
        same("select a isnull, t.b notnull from t", "select a is null, t.b is not null from t");
        same(
            "select inet '1', s.\"T\" 'x', \"T\" 'y'",
            "select cast('1' as inet), cast('x' as s.\"T\"), cast('y' as \"T\")",
        );
        same(
            "select a from only t, only (s.u) for no key update of t",
            "select a from t, s.u for update of t",
        );
        same("select a into temp table k from t", "select a into temporary table k from t");
        same("select a from t for key share nowait", "select a from t for share nowait");
        same("select (t).*, (f(x)).* from t", "select (t).\"*\", (f(x)).\"*\" from t");
        same("select f(variadic a), a between symmetric 1 and 2", "select f(a), a between 1 and 2");
        same("select a from t group by distinct rollup (a)", "select a from t group by rollup (a)");
        same("insert into t overriding system value values (1)", "insert into t values (1)");
        same("select a from t limit all", "select a from t limit null");
        same("select a from t * fetch next (1 + 1) rows only", "select a from t limit (1 + 1)");
        same("select a from t for read only", "select a from t");
        same("select trim(both from a), trim(from a)", "select trim(both a), trim(a)");
        same(
            "select double precision 'x', bit varying(3) 'x', char 'x', interval(3) 'x'",
            "select cast('x' as pg_catalog.float8), cast('x' as pg_catalog.varbit(3)), cast('x' as pg_catalog.bpchar), cast('x' as interval(3))",
        );
        same("f(a := 1)", "f(a => 1)");
        same("update t set a[:] = b, c[null] = d", "update t set a = b, c = d");
        same(
            "select a *>= b order by c using ~<~",
            "select a operator(\"\u{1}*>=\".=) b order by c using ~<~",
        );
        same("a like any (b) and c not ilike all (d)", "a ~~ any (b) and c !~~* all (d)");
        same("xmlexists(a passing by ref b by value)", "pg_catalog.\"xmlexists\"(a, b)");
        same(
            "with a as (select b) search depth first by b set c select d",
            "with a(\"\u{1}c\") as (select b) select d",
        );
        same(
            "with a(b) as not materialized (select 1) cycle b, x set c to 'y' default 'n' using d select e",
            "with a(b, \"\u{1}c\", \"\u{1}d\") as not materialized (select 1) select e",
        );
        same(
            "update t set a[1] = 1, b[c][d:e] = f, g.h = i where j",
            "update t set a = 1, b = \"\u{1}part\"(c, d, e, f), g.h = i where j",
        );
        same(
            "select * from xmltable('/a' passing b columns c int path d default e, f for ordinality) as t(g) join u using (h, i) as j",
            "select * from \"\u{1}xmltable\"('/a', b, cast(null as int), d, e) as \"t\"(\"g\", \"f\") join u using (h, i, \"\u{1}j\")",
        );
        same(
            "sum(a) over (rows between unbounded preceding and current row exclude no others)",
            "sum(a) over (rows between unbounded preceding and current row)",
        );
    }

    #[test]
    fn what_only_looks_like_it_is_left_alone() {
        for sql in [
            "select a as table from t",
            "select 1 table from t",
            "select a table, b from t",
            "select t.table, t.isnull, b as notnull from t",
            "select isnull(a) from t",
            "select exclude ties from t",
            "select a exclude ties from t)",
            "select date '2024-01-01', interval '1 day', a like 'x' from t where b = 'y'",
            "select a from t fetch first 3 rows only",
            "select a as for",
            "select t.*, count(*), 2 * 3",
            "select a as variadic, distinct all",
            "select a into temp from t",
            "insert into temp select a from t",
            "select rows from (select 1) x",
            "select a, current, search, cycle from t, xml, x as using",
            "delete from t using (select 1) as x",
            "update t set a = b.c from b where d = any (e)",
            "with a as (select 1), b(c) as (select 2) select a as like",
        ] {
            same(sql, sql);
        }
    }
}
