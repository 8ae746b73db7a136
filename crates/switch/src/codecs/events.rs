//! Telephone events in descriptions: each side has a number and a range of its own (`MED-18`, `MED-19`).

use super::{format_named, is_about, name_of};
use media::{DigitRules, Method};
use params::{DtmfMethod, DtmfReceive, Params};
use vocab::MediaDescription;
use vocab::session::Attribute;

pub(super) const NAME: &str = "TELEPHONE-EVENT";
/// RFC 4733 §3.2: digits and flash.
const RANGE: &str = "0-16";

/// A gateway's settings of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    receive: DtmfReceive,
    listens: bool,
    send: DtmfMethod,
    payload_type: u8,
    /// Events are offered only when the other side has them.
    peer_ability: bool,
    /// The peer says that it takes INFO.
    pub takes_info: bool,
}

impl Digits {
    pub fn of(params: &Params) -> Digits {
        Digits {
            receive: params.dtmf_receive,
            listens: params.dtmf_inband,
            send: params.dtmf_send,
            payload_type: params.dtmf_payload,
            peer_ability: params.dtmf_peer_ability,
            takes_info: false,
        }
    }

    /// Digits may have to be converted, which needs the relay.
    pub fn needs_relay(&self) -> bool {
        self.listens || self.send != DtmfMethod::Auto || self.receive != DtmfReceive::All
    }

    pub fn takes_events(&self) -> bool {
        matches!(self.receive, DtmfReceive::All | DtmfReceive::Rfc2833)
    }

    /// May this side be told of events, where the other side has them or not?
    fn may_have(&self, other_has: bool) -> bool {
        self.takes_events() && (other_has || !self.peer_ability)
    }

    /// The rules of the media threads, for a peer whose description has events under this number.
    pub fn rules(&self, events: &mut Option<u8>, can_make_tones: bool) -> DigitRules {
        let receive = match self.receive {
            DtmfReceive::All => None,
            DtmfReceive::Rfc2833 => Some(Method::Events),
            DtmfReceive::Info => Some(Method::Info),
            DtmfReceive::Inband => Some(Method::Inband),
        };
        let send = match self.send {
            DtmfMethod::Rfc2833 => Method::Events,
            DtmfMethod::Auto if events.is_some() => Method::Events,
            DtmfMethod::Inband if can_make_tones => Method::Inband,
            DtmfMethod::Auto if !self.takes_info && can_make_tones => Method::Inband,
            DtmfMethod::Auto | DtmfMethod::InfoRelay | DtmfMethod::Info | DtmfMethod::Inband => Method::Info,
        };
        if send == Method::Events {
            events.get_or_insert(self.payload_type);
        }
        DigitRules { receive, listens: self.listens, send }
    }
}

/// The number of events in a description.
pub(super) fn number(media: &MediaDescription) -> Option<u8> {
    format_named(media, NAME).and_then(|f| f.parse().ok()).filter(|n| *n < 128)
}

/// An offer to a gateway: its number and range in place of the offerer's, if it is to have events.
pub(super) fn offer(media: &mut MediaDescription, digits: &Digits) {
    let theirs = number(media);
    let clock = clock(media);
    remove(media);
    if digits.may_have(theirs.is_some()) {
        let taken = |n: &u8| media.formats.iter().any(|f| *f == n.to_string());
        let mut free = std::iter::once(digits.payload_type).chain(theirs).chain(96..=127);
        if let Some(own) = free.find(|n| !taken(n)) {
            add(media, own, clock);
        }
    }
}

/// An answer to a gateway that offered `theirs`: under its number, when it has events and may use them.
pub(super) fn answer(media: &mut MediaDescription, theirs: &MediaDescription, digits: &Digits) {
    let answered = number(media).is_some();
    let clock = clock(media);
    remove(media);
    if let Some(own) = number(theirs).filter(|_| digits.may_have(answered)) {
        add(media, own, clock);
    }
}

/// RFC 4733 §2.1: events have the clock of the speech. 8000 Hz, unless all codecs have another one.
fn clock(media: &MediaDescription) -> u32 {
    let voices = media.formats.iter().filter(|f| name_of(media, f).is_none_or(|name| super::is_voice(&name)));
    let mut clocks = voices.map(|f| {
        let mapped = media.attributes.iter().find(|a| a.name == "rtpmap" && is_about(a, f));
        let rate = mapped.and_then(|a| a.value.as_deref()?.split('/').nth(1)?.trim().parse().ok());
        rate.unwrap_or(8000)
    });
    let first = clocks.next().unwrap_or(8000);
    if clocks.all(|c| c == first) { first } else { 8000 }
}

fn remove(media: &mut MediaDescription) {
    let gone: Vec<_> =
        media.formats.iter().filter(|f| name_of(media, f).as_deref() == Some(NAME)).cloned().collect();
    media.formats.retain(|f| !gone.contains(f));
    media.attributes.retain(|a| {
        !matches!(a.name.as_str(), "rtpmap" | "fmtp") || !gone.iter().any(|number| is_about(a, number))
    });
}

fn add(media: &mut MediaDescription, number: u8, clock: u32) {
    let attribute = |name: &str, value: String| Attribute { name: name.into(), value: Some(value.into()) };
    media.formats.push(number.to_string().into());
    // Behind the other lines about formats.
    let about = |a: &Attribute| matches!(a.name.as_str(), "rtpmap" | "fmtp");
    let place = media.attributes.iter().rposition(about).map_or(0, |last| last + 1);
    let lines = [
        attribute("rtpmap", format!("{number} telephone-event/{clock}")),
        attribute("fmtp", format!("{number} {RANGE}")),
    ];
    media.attributes.splice(place..place, lines);
}
