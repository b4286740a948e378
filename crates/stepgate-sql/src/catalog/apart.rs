//! Code that the server runs outside of any session: autovacuum computes expressions of indexes and statistics for the rows
//! that it samples, and of a BRIN index those of the rows that it summarises. What people are asked about when such code is
//! bound to a table is what its names mean then. So nobody gives another meaning to one of them unasked: by all words of the
//! code, of what it calls and of what that calls, as far as their texts are known.

use std::collections::HashSet;
use std::sync::Arc;

use super::routine::{Body, MAX_GATHERED, Routine};
use super::{Catalog, RelationKind, UserCasts};
use crate::builtin;
use crate::lexer::{self, Numbers, TokenKind};

/// What such code may find by its name.
#[derive(Debug, Default)]
pub(super) struct Reach {
    words: HashSet<String>,
    /// Not all of it can be read.
    is_open: bool,
}

impl Catalog {
    /// Whether code that runs outside of any session may find something else once something is made, or gets another name,
    /// that is called so now or then.
    pub(crate) fn runs_apart<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> bool {
        if self.apart.is_empty() {
            return false;
        }
        let reach = self.reach.get_or_init(|| Seeker::of(self));
        reach.is_open || names.into_iter().any(|name| reach.words.contains(name))
    }

    /// The same of whatever is in a schema.
    pub(crate) fn runs_apart_in(&self, schema: &str) -> bool {
        let relations =
            self.by_name.get(schema).into_iter().flat_map(|named| named.keys()).map(String::as_str);
        let routines = self.routines.iter().filter(|(_, all)| all.iter().any(|(at, _)| at == schema));
        self.runs_apart(relations.chain(routines.map(|(name, _)| name.as_str())).chain([schema]))
    }
}

/// Goes from word to word.
struct Seeker<'c> {
    catalog: &'c Catalog,
    reach: Reach,
    /// Those that are found, and how many of them are read.
    bodies: Vec<Arc<Body>>,
    known: HashSet<*const Body>,
}

impl<'c> Seeker<'c> {
    fn of(catalog: &'c Catalog) -> Reach {
        let mut seeker = Self { catalog, reach: Reach::default(), bodies: Vec::new(), known: HashSet::new() };
        seeker.run(&catalog.apart);
        if catalog.user_casts != UserCasts::None {
            seeker.call(catalog.casts.iter().map(Arc::as_ref));
        }
        for operator in catalog.implied_operators() {
            seeker.call(catalog.operators(operator).iter().map(Arc::as_ref));
        }
        let mut read = 0;
        while let Some(body) = seeker.bodies.get(read).cloned() {
            read += 1;
            seeker.reach.words.insert(body.function.clone());
            // What could not be read.
            seeker.reach.is_open |= matches!(body.text.as_str(), "?" | "select ?");
            seeker.read(&body.text);
        }
        seeker.reach
    }

    fn run(&mut self, code: &[Arc<Body>]) {
        for body in code {
            // Kept, so that no other has its address.
            if self.known.len() > MAX_GATHERED {
                self.reach.is_open = true;
                return;
            }
            if self.known.insert(Arc::as_ptr(body)) {
                self.bodies.push(Arc::clone(body));
            }
        }
    }

    fn call<'r>(&mut self, routines: impl IntoIterator<Item = &'r Routine>) {
        for routine in routines {
            self.run(&routine.on_literal);
            match (&routine.code, &routine.source) {
                (Some(code), _) => self.run(code),
                (None, Some(source)) => self.run(std::slice::from_ref(source)),
                (None, None) => self.reach.is_open = true,
            }
        }
    }

    fn read(&mut self, text: &str) {
        let catalog = self.catalog;
        let Ok(tokens) = lexer::tokens(text, Numbers::Decimal) else {
            self.reach.is_open = true;
            return;
        };
        for (at, token) in tokens.iter().enumerate() {
            let is_called = tokens.get(at + 1).is_some_and(|next| next.kind.is_punct(b'('));
            match &token.kind {
                TokenKind::Word(word) | TokenKind::Quoted(word) => self.word(word, is_called),
                TokenKind::Operator(operator) => {
                    self.call(catalog.operators(operator).iter().map(Arc::as_ref));
                }
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &str, is_called: bool) {
        let catalog = self.catalog;
        if !self.reach.words.insert(word.to_owned()) && !is_called {
            return;
        }
        // Text that is run, in PL/pgSQL, or by functions of the server's own.
        let computes = builtin::may_precede_paren(word)
            || builtin::harmless_writer(word)
            || catalog.is_pure_function(word);
        let runs_text = is_called && catalog.is_server_function(word) && !computes;
        self.reach.is_open |= runs_text || word == "execute";
        self.call(catalog.routines(word).iter().map(|(_, routine)| routine.as_ref()));
        for of in catalog.user_types(word) {
            match of.runs.as_ref().and_then(|runs| runs.code.as_deref()) {
                Some(code) => self.run(code),
                None => self.reach.is_open = true,
            }
        }
        for at in catalog.by_name.values().filter_map(|named| named.get(word)).copied() {
            let Some(relation) = catalog.relation(at).filter(|relation| !relation.is_system()) else {
                continue;
            };
            self.reach.is_open |= relation.writes_run_code || relation.doubtful;
            for code in [&relation.on_write, &relation.on_check, &relation.on_show, &relation.on_read] {
                self.run(code);
            }
            let steps: Vec<_> = relation
                .triggers
                .iter()
                .flat_map(|it| it.steps())
                .map(|step| Arc::clone(&step.body))
                .collect();
            self.run(&steps);
            if matches!(relation.kind, RelationKind::View)
                && let Some(view) = catalog.definitions.get(&at)
            {
                self.reach.is_open |= view.text.is_empty();
                self.run(&[Arc::new(Body { text: view.text.to_string(), ..Body::default() })]);
            }
        }
    }
}
