//! Constructs that sqlparser has no words for, said as calls of marked names (`marker`).
//!
//! How well this reads the tokens decides only how much is understood: what it says otherwise than `grammar::said`
//! does, the comparison of the two readings refuses.

use std::borrow::Cow;

use super::{is_label, is_punct, last_word, out_of, word, word_at};
use crate::lexer::{Token, TokenKind};
use crate::marker;

/// The tokens with such constructs said anew; borrowed where there are none.
pub(super) fn said<'t, 'a>(tokens: &'t [Token<'a>]) -> Cow<'t, [Token<'a>]> {
    let begins_here = |pair: &[Token<'a>]| {
        word_at(pair, 0) == Some("as") && is_punct(pair, 1, b'(') || members(pair).is_some()
    };
    if !tokens.iter().any(|token| token.kind.word().is_some_and(begins))
        && !tokens.windows(2).any(begins_here)
    {
        return Cow::Borrowed(tokens);
    }
    let merges = word_at(tokens, 0) == Some("merge");
    let out = Vec::with_capacity(tokens.len() + 16);
    let mut said = Said { rest: tokens, out, depth: 0, open: Vec::new(), merges };
    while let [token, after @ ..] = said.rest {
        if !said.construct() {
            said.rest = after;
            said.plain(token);
        }
    }
    said.close_values();
    Cow::Owned(said.out)
}

/// The operator there that sqlparser does not know before ANY and ALL, if it stands before one.
fn members<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    let [Token { kind: TokenKind::Operator(operator), .. }, quantifier, ..] = tokens else { return None };
    let is_it = matches!(quantifier.kind.word(), Some("any" | "all" | "some"));
    (is_it && !marker::may_precede_any(operator)).then_some(*operator)
}

/// Words that begin, or may hold, one of these constructs.
fn begins(word: &str) -> bool {
    word.starts_with("xml")
        || word.starts_with("json_")
        || word == "json"
        || matches!(
            word,
            "rows"
                | "using"
                | "search"
                | "cycle"
                | "current"
                | "set"
                | "into"
                | "conflict"
                | "like"
                | "ilike"
                | "sets"
                | "document"
                | "similar"
                | "merge"
                | "local"
                | "operator"
                | "treat"
                | "repeatable"
        )
}

/// A construct that is open, and the depth of brackets within it.
pub(super) struct Open {
    pub(super) of: Of,
    pub(super) depth: usize,
}

pub(super) enum Of {
    /// `xmlelement(…)` and kin, by their own word.
    Xml(String),
    /// `xmlattributes(…)`, `xmlnamespaces(…)`: brackets that say nothing.
    Named,
    /// `xmltable(…)`, with the names of its columns so far.
    XmlTable(Vec<String>),
    /// `json_object(…)` and kin, and where its ORDER BY begins in what is put out.
    Json { order: Option<usize> },
    /// `json_array(select …)`.
    JsonQuery,
    /// `json_table(…)`, with the names of its columns, and whether its path was read.
    JsonTable { names: Vec<String>, path: bool },
    /// `columns (…)` in it, of the table or NESTED: the names of its columns so far, and of those nested in it.
    JsonColumns { names: Vec<String>, nested: Vec<String> },
    /// `rows from (…)`.
    Rows,
    /// `as (a type, …)` of a function in it.
    Definitions,
    /// `grouping sets (…)`.
    Sets,
    /// `substring(a similar b escape c)`.
    Similar,
    /// `set …`: assignments.
    Assignments,
    /// Subscripts and value of an assignment to part of a column.
    Value,
    /// One of these subscripts.
    Subscript,
    /// The columns of an INSERT.
    Columns,
    /// What stands after ANY or ALL.
    Members,
    /// `treat(a as type)`.
    Treat,
}

pub(super) struct Said<'t, 'a> {
    pub(super) rest: &'t [Token<'a>],
    pub(super) out: Vec<Token<'a>>,
    pub(super) depth: usize,
    pub(super) open: Vec<Open>,
    /// The statement is a MERGE.
    merges: bool,
}

