//! Code that somebody defined: functions, and expressions that run by themselves.

use std::sync::Arc;

use crate::lexer::{self, Numbers};

/// A function outside pg_catalog, or what else runs: a domain's checks, a table's defaults.
#[derive(Debug, Default)]
pub(crate) struct Routine {
    /// It may return many rows.
    pub(crate) returns_set: bool,
    /// What runs, where all of that can be read.
    pub(crate) code: Option<Vec<Arc<Body>>>,
}

/// SQL that runs within a statement.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) text: String,
    pub(crate) path: Path,
    /// The function's name, by which its arguments may be qualified.
    pub(crate) function: String,
    /// Names of its arguments: a name that finds no column may mean one.
    pub(crate) arguments: Vec<String>,
    /// Of a function in PL/pgSQL, whose plans outlive the statement.
    pub(crate) is_plpgsql: bool,
}

/// How the names in a body find what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Path {
    /// Under the caller's search path.
    Caller,
    /// Under one of its own: it is SECURITY DEFINER (whose `"$user"` and rights to schemas are the owner's), or pins a
    /// path (in which temporary objects come first, and schemas without USAGE are skipped).
    Own,
    /// They were bound when it was made, and are printed as seen from pg_catalog: all others have their schema.
    #[default]
    Bound,
}

impl Body {
    /// Adds those that are not there already. Each partition has a copy of its parent's.
    pub(crate) fn merge(all: &mut Vec<Arc<Self>>, more: &[Arc<Self>]) {
        for body in more {
            let is_same = |it: &Arc<Self>| {
                Arc::ptr_eq(it, body) || (it.text == body.text && it.arguments == body.arguments)
            };
            if !all.iter().any(is_same) {
                all.push(Arc::clone(body));
            }
        }
    }
}

impl Routine {
    /// An expression as the server prints it; `names` are columns or arguments in it.
    pub(crate) fn expression(text: &str, names: Vec<String>) -> Arc<Body> {
        Arc::new(Body { text: format!("select {text}"), arguments: names, ..Body::default() })
    }

    pub(crate) fn of(code: Vec<Arc<Body>>) -> Self {
        Self { returns_set: false, code: Some(code) }
    }
}

/// The statements of `BEGIN ATOMIC … END` or `RETURN …` in what `pg_get_functiondef` prints. What stands before them is
/// names, types and quoted settings, in which BEGIN is never followed by ATOMIC, nor RETURN without a dot beside it.
pub(crate) fn bound_statements(definition: &str) -> Option<String> {
    let tokens = lexer::tokens(definition, Numbers::Decimal).ok()?;
    let mut depth = 0_usize;
    let word = |at: usize| tokens.get(at).and_then(|token| token.kind.word());
    let is = |at: usize, byte: u8| tokens.get(at).is_some_and(|token| token.kind.is_punct(byte));
    let starts = |at: usize| tokens.get(at).map_or(definition.len(), |token| token.at);
    for at in 0..tokens.len() {
        depth = if is(at, b'(') { depth + 1 } else { depth.saturating_sub(usize::from(is(at, b')'))) };
        match word(at).filter(|_| depth == 0) {
            Some("begin") if word(at + 1) == Some("atomic") => {
                let end = tokens.len().checked_sub(1).filter(|end| word(*end) == Some("end"))?;
                let mut text = String::with_capacity(definition.len());
                let mut from = at + 2;
                while from < end {
                    let to = (from..end).find(|at| is(*at, b';'))? + 1;
                    let (first, rest) = if word(from) == Some("return") {
                        ("select ", starts(from + 1))
                    } else {
                        ("", starts(from))
                    };
                    text.push_str(first);
                    text.push_str(definition.get(rest..starts(to))?);
                    from = to;
                }
                return Some(text);
            }
            Some("return") if !is(at.wrapping_sub(1), b'.') && !is(at + 1, b'.') => {
                return Some(format!("select {}", definition.get(starts(at + 1)..)?));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_of_a_bound_body_are_found() {
        let of = |text: &str| bound_statements(text).unwrap_or_default();
        let head = "CREATE OR REPLACE FUNCTION public.return(begin text DEFAULT 'begin atomic'::text)\n RETURNS public.begin\n LANGUAGE sql\n SET search_path TO 'return'\n";
        assert_eq!(of(&format!("{head}RETURN (1 + 2)\n")), "select (1 + 2)\n");
        assert_eq!(
            of(&format!("{head}BEGIN ATOMIC\n SELECT t.a\n    FROM public.t;\n RETURN 3;\nEND\n")),
            "SELECT t.a\n    FROM public.t;\n select 3;\n"
        );
        assert_eq!(bound_statements(head), None);
        assert_eq!(bound_statements(&format!("{head}BEGIN ATOMIC\nEND\n")).as_deref(), Some(""));
    }
}
