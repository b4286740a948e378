//! What queries have that sqlparser has no words for.

use std::borrow::Cow;

use super::clause::group_length;
use super::construct::{Of, Said, said};
use super::{is_punct, last_word, out_of, word, words};
use crate::lexer::{Token, TokenKind};
use crate::marker;

impl Said<'_, '_> {
    /// `rows from (`, where a table may stand.
    pub(super) fn rows(&mut self) -> bool {
        let in_from = matches!(last_word(&self.out), Some("from" | "join" | "lateral"))
            || self.out.last().is_some_and(|token| token.kind.is_punct(b','));
        let subquery = matches!(self.word(3), Some("select" | "with" | "values" | "table"));
        if !in_from || self.word(1) != Some("from") || !self.is_punct(2, b'(') || subquery {
            return false;
        }
        self.call(marker::ROWS, 2);
        self.enter(Of::Rows);
        true
    }

    pub(super) fn rows_part(&mut self) -> bool {
        if self.word(0) != Some("as") || !self.is_punct(1, b'(') {
            return false;
        }
        self.skip(2);
        self.enter(Of::Definitions);
        loop {
            self.skip(1);
            self.put([TokenKind::Punct(b',')]);
            self.typed(&["collate"]);
            while !self.rest.is_empty() && !self.is_punct(0, b',') && !self.is_punct(0, b')') {
                self.skip(1);
            }
            if !self.is_punct(0, b',') {
                return true;
            }
            self.skip(1);
        }
    }

    /// `f(…) as (a type, …)`: without an alias of its own it has the function's name.
    pub(super) fn definitions(&mut self) -> bool {
        let is_name = |at: usize| self.rest.get(at).is_some_and(|token| token.kind.ident().is_some());
        let query = matches!(
            self.word(2),
            Some("select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge")
        );
        if !self.is_punct(1, b'(') || !is_name(2) || !is_name(3) || query || !self.after_cte() {
            return false;
        }
        let name =
            opening(&self.out, self.out.len()).and_then(|at| self.out.get(at.checked_sub(1)?)).cloned();
        let Some(name) = name.filter(|name| name.kind.ident().is_some()) else { return false };
        self.put([word("as")]);
        self.out.push(name);
        self.skip(1);
        true
    }

    /// `using (a, b) as j`.
    pub(super) fn using(&mut self) -> bool {
        let mut at = 1;
        if !self.is_punct(at, b'(') {
            return false;
        }
        loop {
            let is_name = |token: &Token<'_>| token.kind.ident().is_some();
            if !self.rest.get(at + 1).is_some_and(is_name) {
                return false;
            }
            at += 2;
            if !self.is_punct(at, b',') {
                break;
            }
        }
        let alias = self.rest.get(at + 2).and_then(|token| token.kind.ident()).map(marker::marked);
        let (Some(alias), true) = (alias, self.is_punct(at, b')') && self.word(at + 1) == Some("as")) else {
            return false;
        };
        self.out.extend(self.rest.iter().take(at).cloned());
        self.put([TokenKind::Punct(b','), TokenKind::Quoted(Cow::Owned(alias)), TokenKind::Punct(b')')]);
        self.skip(at + 3);
        true
    }

    /// `search depth first by a, b set c` after a CTE.
    pub(super) fn search(&mut self) -> bool {
        let is_it = matches!(self.word(1), Some("depth" | "breadth"))
            && [self.word(2), self.word(3)] == [Some("first"), Some("by")];
        if !is_it || !self.after_cte() {
            return false;
        }
        self.skip_names(4);
        self.skip(1);
        self.add_column();
        true
    }

    /// `cycle a, b set c [to literal default literal] using d` after a CTE.
    pub(super) fn cycle(&mut self) -> bool {
        if !self.after_cte() || self.rest.get(1).is_none_or(|token| token.kind.ident().is_none()) {
            return false;
        }
        self.skip_names(1);
        self.skip(1);
        self.add_column();
        if self.word(0) == Some("to") {
            self.skip(2);
        }
        if self.word(0) == Some("default") {
            self.skip(2);
        }
        self.skip(1);
        self.add_column();
        true
    }

    pub(super) fn after_cte(&self) -> bool {
        self.out.last().is_some_and(|token| token.kind.is_punct(b')'))
    }

    /// Without so many words and the names that follow them.
    pub(super) fn skip_names(&mut self, words: usize) {
        self.skip(words + 1);
        while self.is_punct(0, b',') {
            self.skip(2);
        }
    }

