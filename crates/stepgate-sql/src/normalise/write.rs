//! What writes have that sqlparser has no words for.

use std::borrow::Cow;

use super::construct::{Of, Open, Said};
use super::{is_punct, last_word, word, word_at};
use crate::lexer::{Token, TokenKind};
use crate::marker;

impl Said<'_, '_> {
    /// `where current of c`.
    pub(super) fn current_of(&mut self) -> bool {
        let Some(cursor) = self.rest.get(2).filter(|_| self.word(1) == Some("of")).cloned() else {
            return false;
        };
        if cursor.kind.ident().is_none() {
            return false;
        }
        self.put([TokenKind::Quoted(Cow::Borrowed(marker::CURRENT)), TokenKind::Punct(b'.')]);
        self.out.push(cursor);
        self.put([TokenKind::Punct(b'('), TokenKind::Punct(b')')]);
        self.skip(3);
        true
    }

    /// `on conflict (expressions) [where condition] do`: the names in them, functions marked.
    pub(super) fn conflict(&mut self) -> bool {
        if last_word(&self.out) != Some("on") || !self.is_punct(1, b'(') {
            return false;
        }
        let Some(end) = self.rest.iter().position(|token| token.kind.word() == Some("do")) else {
            return false;
        };
        let target = self.rest.get(2..end).unwrap_or_default();
        let names = inferred(target);
        self.put([word("conflict"), TokenKind::Punct(b'(')]);
        for (at, name) in names.into_iter().enumerate() {
            if at > 0 {
                self.put([TokenKind::Punct(b',')]);
            }
            self.put([TokenKind::Quoted(Cow::Owned(name))]);
        }
        self.put([TokenKind::Punct(b')')]);
        self.skip(end);
        true
    }

    /// `a[i] = v` and `c.f[i] = v` among assignments.
    pub(super) fn assignment_part(&mut self) -> bool {
        let ends = match (self.word(0), self.word(1)) {
            (Some("from"), _) => last_word(&self.out) != Some("distinct"),
            (Some("where" | "returning"), _) | (Some("when"), Some("matched" | "not")) => true,
            _ => false,
        };
        if ends {
            self.close_values();
            return false;
        }
        if self.is_punct(0, b',') && matches!(self.within(), Some(Of::Value)) {
            self.put([TokenKind::Punct(b')')]);
            self.open.pop();
        }
        let at_target = matches!(self.within(), Some(Of::Assignments))
            && (last_word(&self.out) == Some("set")
                || self.out.last().is_some_and(|token| token.kind.is_punct(b',')));
        if !at_target {
            return false;
        }
        if self.is_punct(0, b'(') {
            return self.row_target();
        }
        let Some((end, subscripts)) = target(self.rest) else { return false };
        let equals = matches!(self.rest.get(end).map(|it| &it.kind), Some(TokenKind::Operator("=")));
        if !has_subscript(self.rest, end) || !equals {
            return false;
        }
        let literal = subscripts.iter().all(|subscript| is_literal(subscript));
        self.out.extend(self.rest.iter().take(1).cloned());
        self.put([TokenKind::Operator("=")]);
        if literal {
            self.skip(end + 1);
        } else {
            self.open.push(Open { of: Of::Value, depth: self.depth });
            self.call(marker::PART, 0);
            self.subscripts();
        }
        true
    }

    /// `(a[1], b) = …` without subscripts that are literals.
    fn row_target(&mut self) -> bool {
        let mut names = Vec::new();
        let mut at = 0;
        loop {
            at += 1;
            let (Some(first), Some((length, subscripts))) =
                (self.rest.get(at), self.rest.get(at..).and_then(target))
            else {
                return false;
            };
            let simple = length == 1 || has_subscript(self.rest.get(at..).unwrap_or_default(), length);
            if !simple || !subscripts.iter().all(|subscript| is_literal(subscript)) {
                return false;
            }
            names.push(first.clone());
            at += length;
            if !self.is_punct(at, b',') {
                break;
            }
        }
        if !self.is_punct(at, b')') {
            return false;
        }
        self.put([TokenKind::Punct(b'(')]);
        for (at, name) in names.into_iter().enumerate() {
            if at > 0 {
                self.put([TokenKind::Punct(b',')]);
            }
            self.out.push(name);
        }
        self.skip(at);
        // The bracket that closes is the next token.
        self.depth += 1;
        true
    }

