//! Which codecs cross from one side to the other, and what answers mean (`MED-10`, `MED-12`).
//!
//! An offer goes on with the codecs that both gateways' settings let through, and, where conversion is permitted, with
//! those that we can make of them. The answer decides: a codec that the offerer has too is used as it is, another one
//! is converted. Only the first audio stream is looked at; with default settings nothing is touched.

pub(crate) mod events;

use codec::Kind;
use events::Digits;
use media::{Coding, JitterRules};
use params::{CodecMode, JitterMode, Params};
use vocab::session::Attribute;
use vocab::{MediaDescription, SessionDescription};

/// No codec may be used that both sides have (488).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch;

/// A gateway's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    mode: CodecMode,
    /// Encoding names in order; empty: any.
    codecs: Vec<String>,
    conversion: bool,
    gain_db: i8,
    jitter: JitterRules,
    pub digits: Digits,
}

impl Rules {
    pub fn of(params: &Params) -> Rules {
        Rules {
            mode: params.sip_codec_mode,
            codecs: params.codec_names(),
            conversion: params.codec_conversion,
            gain_db: params.voicegain_db,
            jitter: JitterRules {
                adaptive: params.jitterbuffer_mode == JitterMode::Adaptive,
                min_ms: params.jitterbuffer_min_ms,
                max_ms: params.jitterbuffer_max_ms,
                start_ms: params.jitterbuffer_default_ms,
            },
            digits: Digits::of(params),
        }
    }

    fn plain(&self) -> bool {
        self.mode == CodecMode::Auto && self.codecs.is_empty() && !self.conversion
    }

    fn specified(&self) -> Option<&str> {
        (self.mode == CodecMode::Specified).then(|| self.codecs.first().map(String::as_str)).flatten()
    }

    /// Of these names those that may be used on this side, in its order.
    fn admit(&self, offered: &[String]) -> Vec<String> {
        let has = |name: &&str| offered.iter().any(|o| o == name);
        match self.specified() {
            Some(only) => Some(only).filter(has).map(str::to_owned).into_iter().collect(),
            None if self.codecs.is_empty() => offered.to_vec(),
            None => self.codecs.iter().map(String::as_str).filter(has).map(str::to_owned).collect(),
        }
    }

    /// What may be used on this side besides, made by conversion.
    fn convertible(&self) -> Vec<String> {
        let known = |name: &String| Kind::from_name(name).is_some();
        match self.specified() {
            Some(only) => vec![only.to_owned()].into_iter().filter(known).collect(),
            // G.711 first: what nearly everybody has, and what costs least.
            None if self.codecs.is_empty() => {
                [Kind::Pcma, Kind::Pcmu, Kind::G729, Kind::G722].map(|k| k.name().to_owned()).to_vec()
            }
            None => self.codecs.iter().filter(|name| known(name)).cloned().collect(),
        }
    }
}

/// May speech be converted between two gateways, if it is relayed? Both must allow it, or both say what they want.
pub(crate) fn may_convert(a: &Rules, b: &Rules) -> bool {
    (a.conversion && b.conversion) || (a.specified().is_some() && b.specified().is_some())
}

/// The two sides of an exchange of descriptions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a> {
    pub offerer: &'a Rules,
    pub answerer: &'a Rules,
    pub relayed: bool,
}

/// An answer as it goes to the offerer, and how each side's speech is carried when it must be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub answer: SessionDescription,
    /// Of offerer and answerer.
    pub codings: Option<(Coding, Coding)>,
}

