//! SQL/JSON (PostgreSQL 16 and 17), as calls of its operands.

use super::construct::{Of, Open, Said};
use crate::lexer::TokenKind;
use crate::marker;

/// Words by which a type ends that RETURNING or a column names.
const AFTER_TYPE: [&str; 16] = [
    "absent", "default", "empty", "error", "exists", "false", "format", "keep", "null", "omit", "path",
    "true", "unknown", "with", "without", "passing",
];

impl Said<'_, '_> {
    pub(super) fn json(&mut self) -> bool {
        let Some(name) = self.word(0).filter(|_| self.is_punct(1, b'(')).map(str::to_owned) else {
            return false;
        };
        let query = matches!(self.word(2), Some("select" | "with" | "values" | "table"));
        match name.as_str() {
            "json_table" => {
                self.call(marker::JSON_TABLE, 1);
                self.enter(Of::JsonTable { names: Vec::new(), path: false });
                return true;
            }
            // The server's own function of arrays has commas only.
            "json_object" if !self.is_constructor() => return false,
            "json_array" if query => {
                self.call(&marker::marked(&name), 1);
                self.put([TokenKind::Punct(b'(')]);
                self.enter(Of::JsonQuery);
                return true;
            }
            "json" | "json_object" | "json_array" | "json_objectagg" | "json_arrayagg" | "json_exists"
            | "json_query" | "json_value" | "json_scalar" | "json_serialize" => {
                self.call(&marker::marked(&name), 1)
            }
            _ => return false,
        }
        self.enter(Of::Json { order: None });
        true
    }