    /// Goes on to the next subscript, or to the value.
    pub(super) fn subscripts(&mut self) {
        while self.is_punct(0, b'.') {
            self.skip(2);
        }
        let opens = self.is_punct(0, b'[');
        self.skip(1);
        if opens {
            self.enter(Of::Subscript);
        }
    }

    /// The bounds of a slice are operands.
    pub(super) fn subscript_part(&mut self) -> bool {
        let is_slice = self.is_punct(0, b':');
        if is_slice {
            self.separate();
            self.skip(1);
        }
        is_slice
    }

    /// A comma, where an operand stands before it.
    pub(super) fn separate(&mut self) {
        let operand = |token: &Token<'_>| !token.kind.is_punct(b',') && !token.kind.is_punct(b'(');
        if self.out.last().is_some_and(operand) {
            self.put([TokenKind::Punct(b',')]);
        }
    }

    /// `using a join b on … on …` of MERGE, with the join in brackets.
    pub(super) fn merge_source(&mut self) -> bool {
        let mut depth = 0_usize;
        let (mut joins, mut condition) = (false, None);
        for (at, token) in self.rest.iter().enumerate() {
            match (&token.kind, token.kind.word()) {
                (TokenKind::Punct(b'('), _) => depth += 1,
                (TokenKind::Punct(b')'), _) if depth == 0 => break,
                (TokenKind::Punct(b')'), _) => depth -= 1,
                (_, Some("join")) if depth == 0 => joins = true,
                (_, Some("on")) if depth == 0 => condition = Some(at),
                (_, Some("when")) if depth == 0 => break,
                _ => {}
            }
        }
        let Some(condition) = condition.filter(|_| joins) else { return false };
        self.put([word("using"), TokenKind::Punct(b'(')]);
        self.out.extend(self.rest.iter().take(condition).skip(1).cloned());
        self.put([TokenKind::Punct(b')')]);
        self.skip(condition);
        true
    }

    /// `into t [as x] (`: the columns of an INSERT.
    pub(super) fn insert(&mut self) -> bool {
        let mut at = 1;
        while self.rest.get(at).is_some_and(|token| token.kind.ident().is_some())
            && self.is_punct(at + 1, b'.')
        {
            at += 2;
        }
        at += 1;
        if self.word(at) == Some("as") {
            at += 2;
        }
        let query = matches!(self.word(at + 1), Some("select" | "with" | "values" | "table"));
        let brackets = self.rest.iter().skip(at).take_while(|token| token.kind.is_punct(b'(')).count();
        let begins = self.word(at + brackets);
        // A query in brackets, which sqlparser takes for columns: without the outer ones.
        if brackets > 1 && matches!(begins, Some("select" | "with" | "values" | "table"))
            || brackets == 1 && begins == Some("values") && self.is_punct(at + 2, b'(')
        {
            self.out.extend(self.rest.iter().take(at).cloned());
            self.skip(at + 1);
            self.enter(Of::Definitions);
            return true;
        }
        if !self.is_punct(at, b'(') || self.is_punct(at + 1, b'(') || query {
            return false;
        }
        self.out.extend(self.rest.iter().take(at + 1).cloned());
        self.skip(at + 1);
        self.enter(Of::Columns);
        true
    }

    /// `a[1]` among them is `a`.
    pub(super) fn columns_part(&mut self) -> bool {
        let Some((end, subscripts)) = target(self.rest) else { return false };
        if !has_subscript(self.rest, end) || !subscripts.iter().all(|subscript| is_literal(subscript)) {
            return false;
        }
        self.out.extend(self.rest.iter().take(1).cloned());
        self.skip(end);
        true
    }
}

/// The end of `a`, `a.b`, `a[i]` … there, and what stands in its subscripts, both bounds of slices.
fn target<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(usize, Vec<&'t [Token<'a>]>)> {
    tokens.first()?.kind.ident()?;
    let mut subscripts = Vec::new();
    let mut at = 1;
    loop {
        if is_punct(tokens, at, b'.') {
            at += 2;
        } else if is_punct(tokens, at, b'[') {
            let mut from = at + 1;
            let mut depth = 0_usize;
            loop {
                at += 1;
                match tokens.get(at)?.kind {
                    TokenKind::Punct(b'(' | b'[') => depth += 1,
                    TokenKind::Punct(b')' | b']') if depth > 0 => depth -= 1,
                    TokenKind::Punct(b':' | b']') if depth == 0 => {
                        subscripts.extend(tokens.get(from..at).filter(|it| !it.is_empty()));
                        from = at + 1;
                        if is_punct(tokens, at, b']') {
                            break;
                        }
                    }
                    _ => {}
                }
            }
            at += 1;
        } else {
            return Some((at, subscripts));
        }
    }
}

