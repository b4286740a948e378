//! The play itself: what happens at the gate, scene by scene.

use std::time::{Duration, Instant};

use stepgate_testkit::{Error, Psql};

use super::show::{Show, span};
use super::stage::Stage;
use super::tamper;

/// How long a NOTICE, or anything that needs no person, may take.
const SOON: Duration = Duration::from_secs(15);
/// How long a released statement may take, codes waited for.
const LATER: Duration = Duration::from_secs(90);
/// How soon an ordinary query must be back: far above what it takes, far below any hold.
const AT_ONCE: Duration = Duration::from_secs(2);

/// All scenes. `Err` where the play cannot go on.
pub(super) fn all(stage: &mut Stage, show: &mut Show) -> Result<(), Error> {
    let mut dana = stage.gate.psql(&stage.dana)?;
    ordinary(stage, show, &mut dana)?;
    held_and_released(stage, show, &mut dana)?;
    by_the_grant(show, &mut dana)?;
    whole_row(stage, show)?;
    second_person(stage, show, &mut dana)?;
    drop(dana);
    tamper::audit(stage, show)?;
    show.result(stage.began.elapsed());
    Ok(())
}

fn ordinary(stage: &Stage, show: &mut Show, dana: &mut Psql) -> Result<(), Error> {
    const QUERY: &str =
        "select name, price from products where category = 'kitchen' order by price desc limit 3;";
    show.scene("An ordinary query passes at once");
    show.typed(stage.dana.name(), QUERY);
    // The first reply includes connecting and logging in.
    dana.run("\\conninfo")?;
    let reply = dana.run(QUERY)?;
    show.printed(&reply.lines);
    let quiet = !reply.text().contains("stepgate:");
    show.check(
        reply.is_ok() && quiet && reply.took < AT_ONCE,
        &format!("answered in {}, nobody was asked anything", span(reply.took)),
    );
    Ok(())
}

fn held_and_released(stage: &mut Stage, show: &mut Show, dana: &mut Psql) -> Result<(), Error> {
    const QUERY: &str = "select * from customers limit 5;";
    show.scene("Personal data: the statement is held on the open connection");
    let before = backends(stage)?;
    show.typed(stage.dana.name(), QUERY);
    dana.send(QUERY)?;
    let request = notice(show, dana)?;
    show.check(true, &format!("held after {} as request {request}; psql waits", span(dana.waited())));
    let last = stage.cluster.psql(
        "shop",
        "select coalesce(string_agg(query, ' | '), '') from pg_stat_activity where usename = 'stepgate_analyst'",
    )?;
    show.check(!last.contains("from customers"), "PostgreSQL has not seen a byte of it (pg_stat_activity)");

    show.command(stage.dana.name(), &format!("stepgate verify {request}"));
    show.say("Dana types the code that her authenticator shows; each code counts once, so she may wait for the next.");
    let outcome = stage.dana.verify(&stage.gate, &request)?;
    show.printed(&outcome.text().lines().collect::<Vec<_>>());
    let reply = dana.finish(LATER)?;
    show.printed(&after_notice(&reply.lines));
    show.check(
        outcome.status == 0 && reply.is_ok() && reply.text().contains("@example.test"),
        &format!("released by her code: psql has its five rows, held for {}", span(reply.took)),
    );
    let after = backends(stage)?;
    show.check(
        before == after && !before.is_empty(),
        &format!("on the same connection: PostgreSQL's backend is {after} before and after"),
    );
    Ok(())
}

fn by_the_grant(show: &mut Show, dana: &mut Psql) -> Result<(), Error> {
    const QUERY: &str = "select full_name, ssn from customers limit 3;";
    show.scene("The next one on the same table passes by the grant");
    show.typed("dana", QUERY);
    let reply = dana.run(QUERY)?;
    show.printed(&reply.lines);
    show.check(
        reply.is_ok() && !reply.text().contains("stepgate:") && reply.took < AT_ONCE,
        &format!(
            "answered in {}: what she verified a moment ago is remembered for a while",
            span(reply.took)
        ),
    );
    Ok(())
}

