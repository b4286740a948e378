//! PostgreSQL's own programs through the gate: pgbench in its three modes, pg_dump and pg_restore.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Command, Output, Stdio};

use stepgate_testkit::{Binaries, Person};
use support::World;

fn program(world: &World, person: &Person, name: &str) -> Command {
    let mut command = Command::new(Binaries::find().unwrap().path(name));
    command.env("PGPASSWORD", person.password()).env("PGSSLROOTCERT", world.gate.ca());
    command
}

fn ran(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && !text.contains("stepgate:"), "{text}");
    text
}

/// A gate before a table that holds nothing labelled, and whoever may do with it what they like.
fn world() -> (World, Person) {
    let mut world = World::not_serving(|policy| policy);
    let stock = "create table stock (id int primary key, name text not null, left_over int default 0); \
         create index on stock (lower(name)); \
         insert into stock select i, 'thing ' || i, i % 7 from generate_series(1, 20000) i; \
         grant create on schema public to public";
    world.cluster.load("shop", &format!("{stock}; grant all on stock to public")).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    (world, dana)
}

#[test]
fn pgbench_in_its_three_modes_is_never_asked_for_what_reads_nothing_personal() {
    let (world, dana) = world();
    let script = world.tree.path().join("stock.sql");
    let text = "\\set id random(1, 20000)\nbegin;\nselect name from stock where id = :id;\n\
         update stock set left_over = left_over + 1 where id = :id;\ncommit;\n";
    std::fs::write(&script, text).unwrap();
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = program(&world, &dana, "pgbench");
        pgbench.args(["-n", "-c", "4", "-t", "50", "-M", mode, "-f"]).arg(&script);
        pgbench.arg(world.gate.conninfo(dana.name(), "shop"));
        let text = ran(pgbench);
        assert!(text.contains("200/200"), "{mode}: {text}");
    }
}

#[test]
fn pgbench_sends_its_pipelines_before_it_reads_a_reply() {
    let (world, dana) = world();
    let script = world.tree.path().join("pipeline.sql");
    let text = "\\set id random(1, 20000)\n\\startpipeline\nbegin;\nselect name from stock where id = :id;\n\
         update stock set left_over = left_over + 1 where id = :id;\nselect count(*) from products;\ncommit;\n\
         \\endpipeline\n";
    std::fs::write(&script, text).unwrap();
    let left_over = || world.cluster.psql("shop", "select sum(left_over) from stock").unwrap();
    let before: u64 = left_over().parse().unwrap();
    for mode in ["extended", "prepared"] {
        let mut pgbench = program(&world, &dana, "pgbench");
        pgbench.args(["-n", "-c", "4", "-t", "50", "-M", mode, "-f"]).arg(&script);
        pgbench.arg(world.gate.conninfo(dana.name(), "shop"));
        let text = ran(pgbench);
        assert!(text.contains("200/200"), "{mode}: {text}");
    }
    assert_eq!(left_over(), (before + 400).to_string());
}

#[test]
fn pgbench_fills_its_tables_by_copy() {
    let (world, dana) = world();
    let mut pgbench = program(&world, &dana, "pgbench");
    // All of its steps but VACUUM, which is for those who own everything.
    pgbench.args(["-i", "-I", "dtgp", "-s", "1"]).arg(world.gate.conninfo(dana.name(), "shop"));
    ran(pgbench);
    let count = "select count(*) || ' ' || sum(bid) from pgbench_accounts";
    assert_eq!(world.cluster.psql("shop", count).unwrap(), "100000 100000");
    let mut pgbench = program(&world, &dana, "pgbench");
    pgbench.args(["-n", "-c", "2", "-t", "50"]).arg(world.gate.conninfo(dana.name(), "shop"));
    assert!(ran(pgbench).contains("100/100"));
}

#[test]
fn pgbench_waits_for_an_answer_in_each_of_its_modes() {
    let world = World::new();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let run = |person: &Person, mode: &str, sql: &str| {
        let script = world.tree.path().join("held.sql");
        std::fs::write(&script, format!("{sql}\n")).unwrap();
        let mut pgbench = program(&world, person, "pgbench");
        pgbench.args(["-n", "-c", "1", "-t", "1", "-M", mode, "-f"]).arg(&script);
        pgbench.arg(world.gate.conninfo(person.name(), "shop"));
        let child = pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (child, world.open_request(person))
    };
    let ended = |child: Child| {
        let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
    };

    let (child, request) = run(&dana, "simple", "select ssn from customers where id = 1;");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let text = ended(child);
    assert!(text.contains("1/1"), "{text}");

    let (child, request) = run(&dana, "extended", "select salary from hr.employees where id = 1;");
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    let text = ended(child);
    assert!(text.contains("0/1") && text.contains("stepgate: "), "{text}");

    let (child, request) = run(&dana, "prepared", "create table copied as select ssn from customers;");
    olga.answer(&world.gate, "deny", &request, "use the extract").unwrap().ok().unwrap();
    let text = ended(child);
    assert!(text.contains("0/1") && text.contains("stepgate: "), "{text}");
}

#[test]
fn pg_dump_and_pg_restore_of_what_is_not_labelled_go_through_unasked() {
    let (world, dana) = world();
    let dump = world.tree.path().join("stock.dump");
    let conninfo = world.gate.conninfo(dana.name(), "shop");
    let mut pg_dump = program(&world, &dana, "pg_dump");
    pg_dump.args(["-Fc", "--table", "stock", "-d", &conninfo, "-f"]).arg(&dump);
    ran(pg_dump);
    let count = "select count(*) || ' ' || sum(left_over) from stock";
    let before = world.cluster.psql("shop", count).unwrap();
    world.cluster.load("shop", "drop table stock").unwrap();
    // Owners and privileges are for those who may say so (`control` statements are denied).
    let mut pg_restore = program(&world, &dana, "pg_restore");
    pg_restore.args(["--no-owner", "--no-privileges", "--exit-on-error", "-d", &conninfo]).arg(&dump);
    ran(pg_restore);
    assert_eq!(world.cluster.psql("shop", count).unwrap(), before);
}
