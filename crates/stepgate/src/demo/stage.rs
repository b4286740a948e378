//! What the demo is played on: a cluster with the shop, a gate in front of it, three people.

use std::time::Instant;

use stepgate_testkit::{Binaries, Cluster, Error, Gate, Person, TempTree};

use super::show::{Show, span};
use crate::failure::Failure;

const SHOP: &str = include_str!("../../demo/shop.sql");
const MAP: &str = include_str!("../../../../policies/pii-map.yaml");
const POLICY: &str = include_str!("../../../../policies/policy.yaml");

/// Everything that runs. Fields are dropped in this order: people, gate, cluster, files.
pub(super) struct Stage {
    /// An analyst.
    pub(super) dana: Person,
    /// Another analyst.
    pub(super) omar: Person,
    /// Owns the data: answers what needs a second person.
    pub(super) olga: Person,
    /// The gate.
    pub(super) gate: Gate,
    /// PostgreSQL.
    pub(super) cluster: Cluster,
    /// Where all of it lies.
    pub(super) tree: TempTree,
    /// When it began.
    pub(super) began: Instant,
}

/// Sets it up, in front of the audience.
pub(super) fn set(show: &mut Show) -> Result<Stage, Failure> {
    let began = Instant::now();
    show.bold(
        "Stepgate: a statement that touches personal data waits until its author has proven who they are.",
    );
    let binaries = Binaries::find().map_err(|error| Failure::usage(error.to_string()))?;
    let program =
        std::env::current_exe().map_err(|error| Failure::usage(format!("cannot find myself: {error}")))?;
    build(show, &program, &binaries, began)
        .map_err(|error| Failure::no(format!("the demo could not start: {error}")))
}

fn build(
    show: &mut Show,
    program: &std::path::Path,
    binaries: &Binaries,
    began: Instant,
) -> Result<Stage, Error> {
    let tree = TempTree::new("stepgate-demo")?;

    show.scene("A throwaway PostgreSQL with a shop in it");
    let started = Instant::now();
    let cluster = Cluster::builder().start()?;
    cluster.create_database("shop")?;
    cluster.load("shop", SHOP)?;
    let counts = cluster.psql(
        "shop",
        "select format('%s customers, %s payments, %s employees, %s orders, all invented',
            (select count(*) from customers), (select count(*) from payments),
            (select count(*) from hr.employees), (select count(*) from orders))",
    )?;
    show.check(true, &format!("PostgreSQL {}, {counts} ({})", binaries.version(), span(started.elapsed())));

    show.scene("A gate in front of it, with TLS, a PII map and a policy");
    let mut gate = Gate::init(program, tree.path(), &cluster)?;
    gate.policies(MAP, POLICY)?;
    show.command("you", "stepgate init …; stepgate check; stepgate serve");
    gate.run(["check", "--connect"], "")?.ok()?;
    gate.serve()?;
    show.check(true, &format!("the gate listens on {} (TLS), its API on {}", gate.listen(), gate.url()));

    show.scene("Three people, each with an authenticator of their own");
    let add = |name: &str, groups: &str| {
        show.command(
            "you",
            &format!("stepgate user add {name} --groups {groups}; stepgate enroll totp --as {name}"),
        );
        let mut person = Person::add_with_phone(&gate, name, groups)?;
        person.login(&gate)?;
        Ok::<_, Error>(person)
    };
    let (dana, omar, olga) =
        (add("dana", "analysts")?, add("omar", "analysts")?, add("olga", "data-owners")?);
    show.say("Each authenticator is a process that saw nothing but the otpauth:// URI, like a phone that scanned it.");
    show.check(true, "dana and omar are analysts; olga owns the data and answers for it");
    Ok(Stage { dana, omar, olga, gate, cluster, tree, began })
}
