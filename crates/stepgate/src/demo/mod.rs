//! `stepgate demo`: the whole story on a throwaway PostgreSQL, played with the real psql and the commands
//! that people type, each step checked.

mod play;
mod show;
mod stage;
mod stay;
mod tamper;

use std::io::IsTerminal as _;

use crate::args::DemoArgs;
use crate::failure::Failure;

use show::Show;

/// Plays the demo; afterwards, at a terminal, stays up for who watches.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let mut show = Show::on_stdout();
    let mut stage = stage::set(&mut show)?;
    let failed = match play::all(&mut stage, &mut show) {
        Ok(()) => show.failed(),
        Err(error) => {
            show.broke(&error, &stage.gate.log());
            show.failed().max(1)
        }
    };
    if failed == 0 && !args.once && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        stay::until_told(&mut stage, &show)?;
    }
    show.tidying();
    drop(stage);
    match failed {
        0 => Ok(()),
        1 => Err(Failure::no("one step of the demo did not hold")),
        several => Err(Failure::no(format!("{several} steps of the demo did not hold"))),
    }
}

/// `stepgate demo-authenticator` (hidden): an authenticator app as a process of its own.
pub(crate) fn authenticator() -> Result<(), Failure> {
    stepgate_testkit::serve_authenticator(std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| Failure::usage(error.to_string()))
}