/// Whether there are subscripts in a target that ends there; those of `a[:]` say nothing.
fn has_subscript(tokens: &[Token<'_>], end: usize) -> bool {
    tokens.iter().take(end).any(|token| token.kind.is_punct(b'['))
}

fn is_literal(tokens: &[Token<'_>]) -> bool {
    let is = |token: &Token<'_>| {
        matches!(token.kind, TokenKind::Number(_) | TokenKind::Text(_) | TokenKind::Param(_))
            || token.kind.word() == Some("null")
    };
    match tokens {
        [one] => is(one),
        [sign, one] => matches!(sign.kind, TokenKind::Operator("-")) && is(one),
        _ => false,
    }
}

/// The names in a target of ON CONFLICT: columns, and functions marked.
fn inferred(tokens: &[Token<'_>]) -> Vec<String> {
    let mut names = Vec::new();
    // Brackets that are open; at the outermost level operator classes and collations follow an expression.
    let mut depth = 1_usize;
    let mut in_where = false;
    let mut begins = true;
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            TokenKind::Punct(b'(') => depth += 1,
            TokenKind::Punct(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        in_where |= depth == 0;
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|token| &token.kind);
        let collates = before.is_some_and(|kind| kind.word() == Some("collate"))
            || at > 2 && word_at(tokens, at - 3) == Some("collate") && is_punct(tokens, at - 1, b'.');
        let qualifies = is_punct(tokens, at + 1, b'.');
        if let Some(name) =
            token.kind.ident().filter(|_| (in_where || depth != 1 || begins) && !collates && !qualifies)
            && !token.kind.word().is_some_and(is_operator_word)
        {
            let called = is_punct(tokens, at + 1, b'(');
            names.push(if called { marker::marked(name) } else { name.to_owned() });
        }
        begins = match token.kind {
            TokenKind::Punct(b',' | b'.') => true,
            TokenKind::Punct(b'(') => false,
            _ => depth == 0 || qualifies,
        };
    }
    names
}

/// Words of expressions that name nothing.
fn is_operator_word(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "is"
            | "null"
            | "true"
            | "false"
            | "unknown"
            | "in"
            | "like"
            | "ilike"
            | "between"
            | "where"
            | "collate"
            | "coalesce"
            | "isnull"
            | "notnull"
            | "asc"
            | "desc"
            | "nulls"
            | "first"
            | "last"
            | "symmetric"
            | "distinct"
            | "from"
            | "similar"
            | "to"
            | "escape"
            | "any"
            | "all"
            | "array"
    )
}
