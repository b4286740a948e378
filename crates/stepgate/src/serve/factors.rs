//! The methods that people verify themselves by besides apps, passkeys and logins: devices, and codes that are sent where
//! that is configured.

use std::sync::Arc;

use stepgate_approval::{Method, PushFactor, SentCode};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::deliver::CodeChannel;
use crate::failure::Failure;
use crate::store::Store;

/// Tells the desk of them.
///
/// # Errors
/// No randomness, no thread, or a secret that cannot be read.
pub(super) fn plug(config: &Config, store: &Store) -> Result<(), Failure> {
    let desk = &store.desk;
    desk.plug(Arc::new(PushFactor::new(key(store)?)));
    if let Some(email) = &config.senders.email {
        desk.plug(Arc::new(SentCode::email(key(store)?)));
        desk.connect(Method::Email, Arc::new(CodeChannel::email(email)?));
    }
    if let Some(sms) = &config.senders.sms {
        desk.plug(Arc::new(SentCode::sms(key(store)?)));
        desk.connect(Method::Sms, Arc::new(CodeChannel::sms(sms)?));
    }
    Ok(())
}

/// Of this start alone: what is hashed by it waits in memory, and ends with the gate.
fn key(store: &Store) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    store.entropy.fill(&mut key[..]).map_err(|_| Failure::usage("no randomness"))?;
    Ok(key)
}
