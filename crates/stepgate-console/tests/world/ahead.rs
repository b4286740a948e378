//! What statements would read that are not sent yet, in place of a gate with a database: ssn of customers, whatever they
//! are.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Ahead, Ask, Because, Dialect, Held, Mode, Scope, Terms};
use stepgate_console::{Foresee, Foreseen, Wish};
use stepgate_testkit::FakeClock;
use stepgate_types::{
    Action, Clock, Kind, Label, Limit, PersonName, RelationName, RequestId, SessionId, StatementId, Strength,
    Use,
};

pub(super) struct Foresees(pub(super) Arc<FakeClock>);

impl Foresee for Foresees {
    fn foresee<'a>(&'a self, by: &'a PersonName, wish: &'a Wish) -> Foreseen<'a> {
        let foreseen = if wish.statements.is_empty() {
            Err("there is no statement".to_owned())
        } else {
            Ok((self.ask(by, wish), held(wish)))
        };
        Box::pin(std::future::ready(foreseen))
    }
}

fn held(wish: &Wish) -> Held {
    Held {
        sql: wish.statements.join(";").into_bytes(),
        parameters: Vec::new(),
        formats: Vec::new(),
        types: Vec::new(),
        dialect: Dialect::default(),
    }
}

impl Foresees {
    fn ask(&self, by: &PersonName, wish: &Wish) -> Ask {
        let now = self.0.now();
        Ask {
            id: RequestId::from_bytes([7; 5]),
            statement: StatementId { session: SessionId::from_bytes([0; 16]), number: 0 },
            person: wish.service.clone(),
            db_user: "analyst".to_owned(),
            address: IpAddr::from([0, 0, 0, 0]),
            client: String::new(),
            database: "shop".to_owned(),
            kinds: BTreeSet::from([Kind::Select]),
            uses: BTreeSet::from([Use::Output]),
            relations: BTreeSet::from([RelationName::new("public", "customers")]),
            labels: BTreeSet::from([Label::new("ssn")]),
            class_rank: 3,
            output_rank: 3,
            exactly_known: true,
            has_sink: false,
            action: Action::StepUp,
            rules: vec!["restricted-read".to_owned()],
            mode: Mode::Ahead,
            limit: Limit { rows: wish.rows, bytes: wish.bytes },
            summary: "Reads public.customers.ssn (restricted).".to_owned(),
            policy_sha256: "ab".repeat(32),
            terms: Terms {
                approval: "data-owners".to_owned(),
                itself: false,
                groups: BTreeSet::from(["data-owners".parse().unwrap()]),
                count: 1,
                strength: Strength::Standard,
                reason_required: false,
                remember: None,
                scope: Scope { client: true, network: true, session: false, labels: false },
                sink: false,
                escalate: None,
            },
            opened: now,
            expires: now.plus(Duration::from_secs(300)),
            ahead: Some(Ahead {
                by: by.clone(),
                until: now.plus(Duration::from_secs(86_400)),
                statements: BTreeSet::from([[1; 32]]),
            }),
            because: Because::default(),
        }
    }
}
