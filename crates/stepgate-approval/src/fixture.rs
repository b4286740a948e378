//! Requests to test with.

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_types::{
    Action, GroupName, Kind, Label, Limit, PersonName, RelationName, RequestId, SessionId, StatementId,
    Strength, Timestamp, Use,
};

use crate::{Ask, Because, Dialect, Held, Mode, Scope, Terms};

/// When requests of this module are opened.
pub(crate) const OPENED: Timestamp = Timestamp::from_micros(1_795_318_320_000_000);

/// When they lapse.
pub(crate) fn expires() -> Timestamp {
    OPENED.plus(Duration::from_secs(300))
}

pub(crate) fn person(name: &str) -> PersonName {
    name.parse().unwrap()
}

pub(crate) fn groups(names: &[&str]) -> BTreeSet<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Dana's own step-up for `select * from customers limit 5`.
pub(crate) fn step_up() -> Ask {
    Ask {
        id: RequestId::from_bytes([1, 2, 3, 4, 5]),
        statement: StatementId { session: SessionId::from_bytes([7; 16]), number: 3 },
        person: person("dana"),
        db_user: "analyst".to_owned(),
        address: "192.0.2.7".parse().unwrap(),
        client: "psql".to_owned(),
        database: "shop".to_owned(),
        kinds: BTreeSet::from([Kind::Select]),
        uses: BTreeSet::from([Use::Output]),
        relations: BTreeSet::from([RelationName::new("public", "customers")]),
        objects: BTreeSet::from(["c0ffee".to_owned()]),
        labels: BTreeSet::from([Label::new("email"), Label::new("ssn")]),
        class_rank: 3,
        output_rank: 3,
        exactly_known: true,
        has_sink: false,
        action: Action::StepUp,
        mode: Mode::Hold,
        limit: Limit::NONE,
        rules: vec!["restricted-read".to_owned()],
        summary: "Reads public.customers.ssn (restricted).".to_owned(),
        policy_sha256: "ab".repeat(32),
        terms: Terms {
            approval: "self".to_owned(),
            itself: true,
            groups: BTreeSet::new(),
            count: 1,
            strength: Strength::Standard,
            reason_required: false,
            remember: Some(Duration::from_secs(900)),
            scope: Scope { client: true, network: true, session: false, labels: false },
            sink: false,
            escalate: None,
        },
        opened: OPENED,
        expires: expires(),
        ahead: None,
        because: Because::default(),
    }
}

/// Dana asks two of `data-owners`.
pub(crate) fn four_eyes() -> Ask {
    let mut ask = step_up();
    ask.action = Action::Approve;
    ask.terms.approval = "four-eyes".to_owned();
    ask.terms.itself = false;
    ask.terms.groups = groups(&["data-owners"]);
    ask.terms.count = 2;
    ask
}

pub(crate) fn held() -> Held {
    Held {
        sql: b"select * from customers where id = $1 and name = $2 limit 5".to_vec(),
        behind: Vec::new(),
        parameters: vec![Some(b"3".to_vec()), None],
        formats: vec![0, 0],
        types: vec![23, 25],
        dialect: Dialect::default(),
    }
}
