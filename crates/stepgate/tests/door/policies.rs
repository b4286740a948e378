//! The two-person rule for policies: by the real command line, files edited by hand, and restarts.

use serde_json::json;

use crate::support::approver::Caller;
use crate::support::{EVERYTHING, NOTHING_LABELLED, SOON, World, passes, waits};

const SQL: &str = "select ssn from customers order by id limit 3;";

#[test]
fn a_changed_policy_is_in_force_only_once_two_people_have_approved_its_hash_and_stays_so_over_a_restart() {
    let mut world = World::not_serving(|policy| policy);
    world.edit("policies: {", "policies: {two_person: [data-owners], ");
    world.gate.serve().unwrap();
    let (dana, mut olga, mut omar) = (world.dana(), world.olga(), world.person("omar", "data-owners"));
    let mut eve = world.person("eve", "analysts");
    let mut psql = world.psql(&dana);
    waits(&world, &mut psql, &dana, SQL);
    let old = sample();
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let lint = world.gate.run(["policy", "lint"], "").unwrap().ok().unwrap();
    let sha256 = lint.trim().rsplit(' ').next().unwrap().to_owned();
    let lists = |who: &str| world.gate.run(["policy", "approve", "--as", who], "").unwrap().text();
    stepgate_testkit::until("what waits", SOON, || lists("olga").contains(&sha256)).unwrap();
    waits(&world, &mut psql, &dana, SQL);
    assert!(!lists("eve").contains(&sha256));
    let approve = |world: &World, who: &mut stepgate_testkit::Person| {
        let code = format!("{}\n", who.code().unwrap());
        world.gate.run(["policy", "approve", &sha256, "--as", who.name()], &code).unwrap()
    };
    assert_eq!(approve(&world, &mut eve).status, 1);
    for _ in 0..2 {
        let said = approve(&world, &mut olga).ok().unwrap();
        assert!(said.contains("1 of 2"), "one person is one: {said}");
        // What it changes was shown before.
        for line in ["=== map", "-    public.orders: {}", "=== policy", "-  - name: restricted-read"] {
            assert!(said.lines().any(|it| it == line), "{line}: {said}");
        }
    }
    waits(&world, &mut psql, &dana, SQL);
    assert!(approve(&world, &mut omar).ok().unwrap().contains("approved"));
    let in_force = || world.recorded("policy.loaded", &sha256);
    stepgate_testkit::until("the policy", SOON, in_force).unwrap();
    passes(&mut psql, SQL);
    for kind in ["policy.proposed", "policy.voted", "policy.approved"] {
        assert!(world.recorded(kind, &sha256), "{kind}");
    }
    // Whoever verifies is told what was in force when, and who approved it.
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    let policies: Vec<_> = verified.lines().filter(|line| line.starts_with("policy: ")).collect();
    assert_eq!(policies.len(), 2, "{verified}");
    assert!(
        policies[0].contains(" in force from record ") && !policies[0].contains("approved by"),
        "{verified}"
    );
    assert!(policies[1].starts_with(&format!("policy: {sha256} ")), "{verified}");
    assert!(policies[1].ends_with(", approved by olga and omar"), "{verified}");
    drop(psql);

    // Edited by hand while no gate runs: what was approved is what is in force.
    let [map, policy] = old;
    world.gate.terminate().unwrap();
    world.gate.policies(&map, &policy).unwrap();
    world.gate.serve().unwrap();
    let mut psql = world.psql(&dana);
    passes(&mut psql, SQL);
    drop(psql);
    world.gate.terminate().unwrap();
    // And what is kept of it, too: then there is nothing to begin with.
    let kept = world.gate.data().join("policies").join(format!("{sha256}.rules.yaml"));
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace("mode: enforce", "mode: monitor")).unwrap();
    does_not_start(&mut world);
    assert!(world.gate.log().contains("is not what is kept of it"), "{}", world.gate.log());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.gate.serve().unwrap();
    assert!(world.recorded("policy.tampered", &sha256));
    passes(&mut world.psql(&dana), SQL);
}

