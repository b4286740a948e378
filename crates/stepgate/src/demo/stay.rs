//! After the play: the stage stays, for who wants to try it.

use std::io::{BufRead as _, Write as _};

use super::show::Show;
use super::stage::Stage;
use crate::failure::Failure;

/// Says how to connect, and hands out codes until an empty name is entered or input ends.
pub(super) fn until_told(stage: &mut Stage, show: &Show) -> Result<(), Failure> {
    explain(stage, show);
    let broken = |error: std::io::Error| Failure::usage(format!("cannot read the terminal: {error}"));
    let mut lines = std::io::stdin().lock().lines();
    loop {
        print!("code for (dana, omar, olga; empty line ends the demo): ");
        std::io::stdout().flush().map_err(broken)?;
        let Some(line) = lines.next() else { return Ok(()) };
        let person = match line.map_err(broken)?.trim() {
            "" => return Ok(()),
            "dana" => &mut stage.dana,
            "omar" => &mut stage.omar,
            "olga" => &mut stage.olga,
            _ => {
                show.plain("There are dana, omar and olga.");
                continue;
            }
        };
        match person.code() {
            Ok(code) => show.bold(&format!("  {code}")),
            Err(error) => show.plain(&format!("  {error}")),
        }
    }
}

fn explain(stage: &Stage, show: &Show) {
    let program =
        std::env::current_exe().map_or_else(|_| "stepgate".to_owned(), |path| path.display().to_string());
    show.bold("\nNow you. In another terminal:");
    show.plain(&format!(
        "  PGPASSWORD={} psql \"{}\"",
        stage.dana.password(),
        stage.gate.conninfo(stage.dana.name(), "shop")
    ));
    show.bold("and, to answer what is held, in a third:");
    let variables: Vec<String> = stage
        .gate
        .environment()
        .iter()
        .map(|(name, value)| format!("export {name}={}", value.display()))
        .collect();
    show.plain(&format!("  ( {}; exec sh )", variables.join("; ")));
    show.plain(&format!("  {program} verify REQUEST --as dana"));
    show.plain(&format!("  {program} request ls --as olga"));
    show.plain(&format!("  {program} audit tail -n 5\n"));
}
