//! Live views over a real WebSocket.

use crate::support::{World, live_call, record};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use switch::live::{CallState, LiveUpdate, Totals};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use vocab::{CallId, Utc};

struct Tab {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

pub async fn serve(world: &World) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = world.server.clone();
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    address
}

async fn connect(address: SocketAddr, headers: &[(&'static str, String)]) -> Result<Tab, tungstenite::Error> {
    let mut request = format!("ws://{address}/api/v1/live").into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let (socket, _) = tokio_tungstenite::connect_async(request).await?;
    Ok(Tab { socket })
}

impl Tab {
    async fn open(world: &World) -> Tab {
        let address = serve(world).await;
        connect(address, &[("authorization", format!("Bearer {}", world.token))]).await.unwrap()
    }

    async fn say(&mut self, command: Value) {
        self.socket.send(Message::text(command.to_string())).await.unwrap();
    }

    /// The next frame of the view for which this is so.
    async fn until(&mut self, id: u64, so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.socket.next().await.expect("the connection is open").unwrap();
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["id"] == id && so(&frame) {
                return frame;
            }
        }
    }
}

fn ids(frame: &Value) -> String {
    let ids: Vec<&str> =
        frame["rows"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    ids.join(" ")
}

fn begin(world: &World, number: u64, state: CallState) {
    world.board.update(LiveUpdate::Call(Box::new(live_call(number, &format!("44{number}"), state))));
}

#[tokio::test]
async fn a_window_moves_with_the_calls() {
    let world = World::with_business();
    for i in 1..=5 {
        begin(&world, i, CallState::Ringing);
    }
    let mut tab = Tab::open(&world).await;
    tab.say(json!({"op": "view", "id": 1, "topic": "calls", "off": 1, "n": 2})).await;
    let frame = tab.until(1, |_| true).await;
    assert_eq!((ids(&frame).as_str(), &frame["total"], &frame["off"]), ("2 3", &json!(5), &json!(1)));
    assert_eq!((&frame["seq"], &frame["t"]), (&json!(1), &json!("2026-11-22T16:04:33.000Z")));

    begin(&world, 2, CallState::Talking);
    tab.until(1, |f| f["rows"][0]["state"] == "talking").await;
    world.board.update(LiveUpdate::Ended(CallId(1)));
    let frame = tab.until(1, |f| f["total"] == 4).await;
    assert_eq!(ids(&frame), "3 4");

    tab.say(json!({"op": "view", "id": 1, "topic": "calls", "filter": {"state": ["talking", "held"]}, "sort": [["start", "desc"]]})).await;
    let frame = tab.until(1, |f| f["total"] == 1).await;
    assert_eq!(ids(&frame), "2");
    tab.say(json!({"op": "drop", "id": 1})).await;
    tab.say(json!({"op": "view", "id": 2, "topic": "calls", "filter": {"q": "445"}})).await;
    assert_eq!(ids(&tab.until(2, |_| true).await), "5");
}

#[tokio::test]
async fn a_held_view_stands_still() {
    let world = World::with_business();
    for i in 1..=3 {
        begin(&world, i, CallState::Ringing);
    }
    let mut tab = Tab::open(&world).await;
    let view = |hold: bool| json!({"op": "view", "id": 1, "topic": "calls", "sort": [["start", "desc"]], "hold": hold});
    tab.say(view(true)).await;
    assert_eq!(ids(&tab.until(1, |_| true).await), "3 2 1");
    begin(&world, 4, CallState::Ringing);
    begin(&world, 1, CallState::Talking);
    let mut cdr = record(0);
    (cdr.call, cdr.end_reason) = (CallId(2), vocab::EndReason::CalleeBusy);
    world.board.record(Arc::new(cdr));
    world.board.update(LiveUpdate::Ended(CallId(2)));
    let frame = tab.until(1, |f| f["fresh"] == 1 && f["gone"] == json!(["2"])).await;
    assert_eq!((ids(&frame).as_str(), &frame["total"]), ("3 2 1", &json!(3)));
    assert_eq!(
        (&frame["rows"][1]["state"], &frame["rows"][1]["end_reason"]),
        (&json!("ended"), &json!("callee_busy"))
    );
    assert_eq!(frame["rows"][2]["state"], "talking", "values still move");
    tab.say(view(false)).await;
    let frame = tab.until(1, |f| f["fresh"] == 0).await;
    assert_eq!((ids(&frame).as_str(), &frame["gone"]), ("4 3 1", &json!([])));
}

#[tokio::test]
async fn totals_and_the_tail() {
    let world = World::with_business();
    let mut tab = Tab::open(&world).await;
    assert_eq!(tab.until(0, |_| true).await["totals"]["calls"], 0);
    world.board.update(LiveUpdate::Totals(Totals {
        at: Utc(crate::support::NOW),
        calls: 42,
        ..Totals::default()
    }));
    tab.until(0, |f| f["totals"]["calls"] == 42).await;
    tab.say(json!({"op": "view", "id": 7, "topic": "cdr-tail", "n": 2})).await;
    assert_eq!(tab.until(7, |_| true).await["total"], 0);
    for i in 0..300 {
        world.board.record(Arc::new(record(i)));
    }
    let frame = tab.until(7, |f| f["total"] == 200).await;
    assert_eq!(frame["rows"][0]["start"], "2026-11-22T16:04:33.299Z");
    assert_eq!(frame["rows"].as_array().unwrap().len(), 2);
    let frame = tab.until(0, |f| f["totals"]["attempts"] == 300).await;
    assert_eq!(frame["totals"]["revenue"], "9.90");
}

#[tokio::test]
async fn nonsense_is_answered_and_the_connection_lives_on() {
    let world = World::with_business();
    let mut tab = Tab::open(&world).await;
    for (command, id) in [
        (json!({"op": "dance"}), 0),
        (json!({"op": "view", "id": 1}), 0),
        (json!({"op": "view", "id": 0, "topic": "calls"}), 0),
        (json!({"op": "view", "id": 3, "topic": "calls", "n": 201}), 3),
        (json!({"op": "view", "id": 3, "topic": "calls", "sort": [["colour", "asc"]]}), 3),
        (json!({"op": "view", "id": 3, "topic": "calls", "filter": {"colour": "red"}}), 3),
        (json!({"op": "view", "id": 3, "topic": "calls", "colour": 1}), 0),
    ] {
        tab.say(command.clone()).await;
        let frame = tab.until(id, |f| f["error"].is_string()).await;
        assert!(!frame["error"].as_str().unwrap().is_empty(), "{command}");
    }
    for id in 1..=17 {
        tab.say(json!({"op": "view", "id": id, "topic": "calls"})).await;
    }
    tab.until(17, |f| f["error"].is_string()).await;
    tab.until(16, |f| f["total"] == 0).await;
}

#[tokio::test]
async fn strangers_and_other_sites_hear_nothing() {
    let world = World::with_business();
    let address = serve(&world).await;
    let cookie = format!("tandem_session={}", world.token);
    let own = format!("http://{address}");
    let table: &[(&[(&'static str, String)], bool)] = &[
        (&[], false),
        (&[("cookie", "tandem_session=00".to_string())], false),
        (&[("cookie", cookie.clone()), ("origin", "http://evil.test".to_string())], false),
        (&[("cookie", cookie.clone()), ("origin", own)], true),
    ];
    for (headers, open) in table {
        assert_eq!(connect(address, headers).await.is_ok(), *open, "{headers:?}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_views() {
    let world = World::with_business();
    let mut tab = Tab::open(&world).await;
    tab.until(0, |_| true).await;
    world.ask("DELETE", "/session").send().await.expect(204);
    while let Some(Ok(message)) = tab.socket.next().await {
        if matches!(message, Message::Close(_)) {
            break;
        }
    }
}
