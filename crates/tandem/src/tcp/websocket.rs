//! SIP over WebSocket (RFC 7118): one message of the one is one message of the other.

use super::{Connection, LAST_WORDS, Shared, overrun};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// RFC 7118 §4.
const PROTOCOL: &str = "sip";
const PROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";
/// The longest head and the longest body that are read from any peer.
const LONGEST: usize = sip::message::MAX_HEAD + sip::message::MAX_BODY;

/// Opens the WebSocket that an HTTP request asks for.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<WebSocketStream<S>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST))
        .max_frame_size(Some(LONGEST));
    let opened = tokio_tungstenite::accept_hdr_async_with_config(stream, speak_sip, Some(config)).await;
    opened.map_err(io::Error::other)
}

/// RFC 7118 §4.1: who does not speak SIP is not let in.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn speak_sip(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all(PROTOCOL_HEADER).iter().filter_map(|v| v.to_str().ok());
    if offered.flat_map(|v| v.split(',')).any(|p| p.trim().eq_ignore_ascii_case(PROTOCOL)) {
        response.headers_mut().insert(PROTOCOL_HEADER, HeaderValue::from_static(PROTOCOL));
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some("expected the WebSocket protocol \"sip\"\n".into()));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

/// A connection's life once it is open.
pub(super) async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    connection: &Connection,
    queue: mpsc::Receiver<Vec<u8>>,
    stream: WebSocketStream<S>,
) {
    let (mut to, mut from) = stream.split();
    tokio::select! {
        () = read(shared, connection, &mut from) => {}
        () = write(connection, queue, &mut to) => {}
    }
    let _ = timeout(LAST_WORDS, to.close()).await;
}

/// Until the peer closes, breaks the protocol, or keeps us waiting.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    connection: &Connection,
    stream: &mut SplitStream<WebSocketStream<S>>,
) {
    let idle = Duration::from_secs(shared.limits.idle_timeout_s.max(1));
    let message_time = Duration::from_secs(shared.limits.message_timeout_s.max(1));
    // Whom we do not know has not come to be silent.
    let mut wait = if connection.stranger { message_time } else { idle };
    loop {
        let until = Instant::now() + wait;
        let bytes = loop {
            match timeout_at(until, stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => break text.as_bytes().to_vec(),
                Ok(Some(Ok(Message::Binary(bytes)))) => break bytes.to_vec(),
                // Pings are answered by the library. An idle browser that sends some is there all the same.
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) if !connection.stranger => {
                    break Vec::new();
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return,
            }
        };
        // RFC 7118 §6: some keep the way open as over TCP (RFC 5626 §3.5.1).
        if bytes.iter().all(|b| b"\r\n".contains(b)) {
            if bytes.len() >= 4 {
                connection.send(b"\r\n".to_vec());
            }
            continue;
        }
        wait = idle;
        shared.deliver(connection, bytes).await;
    }
}

/// Until the peer no longer takes what is written.
async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &Connection,
    mut queue: mpsc::Receiver<Vec<u8>>,
    stream: &mut SplitSink<WebSocketStream<S>, Message>,
) {
    while let Some(bytes) = queue.recv().await {
        let length = bytes.len();
        let message = match String::from_utf8(bytes) {
            Ok(text) => Message::text(text),
            Err(error) => Message::binary(error.into_bytes()),
        };
        tokio::select! {
            biased;
            sent = stream.send(message) => if sent.is_err() { return },
            () = overrun(connection) => return,
        }
        if connection.overrun() {
            return;
        }
        connection.queued_bytes.fetch_sub(length, Ordering::Relaxed);
    }
}
