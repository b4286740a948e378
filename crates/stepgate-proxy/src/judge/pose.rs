//! Passing for somebody else at the server: whoever could set `stepgate.person` would be taken for that person by triggers
//! and logs. SET is known by its tree (`control`); calls of `set_config` are known here by text and facts, and what they are
//! called with by the text and by the values that are bound. What hides the name of the setting is unknown as ever, and asks.

use stepgate_session::Pending;

/// What all settings of the gate's own begin with.
const OWN: &[u8] = b"stepgate.";

/// Whether a message calls `set_config`, or makes what does, and names a setting of the gate's own. A value is looked at
/// whatever its format: text is the same bytes in both.
pub(super) fn poses(pending: &Pending) -> bool {
    let bound = || pending.values.iter().flatten().any(|value| mentions(value, OWN));
    sets_by_call(pending) && (mentions(&pending.sql, OWN) || bound())
}

/// Whether it calls `set_config`, or may make what does: in its own words, or by what it executes. What it was decided
/// by hangs on its values then.
pub(super) fn sets_by_call(pending: &Pending) -> bool {
    let calls = |it: &stepgate_sql::Facts| it.functions.contains("pg_catalog.set_config");
    mentions(&pending.sql, b"set_config") || pending.facts.iter().any(calls)
}

fn mentions(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use stepgate_session::{Protocol, TransactionSoFar};
    use stepgate_sql::Facts;

    use super::*;

    fn bound(sql: &'static str, values: &[Option<&'static [u8]>]) -> Pending {
        Pending {
            number: 1,
            protocol: Protocol::Extended,
            facts: Arc::new([Facts::empty()]),
            sql: Bytes::from_static(sql.as_bytes()),
            read: None,
            behind: Vec::new(),
            unseen: false,
            values: values.iter().map(|value| value.map(Bytes::from_static)).collect(),
            formats: Vec::new(),
            types: Vec::new(),
            transaction: TransactionSoFar::Nothing,
            in_transaction: false,
            restated: false,
            aborted: false,
            runs_as: stepgate_sql::RunsAs::default(),
        }
    }

    #[test]
    fn whoever_binds_the_name_of_the_gates_setting_poses_as_whoever_writes_it() {
        let sql = "select Set_Config($1, $2, false)";
        assert!(poses(&bound(sql, &[Some(b"stepgate.person"), Some(b"olga")])));
        assert!(poses(&bound(sql, &[None, Some(b"olga"), Some(b"STEPGATE.Person")])));
        assert!(poses(&bound("select set_config('stepgate.person', $1, true)", &[Some(b"olga")])));
        assert!(!poses(&bound(sql, &[Some(b"app.tenant"), Some(b"7"), None])));
        assert!(!poses(&bound("select $1", &[Some(b"stepgate.person")])));
    }

    #[test]
    fn whoever_executes_what_calls_it_poses_without_its_name_in_the_text() {
        let functions = ["pg_catalog.set_config".to_owned()].into();
        let calls = Facts { functions, ..Facts::empty() };
        let executes = |sql| Pending { facts: Arc::new([calls.clone()]), ..bound(sql, &[]) };
        assert!(poses(&executes("execute p('stepgate.person', 'olga')")));
        assert!(!poses(&executes("execute p('app.tenant', '7')")));
        // Of a portal that SQL made nothing is known but what is bound.
        let portal = Pending { values: vec![Some(Bytes::from_static(b"stepgate.person"))], ..executes("") };
        assert!(poses(&portal));
    }
}
