//! Functions in PL/pgSQL that are of a plain shape: assignments to NEW, INSERT, UPDATE and DELETE, IF, RAISE, PERFORM,
//! RETURN of a row. All else (variables, loops, handlers, EXECUTE, SELECT INTO) is not read.

use std::sync::Arc;

use super::comparison::{Comparison, comparison};
use super::routine::Path;
use super::trigger::{ANY, Act, DELETE, INSERT, Step, UPDATE};
use crate::lexer::{self, Numbers, Token, TokenKind};

/// The steps of a PL/pgSQL function. None: it is not of those that can be read.
pub(crate) fn steps(source: &str, path: Path) -> Option<Arc<[Step]>> {
    let tokens = lexer::plpgsql_tokens(source).ok()?;
    let mut reader = Reader { source, tokens: &tokens, at: 0, path, events: ANY, steps: Vec::new() };
    reader.takes("begin")?;
    reader.block(0)?;
    reader.takes("end")?;
    if reader.is_punct(b';') {
        reader.at += 1;
    }
    (reader.at == tokens.len()).then(|| reader.steps.into())
}

/// The steps of WHEN in what `pg_get_triggerdef` prints as seen from pg_catalog.
pub(crate) fn when(definition: &str) -> Option<Arc<[Step]>> {
    let tokens = lexer::tokens(definition, Numbers::Decimal).ok()?;
    let mut reader = Reader {
        source: definition,
        tokens: &tokens,
        at: 0,
        path: Path::Bound,
        events: ANY,
        steps: Vec::new(),
    };
    while reader.at < tokens.len() {
        if reader.word() == Some("when") && reader.kind(1).is_some_and(|it| it.is_punct(b'(')) {
            reader.at += 1;
            reader.condition("execute")?;
            return Some(reader.steps.into());
        }
        reader.at += 1;
    }
    None
}

/// Deepest nesting of IF.
const MAX_DEPTH: usize = 16;

struct Reader<'s, 't> {
    source: &'s str,
    tokens: &'t [Token<'s>],
    at: usize,
    path: Path,
    /// By which events the place read now may be reached.
    events: u16,
    steps: Vec<Step>,
}

