//! What stands below HTTP: bytes on a socket, some of which never make a request.

use crate::live::serve;
use crate::support::World;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// All that the server says until it closes the connection.
async fn told(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    // A reset is an end too.
    let _ = end.expect("the connection is closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn say(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Refused in the middle when it is too long.
    let _ = stream.write_all(bytes).await;
    stream
}

async fn answer(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = say(address, bytes).await;
    told(&mut stream).await
}

/// connections that send nothing, or a header without end, are closed in time; others are served meanwhile.
#[tokio::test]
async fn headers_that_never_end_are_waited_for_no_longer_than_allowed() {
    let world = World::new();
    let address = serve(&world).await;
    let mut slow = Vec::new();
    for n in 0..40 {
        let begun: &[u8] =
            if n % 2 == 0 { b"" } else { b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nX-Slow: " };
        slow.push(say(address, begun).await);
    }
    let whole =
        answer(address, b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(whole.starts_with("HTTP/1.1 200") || whole.starts_with("HTTP/1.1 401"), "{whole}");
    for stream in &mut slow {
        // A byte now and then gives no more time.
        let _ = stream.write_all(b"x").await;
        let words = told(stream).await;
        assert!(words.is_empty() || words.starts_with("HTTP/1.1 408"), "{words}");
    }
}

/// header bombs and requests that two readers would cut differently are refused, never with a 500.
#[tokio::test]
async fn bad_requests_are_refused_before_they_are_read() {
    let world = World::new();
    let address = serve(&world).await;
    let request = |headers: &str, body: &str| {
        format!("POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}")
    };
    let cases = [
        ("one header of 1 MB", request(&format!("X: {}\r\n", "x".repeat(1 << 20)), "")),
        ("10,000 headers", request(&"X: y\r\n".repeat(10_000), "")),
        ("two lengths", request("Content-Length: 2\r\nContent-Length: 3\r\n", "{}x")),
        ("no number for a length", request("Content-Length: -1\r\n", "{}")),
        ("a length beyond all", request("Content-Length: 99999999999999999999\r\n", "{}")),
        ("chunks of no size", request("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n")),
        ("a header without a colon", request("nonsense\r\n", "")),
        ("a blank before the colon", request("Content-Length : 2\r\n", "{}")),
        ("no HTTP", "\u{16}\u{3}\u{1}\u{2}\0\u{1}".repeat(50)),
    ];
    for (name, bytes) in cases {
        let words = answer(address, bytes.as_bytes()).await;
        let status = words.split(' ').nth(1).unwrap_or_default();
        // 401 is for those that are whole enough to be looked at. No answer at all is a refusal too.
        assert!(words.is_empty() || status.starts_with('4'), "{name}: {words}");
    }
    let both =
        request("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    let words = answer(address, both.as_bytes()).await;
    assert!(words.matches("HTTP/1.1").count() <= 1, "one request, one answer: {words}");
}
