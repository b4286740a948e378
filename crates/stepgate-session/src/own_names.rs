//! Names that the gate gives to what is its own at the server: its questions, and what a message that must fail asks for.
//!
//! Clients may come to see them (`client_min_messages = debug2` has the server tell of each Parse and Bind), and whoever knows
//! one can give it to something of their own. So none tells of any other, and what a message fails by is new each time.

use sha2::{Digest as _, Sha256};

/// How much of a hash a name has, in bytes: two letters each, and no more than NAMEDATALEN in all.
const DIGEST: usize = 16;

/// All that a session needs.
#[derive(Debug)]
pub(crate) struct OwnNames {
    secret: [u8; 32],
    refusals: u64,
}

impl OwnNames {
    pub(crate) const fn new(secret: [u8; 32]) -> Self {
        Self { secret, refusals: 0 }
    }

    /// The name of a question; the same each time.
    pub(crate) fn of_question(&self, what: &str) -> String {
        self.name(what, 0)
    }

    /// What no statement, portal or table is called, and a message fails by that names it.
    pub(crate) fn of_refusal(&mut self) -> String {
        self.refusals = self.refusals.saturating_add(1);
        self.name("denied", self.refusals)
    }

    fn name(&self, what: &str, number: u64) -> String {
        let hash =
            Sha256::new().chain_update(self.secret).chain_update(number.to_be_bytes()).chain_update(what);
        let hash = hash.finalize();
        let letters: String = hash.iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
        format!("sg_{what}_{letters}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_told_by_another_one() {
        let mut names = OwnNames::new([7; 32]);
        let all = [
            names.of_question("names"),
            names.of_question("check"),
            names.of_refusal(),
            names.of_refusal(),
            OwnNames::new([8; 32]).of_refusal(),
        ];
        let letters: std::collections::BTreeSet<_> =
            all.iter().filter_map(|name| name.rsplit('_').next()).collect();
        assert_eq!(letters.len(), all.len());
        assert!(letters.iter().all(|letters| letters.len() == 2 * DIGEST));
        assert_eq!(names.of_question("names"), all[0]);
    }
}