fn whole_row(stage: &Stage, show: &mut Show) -> Result<(), Error> {
    const QUERY: &str = "select to_jsonb(c) from customers c limit 1;";
    show.scene("Another person, another spelling: the whole row as JSON is held as well");
    let mut omar = stage.gate.psql(&stage.omar)?;
    show.typed(stage.omar.name(), QUERY);
    omar.send(QUERY)?;
    let request = notice(show, &mut omar)?;
    show.check(
        true,
        &format!("no column is named, and Dana's grant is not Omar's: held as request {request}"),
    );
    show.command(stage.omar.name(), &format!("stepgate request cancel {request}"));
    stage.gate.run(["request", "cancel", &request, "--as", stage.omar.name()], "")?.ok()?;
    let reply = omar.finish(SOON)?;
    show.printed(&after_notice(&reply.lines));
    show.check(reply.sqlstate == "57014", "he thinks better of it: cancelled (57014), nothing was read");
    Ok(())
}

fn second_person(stage: &mut Stage, show: &mut Show, dana: &mut Psql) -> Result<(), Error> {
    const COPY: &str = "COPY customers TO STDOUT;";
    const REASON: &str = "use the customer_contacts extract";
    show.scene("Everything at once: COPY needs a second person, who says no");
    show.typed(stage.dana.name(), COPY);
    dana.send(COPY)?;
    let request = notice(show, dana)?;
    show.check(
        true,
        &format!("her own grant is not enough for 50,000 customers: request {request} asks data-owners"),
    );

    show.command(stage.olga.name(), "stepgate request ls");
    let list = stage.gate.run(["request", "ls", "--as", stage.olga.name()], "")?.ok()?;
    show.printed(&list.lines().collect::<Vec<_>>());
    show.check(list.contains(&request), "Olga sees the request");

    show.command(stage.olga.name(), &format!("stepgate request deny {request} --reason '{REASON}'"));
    let outcome = stage.olga.answer(&stage.gate, "deny", &request, REASON)?;
    show.printed(&outcome.text().lines().collect::<Vec<_>>());
    let reply = dana.finish(LATER)?;
    show.printed(&after_notice(&reply.lines));
    show.check(
        outcome.status == 0 && reply.sqlstate == "42501" && reply.text().contains(REASON),
        &format!("denied with her reason after {}; not one customer left the database", span(reply.took)),
    );

    let alive = dana.run("select count(*) from products;")?;
    show.typed(stage.dana.name(), "select count(*) from products;");
    show.printed(&alive.lines);
    show.check(alive.is_ok() && alive.text().contains("200"), "and the session lives on");
    Ok(())
}

/// Shows the gate's NOTICE line by line, as psql gets it; the request's id.
fn notice(show: &Show, psql: &mut Psql) -> Result<String, Error> {
    let until = Instant::now() + SOON;
    let left = || until.saturating_duration_since(Instant::now());
    let id = psql.line("the gate's NOTICE", left(), |line| {
        line.starts_with("NOTICE:  stepgate:").then(|| request_id(line)).flatten()
    })?;
    psql.line("the HINT", left(), |line| line.starts_with("HINT:").then_some(()))?;
    psql.shown().iter().for_each(|line| show.line(line));
    Ok(id)
}

/// `(7K4M-9QXD)` at the end of the NOTICE.
fn request_id(line: &str) -> Option<String> {
    let (_, id) = line.rsplit_once('(')?;
    let (id, _) = id.split_once(')')?;
    Some(id.parse::<stepgate_types::RequestId>().ok()?.to_string())
}

/// What came after the NOTICE that has been shown already.
fn after_notice(lines: &[String]) -> Vec<&String> {
    let shown = lines.iter().position(|line| line.starts_with("HINT:")).map_or(0, |at| at + 1);
    lines.iter().skip(shown).collect()
}

/// The process ids of PostgreSQL's backends for the gate's clients.
fn backends(stage: &Stage) -> Result<String, Error> {
    stage.cluster.psql(
        "shop",
        "select string_agg(pid::text, ', ') from pg_stat_activity
         where usename = 'stepgate_analyst' and application_name = 'psql'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_read_off_the_notice() {
        let line = "NOTICE:  stepgate: held, verification required (7K4M-9QXD)";
        assert_eq!(request_id(line).as_deref(), Some("7K4M-9QXD"));
        assert_eq!(request_id("NOTICE:  stepgate: held (soon)"), None);
    }
}
