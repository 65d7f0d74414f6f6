//! A relay in front of the simulator that can stop accepting connections, as a server does that is just being restarted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A relay. It ends with its runtime.
pub struct Relay {
    address: SocketAddr,
    target: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listening: CancellationToken,
    open: Vec<CancellationToken>,
}

impl Relay {
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            target,
            state: Arc::default(),
        };
        relay.serve(listener);
        relay
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve(&self, listener: TcpListener) {
        let (state, target) = (Arc::clone(&self.state), self.target);
        let listening = state.lock().unwrap().listening.clone();
        tokio::spawn(listening.run_until_cancelled_owned(async move {
            loop {
                let Ok((mut client, _)) = listener.accept().await else {
                    continue;
                };
                let cut = CancellationToken::new();
                state.lock().unwrap().open.push(cut.clone());
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else {
                        return;
                    };
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }));
            }
        }));
    }

    /// From now on connections are refused. Those that are open are ended, but for the `newest` youngest.
    pub async fn refuse(&self, newest: usize) {
        {
            let mut state = self.state.lock().unwrap();
            state.listening.cancel();
            let old = state.open.len().saturating_sub(newest);
            state.open.drain(..old).for_each(|open| open.cancel());
        }
        // The port is closed when the task that held it was dropped.
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Accepts connections again.
    pub async fn accept(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.state.lock().unwrap().listening = CancellationToken::new();
        self.serve(listener);
    }
}
