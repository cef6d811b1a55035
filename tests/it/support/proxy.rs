//! An HTTP proxy for tunnels (CONNECT), as companies put it before everything that is not theirs. It may listen on addresses of
//! this machine only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that leads every tunnel to one server, and counts them.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens at an address of this machine.
    pub async fn before(address: &str, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let tunnels = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&tunnels);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    if !head.starts_with(b"CONNECT ") {
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { address, tunnels }
    }

    /// Its address, as a URL.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many tunnels it was asked for.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::SeqCst)
    }
}