impl Sides<'_> {
    fn plain(&self) -> bool {
        self.offerer.plain() && self.answerer.plain()
    }

    fn converts(&self) -> bool {
        self.relayed && may_convert(self.offerer, self.answerer)
    }

    /// The offer as it goes to the answerer.
    pub fn offer(&self, offer: &SessionDescription) -> Result<SessionDescription, Mismatch> {
        let Some((index, theirs)) = speech(offer) else { return Ok(offer.clone()) };
        let mut out = offer.clone();
        let Some(media) = out.media.get_mut(index) else { return Ok(out) };
        if !self.plain() {
            select(media, &self.wanted(theirs)?);
        }
        if self.relayed {
            events::offer(media, &self.answerer.digits);
        }
        Ok(out)
    }

    /// The codecs that the answerer is to be offered.
    fn wanted(&self, theirs: &MediaDescription) -> Result<Vec<String>, Mismatch> {
        let admitted = self.offerer.admit(&voices(theirs));
        let mut wanted = self.answerer.admit(&admitted);
        if self.converts() && admitted.iter().any(|name| Kind::from_name(name).is_some()) {
            let more = self.answerer.convertible().into_iter().filter(|name| !wanted.contains(name));
            wanted.extend(more.collect::<Vec<_>>());
        }
        if wanted.is_empty() { Err(Mismatch) } else { Ok(wanted) }
    }

    /// What an answer to `offer` (as the offerer sent it) makes of it.
    pub fn answer(&self, offer: &SessionDescription, answer: &SessionDescription) -> Agreement {
        self.agree(offer, answer).unwrap_or_else(|| Agreement { answer: answer.clone(), codings: None })
    }

    /// `None`: there is nothing to be said about codecs.
    fn agree(&self, offer: &SessionDescription, answer: &SessionDescription) -> Option<Agreement> {
        let (index, theirs) = speech(offer)?;
        let given = answer.media.get(index).filter(|m| m.port != 0)?;
        let admitted = if self.plain() { Vec::new() } else { self.offerer.admit(&voices(theirs)) };
        let chosen = voices(given).into_iter().next();
        let mut out = answer.clone();
        let media = out.media.get_mut(index)?;
        let converted = chosen.as_ref().filter(|c| self.converts() && !admitted.contains(c));
        let ours = match converted {
            Some(_) => Some(admitted.iter().find(|name| Kind::from_name(name).is_some())?.clone()),
            None => chosen.clone(),
        };
        if converted.is_none() && !self.plain() {
            // What was added for conversion is not the offerer's.
            let kept: Vec<String> =
                voices(given).into_iter().filter(|name| admitted.contains(name)).collect();
            if !kept.is_empty() {
                select(media, &kept);
            }
        }
        let mut codings = (
            coding(theirs, ours.as_deref(), self.offerer)?,
            coding(given, chosen.as_deref(), self.answerer)?,
        );
        if converted.is_some() {
            carry(media, theirs, codings.0);
        } else {
            self.keep_alike((theirs, given), &mut codings);
        }
        if self.relayed {
            events::answer(media, theirs, &self.offerer.digits);
            self.settle_events(offer, index, media, given, &mut codings);
        }
        Some(Agreement { answer: out, codings: self.relayed.then_some(codings) })
    }

    /// With a common codec only a packet time that both state, or a gain, is worth a conversion, where it is allowed.
    fn keep_alike(
        &self,
        (theirs, given): (&MediaDescription, &MediaDescription),
        (a, b): &mut (Coding, Coding),
    ) {
        let stated = theirs.attribute("ptime").is_some() && given.attribute("ptime").is_some();
        if !self.converts() || !stated {
            b.packet_ms = a.packet_ms;
        }
        if !self.converts() {
            (a.gain_db, b.gain_db) = (0, 0);
        }
    }

    /// Which numbers events have on both sides, and how digits go.
    fn settle_events(
        &self,
        offer: &SessionDescription,
        index: usize,
        answered: &MediaDescription,
        given: &MediaDescription,
        (a, b): &mut (Coding, Coding),
    ) {
        let offered = self.offer(offer).ok();
        a.events = events::number(answered);
        a.events_told = a.events;
        b.events = events::number(given);
        b.events_told = offered.as_ref().and_then(|o| events::number(o.media.get(index)?));
        a.digits = self.offerer.digits.rules(&mut a.events, a.codec.is_some());
        b.digits = self.answerer.digits.rules(&mut b.events, b.codec.is_some());
    }
}

/// The first audio stream, when it is RTP.
fn speech(session: &SessionDescription) -> Option<(usize, &MediaDescription)> {
    let index = session.audio()?;
    session.media.get(index).filter(|m| m.is_rtp()).map(|m| (index, m))
}

/// Events, noise and redundancy go along with a codec.
fn is_voice(name: &str) -> bool {
    ![events::NAME, "CN", "RED"].contains(&name)
}

/// Our name of a format: the registered one in capitals. `None` for a number that nobody explained.
fn name_of(media: &MediaDescription, format: &str) -> Option<String> {
    let name = media.encoding(format)?.to_ascii_uppercase();
    Some(Kind::from_name(&name).map_or(name, |kind| kind.name().to_owned()))
}

fn voices(media: &MediaDescription) -> Vec<String> {
    let mut names = Vec::new();
    for name in media.formats.iter().filter_map(|f| name_of(media, f)).filter(|n| is_voice(n)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn format_named<'a>(media: &'a MediaDescription, wanted: &str) -> Option<&'a str> {
    media.formats.iter().map(|f| f.as_str()).find(|f| name_of(media, f).as_deref() == Some(wanted))
}

