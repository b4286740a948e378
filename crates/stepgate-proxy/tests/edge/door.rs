//! A gate with nothing behind it: it lets people in, tells them so, and closes.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use stepgate_proxy::{
    Admitted, AuthenticateError, Challenge, Client, People, ServerTls, admit, authenticate,
};
use stepgate_store::{ScramSecret, Secret};
use stepgate_testkit::Binaries;
use stepgate_types::SqlState;
use stepgate_wire::Problem;
use stepgate_wire::startup::CancelKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A password of dana's that a login had minted.
pub(crate) const MINTED: &str = "sgp_minted";

/// Dana, whose password is `correct horse`, and nobody else.
pub(crate) struct OnlyDana;

impl People for OnlyDana {
    fn challenge(&self, name: &str) -> Challenge {
        match name {
            "dana" => {
                let secret = |minted: Option<&str>, password| Secret {
                    minted: minted.map(str::to_owned),
                    scram: ScramSecret::new(password, b"0123456789abcdef"),
                };
                let more = [secret(Some("one"), MINTED), secret(Some("two"), "sgp_other")];
                let secrets = [secret(None, "correct horse")].into_iter().chain(more);
                Challenge::Person("dana".parse().unwrap(), secrets.collect())
            }
            _ => Challenge::Nobody(ScramSecret::new("whatever", b"fedcba9876543210")),
        }
    }
}

/// What came to the door.
#[derive(Debug)]
pub(crate) enum Came {
    In { secure: bool, minted: Option<String>, certificate: bool, settings: Vec<(String, String)> },
    Cancel(CancelKey),
    NotAdmitted(String),
    NotAuthenticated(AuthenticateError),
}

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) came: mpsc::Receiver<Came>,
}

impl Door {
    /// Opens it; everybody seems to come from `seen_as` if given.
    pub(crate) async fn open(tls: Option<ServerTls>, seen_as: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, came) = mpsc::channel(64);
        let tls = tls.map(Arc::new);
        tokio::spawn(async move {
            loop {
                let (tcp, peer) = listener.accept().await.unwrap();
                let (tell, tls) = (tell.clone(), tls.clone());
                tokio::spawn(async move {
                    let what = match admit(tcp, seen_as.unwrap_or(peer), tls.as_deref()).await {
                        Ok(Admitted::Session(client)) => welcome(*client, tls.as_deref()).await,
                        Ok(Admitted::Cancel(key, mut stream)) => {
                            stream.shutdown().await.unwrap();
                            Came::Cancel(key)
                        }
                        Err(error) => Came::NotAdmitted(error.to_string()),
                    };
                    // The test may have seen enough already.
                    let _ = tell.send(what).await;
                });
            }
        });
        Self { address, came }
    }

    /// psql without anybody's settings, over TCP to this door.
    pub(crate) async fn psql(&self, connection: &str, password: &str) -> Output {
        let connection = format!("host=127.0.0.1 port={} dbname=shop {connection}", self.address.port());
        let mut psql = Command::new(Binaries::find().unwrap().path("psql"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                psql.env_remove(name);
            }
        }
        psql.env("PGPASSWORD", password).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        psql.args(["-X", "-w", "-d", &connection, "-c", "select 1"]);
        tokio::task::spawn_blocking(move || psql.output().unwrap()).await.unwrap()
    }

    pub(crate) async fn next(&mut self) -> Came {
        tokio::time::timeout(std::time::Duration::from_secs(30), self.came.recv()).await.unwrap().unwrap()
    }
}

async fn welcome(mut client: Client, tls: Option<&ServerTls>) -> Came {
    match authenticate(&mut client, &OnlyDana, tls).await {
        Ok(who) => {
            let secure = client.stream.is_secure();
            let bye = Problem::fatal(SqlState::CANNOT_CONNECT_NOW, format!("welcome {}", who.person));
            client.stream.write_all(&bye.fatal_bytes()).await.unwrap();
            client.stream.shutdown().await.unwrap();
            let certificate = who.certificate_sha256.is_some();
            Came::In { secure, minted: who.minted, certificate, settings: client.opening.settings }
        }
        Err(error) => Came::NotAuthenticated(error),
    }
}