impl<'a> Said<'_, 'a> {
    pub(super) fn word(&self, at: usize) -> Option<&str> {
        word_at(self.rest, at)
    }

    pub(super) fn is_punct(&self, at: usize, byte: u8) -> bool {
        is_punct(self.rest, at, byte)
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// Puts tokens out in place of the next one.
    pub(super) fn put(&mut self, kinds: impl IntoIterator<Item = TokenKind<'a>>) {
        let at = self.rest.first().or(self.out.last()).map_or(0, |token| token.at);
        self.out.extend(kinds.into_iter().map(out_of(at)));
    }

    pub(super) fn enter(&mut self, of: Of) {
        self.depth += 1;
        self.open.push(Open { of, depth: self.depth });
    }

    /// The innermost construct, if we are at its own level.
    pub(super) fn within(&self) -> Option<&Of> {
        self.open.last().filter(|open| open.depth == self.depth).map(|open| &open.of)
    }

    pub(super) fn within_mut(&mut self) -> Option<&mut Of> {
        self.open.last_mut().filter(|open| open.depth == self.depth).map(|open| &mut open.of)
    }

    /// A token that begins nothing.
    pub(super) fn plain(&mut self, token: &Token<'a>) {
        match token.kind {
            TokenKind::Punct(b'(' | b'[') => self.depth += 1,
            TokenKind::Punct(b')' | b']') => return self.close(token),
            _ => {}
        }
        self.out.push(token.clone());
    }

    /// A closing bracket.
    pub(super) fn close(&mut self, token: &Token<'a>) {
        self.close_values();
        let closed = self.open.pop_if(|open| open.depth == self.depth).map(|open| open.of);
        self.depth = self.depth.saturating_sub(1);
        match closed {
            Some(Of::Named | Of::Definitions) => {}
            Some(Of::JsonColumns { mut names, nested }) => {
                names.extend(nested);
                self.columns_end(names);
            }
            Some(Of::JsonQuery) => self.out.extend([token.clone(), token.clone()]),
            Some(Of::Members) => self.out.extend([token.clone(), token.clone(), token.clone()]),
            Some(Of::JsonTable { names, .. }) => {
                self.out.push(token.clone());
                self.table_alias("json_table", names);
            }
            Some(Of::Subscript) => {
                self.separate();
                self.subscripts();
            }
            Some(Of::Xml(name)) if name == "xmlserialize" => {
                self.out.extend([token.clone(), token.clone()]);
            }
            Some(Of::XmlTable(names)) => {
                self.out.push(token.clone());
                self.table_alias("xmltable", names);
            }
            _ => self.out.push(token.clone()),
        }
    }

    /// The end of a level at which assignments may stand.
    pub(super) fn close_values(&mut self) {
        while matches!(self.within(), Some(Of::Value | Of::Assignments)) {
            if let Some(Open { of: Of::Value, .. }) = self.open.pop() {
                self.put([TokenKind::Punct(b')')]);
            }
        }
    }

    /// Whether a construct, or a part of one, begins here; then it is taken.
    pub(super) fn construct(&mut self) -> bool {
        let is_part = match self.within() {
            Some(Of::Xml(_)) => self.xml_part(),
            Some(Of::Named) => self.named_part(),
            Some(Of::XmlTable(_)) => self.xml_table_part(),
            Some(Of::Json { .. }) => self.json_part(),
            Some(Of::JsonQuery) => self.json_query_part(),
            Some(Of::JsonTable { .. }) => self.json_table_part(),
            Some(Of::JsonColumns { .. }) => self.json_columns_part(),
            Some(Of::Rows) => self.rows_part(),
            Some(Of::Sets) => self.sets_part(),
            Some(Of::Similar) => self.similar_part(),
            Some(Of::Assignments | Of::Value) => self.assignment_part(),
            Some(Of::Subscript) => self.subscript_part(),
            Some(Of::Columns) => self.columns_part(),
            Some(Of::Treat) => self.treat_part(),
            Some(Of::Definitions | Of::Members) | None => false,
        };
        is_part || self.begins()
    }

    pub(super) fn begins(&mut self) -> bool {
        if is_label(&self.out) {
            return false;
        }
        match self.word(0) {
            Some(name) if name.starts_with("xml") => self.xml(),
            Some(name) if name.starts_with("json") => self.json(),
            Some("rows") => self.rows(),
            Some("using") if self.merges && self.depth == 0 => self.merge_source(),
            Some("using") => self.using(),
            Some("default") if last_word(&self.out) == Some("insert") && self.word(1) == Some("values") => {
                // MERGE: as many values as it has columns, whatever they are.
                let value = [word("values"), TokenKind::Punct(b'('), word("null"), TokenKind::Punct(b')')];
                self.put(value);
                self.skip(2);
                true
            }
            Some("substring") => self.similar(),
            Some("search") => self.search(),
            Some("cycle") => self.cycle(),
            Some("current") => self.current_of(),
            Some("conflict") => self.conflict(),
            Some("not" | "like" | "ilike") => self.like(),
            Some("is") => self.document(),
            Some("as") => self.definitions(),
            Some("at") => self.at_local(),
            Some("operator") => self.operator(),
            Some("treat") => self.treat(),
            Some("tablesample") => self.sample(),
            None if self.is_punct(2, b'(') => match members(self.rest) {
                Some(operator) => {
                    self.skip(1);
                    self.members(operator);
                    true
                }
                None => false,
            },
            Some("sets") if last_word(&self.out) == Some("grouping") && self.is_punct(1, b'(') => {
                self.put([word("sets"), TokenKind::Punct(b'(')]);
                self.skip(2);
                self.enter(Of::Sets);
                true
            }
            Some("set") => {
                self.put([word("set")]);
                self.skip(1);
                self.open.push(Open { of: Of::Assignments, depth: self.depth });
                true
            }
            Some("into") => self.insert(),
            Some("insert") if self.is_punct(1, b'(') => {
                self.put([word("insert"), TokenKind::Punct(b'(')]);
                self.skip(2);
                self.enter(Of::Columns);
                true
            }
            _ => false,
        }
    }

    /// The call of a marked name in place of a word and its bracket.
    pub(super) fn call(&mut self, name: &str, words: usize) {
        self.put([TokenKind::Quoted(Cow::Owned(name.to_owned())), TokenKind::Punct(b'(')]);
        self.skip(words + 1);
    }
}
