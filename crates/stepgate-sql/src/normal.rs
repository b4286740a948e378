//! The statement without anything of the user's: keywords and names that the catalog knows, all else `?`.

use sha2::{Digest, Sha256};
use stepgate_types::quote_ident;

use crate::builtin;
use crate::catalog::Catalog;
use crate::facts::Facts;
use crate::lexer::{Token, TokenKind};

/// Sets the normalised text and its fingerprint.
pub(crate) fn describe(tokens: &[Token<'_>], catalog: &Catalog, facts: &mut Facts) {
    let mut text = String::with_capacity(tokens.len() * 6);
    let mut cut = 0;
    let mut glued = true;
    for token in tokens {
        if !(glued
            || matches!(token.kind, TokenKind::Punct(b'.' | b',' | b')' | b']' | b'[') | TokenKind::Cast))
        {
            text.push(' ');
        }
        glued = matches!(token.kind, TokenKind::Punct(b'.' | b'(' | b'[') | TokenKind::Cast);
        match &token.kind {
            TokenKind::Word(word) if builtin::shown_word(word) => text.push_str(word),
            TokenKind::Word(word) | TokenKind::Quoted(word) if catalog.knows(word) => {
                text.push_str(&quote_ident(word));
            }
            TokenKind::Operator(operator) => text.push_str(operator),
            TokenKind::Cast => text.push_str("::"),
            TokenKind::Punct(byte) => text.push(char::from(*byte)),
            TokenKind::Param(param) => text.push_str(param),
            TokenKind::Word(_) | TokenKind::Quoted(_) | TokenKind::Text(_) | TokenKind::Number(_) => {
                text.push('?')
            }
        }
        if text.len() <= Facts::MAX_NORMALISED {
            cut = text.len();
        }
    }
    facts.fingerprint = hex(&Sha256::digest(text.as_bytes()));
    text.truncate(cut);
    facts.normalised = text;
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
    text
}
