//! What single values say of themselves. Pure: a text in, a word out, nothing kept.

pub(crate) mod address;
pub(crate) mod card;
pub(crate) mod dates;
mod digits;
pub(crate) mod email;
pub(crate) mod iban;
mod letters;
pub(crate) mod masked;
pub(crate) mod national;
pub(crate) mod network;
pub(crate) mod person;
pub(crate) mod phone;
mod states;
pub(crate) mod thing;
