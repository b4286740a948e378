use bytes::{BufMut, Bytes, BytesMut};

/// The longest startup packet, in bytes, length word included: `MAX_STARTUP_PACKET_LENGTH` of PostgreSQL.
pub const MAX_STARTUP: usize = 10_000;

/// The request codes of `libpq/pqcomm.h`: what stands in the version's place.
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;

/// The cancel secret's length in bytes: 4 in protocol 3.0, up to 256 in 3.2.
const SECRET_LEN: std::ops::RangeInclusive<usize> = 4..=256;

/// What a client proves to cancel a session's statement. Not shown in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// The process id of BackendKeyData.
    pub pid: i32,
    /// The secret of BackendKeyData.
    pub secret: Bytes,
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelKey").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl CancelKey {
    /// The CancelRequest packet that repeats this key to a server.
    #[must_use]
    pub fn request(&self) -> Bytes {
        let len = self.secret.len().saturating_add(12);
        let mut packet = BytesMut::with_capacity(len);
        packet.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        packet.put_i32(CANCEL_REQUEST);
        packet.put_i32(self.pid);
        packet.put_slice(&self.secret);
        packet.freeze()
    }
}

/// The SSLRequest packet.
pub const SSL_REQUEST_PACKET: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A startup packet, read but not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupPacket {
    /// The minor version of protocol 3 that the client asks for.
    pub minor: u16,
    /// The parameters in their order, `_pq_.*` taken out.
    pub params: Vec<(String, String)>,
    /// Names of protocol options (`_pq_.*`), none of which is known here.
    pub protocol_options: Vec<String>,
}

/// What a peer can send first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// It wants TLS.
    Ssl,
    /// It wants GSSAPI encryption.
    GssEnc,
    /// It wants a statement of another connection cancelled.
    Cancel(CancelKey),
    /// It wants a session.
    Startup(StartupPacket),
}

/// The packet is not one that PostgreSQL would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// The length word is out of bounds, or not the packet's length.
    #[error("invalid length of startup packet")]
    Length,
    /// Protocol 2 or an unknown code.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// The list of parameters does not end as it must.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// A name or value is no UTF-8: PostgreSQL would look for a role of these bytes, and people's names have none such.
    #[error("{0} is not valid UTF-8")]
    NotUtf8(&'static str),
    /// A parameter is given twice: two readers of the packet could choose differently.
    #[error("startup parameter given twice")]
    Duplicate,
}

/// The whole packet's length, from its first four bytes.
///
/// # Errors
/// No startup packet has this length.
pub fn packet_len(word: [u8; 4]) -> Result<usize, StartupError> {
    match usize::try_from(u32::from_be_bytes(word)) {
        Ok(len) if (8..=MAX_STARTUP).contains(&len) => Ok(len),
        _ => Err(StartupError::Length),
    }
}

/// Reads one whole packet, length word included.
///
/// # Errors
/// It is not exactly one packet that PostgreSQL would take.
pub fn parse(packet: &[u8]) -> Result<First, StartupError> {
    let (word, rest) = packet.split_first_chunk().ok_or(StartupError::Length)?;
    if packet_len(*word)? != packet.len() {
        return Err(StartupError::Length);
    }
    let (code, rest) = rest.split_first_chunk().ok_or(StartupError::Length)?;
    match i32::from_be_bytes(*code) {
        SSL_REQUEST if rest.is_empty() => Ok(First::Ssl),
        GSSENC_REQUEST if rest.is_empty() => Ok(First::GssEnc),
        SSL_REQUEST | GSSENC_REQUEST => Err(StartupError::Length),
        CANCEL_REQUEST => cancel(rest).map(First::Cancel),
        version => startup(version, rest).map(First::Startup),
    }
}

fn cancel(rest: &[u8]) -> Result<CancelKey, StartupError> {
    let (pid, secret) = rest.split_first_chunk().ok_or(StartupError::Length)?;
    if !SECRET_LEN.contains(&secret.len()) {
        return Err(StartupError::Length);
    }
    Ok(CancelKey { pid: i32::from_be_bytes(*pid), secret: Bytes::copy_from_slice(secret) })
}

fn startup(version: i32, mut rest: &[u8]) -> Result<StartupPacket, StartupError> {
    let [high, low, minor_high, minor_low] = version.to_be_bytes();
    let (major, minor) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([minor_high, minor_low]));
    if major != 3 {
        return Err(StartupError::Version { major, minor });
    }
    let mut packet = StartupPacket { minor, params: Vec::new(), protocol_options: Vec::new() };
    loop {
        let name = text(&mut rest, "the name of a startup parameter")?;
        if name.is_empty() {
            break;
        }
        let value = text(&mut rest, what_is_named(&name))?;
        if name.starts_with("_pq_.") {
            packet.protocol_options.push(name);
        } else if packet.params.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            return Err(StartupError::Duplicate);
        } else {
            packet.params.push((name, value));
        }
    }
    if rest.is_empty() { Ok(packet) } else { Err(StartupError::Layout) }
}

/// A parameter in words of the gate's own, whatever a client has called it.
fn what_is_named(parameter: &str) -> &'static str {
    match parameter {
        "user" => "the user name",
        "database" => "the database name",
        _ => "the value of a startup parameter",
    }
}

/// The next NUL-terminated text, which is `what`.
fn text(rest: &mut &[u8], what: &'static str) -> Result<String, StartupError> {
    let end = rest.iter().position(|byte| *byte == 0).ok_or(StartupError::Layout)?;
    let (text, after) = rest.split_at_checked(end).ok_or(StartupError::Layout)?;
    *rest = after.get(1..).ok_or(StartupError::Layout)?;
    std::str::from_utf8(text).map(str::to_owned).map_err(|_| StartupError::NotUtf8(what))
}
