//! Debian's rsyslog with GnuTLS as a receiver (`tests/tools/receivers.sh` fetches it).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stepgate_testkit::{Supervised, until};

use crate::support::{SOON, World, repository};

/// Its files, where it was unpacked.
fn installed() -> Option<(PathBuf, PathBuf)> {
    let root = repository().join(".work/rsyslog/usr");
    let libraries = std::fs::read_dir(root.join("lib")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = libraries.into_iter().find(|path| path.join("rsyslog/lmnsd_gtls.so").exists())?;
    let program = root.join("sbin/rsyslogd");
    program.exists().then_some((program, libraries))
}

fn start(program: &Path, libraries: &Path, directory: &Path) -> Supervised {
    Supervised::builder(program, &directory.join("rsyslog.log"))
        .args(["-n", "-f"])
        .arg(directory.join("rsyslog.conf"))
        .arg("-i")
        .arg(directory.join("rsyslog.pid"))
        .arg("-M")
        .arg(libraries.join("rsyslog"))
        .env("LD_LIBRARY_PATH", libraries)
        .spawn()
        .unwrap()
}

#[test]
fn rsyslog_reads_every_record_also_when_it_is_restarted_meanwhile() {
    let Some((program, libraries)) = installed() else {
        stepgate_testkit::skip("rsyslog", "tests/tools/receivers.sh");
        return;
    };
    let mut world = World::not_serving(|text| text);
    let [cert, key, ca] = world.certificate();
    let port = stepgate_testkit::free_port().unwrap();
    let directory = world.tree.path().join("rsyslog");
    std::fs::create_dir(&directory).unwrap();
    let out = directory.join("out");
    let config = format!(
        "global(workDirectory=\"{dir}\" maxMessageSize=\"64k\" DefaultNetstreamDriver=\"gtls\"
       DefaultNetstreamDriverCAFile=\"{ca}\" DefaultNetstreamDriverCertFile=\"{cert}\"
       DefaultNetstreamDriverKeyFile=\"{key}\")
module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")
input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")
template(name=\"told\" type=\"string\" string=\"%pri%|%app-name%|%msgid%|%structured-data%|%msg%\\n\")
action(type=\"omfile\" file=\"{out}\" template=\"told\")
",
        dir = directory.display(),
        ca = ca.display(),
        cert = cert.display(),
        key = key.display(),
        out = out.display(),
    );
    std::fs::write(directory.join("rsyslog.conf"), config).unwrap();
    world.audit(&format!("  sinks:\n    siem: {{syslog: \"localhost:{port}\", ca: {}}}", ca.display()));
    let mut rsyslog = start(&program, &libraries, &directory);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for round in 0..4 {
        for _ in 0..50 {
            assert!(psql.run("select count(*) from customers;").unwrap().is_ok());
        }
        if round < 3 {
            rsyslog.signal("TERM").unwrap();
            rsyslog.exit_status(SOON).unwrap();
            rsyslog = start(&program, &libraries, &directory);
        }
    }
    let end = world.delivered();
    let read = || {
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        let seq = |line: &str| {
            let (before, record) = line.split_once("]|").unwrap();
            let record: serde_json::Value = serde_json::from_str(record.trim()).unwrap();
            let words: Vec<_> = before.split('|').collect();
            assert_eq!((words[0], words[1], words[2]), ("110", "stepgate", record["type"].as_str().unwrap()));
            let seq = record["seq"].as_u64().unwrap();
            assert!(words[3].ends_with(&format!("seq=\"{seq}\"")), "{}", words[3]);
            seq
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| line.contains("[stepgate@")).map(seq).collect::<BTreeSet<u64>>()
    };
    until("rsyslog to have written all", SOON, || read().last() == Some(&(end - 1)))
        .unwrap_or_else(|error| panic!("{error}: {:?} of {end}", read().last()));
    let read = read();
    let first = *read.first().unwrap();
    assert!(first < 10, "{first}");
    assert_eq!(u64::try_from(read.len()).unwrap(), end - first, "some are missing of {first}..{end}");
    assert!(end > 400);
}
