//! What systemd is told (sd_notify(3)): a datagram to the socket that it names, or nothing where it names none.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Clients can connect.
pub(super) fn ready() {
    tell("READY=1\nSTATUS=serving");
}

/// Files are being read again; [`ready`] says when that is done.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// No more clients are let in.
pub(super) fn stopping() {
    tell("STOPPING=1\nSTATUS=waiting for running statements");
}

/// Tells the watchdog, where there is one, that the gate's tasks still run; for ever.
pub(super) async fn feed_watchdog() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let Some(micros) = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0) else { return };
    // Twice as often as it wants to hear, as sd_watchdog_enabled(3) has it.
    let mut again = tokio::time::interval(Duration::from_micros((micros / 2).max(1)));
    loop {
        again.tick().await;
        tell("WATCHDOG=1");
    }
}

fn tell(what: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&name),
    };
    let send = |address| {
        let socket = UnixDatagram::unbound()?;
        // systemd reads at leisure; a gate does not wait for that.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(what.as_bytes(), &address)
    };
    if let Err(error) = address.and_then(send) {
        tracing::warn!(%error, "systemd cannot be told of the gate's state");
    }
}
