//! The methods that people verify themselves by besides apps, passkeys and logins: devices, and codes that are sent where
//! that is configured.

use std::sync::Arc;

use stepgate_approval::{Method, PushFactor, SentCode};
use stepgate_store::Desk;
use zeroize::Zeroizing;

use crate::config::{Config, Senders};
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
    // Offered where their messages leave.
    desk.plug(Arc::new(SentCode::email(key(store)?)));
    desk.plug(Arc::new(SentCode::sms(key(store)?)));
    Channels::open(&config.senders)?.connect(desk);
    Ok(())
}

/// How codes leave, as a configuration says. A reload takes up another.
pub(super) struct Channels([(Method, Option<CodeChannel>); 2]);

impl Channels {
    /// # Errors
    /// No thread, or a secret that cannot be read.
    pub(super) fn open(senders: &Senders) -> Result<Self, Failure> {
        Ok(Self([
            (Method::Email, senders.email.as_ref().map(CodeChannel::email).transpose()?),
            (Method::Sms, senders.sms.as_ref().map(CodeChannel::sms).transpose()?),
        ]))
    }

    /// From now on they leave so; those before end once what waits in them is sent.
    pub(super) fn connect(self, desk: &Desk) {
        for (method, channel) in self.0 {
            match channel {
                Some(channel) => desk.connect(method, Arc::new(channel)),
                None => desk.disconnect(method),
            }
        }
    }
}

/// Of this start alone: what is hashed by it waits in memory, and ends with the gate.
fn key(store: &Store) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    store.entropy.fill(&mut key[..]).map_err(|_| Failure::usage("no randomness"))?;
    Ok(key)
}