/// Leaves these codecs, in this order, and what goes along with them; adds those that are not there yet.
fn select(media: &mut MediaDescription, wanted: &[String]) {
    let mut formats = Vec::new();
    let mut added = Vec::new();
    for name in wanted {
        let own = media.formats.iter().filter(|f| name_of(media, f).as_ref() == Some(name));
        let before = formats.len();
        formats.extend(own.cloned().collect::<Vec<_>>());
        if formats.len() == before
            && let Some(kind) = Kind::from_name(name)
        {
            let number = kind.static_payload_type().to_string();
            added.push(rtpmap(&number, kind));
            formats.push(number.into());
        }
    }
    let along = media.formats.iter().filter(|f| name_of(media, f).is_some_and(|name| !is_voice(&name)));
    formats.extend(along.cloned().collect::<Vec<_>>());
    let kept = |a: &Attribute| match (a.name.as_str(), a.value.as_deref()) {
        ("rtpmap" | "fmtp", Some(value)) => {
            let number = value.split(' ').next().unwrap_or("");
            formats.iter().any(|f| f == number) && !added.iter().any(|a| is_about(a, number))
        }
        _ => true,
    };
    media.attributes.retain(kept);
    media.attributes.splice(0..0, added);
    media.formats = formats;
}

fn is_about(attribute: &Attribute, number: &str) -> bool {
    attribute.value.as_deref().is_some_and(|value| value.split(' ').next() == Some(number))
}

fn rtpmap(number: &str, kind: Kind) -> Attribute {
    let value = format!("{number} {}/8000", kind.name());
    Attribute { name: "rtpmap".into(), value: Some(value.into()) }
}

/// Makes an answer say what `theirs` offered of this coding: its own numbers and packet time.
fn carry(media: &mut MediaDescription, theirs: &MediaDescription, coding: Coding) {
    // Events are seen to afterwards, by what was answered.
    let along = events::number(media).and(events::number(theirs));
    let numbers: Vec<String> =
        std::iter::once(coding.payload_type).chain(along).map(|n| n.to_string()).collect();
    let codec_attribute = |a: &Attribute| matches!(a.name.as_str(), "rtpmap" | "fmtp" | "ptime" | "maxptime");
    media.attributes.retain(|a| !codec_attribute(a));
    let about = |a: &&Attribute| {
        matches!(a.name.as_str(), "rtpmap" | "fmtp") && numbers.iter().any(|n| is_about(a, n))
    };
    let mut attributes: Vec<Attribute> = theirs.attributes.iter().filter(about).cloned().collect();
    let ptime = Some(coding.packet_ms.to_string().into());
    attributes.push(Attribute { name: "ptime".into(), value: ptime });
    media.attributes.splice(0..0, attributes);
    media.formats = numbers.into_iter().map(Into::into).collect();
}

