//! Authenticator data (Web Authentication level 3, section 6.1): where its parts end.

use crate::cbor::Reader;
use crate::{MAX_ID, Rejected};

/// Where the flags are, after SHA-256 of the relying party's id.
const FLAGS_AT: usize = 32;

/// Bytes of id hash, flags and counter.
const FIXED: usize = 37;

/// Attested credential data follow.
const ATTESTED: u8 = 0x40;

/// Extension data follow.
const EXTENDED: u8 = 0x80;

/// Whether these are the data of an answer, whole: no credential in it, and no byte beyond.
pub(crate) fn is_of_answer(data: &[u8]) -> Result<(), Rejected> {
    let mut reader = Reader::new(data);
    let flags = fixed(&mut reader).filter(|flags| flags & ATTESTED == 0).ok_or(Rejected::Unreadable)?;
    end(reader, flags)
}

/// The id of the credential in the data of an enrolment, which must be whole, and the kind of authenticator (AAGUID).
pub(crate) fn of_enrolment(data: &[u8]) -> Result<(&[u8], [u8; 16]), Rejected> {
    let mut reader = Reader::new(data);
    let flags = fixed(&mut reader).filter(|flags| flags & ATTESTED != 0).ok_or(Rejected::Unreadable)?;
    let (id, kind) = attested(&mut reader).ok_or(Rejected::Unreadable)?;
    end(reader, flags)?;
    Ok((id, kind))
}

fn fixed(reader: &mut Reader<'_>) -> Option<u8> {
    reader.take(FIXED)?.get(FLAGS_AT).copied()
}

fn attested<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], [u8; 16])> {
    let kind = reader.array()?;
    let length = u16::from_be_bytes(reader.array()?);
    let id = reader.take(usize::from(length)).filter(|id| (1..=MAX_ID).contains(&id.len()))?;
    // The public key; the library reads it.
    reader.skip()?;
    Some((id, kind))
}

fn end(mut reader: Reader<'_>, flags: u8) -> Result<(), Rejected> {
    if flags & EXTENDED != 0 {
        reader.skip().ok_or(Rejected::Unreadable)?;
    }
    if reader.rest().is_empty() { Ok(()) } else { Err(Rejected::Unreadable) }
}
