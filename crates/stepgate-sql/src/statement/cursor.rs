//! Looking along the tokens of one statement.

use crate::lexer::{Token, TokenKind};

/// What is left of a statement's tokens.
#[derive(Clone, Copy)]
pub(super) struct Words<'t, 'a>(pub(super) &'t [Token<'a>]);

impl<'t, 'a> Words<'t, 'a> {
    fn kind(self, at: usize) -> Option<&'t TokenKind<'a>> {
        self.0.get(at).map(|token| &token.kind)
    }

    /// The unquoted word there, folded.
    pub(super) fn word(self, at: usize) -> Option<&'t str> {
        self.kind(at).and_then(TokenKind::word)
    }

    /// The identifier there, quoted or not.
    pub(super) fn ident(self, at: usize) -> Option<&'t str> {
        self.kind(at).and_then(TokenKind::ident)
    }

    /// The plain string literal there.
    pub(super) fn text(self, at: usize) -> Option<&'t str> {
        match self.kind(at) {
            Some(TokenKind::Text(Some(text))) => Some(text),
            _ => None,
        }
    }

    /// The plain string literal, unquoted word or number there.
    pub(super) fn value(self, at: usize) -> Option<&'t str> {
        match self.kind(at) {
            Some(TokenKind::Number(number)) => Some(number),
            _ => self.text(at).or_else(|| self.word(at)),
        }
    }

    pub(super) fn is_punct(self, at: usize, byte: u8) -> bool {
        self.kind(at).is_some_and(|kind| kind.is_punct(byte))
    }

    pub(super) fn is_operator(self, at: usize, operator: &str) -> bool {
        matches!(self.kind(at), Some(TokenKind::Operator(it)) if *it == operator)
    }

    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// Without the first `count` tokens.
    pub(super) fn after(self, count: usize) -> Self {
        Self(self.0.get(count..).unwrap_or_default())
    }

    /// The first `count` tokens.
    pub(super) fn before(self, count: usize) -> Self {
        Self(self.0.get(..count).unwrap_or(self.0))
    }

    /// Number of tokens of the bracketed group that begins here, brackets included.
    pub(super) fn group(self) -> usize {
        let mut depth = 0_usize;
        for (at, token) in self.0.iter().enumerate() {
            match token.kind {
                TokenKind::Punct(b'(') => depth += 1,
                TokenKind::Punct(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        self.0.len()
    }

    /// What follows the bracketed group that begins here.
    pub(super) fn after_group(self) -> Self {
        self.after(self.group())
    }

    /// Where that word first stands outside brackets.
    pub(super) fn find_word(self, word: &str) -> Option<usize> {
        let mut depth = 0_usize;
        self.0.iter().position(|token| {
            match token.kind {
                TokenKind::Punct(b'(') => depth += 1,
                TokenKind::Punct(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.kind.word() == Some(word)
        })
    }

    /// Whether these words stand somewhere in a row.
    pub(super) fn contains(self, words: &[&str]) -> bool {
        (0..self.0.len())
            .any(|at| words.iter().enumerate().all(|(more, word)| self.word(at + more) == Some(word)))
    }

    /// `name` or `schema.name` here: its parts and how many tokens they take.
    pub(super) fn name(self) -> Option<(Vec<String>, usize)> {
        let mut parts = vec![self.ident(0)?.to_owned()];
        let mut at = 1;
        while self.is_punct(at, b'.') {
            parts.push(self.ident(at + 1)?.to_owned());
            at += 2;
        }
        Some((parts, at))
    }

    /// `(a, b)` here: the names, if it is such a list.
    pub(super) fn name_list(self) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut at = 1;
        loop {
            names.push(self.ident(at)?.to_owned());
            match self.kind(at + 1)? {
                TokenKind::Punct(b',') => at += 2,
                TokenKind::Punct(b')') => return Some(names),
                _ => return None,
            }
        }
    }
}