    /// The next token is a column that the CTE has besides: it is added, marked, to the names of its columns.
    pub(super) fn add_column(&mut self) {
        let Some(name) = self.rest.first().and_then(|token| token.kind.ident()).map(marker::marked) else {
            return;
        };
        self.skip(1);
        let Some(query) = opening(&self.out, self.out.len()) else { return };
        // Back over `as [not] [materialized]`.
        let before = self.out.get(..query).unwrap_or_default();
        let words = before
            .iter()
            .rev()
            .take_while(|token| matches!(token.kind.word(), Some("as" | "not" | "materialized")));
        let at = query - words.count();
        let (Some(last), name) = (at.checked_sub(1), TokenKind::Quoted(Cow::Owned(name))) else { return };
        let named = is_punct(&self.out, last, b')');
        let mut make = out_of(self.out.get(last).map_or(0, |token| token.at));
        let added = [
            make(TokenKind::Punct(if named { b',' } else { b'(' })),
            make(name),
            make(TokenKind::Punct(b')')),
        ];
        let upto = if named { last } else { at };
        self.out.splice(upto..at, added);
    }

    /// `[not] like any (…)` as the operator that it is (`subquery_Op`).
    pub(super) fn like(&mut self) -> bool {
        let not = usize::from(self.word(0) == Some("not"));
        if !matches!(self.word(not + 1), Some("any" | "all" | "some")) || !self.is_punct(not + 2, b'(') {
            return false;
        }
        let operator = match (self.word(not), not) {
            (Some("like"), 0) => "~~",
            (Some("like"), _) => "!~~",
            (Some("ilike"), 0) => "~~*",
            (Some("ilike"), _) => "!~~*",
            _ => return false,
        };
        self.put([TokenKind::Operator(operator)]);
        self.skip(not + 1);
        true
    }

    /// `is document` as `is null`, which has the same place in an expression.
    pub(super) fn document(&mut self) -> bool {
        match [self.word(1), self.word(2)] {
            [Some("document"), _] => {
                self.put([word("is"), word("null")]);
                self.skip(2);
            }
            [Some("not"), Some("document")] => {
                self.put([word("is"), word("not"), word("null")]);
                self.skip(3);
            }
            _ => return false,
        }
        true
    }

    /// `at local`, by some other time zone.
    pub(super) fn at_local(&mut self) -> bool {
        if self.word(1) != Some("local") {
            return false;
        }
        self.put([word("at"), word("time"), word("zone"), TokenKind::Text(None)]);
        self.skip(2);
        true
    }

    /// `operator (pg_catalog.=) any (…)` without the schema.
    pub(super) fn operator(&mut self) -> bool {
        let is_it = self.is_punct(1, b'(')
            && self.word(2) == Some("pg_catalog")
            && self.is_punct(3, b'.')
            && self.is_punct(5, b')')
            && matches!(self.word(6), Some("any" | "all" | "some"));
        let Some(operator) = self.rest.get(4).filter(|_| is_it).cloned() else { return false };
        self.skip(6);
        match operator.kind {
            TokenKind::Operator(name) if !marker::may_precede_any(name) && self.is_punct(1, b'(') => {
                self.members(name);
            }
            _ => self.out.push(operator),
        }
        true
    }

    /// `@@ any (…)` as `= any ("\u{1}@@"((…)))`. The operator has been taken.
    pub(super) fn members(&mut self, operator: &str) {
        let Some(quantifier) = self.rest.first().map(|token| token.kind.clone()) else { return };
        let name = marker::marked(operator);
        let bracket = TokenKind::Punct(b'(');
        self.put([TokenKind::Operator("="), quantifier, bracket.clone()]);
        self.put([TokenKind::Quoted(Cow::Owned(name)), bracket.clone(), bracket]);
        self.skip(2);
        self.enter(Of::Members);
    }

