//! How the gate's own connections to a server are encrypted, as `sslmode` says.

use stepgate_testkit::Cluster;

use crate::support::World;

#[test]
fn each_sslmode_does_what_it_says_and_leaving_it_out_checks_everything() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["server.crt", "server.key"].map(|name| directory.path().join(name));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let cluster = Cluster::builder().cached(true).tls(&cert, &key).start().unwrap();
    let mut world = World::before(cluster, |text| text);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let good = std::fs::read_to_string(world.gate.config()).unwrap();
    let ca = format!("ca_file: {}", cert.display());
    for (host, mode, encrypted) in [
        ("localhost", format!("sslmode: verify-full\n    {ca}"), Some(true)),
        ("localhost", ca.clone(), Some(true)),
        // The certificate is not for this name, or nobody's that is known here.
        ("\"127.0.0.1\"", format!("sslmode: verify-full\n    {ca}"), None),
        ("localhost", "sslmode: verify-full".to_owned(), None),
        ("\"127.0.0.1\"", "sslmode: require".to_owned(), Some(true)),
        ("\"127.0.0.1\"", "sslmode: disable".to_owned(), Some(false)),
    ] {
        let text = good.replacen("host: \"127.0.0.1\"", &format!("host: {host}"), 1);
        let text = text.replacen("sslmode: disable", &mode, 1);
        assert!(text.contains(&format!("host: {host}")) && text.contains(&mode));
        std::fs::write(world.gate.config(), text).unwrap();
        world.reload();
        let (is_in, said) = world.connects(&dana, "shop");
        assert_eq!(is_in, encrypted.is_some(), "{host} {mode}: {said}");
        let Some(encrypted) = encrypted else {
            assert!(said.contains("stepgate: cannot reach database \"shop\""), "{said}");
            continue;
        };
        let mut psql = world.psql(&dana);
        assert!(psql.run("select 1;").unwrap().is_ok());
        let sql = "select bool_or(ssl) from pg_stat_ssl join pg_stat_activity using (pid) \
                   where usename = 'stepgate_analyst' and application_name = 'psql'";
        let expected = if encrypted { "t" } else { "f" };
        assert_eq!(world.cluster.psql("shop", sql).unwrap(), expected, "{host} {mode}");
    }
    // What is weaker than it sounds is not on offer.
    for unsafe_mode in ["prefer", "allow", "verify-ca"] {
        std::fs::write(
            world.gate.config(),
            good.replacen("sslmode: disable", &format!("sslmode: {unsafe_mode}"), 1),
        )
        .unwrap();
        world.reload();
        assert!(world.gate.log().contains("sslmode must be verify-full, require or disable"));
    }
}
