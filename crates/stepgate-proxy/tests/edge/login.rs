//! Real psql at the door.

use std::process::Output;

use stepgate_proxy::{AuthenticateError, ClientAuth, ServerTls};

use crate::certificate::Certificate;
use crate::door::{Came, Door, MINTED};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn psql_is_let_in_with_the_right_password_and_told_apart_by_nothing_else() {
    let mut door = Door::open(None, None).await;
    let right = door.psql("user=dana", "correct horse").await;
    assert!(said(&right).contains("FATAL:  stepgate: welcome dana"), "{}", said(&right));
    let came = door.next().await;
    assert!(matches!(&came, Came::In { secure: false, .. }), "{came:?}");

    let minted = door.psql("user=dana", MINTED).await;
    assert!(said(&minted).contains("FATAL:  stepgate: welcome dana"), "{}", said(&minted));
    let came = door.next().await;
    assert!(matches!(&came, Came::In { minted: Some(which), .. } if which == "one"), "{came:?}");

    let wrong = door.psql("user=dana", "wrong horse").await;
    assert!(matches!(door.next().await, Came::NotAuthenticated(AuthenticateError::Failed { .. })));
    assert!(said(&wrong).contains("FATAL:  password authentication failed for user \"dana\""));
    let unknown = door.psql("user=nobody", "correct horse").await;
    assert_eq!(said(&wrong).replace("dana", "nobody"), said(&unknown));
}

#[tokio::test]
async fn psql_binds_its_login_to_the_gates_certificate() {
    let certificate = Certificate::new();
    let mut door = Door::open(Some(certificate.tls()), None).await;
    let strict = format!(
        "user=dana sslmode=verify-full sslrootcert={} channel_binding=require",
        certificate.path().display()
    );
    let output = door.psql(&strict, "correct horse").await;
    assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
    assert!(matches!(door.next().await, Came::In { secure: true, minted: None, .. }));
    let output = door.psql(&strict, MINTED).await;
    assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
    assert!(matches!(door.next().await, Came::In { secure: true, minted: Some(_), .. }));
    let output = door.psql("user=dana sslmode=require channel_binding=disable", "correct horse").await;
    assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
}

#[tokio::test]
async fn both_tls_versions_work_and_the_password_is_checked_over_them() {
    let certificate = Certificate::new();
    let door = Door::open(Some(certificate.tls()), None).await;
    for version in ["TLSv1.2", "TLSv1.3"] {
        let tls = format!(
            "user=dana sslmode=require ssl_min_protocol_version={version} ssl_max_protocol_version={version}"
        );
        let output = door.psql(&tls, "correct horse").await;
        assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
        let output = door.psql(&tls, "wrong").await;
        assert!(said(&output).contains("password authentication failed"), "{}", said(&output));
    }
}

#[tokio::test]
async fn another_machine_must_encrypt_and_is_told_how() {
    let certificate = Certificate::new();
    let afar = "192.0.2.7:5555".parse().unwrap();
    let door = Door::open(Some(certificate.tls()), Some(afar)).await;
    let plain = door.psql("user=dana sslmode=disable", "correct horse").await;
    assert!(said(&plain).contains("FATAL:  stepgate: connections from other machines must be encrypted"));
    assert!(said(&plain).contains("sslmode=verify-full"), "{}", said(&plain));
    let tls = door.psql("user=dana sslmode=require", "correct horse").await;
    assert!(said(&tls).contains("stepgate: welcome dana"), "{}", said(&tls));
}

#[tokio::test]
async fn psqls_options_reach_the_session_or_are_refused() {
    let mut door = Door::open(None, None).await;
    let output = door.psql("user=dana options='-c statement_timeout=5s'", "correct horse").await;
    assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
    let came = door.next().await;
    let Came::In { settings, .. } = came else { panic!("{came:?}") };
    let setting = |name: &str| {
        settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(setting("statement_timeout"), "5s");
    assert_eq!(setting("application_name"), "psql");

    let output = door.psql("user=dana options='-c standard_conforming_strings=off'", "correct horse").await;
    assert!(said(&output).contains("stepgate: setting \"standard_conforming_strings\" cannot be chosen"));
    let output = door.psql("user=dana replication=database", "correct horse").await;
    assert!(said(&output).contains("stepgate: replication connections are not supported"));
}

#[tokio::test]
async fn with_a_client_ca_the_certificate_must_be_good_and_the_persons() {
    let gate = Certificate::new();
    let (dana, olga, stranger) = (
        Certificate::for_names(&["dana"]),
        Certificate::for_names(&["olga"]),
        Certificate::for_names(&["dana"]),
    );
    let both = tempfile::NamedTempFile::new().unwrap();
    let pem = [&dana, &olga].map(|of| std::fs::read_to_string(of.path()).unwrap()).concat();
    std::fs::write(both.path(), pem).unwrap();
    for wanted in [ClientAuth::Require, ClientAuth::Optional] {
        let tls = ServerTls::load(&gate.cert, &gate.key, Some((both.path(), wanted))).unwrap();
        let mut door = Door::open(Some(tls), None).await;
        let with = |shown: &Certificate, person: &str| {
            let (cert, key) = (shown.cert.display(), shown.key.display());
            format!("user={person} sslmode=require sslcert={cert} sslkey={key}")
        };
        for version in ["TLSv1.2", "TLSv1.3"] {
            let tls = format!("{} ssl_max_protocol_version={version}", with(&dana, "dana"));
            let output = door.psql(&tls, "correct horse").await;
            assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
            assert!(matches!(door.next().await, Came::In { certificate: true, .. }));
        }
        // The password is wanted besides.
        let output = door.psql(&with(&dana, "dana"), "wrong horse").await;
        assert!(
            said(&output).contains("password authentication failed for user \"dana\""),
            "{}",
            said(&output)
        );
        assert!(matches!(door.next().await, Came::NotAuthenticated(AuthenticateError::Failed { .. })));
        // Whoever has the password and somebody else's certificate does not learn that it is right.
        for password in ["correct horse", "wrong horse"] {
            let output = door.psql(&with(&olga, "dana"), password).await;
            let expected = "FATAL:  certificate authentication failed for user \"dana\"";
            assert!(said(&output).contains(expected), "{}", said(&output));
            assert!(matches!(door.next().await, Came::NotAuthenticated(AuthenticateError::WrongCertificate)));
        }
        let output = door.psql(&with(&stranger, "dana"), "correct horse").await;
        assert!(
            said(&output).contains("SSL error") && !said(&output).contains("welcome"),
            "{}",
            said(&output)
        );
        assert!(matches!(door.next().await, Came::NotAdmitted(_)));
        for none in ["user=dana sslmode=require sslcert=/nowhere", "user=dana sslmode=disable"] {
            let output = door.psql(none, "correct horse").await;
            let came = door.next().await;
            if wanted == ClientAuth::Require {
                let expected = "FATAL:  connection requires a valid client certificate";
                assert!(said(&output).contains(expected), "{}", said(&output));
                assert!(matches!(came, Came::NotAuthenticated(AuthenticateError::NoCertificate)));
            } else {
                assert!(said(&output).contains("stepgate: welcome dana"), "{}", said(&output));
                assert!(matches!(came, Came::In { certificate: false, .. }));
            }
        }
    }
}
