//! What a session is doing, for whoever lists sessions. The session says so itself when it has nothing left to do but
//! wait, and only where it is something else than before: one number, which nobody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;
use stepgate_types::RequestId;

/// What a session is doing, in the words of `pg_stat_activity` where that has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "request")]
pub enum Doing {
    /// Something of it is under way: being decided on, at the server, or on its way to the client.
    #[serde(rename = "active")]
    Active,
    /// It waits for its client.
    #[serde(rename = "idle")]
    Idle,
    /// The same, with a transaction open.
    #[serde(rename = "idle in transaction")]
    InTransaction,
    /// The same, and the transaction has failed.
    #[serde(rename = "idle in transaction (aborted)")]
    InFailedTransaction,
    /// Its statement waits for the people of this request.
    #[serde(rename = "held")]
    Held(RequestId),
}

/// How many bits a request's id has; what is above tells what is done.
const REQUEST_BITS: u32 = 40;

impl Doing {
    /// Where nothing is under way, by the transaction status of ReadyForQuery.
    pub(crate) const fn at_rest(status: u8) -> Self {
        match status {
            b'T' => Self::InTransaction,
            b'E' => Self::InFailedTransaction,
            _ => Self::Idle,
        }
    }

    const fn code(self) -> u64 {
        match self {
            Self::Active => 0,
            Self::Idle => 1 << REQUEST_BITS,
            Self::InTransaction => 2 << REQUEST_BITS,
            Self::InFailedTransaction => 3 << REQUEST_BITS,
            Self::Held(request) => {
                let [a, b, c, d, e] = request.bytes();
                4 << REQUEST_BITS | u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
            }
        }
    }

    const fn of_code(code: u64) -> Self {
        match code >> REQUEST_BITS {
            1 => Self::Idle,
            2 => Self::InTransaction,
            3 => Self::InFailedTransaction,
            4 => {
                let [_, _, _, a, b, c, d, e] = code.to_be_bytes();
                Self::Held(RequestId::from_bytes([a, b, c, d, e]))
            }
            _ => Self::Active,
        }
    }
}

/// Where it can be read what a session is doing. One that is being opened is active.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<AtomicU64>);

impl Told {
    pub(crate) fn read(&self) -> Doing {
        Doing::of_code(self.0.load(Relaxed))
    }

    /// For the session that tells it.
    pub(crate) fn teller(&self) -> Teller {
        Teller { told: self.clone(), last: self.read() }
    }
}

/// Tells what a session is doing.
pub(crate) struct Teller {
    told: Told,
    last: Doing,
}

impl Teller {
    /// It does this now.
    pub(crate) fn tell(&mut self, doing: Doing) {
        if doing != self.last {
            self.last = doing;
            self.told.0.store(doing.code(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_session_tells_is_what_is_read() {
        let told = Told::default();
        assert_eq!(told.read(), Doing::Active);
        let mut teller = told.teller();
        let held = Doing::Held(RequestId::from_bytes([0xff, 0, 0x12, 0x34, 0x80]));
        for doing in
            [held, Doing::Idle, Doing::InTransaction, Doing::InFailedTransaction, Doing::Active, held]
        {
            teller.tell(doing);
            assert_eq!(told.read(), doing);
        }
    }

    #[test]
    fn it_is_listed_as_two_fields_one_of_them_where_a_request_is_waited_for() {
        let held = Doing::Held(RequestId::from_bytes([0; 5]));
        let listed = |doing: Doing| serde_json::to_value(doing).unwrap();
        assert_eq!(listed(held), serde_json::json!({"state": "held", "request": "0000-0000"}));
        let in_transaction = serde_json::json!({"state": "idle in transaction"});
        assert_eq!(listed(Doing::at_rest(b'T')), in_transaction);
    }
}
