//! The condition `predicate`: how a statement compares a column, and with what value.

use std::cmp::Ordering;

use stepgate_sql::{Comparison, Number, Predicate};
use stepgate_types::ColumnName;

use crate::condition::Touch;
use crate::statement::{Column, Statement};
use crate::truth::Truth;

/// What `predicate` asks of one and the same comparison.
///
/// It is about what a statement asks for in so many words, not about the rows that come back: whoever may run
/// `amount > 10` gets those beyond 30000 as well. A comparison counts wherever it stands: in WHERE, ON, HAVING, in a
/// select list; what a write gives a column with a key or foreign key is compared with that key by `=`. With the column on its left,
///
/// - without `op`, every comparison of the column matches;
/// - `=` matches `=`, IN and `= ANY`; `<>` also NOT IN; `>` and `>=` each other, and `<` and `<=`; `like` any match by
///   pattern; `is-null` IS NULL and IS NOT NULL. BETWEEN is a `>=` and a `<=`;
/// - with `value`, `>` matches a `>` or `>=` with a value that is as great or greater, and an `=` or IN with a value
///   that is greater (`>=`: as great); `<` and `<=` likewise; `=` an equal one, and `<>`.
///
/// Where the operator is not certain (`amount + 0 > …`, a pattern, which may be anything from one value to all) or the
/// value is not (a parameter in binary of a type unknown to the gate, an expression, the argument of an EXECUTE), it
/// may match, and so it does; `not` does not turn that around. A comparison whose truth may be used either way is both:
/// `select amount <= 30000` tells which rows are beyond.
#[derive(Debug, Clone)]
pub(crate) struct PredicateTest {
    /// Of which columns; `tables` and `uses` are not asked.
    pub(crate) of: Touch,
    pub(crate) op: Option<Comparison>,
    /// Only with an operator that has an order or is an equality.
    pub(crate) value: Option<Number>,
    /// The value as the policy writes it, or nothing.
    pub(crate) shown: String,
}

impl PredicateTest {
    pub(crate) fn holds(&self, statement: &Statement<'_>) -> Truth {
        let found = statement.facts.predicates.iter().filter(|it| self.is_of(&it.column, statement));
        let found = Truth::any(found.map(|it| self.fits(it, statement)));
        found.max(Truth::seen(false, statement.unknown()))
    }

    /// Whether it may look at the values that this column is compared with: else operators alone decide, which are in
    /// a statement's facts.
    pub(crate) fn looks_at_values_of(&self, column: &Column<'_>) -> bool {
        self.value.is_some() && self.of.names(column)
    }

    pub(crate) fn is_of(&self, name: &ColumnName, statement: &Statement<'_>) -> bool {
        statement.column(name).is_some_and(|column| self.of.names(column))
    }

    pub(crate) fn fits(&self, predicate: &Predicate, statement: &Statement<'_>) -> Truth {
        let asked = match by_word(self.op, predicate.op, self.value.is_some()) {
            Ok(truth) => return truth,
            Err(asked) => asked,
        };
        let Some(value) = &self.value else { return Truth::Maybe };
        let number = predicate.operand.value.and_then(|place| statement.values.number(place));
        // Where both are rounded to a float, 30000.0000001 is 30000.
        let number = number.filter(|number| number == value || !number.is_close_to(value));
        by_value(asked, predicate.op, number.map(|number| number.cmp(value)))
    }
}

/// Whether a comparison is one that is asked for, as far as operators tell. `Err`: values decide, by this one.
pub(crate) fn by_word(
    asked: Option<Comparison>,
    op: Comparison,
    has_value: bool,
) -> Result<Truth, Comparison> {
    let Some(asked) = asked else { return Ok(Truth::Yes) };
    Ok(match (asked, op) {
        (_, Comparison::Other) => Truth::Maybe,
        (Comparison::IsNull | Comparison::Like, op) if op == asked => Truth::Yes,
        (Comparison::IsNull, _) | (_, Comparison::IsNull) => Truth::No,
        (Comparison::Like, Comparison::Eq | Comparison::In) => Truth::No,
        (_, Comparison::Like) => Truth::Maybe,
        _ if has_value => return Err(asked),
        (asked, op) => Truth::seen(same_direction(asked, op), false),
    })
}

fn same_direction(asked: Comparison, op: Comparison) -> bool {
    use Comparison::{Eq, Ge, Gt, In, Le, Lt, Ne};
    matches!((asked, op), (Gt | Ge, Gt | Ge) | (Lt | Le, Lt | Le) | (Eq | In, Eq | In) | (Ne, Ne))
}

/// `order`: how the statement's value compares with the rule's, if it is known.
pub(crate) fn by_value(asked: Comparison, op: Comparison, order: Option<Ordering>) -> Truth {
    use Comparison::{Eq, Ge, Gt, In, Le, Lt, Ne};
    let is =
        |holds: fn(Ordering) -> bool| order.map_or(Truth::Maybe, |order| Truth::seen(holds(order), false));
    match (asked, op) {
        (Gt | Ge, Gt | Ge) | (Ge, Eq | In) => is(Ordering::is_ge),
        (Gt, Eq | In) => is(Ordering::is_gt),
        (Lt | Le, Lt | Le) | (Le, Eq | In) => is(Ordering::is_le),
        (Lt, Eq | In) => is(Ordering::is_lt),
        (Eq, Eq | In) | (Ne, Ne) => is(Ordering::is_eq),
        // `between 5 and 5`, or the half of it.
        (Eq, Ge | Le) => is(Ordering::is_eq).min(Truth::Maybe),
        _ => Truth::No,
    }
}
