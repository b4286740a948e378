//! The statement without anything of the user's: keywords, operators and names that the catalog knows, all else `?`.
//!
//! What has no quotes can carry data all the same. `ssn = $123456789` is a statement that the server refuses and the gate
//! records, and so is `select 1 <#<>#> 2`: neither number nor operator may be copied as it was typed.

use std::collections::BTreeSet;

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
    let parameters = parameters(tokens);
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
            TokenKind::Operator(operator) if shows(operator, catalog) => text.push_str(operator),
            TokenKind::Cast => text.push_str("::"),
            TokenKind::Punct(byte) => text.push(char::from(*byte)),
            TokenKind::Param(param) => match number(param).filter(|number| *number <= parameters) {
                Some(number) => {
                    text.push('$');
                    text.push_str(&number.to_string());
                }
                None => text.push_str("$?"),
            },
            TokenKind::Word(_)
            | TokenKind::Quoted(_)
            | TokenKind::Text(_)
            | TokenKind::Number(_)
            | TokenKind::Operator(_) => text.push('?'),
        }
        if text.len() <= Facts::MAX_NORMALISED {
            cut = text.len();
        }
    }
    facts.fingerprint = hex(&Sha256::digest(text.as_bytes()));
    text.truncate(cut);
    facts.normalised = text;
}

/// How many parameters a statement has. Those of a statement that runs are numbered from 1 without a gap, almost always:
/// a number above this is no parameter's, or says nothing that its place in the text does not.
fn parameters(tokens: &[Token<'_>]) -> usize {
    let numbers = tokens.iter().filter_map(|token| match &token.kind {
        TokenKind::Param(param) => Some(number(param)),
        _ => None,
    });
    numbers.collect::<BTreeSet<_>>().len()
}

/// Of `$7` or `$07`; `None` where there is no such parameter.
fn number(param: &str) -> Option<usize> {
    param.strip_prefix('$')?.parse().ok().filter(|number| *number > 0)
}

/// Whether that operator is the server's, the database's or an extension's, and so nothing that somebody made up.
fn shows(operator: &str, catalog: &Catalog) -> bool {
    builtin::shown_operator(operator) || catalog.is_user_operator(operator)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
    text
}
