//! `stepgate login --oidc`: a browser on this machine logs somebody in, and hands a code back over the loopback interface
//! (RFC 8252 section 7.3) that only this program can use (RFC 7636).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::http::Api;
use crate::failure::Failure;
use crate::output;

/// How long somebody has for it: as long as the gate remembers what was begun.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// How long a browser may take to say what it wants.
const TALK: Duration = Duration::from_secs(5);

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Connections that are looked at.
const MAX_CALLS: usize = 64;

const DONE: &str = "You are logged in. Close this page and go back to your terminal.";
const NOT_OURS: &str = "This is not what the program here waits for.";

/// Logs in, in a browser; what the gate answers in the end.
pub(super) fn log_in(api: &Api, url: &str) -> Result<Value, Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot wait for the browser: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot)?;
    let port = listener.local_addr().map_err(cannot)?.port();
    let (verifier, state) = (fresh().map_err(cannot)?, fresh().map_err(cannot)?);
    let challenge = Sha256::digest(verifier.as_bytes());
    let address = format!(
        "{}/login/program?port={port}&challenge={}&state={}",
        url.trim_end_matches('/'),
        data_encoding::HEXLOWER.encode(&challenge),
        *state
    );
    output::print_line("Open this in a browser on this machine, and log in:")?;
    output::print_line(&format!("  {address}"))?;
    output::print_line(&format!("It must show these letters: {}", letters(&challenge)))?;
    show(&address);
    let (tell, told) = mpsc::channel();
    // It ends with this program, or when somebody has come.
    std::thread::spawn(move || {
        for _ in 0..MAX_CALLS {
            let Ok((stream, _)) = listener.accept() else { return };
            if let Some(code) = call(stream, port, &state) {
                // Who waits may have given up.
                let _ = tell.send(code);
                return;
            }
        }
    });
    let code = told.recv_timeout(PATIENCE).map_err(|_| Failure::no("nobody has logged in in time"))?;
    api.post("/api/v1/login/code", &json!({"code": *code, "verifier": *verifier}))
}

/// 256 random bits, in hexadecimal.
pub(super) fn fresh() -> std::io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).map_err(std::io::Error::other)?;
    Ok(Zeroizing::new(data_encoding::HEXLOWER.encode(&bytes[..])))
}

/// As the page shows them.
fn letters(challenge: &[u8]) -> String {
    let hex = |bytes: &[u8]| data_encoding::HEXUPPER.encode(bytes);
    format!(
        "{}-{}",
        hex(challenge.get(..2).unwrap_or_default()),
        hex(challenge.get(2..4).unwrap_or_default())
    )
}

/// Has a browser show it, where there is a screen; where that fails, the address was printed. There is nothing secret in it.
fn show(address: &str) {
    let has = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if has("DISPLAY") || has("WAYLAND_DISPLAY") {
        let mut opener = Command::new("xdg-open");
        opener.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(opener.spawn());
    }
}

/// One call of a browser: the code, if it brings ours.
fn call(mut stream: TcpStream, port: u16, state: &str) -> Option<Zeroizing<String>> {
    stream.set_read_timeout(Some(TALK)).ok()?;
    stream.set_write_timeout(Some(TALK)).ok()?;
    let mut head = Zeroizing::new(Vec::new());
    let mut chunk = Zeroizing::new([0; 1024]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut chunk[..]).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(chunk.get(..read)?);
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    let code = std::str::from_utf8(&head).ok().and_then(|head| code_in(head, port, state));
    let (status, text) = if code.is_some() { ("200 OK", DONE) } else { ("400 Bad Request", NOT_OURS) };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // Whoever does not hear it has brought the code all the same.
    let _ = stream.write_all(answer.as_bytes());
    code
}

/// `GET /?code=…&state=…` to this very address: by another name for it comes another site's page (DNS rebinding).
fn code_in(head: &str, port: u16, state: &str) -> Option<Zeroizing<String>> {
    let mut lines = head.split("\r\n");
    let query = lines.next()?.strip_prefix("GET /?")?.strip_suffix(" HTTP/1.1")?;
    let mut hosts =
        lines.filter_map(|line| line.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = hosts.next()?.1.trim();
    if host != format!("127.0.0.1:{port}") || hosts.next().is_some() {
        return None;
    }
    let mut given = query.split('&').filter_map(|pair| pair.split_once('='));
    let (code, given_state) = (given.next()?, given.next()?);
    let is_code = code.0 == "code" && code.1.len() == 64 && code.1.bytes().all(|it| it.is_ascii_hexdigit());
    let ours = given_state == ("state", state) && given.next().is_none();
    (is_code && ours).then(|| Zeroizing::new(code.1.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_with_our_state_to_our_own_address_brings_a_code() {
        let code = "ab".repeat(32);
        let head = |query: &str, host: &str| format!("GET /?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let right = format!("code={code}&state=s");
        let found = |head: &str| code_in(head, 4711, "s").map(|code| code.to_string());
        assert_eq!(found(&head(&right, "127.0.0.1:4711")), Some(code.clone()));
        for wrong in [
            head(&format!("code={code}&state=t"), "127.0.0.1:4711"),
            head(&format!("code={code}"), "127.0.0.1:4711"),
            head("code=short&state=s", "127.0.0.1:4711"),
            head(&format!("{right}&more=1"), "127.0.0.1:4711"),
            head(&right, "evil.example:4711"),
            head(&right, "127.0.0.1:4712"),
            head(&right, "127.0.0.1:4711\r\nHost: evil.example"),
            format!("POST /?{right} HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\n"),
            format!("GET /?{right} HTTP/1.1\r\n\r\n"),
            String::new(),
        ] {
            assert_eq!(found(&wrong), None, "{wrong}");
        }
    }
}