    /// Whether the brackets of JSON_OBJECT hold pairs, or nothing but options.
    fn is_constructor(&self) -> bool {
        let mut depth = 0_usize;
        for token in self.rest.iter().skip(1) {
            match &token.kind {
                TokenKind::Punct(b'(' | b'[') => depth += 1,
                TokenKind::Punct(b')' | b']') => depth = depth.saturating_sub(1),
                TokenKind::Punct(b':') if depth == 1 => return true,
                TokenKind::Word(word) if depth == 1 && matches!(word.as_ref(), "value" | "returning") => {
                    return true;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.is_punct(2, b')')
    }

    /// The query of JSON_ARRAY ends, and its options begin.
    pub(super) fn json_query_part(&mut self) -> bool {
        if !matches!(self.word(0), Some("returning" | "format")) {
            return false;
        }
        self.put([TokenKind::Punct(b')')]);
        if let Some(Open { of, .. }) = self.open.last_mut() {
            *of = Of::Json { order: None };
        }
        self.json_part()
    }

    /// Words of the construct's own between its operands.
    pub(super) fn json_part(&mut self) -> bool {
        let first = self.out.last().is_some_and(|it| it.kind.is_punct(b'(') || it.kind.is_punct(b','));
        let words = [self.word(0), self.word(1), self.word(2), self.word(3)];
        let skipped = match words {
            [Some("value"), ..] if !first => return self.comma(1),
            [None, ..] if self.is_punct(0, b':') => return self.comma(1),
            [Some("passing"), ..] => return self.comma(1),
            [Some("default"), ..] => return self.comma(1),
            [Some("order"), Some("by"), ..] => {
                let here = self.out.len();
                if let Some(Open { of: Of::Json { order }, .. }) = self.open.last_mut() {
                    *order = Some(here);
                }
                return false;
            }
            [Some("returning"), ..] => {
                // An operand, and so before ORDER BY.
                let order = match self.within() {
                    Some(Of::Json { order: Some(order) }) => self.out.split_off(self.out.len().min(*order)),
                    _ => Vec::new(),
                };
                self.skip(1);
                self.separate();
                self.typed(&AFTER_TYPE);
                self.out.extend(order);
                return true;
            }
            [Some("format"), Some("json"), Some("encoding"), _] => 4,
            [Some("format"), Some("json"), ..] => 2,
            [Some("null" | "absent"), Some("on"), Some("null"), _] => 3,
            [Some("with" | "without"), Some("unique"), Some("keys"), _] => 3,
            [Some("with" | "without"), Some("unique"), ..] => 2,
            [Some("with" | "without"), ..] => match words.iter().position(|word| *word == Some("wrapper")) {
                Some(at) => at + 1,
                None => return false,
            },
            [Some("keep" | "omit"), Some("quotes"), Some("on"), _] => 5,
            [Some("keep" | "omit"), Some("quotes"), ..] => 2,
            [
                Some("error" | "null" | "true" | "false" | "unknown" | "empty"),
                Some("on"),
                Some("empty" | "error"),
                _,
            ] => 3,
            [Some("empty"), Some("array" | "object"), Some("on"), Some("empty" | "error")] => 4,
            [Some("on"), Some("empty" | "error"), ..] => 2,
            [Some("as"), ..] => 2,
            _ => return false,
        };
        self.skip(skipped);
        true
    }

    fn comma(&mut self, words: usize) -> bool {
        self.put([TokenKind::Punct(b',')]);
        self.skip(words);
        true
    }

    pub(super) fn json_table_part(&mut self) -> bool {
        let is_text = |token: Option<&crate::lexer::Token<'_>>| {
            token.is_some_and(|token| matches!(token.kind, TokenKind::Text(_)))
        };
        if self.is_punct(0, b',')
            && is_text(self.rest.get(1))
            && let Some(Open { of: Of::JsonTable { path: path @ false, .. }, .. }) = self.open.last_mut()
        {
            *path = true;
            self.skip(2);
            return true;
        }
        if self.word(0) == Some("columns") && self.is_punct(1, b'(') {
            self.columns_begin();
            return true;
        }
        self.json_part()
    }

    pub(super) fn json_columns_part(&mut self) -> bool {
        match self.word(0) {
            Some("path") => self.skip(2),
            Some("exists") => self.skip(1),
            None if self.is_punct(0, b',') => {
                self.skip(1);
                self.json_column();
            }
            _ => return self.json_part(),
        }
        true
    }

    /// `columns (`.
    fn columns_begin(&mut self) {
        self.skip(2);
        self.enter(Of::JsonColumns { names: Vec::new(), nested: Vec::new() });
        self.json_column();
    }

    /// Columns that are nested come after those beside them (parse_jsontable.c, `transformJsonTableColumns`).
    pub(super) fn columns_end(&mut self, all: Vec<String>) {
        match self.within_mut() {
            Some(Of::JsonColumns { nested, .. }) => nested.extend(all),
            Some(Of::JsonTable { names, .. }) => names.extend(all),
            _ => {}
        }
    }

    /// `nested [path] literal [as name] columns (`.
    fn nested(&mut self) -> bool {
        let mut at = 1 + usize::from(self.word(1) == Some("path"));
        if !matches!(self.rest.get(at).map(|token| &token.kind), Some(TokenKind::Text(_))) {
            return false;
        }
        at += 1;
        if self.word(at) == Some("as") {
            at += 2;
        }
        let is_it = self.word(at) == Some("columns") && self.is_punct(at + 1, b'(');
        if is_it {
            self.skip(at);
            self.columns_begin();
        }
        is_it
    }

    /// `name type`, `name for ordinality` or `nested …`.
    fn json_column(&mut self) {
        if self.word(0) == Some("nested") && self.nested() {
            return;
        }
        let Some(name) = self.rest.first().and_then(|token| token.kind.ident()).map(str::to_owned) else {
            return;
        };
        if let Some(Of::JsonColumns { names, .. }) = self.within_mut() {
            names.push(name);
        }
        self.skip(1);
        if self.word(0) == Some("for") {
            return self.skip(2);
        }
        self.put([TokenKind::Punct(b',')]);
        self.typed(&AFTER_TYPE);
    }
}
