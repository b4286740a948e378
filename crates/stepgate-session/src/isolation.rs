//! Whether the open transaction keeps a snapshot: one that is held while people are asked keeps the server from
//! cleaning up after everybody else.

use stepgate_sql::{self as sql, Facts};
use stepgate_types::Kind;

use crate::subject::{TransactionSoFar, is_wild};

/// What is known of the open transaction and those to come. What is not known counts as kept.
#[derive(Debug)]
pub(crate) struct Isolation {
    /// A transaction was begun by a statement.
    begun: bool,
    /// The open transaction sees one snapshot from its first query to its end.
    keeps: bool,
    /// Those to come do.
    usually: bool,
}

impl Isolation {
    /// Before the server has been asked.
    pub(crate) const fn unknown() -> Self {
        Self { begun: false, keeps: true, usually: true }
    }

    /// A statement is on its way. Whether the server is to be asked anew.
    pub(crate) fn takes(&mut self, facts: &Facts, touched: bool) -> bool {
        let transaction = facts.kind == Kind::Transaction;
        self.begun |= transaction && facts.read_only;
        self.keeps |= facts.effect.isolation >= sql::Isolation::This;
        if (transaction && touched) || facts.effect.isolation == sql::Isolation::Later {
            self.usually = true;
        }
        if !transaction && (facts.effect.session || is_wild(facts)) {
            (self.keeps, self.usually) = (true, true);
        }
        facts.effect.isolation == sql::Isolation::Later
    }

    /// The transaction is over.
    pub(crate) const fn ended(&mut self) {
        (self.begun, self.keeps) = (false, self.usually);
    }

    /// What the server says of the transaction that is open, or of the question's own, and of those to come.
    pub(crate) const fn told(&mut self, keeps: bool, usually: bool) {
        (self.keeps, self.usually) = (keeps, usually);
    }

    /// Whether a transaction is open, by the server's `status` or since one was begun.
    pub(crate) const fn is_open(&self, status: u8) -> bool {
        status == b'T' || self.begun
    }

    /// What a transaction has done that has read.
    pub(crate) const fn read(&self) -> TransactionSoFar {
        if self.keeps { TransactionSoFar::Snapshot } else { TransactionSoFar::Read }
    }

    /// What running this would add to the open transaction.
    pub(crate) fn so_far(&self, facts: &Facts) -> TransactionSoFar {
        match facts.kind {
            Kind::Transaction | Kind::Session | Kind::Empty => TransactionSoFar::Nothing,
            _ if facts.read_only => self.read(),
            _ => TransactionSoFar::Wrote,
        }
    }
}
