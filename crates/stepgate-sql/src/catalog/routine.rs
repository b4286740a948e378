//! Code that somebody defined: functions, and expressions that run by themselves.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::lexer::{self, Numbers};

/// The most bodies that are known of one view, type or function: a statement that runs more is not read to its end
/// either (`budget.rs`).
pub(super) const MAX_GATHERED: usize = 512;

/// A function outside pg_catalog, or what else runs: a domain's checks, a table's defaults.
#[derive(Debug, Default)]
pub(crate) struct Routine {
    /// It may return many rows.
    pub(crate) returns_set: bool,
    /// It is given what it returned before: an aggregate.
    pub(crate) goes_on: bool,
    /// What runs, where all of that can be read.
    pub(crate) code: Option<Vec<Arc<Body>>>,
    /// The text of one in PL/pgSQL that is said to be immutable: what it may find by names can be told by its words.
    pub(crate) source: Option<Arc<Body>>,
    /// What making values of its types runs, which a literal that it is given, or that is compared with what it returns, does
    /// as soon as it is parsed.
    pub(crate) on_literal: Vec<Arc<Body>>,
}

/// SQL that runs within a statement.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) text: String,
    pub(crate) path: Path,
    /// The function's schema; empty where it is none.
    pub(crate) schema: String,
    /// The function's name, by which its arguments may be qualified.
    pub(crate) function: String,
    /// Names of its arguments: a name that finds no column may mean one.
    pub(crate) arguments: Arc<[String]>,
    /// While it runs, the path is its function's own, and not known: what it calls finds its names by that.
    pub(crate) pins_path: bool,
    /// Of a function in PL/pgSQL, whose plans outlive the statement.
    pub(crate) is_plpgsql: bool,
}

/// How the names in a body find what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Path {
    /// Under the caller's search path.
    Caller,
    /// Under one of its own, which is not known: it is SECURITY DEFINER (whose `"$user"` and rights to schemas are the
    /// owner's), or pins a path (in which temporary objects come first, and schemas without USAGE are skipped).
    Own,
    /// They were bound when it was made, and are printed as seen from pg_catalog: all others have their schema.
    #[default]
    Bound,
}

impl Body {
    /// Code of which nothing is known: no reader takes its text.
    pub(super) fn unknown() -> Arc<Self> {
        Arc::new(Self { text: "?".to_owned(), ..Self::default() })
    }

    /// Adds those that are not there already, by what they say: each partition has a copy of its parent's. Of too many,
    /// nothing is known.
    pub(crate) fn merge<'b>(all: &mut Vec<Arc<Self>>, more: impl IntoIterator<Item = &'b Arc<Self>>) {
        let mut known: HashSet<Same> = all.iter().map(|body| Same(Arc::clone(body))).collect();
        for body in more {
            if !known.insert(Same(Arc::clone(body))) {
                continue;
            }
            if known.len() > MAX_GATHERED {
                *all = vec![Self::unknown()];
                return;
            }
            all.push(Arc::clone(body));
        }
    }

    /// The same, run under a path that is not known.
    pub(crate) fn pinned(body: &Arc<Self>) -> Arc<Self> {
        let Self { text, path, schema, function, arguments, pins_path: _, is_plpgsql } = body.as_ref();
        let (text, schema, function) = (text.clone(), schema.clone(), function.clone());
        let (arguments, pins_path) = (Arc::clone(arguments), true);
        Arc::new(Self { text, path: *path, schema, function, arguments, pins_path, is_plpgsql: *is_plpgsql })
    }
}

/// A body by what it says.
struct Same(Arc<Body>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.0.path, it.0.pins_path, it.0.is_plpgsql);
        of(self) == of(other)
            && self.0.text == other.0.text
            && self.0.schema == other.0.schema
            && self.0.function == other.0.function
            && self.0.arguments == other.0.arguments
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// Code that is gathered along many ways, each body once. Of too many, nothing is known: views upon views, or types
/// made of types, would have as many ways as anybody likes.
#[derive(Debug, Default, Clone)]
pub(super) struct Gathered {
    bodies: Vec<Arc<Body>>,
    known: HashSet<*const Body>,
}

impl Gathered {
    pub(super) fn add<'b>(&mut self, more: impl IntoIterator<Item = &'b Arc<Body>>) {
        for body in more {
            if self.known.len() > MAX_GATHERED {
                return;
            }
            if !self.known.insert(Arc::as_ptr(body)) {
                continue;
            }
            if self.known.len() > MAX_GATHERED {
                self.bodies = vec![Body::unknown()];
                return;
            }
            self.bodies.push(Arc::clone(body));
        }
    }

    pub(super) fn bodies(&self) -> &[Arc<Body>] {
        &self.bodies
    }

    pub(super) fn into_bodies(self) -> Vec<Arc<Body>> {
        self.bodies
    }
}

impl Routine {
    /// Whether it says the same; of what cannot be read, nobody can tell.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = |(one, other): (&Arc<Body>, &Arc<Body>)| Same(Arc::clone(one)) == Same(Arc::clone(other));
        match (&self.code, &other.code) {
            (Some(one), Some(other)) => one.len() == other.len() && one.iter().zip(other).all(same),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// An expression as the server prints it; `names` are columns or arguments in it.
    pub(crate) fn expression(text: &str, names: impl Into<Arc<[String]>>) -> Arc<Body> {
        Arc::new(Body { text: format!("select {text}"), arguments: names.into(), ..Body::default() })
    }

    pub(crate) fn of(code: Vec<Arc<Body>>) -> Self {
        Self { code: Some(code), ..Self::default() }
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
