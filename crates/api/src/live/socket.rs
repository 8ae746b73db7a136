//! One client of the live WebSocket.

use crate::live::pulse::Beat;
use crate::live::view::View;
use crate::resources::live::{LiveCommand, LiveError, LiveTotals};
use crate::resources::overview::main_currency;
use crate::rights::{Action, Area, Right};
use crate::server::Api;
use crate::sign_in::{self, Caller};
use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What whoever looks on must be allowed.
const SEEING: Right = Right(Area::Calls, Action::View);
/// Views of one client.
const MAX_VIEWS: usize = 16;
/// A client that takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a connection is over. The client comes back if it wants to.
struct Over;

struct Client {
    api: Api,
    socket: WebSocket,
    views: BTreeMap<u32, View>,
}

/// Speaks with one client until it leaves, stops listening, or signs out.
pub(crate) async fn attend(api: Api, socket: WebSocket, caller: Caller) {
    let mut pulse = api.pulse.listen();
    let mut client = Client { api, socket, views: BTreeMap::new() };
    if client.send_totals().await.is_err() {
        return;
    }
    loop {
        let beat = *pulse.borrow();
        let done = tokio::select! {
            message = client.socket.recv() => client.receive(message, beat).await,
            changed = pulse.changed() => match changed {
                Ok(()) if sign_in::still_valid(&client.api, &caller, SEEING).await => {
                    let beat = *pulse.borrow_and_update();
                    client.draw_all(beat).await
                }
                Ok(()) | Err(_) => Err(Over),
            },
        };
        if done.is_err() {
            return;
        }
    }
}

impl Client {
    async fn receive(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        beat: Beat,
    ) -> Result<(), Over> {
        match message {
            Some(Ok(Message::Text(text))) => self.obey(&text, beat).await,
            // Pings are answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_) | Message::Close(_))) | Some(Err(_)) | None => Err(Over),
        }
    }

    async fn obey(&mut self, text: &str, beat: Beat) -> Result<(), Over> {
        match serde_json::from_str(text) {
            Ok(LiveCommand::Drop { id }) => {
                self.views.remove(&id);
                Ok(())
            }
            Ok(LiveCommand::View(asked)) => {
                let id = asked.id;
                let before = self.views.remove(&id);
                if id == 0 || self.views.len() >= MAX_VIEWS {
                    return self
                        .refuse(id, format!("a view has an id from 1; there may be {MAX_VIEWS} of them"))
                        .await;
                }
                match View::new(asked, before) {
                    Ok(Some(view)) => {
                        self.views.insert(id, view);
                        self.draw(id, beat).await
                    }
                    Ok(None) => self.send_totals().await,
                    Err(words) => self.refuse(id, words).await,
                }
            }
            Err(error) => self.refuse(0, error.to_string()).await,
        }
    }

    async fn draw_all(&mut self, beat: Beat) -> Result<(), Over> {
        self.send_totals().await?;
        let ids: Vec<u32> = self.views.keys().copied().collect();
        for id in ids {
            self.draw(id, beat).await?;
        }
        Ok(())
    }

    async fn draw(&mut self, id: u32, beat: Beat) -> Result<(), Over> {
        let Some(view) = self.views.get_mut(&id) else { return Ok(()) };
        let frame = view.draw(&self.api, beat, &self.api.orders);
        self.send(&frame).await
    }

    async fn send_totals(&mut self) -> Result<(), Over> {
        let now = self.api.now();
        let currency = main_currency(&self.api.store.config());
        let mut totals = self.api.board.totals(now, currency);
        totals.alarms = self.api.brain.open_alarms();
        let point = self.api.board.last_point(now, currency);
        self.send(&LiveTotals { id: 0, t: now.into(), totals, point }).await
    }

    async fn refuse(&mut self, id: u32, words: String) -> Result<(), Over> {
        let error = words.chars().take(400).collect();
        self.send(&LiveError { id, t: self.api.now().into(), error }).await
    }

    async fn send(&mut self, frame: &impl Serialize) -> Result<(), Over> {
        let text = serde_json::to_string(frame).map_err(|_| Over)?;
        let sending = self.socket.send(Message::Text(Utf8Bytes::from(text)));
        match tokio::time::timeout(PATIENCE, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}
