//! Keys that a password gives with a server's salt: the 4,096 rounds of it (RFC 5802's `Hi`) cost more than the rest of a
//! login, and are the same for each connection to that server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pgwire::api::auth::sasl::scram::gen_salted_password;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use zeroize::{Zeroize, Zeroizing};

use super::mac;

/// The most keys that are kept: those of a role each.
const MAX_KEPT: usize = 64;

/// ClientKey and ServerKey. As good as the password, for that server: they stay where the password is, in memory.
pub(super) struct Keys {
    pub(super) client: [u8; 32],
    pub(super) server: [u8; 32],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

/// What was computed last, newest at the end, each by a hash over all that it was made from.
static KEPT: Mutex<Kept> = Mutex::new(VecDeque::new());

type Kept = VecDeque<([u8; 32], Arc<Keys>)>;

/// How many are computed at once: whoever asks for many rounds keeps others who do waiting, and no thread that moves
/// sessions.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The keys of a password, computed where nobody else's session waits for it. `rounds` is for the caller to have limited.
/// `None`: there is no thread for it.
pub(super) async fn keys_aside(password: Zeroizing<String>, salt: &[u8], rounds: usize) -> Option<Arc<Keys>> {
    if let Some(keys) = known(&kept(), &made_from(&password, salt, rounds)) {
        return Some(keys);
    }
    let turn = TURNS.acquire().await.ok()?;
    let salt = salt.to_vec();
    let work = move || {
        // Kept also where nobody waits for it any more.
        let _turn = turn;
        keys(&password, &salt, rounds)
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// The same at once.
pub(super) fn keys(password: &str, salt: &[u8], rounds: usize) -> Arc<Keys> {
    let of = made_from(password, salt, rounds);
    if let Some(keys) = known(&kept(), &of) {
        return keys;
    }
    let salted = Zeroizing::new(gen_salted_password(password, salt, rounds));
    let keys = Arc::new(Keys { client: mac(&salted, b"Client Key"), server: mac(&salted, b"Server Key") });
    let mut kept = kept();
    if known(&kept, &of).is_none() {
        if kept.len() >= MAX_KEPT {
            kept.pop_front();
        }
        kept.push_back((of, Arc::clone(&keys)));
    }
    keys
}

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(kept: &Kept, of: &[u8; 32]) -> Option<Arc<Keys>> {
    kept.iter().find(|(from, _)| from == of).map(|(_, keys)| Arc::clone(keys))
}

fn made_from(password: &str, salt: &[u8], rounds: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(rounds.to_be_bytes());
    // Lengths first: no salt and password are another salt and password.
    hash.update(salt.len().to_be_bytes());
    hash.update(salt);
    hash.update(password);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_are_those_of_that_password_salt_and_number_of_rounds_alone() {
        let first = keys("pencil", b"salt", 10);
        assert!(Arc::ptr_eq(&first, &keys("pencil", b"salt", 10)));
        for (password, salt, rounds) in [
            ("pencil", &b"salt"[..], 11),
            ("pencil", b"sal", 10),
            ("tpencil", b"sal", 10),
            ("Pencil", b"salt", 10),
        ] {
            let other = keys(password, salt, rounds);
            assert!(other.client != first.client && other.server != first.server);
        }
        for number in 0..2 * MAX_KEPT {
            drop(keys("pencil", &number.to_be_bytes(), 1));
        }
        assert!(KEPT.lock().unwrap().len() <= MAX_KEPT);
    }

    #[tokio::test]
    async fn many_rounds_keep_no_thread_that_moves_sessions() {
        // One thread: were they computed on it, nothing else could have its turn before they are there.
        let others = tokio::spawn(async {});
        let computed = keys_aside("pencil".to_owned().into(), b"of many rounds", 50_000);
        tokio::pin!(computed);
        tokio::select! {
            biased;
            _ = &mut computed => panic!("they were computed at once"),
            turn = others => turn.unwrap(),
        }
        let aside = computed.await.unwrap();
        assert_eq!(aside.client, keys("pencil", b"of many rounds", 50_000).client);
    }
}
