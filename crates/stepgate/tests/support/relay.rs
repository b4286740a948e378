//! A network between the gate and its server, which may lose what is sent: nothing is closed then, and nothing comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::World;

/// How many bytes of the server's still come through; without a limit.
const FLOWING: usize = usize::MAX;

/// Stands between a gate and its server.
pub(crate) struct Relay {
    left: watch::Sender<usize>,
    address: SocketAddr,
    /// How many connections the gate has made so far.
    made: Arc<AtomicUsize>,
    /// Its threads end with it.
    _runtime: Runtime,
}

impl Relay {
    /// Before that server.
    fn before(port: u16) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (left, flow) = watch::channel(FLOWING);
        let (lefts, made) = (left.clone(), Arc::new(AtomicUsize::new(0)));
        let makes = Arc::clone(&made);
        runtime.spawn(async move {
            while let Ok((gate, _)) = listener.accept().await {
                makes.fetch_add(1, Ordering::SeqCst);
                let (flow, left) = (flow.clone(), lefts.clone());
                tokio::spawn(async move {
                    // The kernel takes connections for a server that has stopped, too.
                    let mut begins = flow.clone();
                    let _ = begins.wait_for(|left| *left > 0).await;
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let ((from_gate, to_gate), (from_server, to_server)) =
                        (gate.into_split(), server.into_split());
                    tokio::spawn(carry(from_gate, to_server, flow.clone(), None));
                    tokio::spawn(carry(from_server, to_gate, flow, Some(left)));
                });
            }
        });
        Self { left, address, made, _runtime: runtime }
    }

    /// Has a gate that does not serve yet reach its server through it.
    pub(crate) fn of(world: &World) -> Self {
        let relay = Self::before(world.cluster.port());
        let to = format!("port: {}", relay.address.port());
        world.edit(&format!("port: {}", world.cluster.port()), &to);
        relay
    }

    /// How many connections the gate has made so far, also those of which nothing has come through.
    pub(crate) fn connections(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// Nothing comes through any more, in either direction.
    pub(crate) fn stop(&self) {
        self.stop_after(0);
    }

    /// The same once so many bytes more of the server's are through.
    pub(crate) fn stop_after(&self, bytes: usize) {
        self.left.send_replace(bytes);
    }

    /// All that was kept back comes through.
    pub(crate) fn flow(&self) {
        self.left.send_replace(FLOWING);
    }
}

/// `counts`: what comes here is what may come no more.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<usize>,
    counts: Option<watch::Sender<usize>>,
) {
    let mut some = vec![0; 16 << 10];
    loop {
        let Ok(left) = flow.wait_for(|left| *left > 0).await.map(|left| *left) else { return };
        let most = if counts.is_some() { left.min(some.len()) } else { some.len() };
        let Ok(read @ 1..) = from.read(some.get_mut(..most).unwrap()).await else { break };
        // It may have stopped while this was waited for.
        if flow.wait_for(|left| *left > 0).await.is_err() {
            return;
        }
        if let Some(left) = &counts {
            left.send_modify(|left| {
                if *left != FLOWING {
                    *left = left.saturating_sub(read);
                }
            });
        }
        if to.write_all(some.get(..read).unwrap()).await.is_err() {
            break;
        }
    }
    let _ = flow.wait_for(|left| *left > 0).await;
    let _ = to.shutdown().await;
}
