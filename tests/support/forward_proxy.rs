//! A forward proxy on the loopback interface: HTTP CONNECT, and plain HTTP as it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What it does with a request that has the right credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// What it is there for.
    Open,
    /// It answers 403.
    Refuse,
    /// It answers nothing.
    Hang,
}

struct State {
    /// The header that is asked for.
    wanted: Option<String>,
    manner: Mutex<Manner>,
    opened: AtomicUsize,
    refused: AtomicUsize,
}

/// A proxy that runs until it is dropped.
pub struct ForwardProxy {
    address: SocketAddr,
    state: Arc<State>,
    running: JoinHandle<()>,
}

impl ForwardProxy {
    /// Starts one that asks for `user:password`, if that is given.
    pub async fn start(auth: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State {
            wanted: auth.map(|auth| format!("Basic {}", STANDARD.encode(auth))),
            manner: Mutex::new(Manner::Open),
            opened: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        Self {
            address: listener.local_addr().unwrap(),
            running: tokio::spawn(run(listener, Arc::clone(&state))),
            state,
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does that.
    pub fn set(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// How many connections it opened.
    pub fn opened(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// How often it asked for other credentials.
    pub fn refused(&self) -> usize {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// Closes every connection and its port.
    pub async fn stop(&mut self) {
        self.running.abort();
        let _ = (&mut self.running).await;
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(listener: TcpListener, state: Arc<State>) {
    // NB: those that are under way end with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, Arc::clone(&state)));
    }
}

async fn serve(mut client: TcpStream, state: Arc<State>) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
        }
        let text = String::from_utf8(head.clone()).unwrap();
        let given = text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization")
                .then_some(value)
        });
        let manner = *state.manner.lock().unwrap();
        if given != state.wanted.as_deref() {
            state.refused.fetch_add(1, Ordering::SeqCst);
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"canary\"\r\ncontent-length: 0\r\n\r\n";
            client.write_all(answer.as_bytes()).await.ok()?;
            continue;
        }
        match manner {
            Manner::Open => {}
            Manner::Hang => std::future::pending().await,
            Manner::Refuse => {
                let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ncanary";
                client.write_all(answer.as_bytes()).await.ok()?;
                continue;
            }
        }
        let mut words = text.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let is_tunnel = method == "CONNECT";
        let host = match target.strip_prefix("http://") {
            Some(rest) if !is_tunnel => rest.split('/').next()?,
            _ => target,
        };
        let mut server = TcpStream::connect(host).await.ok()?;
        state.opened.fetch_add(1, Ordering::SeqCst);
        if is_tunnel {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        } else {
            server.write_all(&head).await.ok()?;
        }
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return Some(());
    }
}
