//! Upstream roles by group.

use stepgate_testkit::until;

use crate::support::{SOON, World, held};

/// `shop` with a role of its own for data owners; `everybody`: and one for all others.
fn with_owners(everybody: bool) -> World {
    let world = World::not_serving(|text| text);
    world.cluster.create_role("shop_owner", "owner-of-a-shop").unwrap();
    let sql = "grant select on all tables in schema public to shop_owner; grant create on schema public to shop_owner";
    world.cluster.psql("shop", sql).unwrap();
    let secret = world.gate.directory().join("secrets/owner");
    std::fs::write(&secret, "owner-of-a-shop\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let users = "users: [{groups: [nobody], user: nobody}, {groups: [dbas, data-owners], user: shop_owner, \
                 password_file: secrets/owner}]\n";
    if everybody {
        world.edit("    user: stepgate_analyst\n", &format!("    user: stepgate_analyst\n    {users}"));
    } else {
        world.edit(
            "    user: stepgate_analyst\n",
            &format!("    catalog_user: stepgate_analyst\n    {users}"),
        );
        world.edit("    password_file: secrets/shop", "    catalog_password_file: secrets/shop");
    }
    world
}

const ROLE: &str = "select current_user;";

#[test]
fn whoever_is_in_a_group_works_as_its_role_and_all_that_is_bound_to_roles_knows() {
    let mut world = with_owners(true);
    world.gate.serve().unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut analyst = world.psql(&dana);
    assert!(analyst.run(ROLE).unwrap().text().contains("stepgate_analyst"));
    let mut owner = world.psql(&olga);
    assert!(owner.run(ROLE).unwrap().text().contains("shop_owner"));
    let record = world.records().into_iter().filter(|it| it["type"] == "session.opened");
    let roles: Vec<_> = record.map(|it| (it["person"].to_string(), it["db_user"].to_string())).collect();
    let expected = [("\"dana\"", "\"stepgate_analyst\""), ("\"olga\"", "\"shop_owner\"")];
    assert_eq!(roles, expected.map(|(person, role)| (person.to_owned(), role.to_owned())));
    // Who approves sees as which role, and a grant is for that role.
    owner.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut owner);
    let shown = world.gate.run(["request", "show", &request, "--as", "olga"], "").unwrap().text();
    assert!(shown.contains("shop_owner"), "{shown}");
    assert_eq!(olga.verify(&world.gate, &request).unwrap().status, 0);
    assert!(owner.finish(SOON).unwrap().is_ok());
    assert!(world.recorded("grant.issued", "\"db_user\":\"shop_owner\""));
    assert!(owner.run("select ssn from customers where id = 2;").unwrap().is_ok());
    // doctor looks at each of them.
    let doctor = world.gate.run(["doctor"], "").unwrap().text();
    for expected in ["rights shop ", "rights shop as shop_owner", "shop_owner may CREATE in public"] {
        assert!(doctor.contains(expected), "{expected}: {doctor}");
    }
    until("the warning", SOON, || world.gate.log().contains("shop_owner may CREATE in public")).unwrap();
}

#[test]
fn whoever_comes_into_other_groups_does_not_go_on_with_the_role_of_before() {
    let mut world = with_owners(true);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run(ROLE).unwrap().is_ok());
    world.gate.run(["user", "groups", "dana", "analysts,interns"], "").unwrap().ok().unwrap();
    assert!(psql.run(ROLE).unwrap().is_ok());
    world.gate.run(["user", "groups", "dana", "analysts,dbas"], "").unwrap().ok().unwrap();
    let reply = psql.run(ROLE).unwrap();
    assert_eq!(reply.sqlstate, "28000", "{}", reply.text());
    assert!(world.psql(&dana).run(ROLE).unwrap().text().contains("shop_owner"));
}

#[test]
fn whose_groups_have_no_role_is_told_so() {
    let mut world = with_owners(false);
    world.gate.serve().unwrap();
    let (dana, olga) = (world.dana(), world.olga());
    let (is_in, text) = world.connects(&dana, "shop");
    assert!(!is_in && text.contains("FATAL:  stepgate: dana has no role in database \"shop\""), "{text}");
    assert!(world.recorded("session.refused", "\"reason\":\"no-role\""));
    assert!(world.connects(&olga, "shop").0);
}

/// Application and role of the server's processes for the shop.
fn roles(world: &World) -> Vec<String> {
    let sql = "select distinct application_name || ' as ' || usename from pg_stat_activity \
               where datname = 'shop' and pid <> pg_backend_pid() order by 1";
    world.cluster.psql("shop", sql).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_catalog_is_read_by_a_role_of_its_own_and_people_work_as_theirs() {
    let mut world = World::not_serving(|text| text);
    world.cluster.create_role("shop_catalog", "catalog-of-a-shop").unwrap();
    let secret = world.gate.directory().join("secrets/catalog");
    std::fs::write(&secret, "catalog-of-a-shop\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let user = "    user: stepgate_analyst\n";
    let catalog = "    catalog_user: shop_catalog\n    catalog_password_file: secrets/catalog\n";
    world.edit(user, &format!("{user}{catalog}"));
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    // It may read no table, and need not.
    psql.send("select ssn from customers where id = 1;").unwrap();
    held(&mut psql);
    assert_eq!(roles(&world), ["psql as stepgate_analyst", "stepgate catalog as shop_catalog"]);
    assert!(world.cluster.psql("shop", "set role shop_catalog; select 1 from customers").is_err());
}