/// How speech is carried to whoever wrote `media`, by this codec. What becomes of events is settled later.
fn coding(media: &MediaDescription, name: Option<&str>, rules: &Rules) -> Option<Coding> {
    let codec = name.and_then(Kind::from_name);
    let format =
        name.and_then(|name| format_named(media, name)).or(media.formats.first().map(|f| f.as_str()));
    let payload_type = format?.parse().ok().filter(|n| *n < 128)?;
    let stated = media.attribute("ptime").and_then(|p| p.split('.').next()?.parse::<u8>().ok());
    let packet_ms = stated.map_or(20, |ms| (ms / 10 * 10).clamp(10, 60));
    let digits = media::DigitRules::EVENTS;
    let (events, events_told) = (None, None);
    let (gain_db, jitter) = (rules.gain_db, Some(rules.jitter));
    Some(Coding { codec, payload_type, packet_ms, events, events_told, gain_db, digits, jitter })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mode/codecs/conversion`, like `auto/any/no`.
    fn rules(text: &str) -> Rules {
        let [mode, codecs, conversion] = text.split('/').collect::<Vec<_>>().try_into().unwrap();
        let mut params = Params::default();
        params.set("SS_SIP_CODEC_MODE", mode).unwrap();
        params.set("SS_SIP_CODECS", codecs).unwrap();
        params.set("SS_CODEC_CONVERSION", conversion).unwrap();
        Rules::of(&params)
    }

    /// `8 0 101` with the rtpmap lines that are needed, or `8@30` for a packet time.
    fn audio(text: &str) -> SessionDescription {
        let (formats, ptime) = text.split_once('@').unwrap_or((text, ""));
        let text_attribute =
            |name: &str, value: String| Attribute { name: name.into(), value: Some(value.into()) };
        let mapped = |f: &str| match f {
            "101" => Some("telephone-event/8000"),
            "97" => Some("opus/48000/2"),
            "98" => Some("G729A/8000"),
            _ => None,
        };
        let maps =
            formats.split(' ').filter_map(|f| Some(text_attribute("rtpmap", format!("{f} {}", mapped(f)?))));
        let ptime = (!ptime.is_empty()).then(|| text_attribute("ptime", ptime.into()));
        let media = MediaDescription {
            kind: "audio".into(),
            port: 4000,
            protocol: "RTP/AVP".into(),
            formats: formats.split(' ').map(Into::into).collect(),
            address: None,
            direction: None,
            bandwidth: Vec::new(),
            attributes: maps.chain(ptime).collect(),
        };
        SessionDescription { media: vec![media], ..SessionDescription::default() }
    }

    fn formats(session: &SessionDescription) -> String {
        session.media[0].formats.join(" ")
    }

    /// One row: settings of A and B, offer of A, offer to B, answer of B, answer to A, and what is converted
    /// (codec, payload type, packet time of A and of B).
    const TABLE: &[[&str; 7]] = &[
        // Nothing is set: all passes, also what we do not know.
        ["auto/any/no", "auto/any/no", "8 0 97 101", "8 0 97 101", "97", "97", ""],
        ["auto/any/no", "auto/any/no", "8 55", "8 55", "55", "55", ""],
        // Lists filter and order.
        ["auto/g729,pcma/no", "auto/any/no", "8 0 18 101", "18 8 101", "18 101", "18 101", ""],
        ["auto/any/no", "auto/pcmu,pcma/no", "8 0 18 101", "0 8 101", "0 101", "0 101", ""],
        ["auto/pcmu,pcma/no", "auto/g729,pcma/no", "8 0 18", "8", "8", "8", ""],
        ["auto/any/no", "auto/opus/no", "8 97", "97", "97", "97", ""],
        ["auto/any/no", "auto/g729/no", "98 8", "98", "98", "98", ""],
        // Nothing in common, and conversion not allowed on both sides.
        ["auto/any/no", "auto/g729/no", "8 0", "-", "", "", ""],
        ["auto/any/yes", "auto/g729/no", "8 0", "-", "", "", ""],
        ["auto/any/no", "auto/g729/yes", "8 0", "-", "", "", ""],
        ["specified/g729/no", "auto/any/no", "8 0", "-", "", "", ""],
        ["auto/g722/yes", "auto/any/yes", "8 0", "-", "", "", ""],
        ["auto/any/yes", "auto/g729/yes", "97", "-", "", "", ""],
        // Conversion where it is needed.
        ["auto/any/yes", "auto/g729/yes", "8 0 101", "18 101", "18 101", "8 101", "PCMA 8 20, G729 18 20"],
        ["auto/any/yes", "auto/any/yes", "18 101", "18 8 0 9 101", "18 101", "18 101", ""],
        [
            "auto/any/yes",
            "auto/any/yes",
            "18 101",
            "18 8 0 9 101",
            "8 101",
            "18 101",
            "G729 18 20, PCMA 8 20",
        ],
        ["auto/any/yes", "auto/any/yes", "97 0", "97 0 8 18 9", "9", "0", "PCMU 0 20, G722 9 20"],
        ["auto/any/yes", "auto/any/yes", "97 0", "97 0 8 18 9", "97", "97", ""],
        ["auto/any/yes", "auto/g729,g722/yes", "9 8", "9 18", "18 9", "9", "G722 9 20, G729 18 20"],
        ["specified/pcmu/yes", "auto/any/yes", "8 0 18", "0 8 18 9", "8", "0", "PCMU 0 20, PCMA 8 20"],
        // Two specified codecs.
        [
            "specified/pcma/no",
            "specified/g729/no",
            "0 8 101",
            "18 101",
            "18 101",
            "8 101",
            "PCMA 8 20, G729 18 20",
        ],
        ["specified/pcma/no", "specified/pcma/no", "0 8 101", "8 101", "8 101", "8 101", ""],
        ["auto/any/no", "specified/pcma/no", "0 8 101", "8 101", "8 101", "8 101", ""],
        ["specified/pcma/no", "specified/opus/no", "8", "-", "", "", ""],
        // Packet times.
        ["auto/any/yes", "auto/g729/yes", "8 101@30", "18 101", "18@40", "8", "PCMA 8 30, G729 18 40"],
        ["auto/any/yes", "auto/any/yes", "8@20", "8 0 18 9", "8@30", "8", "PCMA 8 20, PCMA 8 30"],
        ["auto/any/no", "auto/any/no", "8@20", "8", "8@30", "8", ""],
        ["auto/any/yes", "auto/any/yes", "8@20", "8 0 18 9", "8", "8", ""],
        ["auto/any/yes", "auto/g729/yes", "8@7", "18", "18@200", "8", "PCMA 8 10, G729 18 60"],
        // Events on one side only: the other is not told of them (`SS_DTMF_PEER_ABILITY`).
        ["auto/any/yes", "auto/g729/yes", "8 101", "18 101", "18", "8", "PCMA 8 20, G729 18 20"],
    ];

    #[test]
    fn every_pair_of_settings() {
        for row @ [a, b, offered, to_b, answered, to_a, converted] in TABLE {
            let (a, b) = (rules(a), rules(b));
            let sides = Sides { offerer: &a, answerer: &b, relayed: true };
            let offer = audio(offered);
            let crossed = sides.offer(&offer);
            assert_eq!(crossed.as_ref().map_or("-".into(), formats), *to_b, "{row:?}");
            if crossed.is_err() {
                continue;
            }
            let agreement = sides.answer(&offer, &audio(answered));
            assert_eq!(formats(&agreement.answer), *to_a, "{row:?}");
            let word =
                |c: Coding| format!("{} {} {}", c.codec.map_or("-", Kind::name), c.payload_type, c.packet_ms);
            let codings = agreement.codings.filter(|(a, b)| !a.carries_like(b));
            let codings = codings.map(|(a, b)| format!("{}, {}", word(a), word(b)));
            assert_eq!(codings.unwrap_or_default(), *converted, "{row:?}");
        }
    }

    #[test]
    fn lines_belong_to_the_codecs_that_stand_in_the_offer() {
        let (a, b) = (rules("auto/any/yes"), rules("auto/g729,pcmu/yes"));
        let sides = Sides { offerer: &a, answerer: &b, relayed: true };
        let mut offer = audio("98 97 8 101@20");
        let fmtp = |value: &str| Attribute { name: "fmtp".into(), value: Some(value.into()) };
        offer.media[0].attributes.extend([fmtp("98 annexb=no"), fmtp("97 useinbandfec=1"), fmtp("101 0-16")]);
        let crossed = sides.offer(&offer).unwrap();
        let lines: Vec<&str> =
            crossed.media[0].attributes.iter().filter_map(|a| a.value.as_deref()).collect();
        assert_eq!(
            lines,
            ["0 PCMU/8000", "98 G729A/8000", "20", "98 annexb=no", "101 telephone-event/8000", "101 0-16"]
        );
        let agreement = sides.answer(&offer, &audio("0 101"));
        let lines: Vec<&str> =
            agreement.answer.media[0].attributes.iter().filter_map(|a| a.value.as_deref()).collect();
        assert_eq!(
            lines,
            ["98 G729A/8000", "98 annexb=no", "101 telephone-event/8000", "101 0-16", "20"],
            "the offerer hears of its own numbers"
        );
        assert_eq!(agreement.codings.map(|(a, b)| (a.payload_type, b.events)), Some((98, Some(101))));
    }

    #[test]
    fn without_the_relay_nothing_is_converted() {
        let (a, b) = (rules("auto/any/yes"), rules("auto/g729/yes"));
        let sides = Sides { offerer: &a, answerer: &b, relayed: false };
        assert_eq!(sides.offer(&audio("8 0")), Err(Mismatch));
        let sides = Sides { offerer: &a, answerer: &a, relayed: false };
        assert_eq!(formats(&sides.offer(&audio("8 0")).unwrap()), "8 0");
    }

    #[test]
    fn other_streams_pass() {
        let (a, b) = (rules("auto/any/no"), rules("auto/g729/no"));
        let sides = Sides { offerer: &a, answerer: &b, relayed: true };
        for (kind, protocol, port) in
            [("image", "udptl", 4000), ("audio", "RTP/AVP", 0), ("audio", "udptl", 4000)]
        {
            let mut offer = audio("8");
            offer.media[0].kind = kind.into();
            offer.media[0].protocol = protocol.into();
            offer.media[0].port = port;
            assert_eq!(sides.offer(&offer), Ok(offer.clone()), "{kind} {protocol} {port}");
            assert_eq!(sides.answer(&offer, &offer).answer, offer);
        }
    }
}