    /// `tablesample m (a) repeatable (b)`, unless the latter is a number.
    pub(super) fn sample(&mut self) -> bool {
        let mut at = 2;
        while self.is_punct(at, b'.') {
            at += 2;
        }
        let end = at + group_length(self.rest.get(at..).unwrap_or_default());
        let seed = end + 1 + group_length(self.rest.get(end + 1..).unwrap_or_default());
        let is_number = matches!(self.rest.get(end + 2).map(|token| &token.kind), Some(TokenKind::Number(_)));
        if !self.is_punct(at, b'(')
            || self.word(end) != Some("repeatable")
            || !self.is_punct(end + 1, b'(')
            || is_number && seed == end + 4
        {
            return false;
        }
        let of = |from: usize, to: usize| said(self.rest.get(from..to).unwrap_or_default()).into_owned();
        let (args, seed_args) = (of(at + 1, end.saturating_sub(1)), of(end + 2, seed.saturating_sub(1)));
        self.out.extend(self.rest.iter().take(at + 1).cloned());
        self.put([TokenKind::Quoted(Cow::Borrowed(marker::SEED)), TokenKind::Punct(b'(')]);
        self.out.extend(args);
        self.put([TokenKind::Punct(b',')]);
        self.out.extend(seed_args);
        self.put([TokenKind::Punct(b')'), TokenKind::Punct(b')')]);
        self.skip(seed);
        true
    }

    /// `treat (a as type)` as the call of the type's own name that it is (`func_expr_common_subexpr`).
    pub(super) fn treat(&mut self) -> bool {
        let group = self.rest.get(1..).unwrap_or_default();
        let end = group_length(group).saturating_sub(1);
        let mut depth = 0_usize;
        let mut of = None;
        for (at, token) in group.iter().enumerate().take(end) {
            match token.kind {
                TokenKind::Punct(b'(' | b'[') => depth += 1,
                TokenKind::Punct(b')' | b']') => depth = depth.saturating_sub(1),
                _ if depth == 1 && token.kind.word() == Some("as") => of = Some(at + 1),
                _ => {}
            }
        }
        let Some(name) = of.and_then(|of| words::of_server(group.get(of..end)?)) else { return false };
        self.put([word("pg_catalog"), TokenKind::Punct(b'.'), TokenKind::Quoted(Cow::Owned(name))]);
        self.put([TokenKind::Punct(b'(')]);
        self.skip(2);
        self.enter(Of::Treat);
        true
    }

    /// The type, which has been said.
    pub(super) fn treat_part(&mut self) -> bool {
        // The last AS at this level is the construct's own; no expression has another.
        if self.word(0) != Some("as") {
            return false;
        }
        while !self.rest.is_empty() && !self.is_punct(0, b')') {
            let group = if self.is_punct(0, b'(') { group_length(self.rest) } else { 1 };
            self.skip(group);
        }
        true
    }

    /// `substring (a similar b escape c)`, a call of the server's own function.
    pub(super) fn similar(&mut self) -> bool {
        let mut depth = 0_usize;
        let similar = self.rest.iter().enumerate().skip(1).find(|(at, token)| {
            match token.kind {
                TokenKind::Punct(b'(') => depth += 1,
                TokenKind::Punct(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
                || depth == 1 && token.kind.word() == Some("similar") && self.word(at + 1) != Some("to")
        });
        if similar.is_none_or(|(_, token)| token.kind.word() != Some("similar")) {
            return false;
        }
        self.put([word("pg_catalog"), TokenKind::Punct(b'.'), word("substring"), TokenKind::Punct(b'(')]);
        self.skip(2);
        self.enter(Of::Similar);
        true
    }

    pub(super) fn similar_part(&mut self) -> bool {
        let separates = matches!(self.word(0), Some("similar" | "escape"));
        if separates {
            self.put([TokenKind::Punct(b',')]);
            self.skip(1);
        }
        separates
    }

    pub(super) fn sets_part(&mut self) -> bool {
        if self.is_punct(0, b'(') && self.is_punct(1, b')') {
            self.call(marker::EMPTY, 0);
            self.depth += 1;
            return true;
        }
        match (self.word(0), self.word(1)) {
            (Some("rollup"), _) if self.is_punct(1, b'(') => self.call(marker::ROLLUP, 1),
            (Some("cube"), _) if self.is_punct(1, b'(') => self.call(marker::CUBE, 1),
            (Some("grouping"), Some("sets")) if self.is_punct(2, b'(') => self.call(marker::SETS, 2),
            _ => return false,
        }
        self.enter(Of::Sets);
        true
    }
}

/// Where the bracket opens that closes before `end`.
fn opening(tokens: &[Token<'_>], end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.get(..end)?.iter().enumerate().rev() {
        match token.kind {
            TokenKind::Punct(b')' | b']') => depth += 1,
            TokenKind::Punct(b'(' | b'[') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