impl Reader<'_, '_> {
    fn kind(&self, ahead: usize) -> Option<&TokenKind<'_>> {
        self.tokens.get(self.at + ahead).map(|token| &token.kind)
    }

    fn word(&self) -> Option<&str> {
        self.kind(0)?.word()
    }

    fn is_punct(&self, byte: u8) -> bool {
        self.kind(0).is_some_and(|kind| kind.is_punct(byte))
    }

    fn takes(&mut self, word: &str) -> Option<()> {
        (self.word() == Some(word)).then(|| self.at += 1)
    }

    /// Statements, until what ends a block.
    fn block(&mut self, depth: usize) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        while !matches!(self.word()?, "end" | "elsif" | "elseif" | "else") {
            self.statement(depth)?;
        }
        Some(())
    }

    fn statement(&mut self, depth: usize) -> Option<()> {
        match self.word()? {
            "if" => return self.branches(depth),
            "null" => self.at += 1,
            "return" => self.returns()?,
            "raise" => self.raise()?,
            "perform" => {
                self.at += 1;
                self.selects(Act::Tells, b";")?;
            }
            "insert" | "update" | "delete" => self.sql()?,
            "new" => self.assigns()?,
            _ => return None,
        }
        self.is_punct(b';').then(|| self.at += 1)
    }

    /// IF condition THEN … [ELSIF condition THEN …] [ELSE …] END IF;
    fn branches(&mut self, depth: usize) -> Option<()> {
        let around = self.events;
        while matches!(self.word()?, "if" | "elsif" | "elseif") {
            self.at += 1;
            let from = self.at;
            self.condition("then")?;
            let named = self.tokens.get(from..self.at).and_then(operations);
            self.takes("then")?;
            let others = named.map_or(self.events, |named| self.events & !named);
            self.events &= named.unwrap_or(ANY);
            self.block(depth + 1)?;
            self.events = others;
        }
        if self.takes("else").is_some() {
            self.block(depth + 1)?;
        }
        self.events = around;
        self.takes("end")?;
        self.takes("if")?;
        self.is_punct(b';').then(|| self.at += 1)
    }

    /// RETURN of a row as it is.
    fn returns(&mut self) -> Option<()> {
        let words: Vec<String> = self.until(b";")?.iter().map(|token| shown(&token.kind)).collect();
        let rows = |one: &str, other: &str| words.join(" ") == format!("return coalesce ( {one} , {other} )");
        // By which events another row than the one that is there is returned, or none.
        let leaves_out = match words.join(" ").as_str() {
            "return new" => DELETE,
            "return old" => INSERT | UPDATE,
            "return null" => ANY,
            _ if rows("new", "old") => 0,
            _ if rows("old", "new") => UPDATE,
            _ => return None,
        };
        self.at += words.len();
        let around = self.events;
        self.events &= leaves_out;
        if self.events != 0 {
            self.step(Act::LeavesOut, "select null".to_owned());
        }
        self.events = around;
        Some(())
    }

    /// RAISE [level] ['format' [, expression …] | condition | SQLSTATE 'x'] [USING option = expression, …]
    fn raise(&mut self) -> Option<()> {
        self.at += 1;
        let level = ["debug", "log", "info", "notice", "warning", "exception"];
        if self.word().is_some_and(|word| level.contains(&word)) {
            self.at += 1;
        }
        if matches!(self.kind(0)?, TokenKind::Text(_)) {
            self.at += 1;
        } else if self.word()? != "using" {
            self.at += 1 + usize::from(self.word()? == "sqlstate");
        }
        self.step(Act::Tells, "select null".to_owned());
        while self.is_punct(b',') {
            self.at += 1;
            self.selects(Act::Tells, b",;")?;
        }
        while self.word() == Some("using") || self.is_punct(b',') {
            // The name of an option stands between.
            self.at += 2;
            self.assignment()?;
            self.selects(Act::Tells, b",;")?;
        }
        Some(())
    }

    fn sql(&mut self) -> Option<()> {
        let tokens = self.until(b";")?;
        let is = |at: usize, word: &str| tokens.get(at).and_then(|token| token.kind.word()) == Some(word);
        // INTO stores in a variable, but for that of INSERT; RETURNING comes before such an INTO.
        let stores = (2..tokens.len()).any(|at| is(at, "into") || is(at, "returning"));
        (!stores).then_some(())?;
        let text = self.text(tokens)?.to_owned();
        self.at += tokens.len();
        self.step(Act::Sql, text);
        Some(())
    }

    /// NEW.column := expression;
    fn assigns(&mut self) -> Option<()> {
        self.kind(1)?.is_punct(b'.').then_some(())?;
        let column = self.kind(2)?.ident()?.to_owned();
        self.at += 3;
        self.assignment()?;
        let value: Vec<String> = self.until(b";")?.iter().map(|token| shown(&token.kind)).collect();
        let value: Vec<&str> = value.iter().map(String::as_str).collect();
        let never_null = matches!(
            value.as_slice(),
            ["now" | "clock_timestamp" | "statement_timestamp" | "transaction_timestamp", "(", ")"]
                | ["current_timestamp" | "localtimestamp" | "current_date" | "current_user" | "session_user"]
                | ["true" | "false"]
        ) || matches!(
            self.until(b";")?,
            [Token { kind: TokenKind::Text(_) | TokenKind::Number(_), .. }]
        );
        let keeps = matches!(value.as_slice(), ["old", ".", name] if *name == column);
        self.selects(Act::Assigns { column, keeps, never_null }, b";")
    }

    fn assignment(&mut self) -> Option<()> {
        matches!(self.kind(0)?, TokenKind::Operator("=" | ":=")).then(|| self.at += 1)
    }

    /// An expression or a list of them, up to one of these.
    fn selects(&mut self, act: Act, ends: &[u8]) -> Option<()> {
        let tokens = self.until(ends)?;
        let text = format!("select {}", self.text(tokens)?);
        self.at += tokens.len();
        self.step(act, text);
        Some(())
    }

    /// A condition up to a word. Comparisons of a column's new with its old value are told apart: where the column is
    /// not written, they say nothing.
    fn condition(&mut self, end: &str) -> Option<()> {
        let from = self.at;
        let mut depth = 0_usize;
        while depth > 0 || self.word() != Some(end) {
            depth = match self.kind(0)? {
                TokenKind::Punct(b'(' | b'[') => depth + 1,
                TokenKind::Punct(b')' | b']') => depth.checked_sub(1)?,
                TokenKind::Punct(b';') => return None,
                _ => depth,
            };
            self.at += 1;
        }
        let tokens = self.tokens.get(from..self.at)?;
        let mut text = String::from("select ");
        let mut compared = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if let Some(Comparison { column, tells_null, after }) = comparison(tokens, at) {
                compared.push((column, tells_null));
                text.push_str(" true ");
                at = after;
            } else {
                text.push_str(self.text(tokens.get(at..=at)?)?);
                text.push(' ');
                at += 1;
            }
        }
        for tells_null in [false, true] {
            let compared = compared.iter().filter(|(_, tells)| *tells == tells_null);
            let compared: Vec<_> = compared.map(|(column, _)| column.clone()).collect();
            if !compared.is_empty() {
                let columns = compared.into_iter().collect::<Option<_>>().unwrap_or_default();
                self.step(Act::Compares { columns, tells_null }, "select null".to_owned());
            }
        }
        self.step(Act::Decides, text);
        Some(())
    }

    /// The tokens up to one of these, outside brackets.
    fn until(&self, ends: &[u8]) -> Option<&[Token<'_>]> {
        let rest = self.tokens.get(self.at..)?;
        let mut depth = 0_usize;
        for (at, token) in rest.iter().enumerate() {
            match token.kind {
                TokenKind::Punct(byte) if depth == 0 && ends.contains(&byte) => return rest.get(..at),
                TokenKind::Word(ref word) if depth == 0 && ends.contains(&b',') && word == "using" => {
                    return rest.get(..at);
                }
                TokenKind::Punct(b'(' | b'[') => depth += 1,
                TokenKind::Punct(b')' | b']') => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        None
    }

    fn text(&self, tokens: &[Token<'_>]) -> Option<&str> {
        let from = tokens.first()?.at;
        let last = tokens.last()?.at;
        // Up to where the next token begins: blanks and comments between them do no harm.
        let after = self.tokens.get(self.tokens.partition_point(|token| token.at <= last));
        self.source.get(from..after.map_or(self.source.len(), |token| token.at))
    }

    fn step(&mut self, act: Act, text: String) {
        self.steps.push(Step::new(act, self.events, text, self.path));
    }
}

/// The events that a condition names which is `TG_OP = 'INSERT' [OR …]` or `TG_OP IN ('INSERT', …)`, and nothing else.
fn operations(mut tokens: &[Token<'_>]) -> Option<u16> {
    while let [first, inner @ .., last] = tokens
        && first.kind.is_punct(b'(')
        && last.kind.is_punct(b')')
    {
        tokens = inner;
    }
    let kinds: Vec<String> = tokens.iter().map(|token| shown(&token.kind)).collect();
    let is_shape = match kinds.as_slice() {
        [of, is_in, open, list @ .., close] if is_in == "in" => {
            let list = list.iter().enumerate().all(|(at, it)| it == if at % 2 == 0 { "?" } else { "," });
            of == "tg_op" && open == "(" && close == ")" && list
        }
        each => {
            each.chunks(4).all(|each| match each {
                [of, is, value] | [of, is, value, _] => of == "tg_op" && is == "=" && value == "?",
                _ => false,
            }) && each.iter().skip(3).step_by(4).all(|or| or == "or")
        }
    };
    let named = tokens.iter().filter_map(|token| match &token.kind {
        TokenKind::Text(text) => Some(match text.as_deref() {
            Some("INSERT") => INSERT,
            Some("UPDATE") => UPDATE,
            Some("DELETE") => DELETE,
            _ => ANY,
        }),
        _ => None,
    });
    let named = named.fold(0, |all, one| all | one);
    (is_shape && named != 0 && named != ANY).then_some(named)
}

fn shown(kind: &TokenKind<'_>) -> String {
    match kind {
        TokenKind::Word(word) => word.to_string(),
        TokenKind::Quoted(word) => format!("\"{word}\""),
        TokenKind::Punct(byte) => char::from(*byte).to_string(),
        TokenKind::Operator(operator) => (*operator).to_owned(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Option<Vec<String>> {
        let steps = steps(source, Path::Caller)?;
        Some(
            steps
                .iter()
                .map(|step| {
                    format!(
                        "{:?} {}",
                        step.act,
                        step.body.text.split_whitespace().collect::<Vec<_>>().join(" ")
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn plain_functions_are_read_step_by_step() {
        assert_eq!(
            read("begin new.at := now(); new.a = old.a; return new; end").unwrap_or_default(),
            [
                "Assigns { column: \"at\", keeps: false, never_null: true } select now()",
                "Assigns { column: \"a\", keeps: true, never_null: false } select old.a",
                "LeavesOut select null",
            ]
        );
        assert_eq!(
            read(
                "BEGIN IF (TG_OP = 'DELETE') THEN INSERT INTO audit SELECT 'D', now(), OLD.*; ELSIF old.a <> new.a OR new.b > 3 THEN \
                 RAISE NOTICE 'x % %', new.c, f(1, 2) USING hint = new.d || ';', detail := 'y'; END IF; \
                 PERFORM pg_notify('x', new.e); RETURN NULL; END;"
            )
            .unwrap_or_default(),
            [
                "Decides select ( TG_OP = 'DELETE' )",
                "Sql INSERT INTO audit SELECT 'D', now(), OLD.*",
                "Compares { columns: [\"a\"], tells_null: false } select null",
                "Decides select true OR new . b > 3",
                "Tells select null",
                "Tells select new.c",
                "Tells select f(1, 2)",
                "Tells select new.d || ';'",
                "Tells select 'y'",
                "Tells select pg_notify('x', new.e)",
                "LeavesOut select null",
            ]
        );
        let of = |definition: &str| {
            when(definition).map(|steps| steps.iter().map(|it| format!("{:?}", it.act)).collect::<Vec<_>>())
        };
        let definition = |when: &str| {
            format!(
                "CREATE TRIGGER \"when\" BEFORE UPDATE ON public.t FOR EACH ROW {when}EXECUTE FUNCTION f('x')"
            )
        };
        assert_eq!(of(&definition("")), None);
        assert_eq!(
            of(&definition("WHEN (((old.a)::text IS DISTINCT FROM (new.a)::text)) ")),
            Some(vec!["Compares { columns: [\"a\"], tells_null: false }".to_owned(), "Decides".to_owned()])
        );
        assert_eq!(
            of(&definition("WHEN ((old.* IS DISTINCT FROM new.*)) ")),
            Some(vec!["Compares { columns: [], tells_null: false }".to_owned(), "Decides".to_owned()])
        );
    }

    #[test]
    fn a_comparison_is_of_one_column_with_itself_and_nothing_else() {
        for condition in [
            "old.a = new.b",
            "old.a = old.a",
            "1 + old.a = new.a",
            "old.a = new.a + 1",
            "old.a = new.a is null",
            "old.a < new.a",
            "old = new.a",
            "old.a::int = new.a::int",
        ] {
            let steps = read(&format!("begin if {condition} then null; end if; end")).unwrap_or_default();
            assert!(
                matches!(steps.as_slice(), [one] if one.starts_with("Decides")),
                "{condition}: {steps:?}"
            );
        }
    }

    #[test]
    fn a_comparison_tells_of_null_but_where_that_decides_as_what_it_is_otherwise() {
        for (condition, expected) in [
            ("new.a = old.a", true),
            ("new = old", true),
            ("not (new.a = old.a)", true),
            ("new.a <> old.a", false),
            ("((old.a)::text <> (new.a)::text)", false),
            ("old.id > 3 and (new.b = 1 or (new.a != old.a))", false),
            ("new.a is not distinct from old.a", false),
            ("not (new.a is distinct from old.a)", false),
            ("not new.a <> old.a", true),
            ("not (new.b = 1 and new.a <> old.a)", true),
            ("(new.a <> old.a) is null", true),
            ("coalesce((new.a <> old.a), true)", true),
            ("new.b = (new.c and new.a <> old.a)", true),
        ] {
            let steps = read(&format!("begin if {condition} then null; end if; end")).unwrap_or_default();
            let expected = format!("tells_null: {expected} ");
            assert!(steps.first().is_some_and(|it| it.contains(&expected)), "{condition}: {steps:?}");
        }
    }

    #[test]
    fn a_step_is_reached_by_the_events_that_tg_op_lets_through() {
        let events = |condition: &str| {
            let source = format!(
                "begin if {condition} then raise 'a'; else raise 'b'; end if; raise 'c'; return null; end"
            );
            let steps = steps(&source, Path::Caller).unwrap_or_default();
            steps.iter().filter(|step| step.act == Act::Tells).map(|step| step.events).collect::<Vec<_>>()
        };
        assert_eq!(events("tg_op = 'INSERT'"), [INSERT, UPDATE | DELETE, ANY]);
        assert_eq!(events("(TG_OP = 'INSERT' or tg_op = 'UPDATE')"), [INSERT | UPDATE, DELETE, ANY]);
        assert_eq!(events("tg_op in ('INSERT', 'DELETE')"), [INSERT | DELETE, UPDATE, ANY]);
        for other in [
            "tg_op = 'insert'",
            "tg_op <> 'INSERT'",
            "tg_op = 'INSERT' and true",
            "tg_op = 'INSERT' or new.a = 1",
            "new.op = 'INSERT'",
            "(tg_op = 'INSERT') or (tg_op = 'DELETE')",
            "tg_op not in ('INSERT')",
            "tg_op = E'INSERT\\x'",
            "tg_op in ('INSERT' 'x')",
        ] {
            assert_eq!(events(other), [ANY, ANY, ANY], "{other}");
        }
    }

    #[test]
    fn what_is_not_plain_is_not_read() {
        for source in [
            "declare x int; begin return new; end",
            "begin x := 1; return new; end",
            "begin execute 'select 1'; return new; end",
            "begin select email into new.a from people; return new; end",
            "begin insert into t values (1) returning id into new.id; return new; end",
            "begin insert into t select 1 into new.a; return new; end",
            "begin for r in select 1 loop null; end loop; return new; end",
            "begin begin null; end; return new; end",
            "begin return new; exception when others then return null; end",
            "<<x>> begin return new; end",
            "#variable_conflict use_variable begin return new; end",
            "begin new := row(1); return new; end",
            "begin new.a[1] := 1; return new; end",
            "begin old.a := 1; return new; end",
            "begin return row(1, 2); end",
            "begin return (select t from t); end",
            "begin if true then return new; end",
            "begin if true then return new; end if; end; select 1",
            "begin raise; end",
            "begin raise notice 'x', ; end",
            "begin open c for execute 'x'; return new; end",
            "begin get diagnostics new.a = row_count; return new; end",
            "begin new.a := 1",
            "begin assert new.a > 1; return new; end",
            "begin return new; end $",
            "",
        ] {
            assert_eq!(read(source), None, "{source}");
        }
    }
}
