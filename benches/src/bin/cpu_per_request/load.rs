//! The client: a fixed number of kept-alive HTTP/1.1 connections, each a closed loop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::call::Call;

/// Open connections to one contender.
#[derive(Debug)]
pub(crate) struct Clients {
    connections: Vec<SendRequest<Full<Bytes>>>,
    call: Arc<Call>,
}

impl Clients {
    /// Opens `count` connections to `entry` and has each make one call.
    ///
    /// # Errors
    /// When a connection cannot be made or its call is not answered rightly.
    pub(crate) async fn open(
        entry: SocketAddr,
        count: u32,
        call: Arc<Call>,
        ids: &AtomicU64,
    ) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(entry).await.context("cannot connect")?;
            stream.set_nodelay(true)?;
            let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
            Handle::current().spawn(driver);
            exchange(&mut connection, &call, ids.fetch_add(1, Ordering::Relaxed)).await?;
            connections.push(connection);
        }
        Ok(Self { connections, call })
    }

    /// Makes `requests` calls over all connections and checks every answer.
    ///
    /// # Errors
    /// At the first call that is not answered rightly.
    pub(crate) async fn run(
        &mut self,
        requests: u32,
        ids: &Arc<AtomicU64>,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let last = ids.load(Ordering::Relaxed) + u64::from(requests);
        let mut loops = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (call, ids) = (Arc::clone(&self.call), Arc::clone(ids));
            loops.spawn(async move {
                loop {
                    let id = ids.fetch_add(1, Ordering::Relaxed);
                    if id >= last {
                        return anyhow::Ok(connection);
                    }
                    exchange(&mut connection, &call, id).await?;
                }
            });
        }
        while let Some(ended) = loops.join_next().await {
            self.connections.push(ended??);
        }
        Ok(begun.elapsed())
    }
}

async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    call: &Call,
    id: u64,
) -> anyhow::Result<()> {
    connection.ready().await?;
    let response = connection.send_request(call.request(id)).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    call.check(id, &head, &body)
}