#[test]
fn what_is_shown_of_a_changed_policy_is_what_its_hash_is_of_whatever_the_files_say_by_then() {
    const SMUGGLED: &str = "# smuggled\u{202E}in";
    let mut world = World::not_serving(|policy| policy);
    world.edit(SWITCHED_ON.0, SWITCHED_ON.1);
    world.gate.serve().unwrap();
    let mut olga = world.olga();
    let in_force = lint(&world);
    let [map, policy] = sample();
    let proposed_policy = policy.replace("hold: 5m ", "hold: 9m ");
    assert_ne!(proposed_policy, policy);
    world.gate.policies(&map, &proposed_policy).unwrap();
    let sha256 = lint(&world);
    proposed(&world, &sha256);
    let show =
        |world: &World| world.gate.run(["policy", "approve", &sha256, "--show", "--as", "olga"], "").unwrap();
    let shown = show(&world).ok().unwrap();
    let changed = |said: &str, mark: char| said.lines().filter(|line| line.starts_with(mark)).count();
    assert!(shown.contains(&in_force) && shown.contains(&sha256), "{shown}");
    assert!(shown.contains("\n-  hold: 5m ") && shown.contains("\n+  hold: 9m "), "{shown}");
    assert_eq!((changed(&shown, '-'), changed(&shown, '+')), (1, 1), "{shown}");
    // Edited once more: another hash, another text, which is spelt out; the first stays what it was.
    world.gate.policies(&map, &format!("{policy}\n{SMUGGLED}\n")).unwrap();
    let other = lint(&world);
    proposed(&world, &other);
    assert_eq!(show(&world).ok().unwrap(), shown);
    let others =
        world.gate.run(["policy", "approve", &other, "--show", "--as", "olga"], "").unwrap().ok().unwrap();
    assert!(others.contains("\n+# smuggled\\u{202E}in\n"), "{others}");
    // What is kept of it is changed behind the gate's back: nothing is shown under that hash, and nobody approves it.
    let kept = world.gate.data().join("policies").join(format!("{sha256}.rules.yaml"));
    std::fs::write(&kept, format!("{proposed_policy}{SMUGGLED}\n")).unwrap();
    let code = format!("{}\n", olga.code().unwrap());
    let approved = world.gate.run(["policy", "approve", &sha256, "--as", "olga"], &code).unwrap();
    for said in [show(&world), approved] {
        assert!(said.status == 1 && said.text().contains("is not what its hash says"), "{}", said.text());
        assert!(!said.text().contains("smuggled"), "{}", said.text());
    }
    let answer = Caller::of(&world, &olga)
        .try_post(&format!("policies/{sha256}/approve"), &json!({"code": code.trim()}));
    assert_eq!(answer.unwrap().1["error"], "not_kept");
    assert!(!world.recorded("policy.voted", &sha256));
}

/// Its ports may be open for a moment before it has seen that it cannot.
fn does_not_start(world: &mut World) {
    if world.gate.serve().is_ok() {
        assert_eq!(world.gate.serving().unwrap().exit_status(SOON), Some(2), "{}", world.gate.log());
        world.gate.kill();
    }
}

/// The hash of the files as they are.
fn lint(world: &World) -> String {
    let said = world.gate.run(["policy", "lint"], "").unwrap().ok().unwrap();
    said.trim().rsplit(' ').next().unwrap().to_owned()
}

/// The hash that the gate says waits, once it does.
fn proposed(world: &World, sha256: &str) {
    let recorded = || world.recorded("policy.proposed", sha256);
    stepgate_testkit::until("what waits", SOON, recorded).unwrap();
}

fn sample() -> [String; 2] {
    ["pii-map.yaml", "policy.yaml"].map(|name| {
        std::fs::read_to_string(crate::support::repository().join("policies").join(name)).unwrap()
    })
}

