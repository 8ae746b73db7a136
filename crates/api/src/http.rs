//! HTTP connections: how many there are, and how long one may take to say what it wants (`R-75`).

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// Connections at a time: those of SIP and the journal need file handles too. One more waits until another has ended.
const CONNECTIONS: u32 = 1000;
/// After an accept that failed, for want of file handles mostly.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` is done; requests under way still get their answers. A connection that says nothing, or not all
/// of its headers, for `header_time` is closed.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    header_time: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let (ending, end) = watch::channel(());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_time);
    tokio::pin!(stop);
    loop {
        let (stream, remote, permit) = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = &mut stop => break,
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(remote));
            router.clone().oneshot(request)
        });
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut end = end.clone();
        tokio::spawn(async move {
            tokio::pin!(connection);
            let done = tokio::select! {
                done = &mut connection => done,
                _ = end.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = done {
                tracing::debug!(%remote, %error, "an HTTP connection broke off");
            }
            drop(permit);
        });
    }
    let _ = ending.send(());
    // When all have ended, all the room is free.
    let _ = room.acquire_many(CONNECTIONS).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // Nobody closes the semaphore.
    let permit = room.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                // Without it an answer would wait for the acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                return (stream, remote, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
