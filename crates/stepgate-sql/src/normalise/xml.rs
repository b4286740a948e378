//! SQL/XML, as calls of its operands.

use std::borrow::Cow;

use super::cannot_name_relation;
use super::construct::{Of, Open, Said};
use super::word;
use crate::lexer::TokenKind;
use crate::marker;

impl Said<'_, '_> {
    pub(super) fn xml(&mut self) -> bool {
        let Some(name) = self.word(0).filter(|_| self.is_punct(1, b'(')).map(str::to_owned) else {
            return false;
        };
        match name.as_str() {
            "xmlelement" | "xmlpi" => {
                self.call(&marker::marked(&name), 1);
                if self.word(0) == Some("name") {
                    self.skip(if self.is_punct(2, b',') { 3 } else { 2 });
                }
            }
            "xmlforest" | "xmlconcat" | "xmlroot" => self.call(&marker::marked(&name), 1),
            "xmlparse" => {
                self.call(&marker::marked(&name), 1);
                self.skip(1);
            }
            "xmlserialize" => {
                self.call(&marker::marked(&name), 1);
                self.put([word("cast"), TokenKind::Punct(b'(')]);
                self.skip(1);
            }
            "xmlexists" => {
                self.put([word("pg_catalog"), TokenKind::Punct(b'.'), word("xmlexists")]);
                self.put([TokenKind::Punct(b'(')]);
                self.skip(2);
            }
            "xmltable" => {
                self.call(marker::XMLTABLE, 1);
                self.enter(Of::XmlTable(Vec::new()));
                return true;
            }
            _ => return false,
        }
        self.enter(Of::Xml(name));
        true
    }

    /// Words of the construct's own between its operands.
    pub(super) fn xml_part(&mut self) -> bool {
        let words = [self.word(0), self.word(1), self.word(2)];
        let after_comma = self.out.last().is_some_and(|token| token.kind.is_punct(b','));
        match words {
            [Some("xmlattributes"), ..] if self.is_punct(1, b'(') => {
                self.skip(2);
                self.enter(Of::Named);
            }
            [Some("as"), ..] if !matches!(self.within(), Some(Of::Xml(name)) if name == "xmlserialize") => {
                self.skip(2);
            }
            [Some("no"), Some("indent"), _] => self.skip(2),
            [Some("indent"), ..] => self.skip(1),
            [Some("preserve" | "strip"), Some("whitespace"), _] => self.skip(2),
            [Some("version"), Some("no"), Some("value")] if after_comma => {
                self.put([word("null")]);
                self.skip(3);
            }
            [Some("version"), ..] if after_comma => self.skip(1),
            [Some("standalone"), ..] if after_comma => {
                self.out.pop();
                while !self.rest.is_empty() && !self.is_punct(0, b')') {
                    self.skip(1);
                }
            }
            _ => return self.passing(),
        }
        true
    }

    /// `passing [by ref] document [by ref]`.
    pub(super) fn passing(&mut self) -> bool {
        match [self.word(0), self.word(1)] {
            [Some("passing"), _] => {
                self.put([TokenKind::Punct(b',')]);
                self.skip(1);
            }
            [Some("by"), Some("ref" | "value")] => self.skip(2),
            _ => return false,
        }
        true
    }

    pub(super) fn named_part(&mut self) -> bool {
        match self.word(0) {
            Some("as") => self.skip(2),
            Some("default") => self.skip(1),
            _ => return false,
        }
        true
    }

    pub(super) fn xml_table_part(&mut self) -> bool {
        match self.word(0) {
            Some("xmlnamespaces") if self.is_punct(1, b'(') => {
                self.skip(2);
                self.enter(Of::Named);
            }
            Some("columns") => {
                self.skip(1);
                self.table_column();
            }
            Some("path" | "default") => {
                self.put([TokenKind::Punct(b',')]);
                self.skip(1);
            }
            Some("not") if self.word(1) == Some("null") => self.skip(2),
            Some("null") => self.skip(1),
            None if self.is_punct(0, b',') && self.has_columns() => {
                self.skip(1);
                self.table_column();
            }
            _ => return self.passing(),
        }
        true
    }

    pub(super) fn has_columns(&self) -> bool {
        matches!(self.within(), Some(Of::XmlTable(names)) if !names.is_empty())
    }

    /// `name type` or `name for ordinality`.
    pub(super) fn table_column(&mut self) {
        let Some(name) = self.rest.first().and_then(|token| token.kind.ident()).map(str::to_owned) else {
            return;
        };
        if let Some(Open { of: Of::XmlTable(names), .. }) = self.open.last_mut() {
            names.push(name);
        }
        self.skip(1);
        if self.word(0) == Some("for") {
            return self.skip(2);
        }
        self.put([TokenKind::Punct(b',')]);
        self.typed(&["path", "default", "not", "null"]);
    }

    /// A type, as a value that has it: `cast(null as type)`. It ends at a comma, a closing bracket or one of `ends`.
    pub(super) fn typed(&mut self, ends: &[&str]) {
        self.put([word("cast"), TokenKind::Punct(b'('), word("null"), word("as")]);
        let mut depth = 0_usize;
        while let [token, after @ ..] = self.rest {
            let ends = |word: &str| ends.contains(&word);
            match &token.kind {
                TokenKind::Punct(b'(' | b'[') => depth += 1,
                TokenKind::Punct(b')' | b']') if depth > 0 => depth -= 1,
                TokenKind::Punct(b',' | b')') if depth == 0 => break,
                TokenKind::Word(word) if depth == 0 && ends(word) => break,
                _ => {}
            }
            self.out.push(token.clone());
            self.rest = after;
        }
        self.put([TokenKind::Punct(b')')]);
    }

    /// The alias of a function whose columns have these names, which it renames from the first on.
    pub(super) fn table_alias(&mut self, default: &str, mut names: Vec<String>) {
        let explicit = usize::from(self.word(0) == Some("as"));
        let given = self
            .rest
            .get(explicit)
            .filter(|token| explicit == 1 || token.kind.word().is_none_or(|word| !ends_table(word)));
        let name = given.and_then(|token| token.kind.ident()).map(str::to_owned);
        if name.is_some() {
            self.skip(explicit + 1);
        }
        if name.is_some() && self.is_punct(0, b'(') {
            self.skip(1);
            let mut at = 0;
            while let Some(renamed) =
                self.rest.first().and_then(|token| token.kind.ident()).map(str::to_owned)
            {
                match names.get_mut(at) {
                    Some(slot) => *slot = renamed,
                    None => names.push(renamed),
                }
                at += 1;
                self.skip(1);
                if self.is_punct(0, b',') {
                    self.skip(1);
                }
            }
            self.skip(1);
        }
        let quoted = |name: String| TokenKind::Quoted(Cow::Owned(name));
        self.put([word("as"), quoted(name.unwrap_or_else(|| default.to_owned())), TokenKind::Punct(b'(')]);
        for (at, name) in names.into_iter().enumerate() {
            if at > 0 {
                self.put([TokenKind::Punct(b',')]);
            }
            self.put([quoted(name)]);
        }
        self.put([TokenKind::Punct(b')')]);
    }
}

/// Words that follow a table without an alias.
fn ends_table(word: &str) -> bool {
    cannot_name_relation(word)
        || matches!(
            word,
            "join" | "inner" | "left" | "right" | "full" | "cross" | "natural" | "using" | "set"
        )
}
