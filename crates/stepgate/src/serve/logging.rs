//! The gate's own log: what happens to the gate, never what is in statements.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::args::LogFormat;

/// Writes it to standard error. `STEPGATE_LOG` says how much (such as `debug` or `stepgate_proxy=trace`).
pub(super) fn init(format: LogFormat) {
    let filter = std::env::var("STEPGATE_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    // It writes what strangers send, as an error and at any length.
    let quiet = "webauthn_rs_core=off".parse::<Directive>();
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Setting it twice is the only way this fails.
    let _ = match format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(ansi).try_init()
        }
        LogFormat::Json => builder.json().try_init(),
    };
    tracing::trace!("this log is as talkative as it can be");
}
