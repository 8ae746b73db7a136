//! SIP as text: messages, URIs, session descriptions, streams.

use sip::framing::{Frame, Framer};
use sip::header::{self, NameAddr, RAck, Via};
use sip::message::HeaderName;
use sip::uri::{self, Uri};
use sip::{Message, peek, sdp};

/// One datagram. What we print of it reads back the same.
pub fn message(bytes: &[u8]) {
    let _ = peek(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    let sound = message.check().is_ok();
    look_at(&message);
    let printed = message.print();
    let again = Message::parse(&printed).expect("what is printed can be read");
    assert_eq!(again.print(), printed, "printed twice");
    assert_eq!(again.body(), message.body());
    assert_eq!(own_fields(&again), own_fields(&message));
    assert!(!sound || again.check().is_ok(), "sound before, then {:?}", again.check());
}

fn own_fields<'m>(message: &'m Message<'_>) -> Vec<(&'m str, &'m str)> {
    let fields = message.fields().filter(|(id, _, _)| *id != HeaderName::ContentLength);
    fields.map(|(_, name, value)| (name, value)).collect()
}

fn look_at(message: &Message) {
    let _ = (message.method(), message.top_via().and_then(|v| v.branch()), message.cseq());
    let _ = (header::reason(message), header::retry_after(message), header::contacts(message));
    let parties = [message.from(), message.to()];
    parties.iter().flatten().for_each(|party| {
        let _ = (party.tag(), party.display_name());
    });
    let _ = message.get(HeaderName::RAck).and_then(RAck::parse);
    for name in
        [HeaderName::Route, HeaderName::RecordRoute, HeaderName::Contact, HeaderName::AssertedIdentity]
    {
        message.list(name).filter_map(NameAddr::parse).for_each(|n| drop(n.display_name()));
    }
}

/// One URI or address.
pub fn uri(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (uri::host_and_port(text), Via::parse(text), NameAddr::parse(text).map(|n| n.display_name()));
    let mut escaped = String::new();
    uri::escape_user(&mut escaped, text);
    assert_eq!(uri::unescape(&escaped), text, "an escaped text comes back");
    let Some(uri) = Uri::parse(text) else { return };
    let user = uri.user_unescaped();
    let _ = (uri.host_ip(), uri.port(), uri.param("transport"), uri.param("lr"));
    // A user part that we write into a URI of ours is read back by the next switch as the same one.
    let mut ours = "sip:".to_owned();
    uri::escape_user(&mut ours, &user);
    ours.push_str("@192.0.2.1");
    let again = Uri::parse(&ours).expect("our own URI can be read");
    assert_eq!(uri::unescape(again.user().unwrap_or_default()), user);
}

/// One session description.
pub fn session_description(bytes: &[u8]) {
    let Ok(session) = sdp::parse(bytes) else { return };
    for (index, stream) in session.media.iter().enumerate() {
        let _ = (session.media_address(index), session.media_direction(index), stream.first_codec());
    }
    let printed = sdp::print(&session, 1, 1);
    let again = sdp::parse(printed.as_bytes()).expect("what is printed can be read");
    assert_eq!(sdp::print(&again, 1, 1), printed, "printed twice");
    assert_eq!(again.media.len(), session.media.len());
}

/// A stream, whole and byte by byte: the same messages.
pub fn stream(bytes: &[u8]) {
    let whole = cut(bytes, bytes.len().max(1));
    assert_eq!(cut(bytes, 1), whole, "byte by byte");
    assert_eq!(cut(bytes, 7), whole, "in sevens");
}

/// The messages, and whether the stream was given up.
fn cut(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut framer, mut buffer, mut messages) = (Framer::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match framer.next(&buffer) {
                Frame::NeedMore => break,
                Frame::KeepAlive { length, .. } => drop(buffer.drain(..length)),
                Frame::Message { length } => messages.push(buffer.drain(..length).collect()),
                Frame::Broken => return (messages, true),
            }
        }
    }
    (messages, false)
}