const SWITCHED_ON: (&str, &str) = ("policies: {", "policies: {two_person: [data-owners], ");

#[test]
fn what_waits_when_the_rule_is_switched_on_does_not_come_into_force_by_a_restart() {
    let mut world = World::not_serving(|policy| policy);
    world.gate.serve().unwrap();
    // Switched on while the files are not what is in force.
    let [map, policy] = sample();
    world.gate.policies(&map, &format!("{policy}\ntypo: [")).unwrap();
    let rejected = || world.recorded("policy.rejected", "");
    stepgate_testkit::until("the files to be seen", SOON, rejected).unwrap();
    world.edit(SWITCHED_ON.0, SWITCHED_ON.1);
    world.reload();
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let sha256 = lint(&world);
    proposed(&world, &sha256);
    world.gate.terminate().unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    waits(&world, &mut world.psql(&dana), &dana, SQL);
    assert!(!world.recorded("policy.approved", &sha256));
}

#[test]
fn what_was_approved_comes_into_force_though_the_files_say_something_else_by_then() {
    let mut world = World::not_serving(|policy| policy);
    world.edit(SWITCHED_ON.0, SWITCHED_ON.1);
    world.gate.serve().unwrap();
    let (dana, mut olga, mut omar) = (world.dana(), world.olga(), world.person("omar", "data-owners"));
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let approved = lint(&world);
    proposed(&world, &approved);
    let [map, policy] = sample();
    world.gate.policies(&map, &format!("{policy}\n# Another.\n")).unwrap();
    let other = lint(&world);
    proposed(&world, &other);
    for who in [&mut olga, &mut omar] {
        let code = format!("{}\n", who.code().unwrap());
        world.gate.run(["policy", "approve", &approved, "--as", who.name()], &code).unwrap().ok().unwrap();
    }
    stepgate_testkit::until("the policy", SOON, || world.recorded("policy.loaded", &approved)).unwrap();
    passes(&mut world.psql(&dana), SQL);
    assert!(world.gate.data().join("policies").join(format!("{other}.map.yaml")).exists(), "it still waits");
    world.gate.terminate().unwrap();
    world.gate.serve().unwrap();
    passes(&mut world.psql(&dana), SQL);
    // Its copy is gone, not changed: nobody has tampered with it, and the gate says how to go on.
    world.gate.terminate().unwrap();
    std::fs::remove_dir_all(world.gate.data().join("policies")).unwrap();
    does_not_start(&mut world);
    assert!(world.gate.log().contains("is not kept in"), "{}", world.gate.log());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.gate.serve().unwrap();
    assert!(!world.recorded("policy.tampered", &approved));
}

#[test]
fn a_policy_that_is_not_valid_does_not_count_as_approved_nor_does_an_old_one_after_the_rule_was_off() {
    let mut world = World::not_serving(|policy| policy);
    world.edit(SWITCHED_ON.0, SWITCHED_ON.1);
    let [map, policy] = sample();
    world.gate.policies(&map, &format!("{policy}\ntypo: [")).unwrap();
    does_not_start(&mut world);
    world.gate.policies(&map, &policy).unwrap();
    world.gate.serve().unwrap();
    let (dana, first) = (world.dana(), lint(&world));
    assert!(world.recorded("policy.approved", &first));
    // Off, another in force, on again: the first does not come back.
    world.edit(SWITCHED_ON.1, SWITCHED_ON.0);
    world.reload();
    assert!(world.recorded("policy.released", &first));
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let second = lint(&world);
    stepgate_testkit::until("the policy", SOON, || world.recorded("policy.loaded", &second)).unwrap();
    world.edit(SWITCHED_ON.0, SWITCHED_ON.1);
    world.gate.terminate().unwrap();
    world.gate.serve().unwrap();
    passes(&mut world.psql(&dana), SQL);
}
