//! Keys of media streams in session descriptions: SDES (RFC 4568), and its optional form (RFC 8643).
//!
//! Each side of a stream has its own [`Secure`]: our keys towards that peer, and what the peer last said. A peer that
//! is required to protect gets `RTP/SAVP`; one that may gets `RTP/AVP` with keys beside it, and decides. Keys go into
//! descriptions, to the media threads and, sealed, into the journal; nowhere else.

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use media::{Cipher, Key, Suite};
use params::Srtp;
use serde::{Deserialize, Serialize};
use vocab::MediaDescription;
use vocab::random::Random;
use vocab::session::Attribute;

/// The attribute that carries keys.
const CRYPTO: &str = "crypto";
/// A key that may be used for less than 2^20 packets (six hours of speech) would have to be changed in a call.
const LEAST_LIFETIME: u32 = 20;
const PLAIN: &str = "RTP/AVP";
const PROTECTED: &str = "RTP/SAVP";

/// What the peer's last description says of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Plain,
    Keys { tag: u32, suite: Suite, theirs: Key, savp: bool },
}

/// One side of a stream whose gateway may or must protect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secure {
    required: bool,
    /// For each suite its own.
    ours: [Key; 2],
    heard: Heard,
    /// Names this state when it is sealed: never the same for two.
    name: u64,
    changes: u32,
}

/// `SS_SRTP` of a gateway: may a stream be offered like this?
pub(crate) fn is_acceptable(policy: Srtp, media: &MediaDescription) -> bool {
    if media.port == 0 || !media.is_rtp() {
        return true;
    }
    let keys = keys_of(media).is_some();
    match policy {
        Srtp::Off => !media.protocol.starts_with(PROTECTED),
        Srtp::Optional => keys || !media.protocol.starts_with(PROTECTED),
        Srtp::Required => keys,
    }
}

impl Secure {
    /// Keys that were lost: nothing passes any more, least of all in clear.
    pub const SHUT: Secure =
        Secure { required: true, ours: [Key::NONE; 2], heard: Heard::Nothing, name: 0, changes: 0 };

    /// `None`: nothing is protected on this side.
    pub fn new(policy: Srtp, random: &mut Random) -> Option<Secure> {
        let required = match policy {
            Srtp::Off => return None,
            Srtp::Optional => false,
            Srtp::Required => true,
        };
        let ours = [draw(random), draw(random)];
        Some(Secure { required, ours, heard: Heard::Nothing, name: random.next_u64(), changes: 0 })
    }

    /// The peer has described the stream.
    pub fn hear(&mut self, media: &MediaDescription) {
        let heard = match keys_of(media) {
            // Of a stream that is refused or on its way out nothing changes.
            _ if media.port == 0 => return,
            Some((tag, suite, theirs)) => {
                Heard::Keys { tag, suite, theirs, savp: media.protocol.starts_with(PROTECTED) }
            }
            None => Heard::Plain,
        };
        self.changes += u32::from(heard != self.heard);
        self.heard = heard;
    }

    pub fn cipher(&self) -> Option<Cipher> {
        match self.heard {
            Heard::Keys { suite, theirs, .. } => match self.ours[place(suite)] {
                Key::NONE => Some(Cipher::Pending),
                ours => Some(Cipher::Srtp { suite, ours, theirs }),
            },
            Heard::Nothing | Heard::Plain => self.required.then_some(Cipher::Pending),
        }
    }

    /// The peer has spoken, and not of the keys that it needs.
    pub fn lacks_keys(&self) -> bool {
        self.required && self.heard == Heard::Plain
    }

    /// Writes profile and keys as this peer is to see them.
    pub fn write(&self, media: &mut MediaDescription) {
        let (savp, lines) = match self.heard {
            Heard::Plain if !self.required => (false, Vec::new()),
            Heard::Keys { tag, suite, savp, .. } => (savp, vec![(tag, suite)]),
            Heard::Nothing | Heard::Plain => (self.required, (1..).zip(Suite::ALL).collect()),
        };
        if savp {
            protect(media);
        }
        let lines = lines.into_iter().map(|(tag, suite)| {
            let key = base64(self.ours[place(suite)].bytes());
            Attribute {
                name: CRYPTO.into(),
                value: Some(format!("{tag} {} inline:{key}", suite.name()).into()),
            }
        });
        media.attributes.extend(lines);
    }

    /// What the journal keeps.
    pub fn seal(&self, seal: &[u8; 32]) -> Option<Vec<u8>> {
        let state = State {
            required: self.required,
            ours: self.ours.iter().flat_map(|key| *key.bytes()).collect(),
            heard: match self.heard {
                Heard::Nothing => None,
                Heard::Plain => Some(None),
                Heard::Keys { tag, suite, theirs, savp } => {
                    Some(Some((tag, suite == Suite::ALL[1], theirs.bytes().to_vec(), savp)))
                }
            },
        };
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&self.name.to_be_bytes());
        nonce[8..].copy_from_slice(&self.changes.to_be_bytes());
        let text = postcard::to_stdvec(&state).ok()?;
        let sealed = ChaCha20Poly1305::new(seal.into()).encrypt(Nonce::from_slice(&nonce), text.as_slice());
        Some([nonce.as_slice(), &sealed.ok()?].concat())
    }

    /// `None`: it was sealed with another key, or is damaged.
    pub fn open(sealed: &[u8], seal: &[u8; 32]) -> Option<Secure> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let text = ChaCha20Poly1305::new(seal.into()).decrypt(Nonce::from_slice(nonce), text).ok()?;
        let state: State = postcard::from_bytes(&text).ok()?;
        let key = |bytes: &[u8]| Some(Key::new(bytes.try_into().ok()?));
        let (first, second) = state.ours.split_at_checked(Key::BYTES)?;
        let heard = match state.heard {
            None => Heard::Nothing,
            Some(None) => Heard::Plain,
            Some(Some((tag, short, theirs, savp))) => {
                Heard::Keys { tag, suite: Suite::ALL[usize::from(short)], theirs: key(&theirs)?, savp }
            }
        };
        let (name, changes) = nonce.split_at_checked(8)?;
        Some(Secure {
            required: state.required,
            ours: [key(first)?, key(second)?],
            heard,
            name: u64::from_be_bytes(name.try_into().ok()?),
            changes: u32::from_be_bytes(changes.try_into().ok()?),
        })
    }
}

const NONCE: usize = 12;

/// [`Secure`] under its seal.
#[derive(Serialize, Deserialize)]
struct State {
    required: bool,
    ours: Vec<u8>,
    /// Tag, whether the suite has the short tag, their key, whether the profile says so.
    #[allow(clippy::type_complexity, reason = "only ever read and written here")]
    heard: Option<Option<(u32, bool, Vec<u8>, bool)>>,
}

/// Makes a description say nothing of protection: what it said concerned the other leg.
pub(crate) fn lay_bare(media: &mut MediaDescription) {
    media.attributes.retain(|a| a.name != CRYPTO);
    if let Some(rest) = media.protocol.strip_prefix(PROTECTED) {
        media.protocol = format!("{PLAIN}{rest}").into();
    }
}

fn protect(media: &mut MediaDescription) {
    if let Some(rest) = media.protocol.strip_prefix(PLAIN) {
        media.protocol = format!("{PROTECTED}{rest}").into();
    }
}

fn place(suite: Suite) -> usize {
    usize::from(suite == Suite::ALL[1])
}

fn draw(random: &mut Random) -> Key {
    let mut bytes = [0; Key::BYTES];
    for part in bytes.chunks_mut(8) {
        part.iter_mut().zip(random.next_u64().to_be_bytes()).for_each(|(byte, drawn)| *byte = drawn);
    }
    Key::new(bytes)
}

/// The first line that we can do, by the peer's order (RFC 4568 §5.1.2).
fn keys_of(media: &MediaDescription) -> Option<(u32, Suite, Key)> {
    let lines = media.attributes.iter().filter(|a| a.name == CRYPTO);
    lines.filter_map(|a| parse_line(a.value.as_deref()?)).next()
}

/// `tag suite inline:key[|lifetime]`. Lines with an MKI, several keys or session parameters that change what packets
/// look like are not for us (RFC 4568 §6.3: what is not understood is not accepted).
fn parse_line(line: &str) -> Option<(u32, Suite, Key)> {
    let mut words = line.split_ascii_whitespace();
    let tag = words.next()?.parse().ok().filter(|tag| *tag < 1_000_000_000)?;
    let name = words.next()?;
    let suite = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))?;
    let mut parts = words.next()?.strip_prefix("inline:")?.split('|');
    let key = Key::new(unbase64(parts.next()?)?);
    if parts.next().is_some_and(|lifetime| !is_long_enough(lifetime)) || parts.next().is_some() {
        return None;
    }
    words.all(|parameter| parameter.starts_with("WSH=")).then_some((tag, suite, key))
}

fn is_long_enough(lifetime: &str) -> bool {
    match lifetime.strip_prefix("2^") {
        Some(power) => power.parse::<u32>().is_ok_and(|power| power >= LEAST_LIFETIME),
        None => lifetime.parse::<u64>().is_ok_and(|packets| packets >> LEAST_LIFETIME > 0),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// 30 bytes are 40 signs without padding.
fn base64(bytes: &[u8; Key::BYTES]) -> String {
    let mut out = String::with_capacity(40);
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0usize, |word, byte| word << 8 | usize::from(*byte));
        for shift in [18, 12, 6, 0] {
            out.push(char::from(ALPHABET[word >> shift & 63]));
        }
    }
    out
}

fn unbase64(text: &str) -> Option<[u8; Key::BYTES]> {
    let mut out = Vec::with_capacity(Key::BYTES);
    for part in text.as_bytes().chunks(4) {
        let mut word = 0u32;
        for sign in part {
            let value = ALPHABET.iter().position(|known| known == sign)?;
            word = word << 6 | u32::try_from(value).ok()?;
        }
        out.extend_from_slice(word.to_be_bytes().get(1..).filter(|_| part.len() == 4)?);
    }
    out.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn audio(protocol: &str, lines: &[&str]) -> MediaDescription {
        let attribute = |value: &&str| Attribute { name: CRYPTO.into(), value: Some((*value).into()) };
        MediaDescription {
            kind: "audio".into(),
            port: 4000,
            protocol: protocol.into(),
            formats: vec!["8".into()],
            address: None,
            direction: None,
            bandwidth: Vec::new(),
            attributes: lines.iter().map(attribute).collect(),
        }
    }

    #[test]
    fn lines() {
        let key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
        for (line, want) in [
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}"), Some((1, Suite::ALL[0]))),
            (format!("7 AES_CM_128_HMAC_SHA1_32 inline:{key}|2^31"), Some((7, Suite::ALL[1]))),
            (format!("7 AES_CM_128_HMAC_SHA1_32 inline:{key}|1048576 WSH=64"), Some((7, Suite::ALL[1]))),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^20|1:4"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|1:4"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}|2^4"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key};inline:{key}"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", &key[1..]), None),
            (format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key}AAAA"), None),
            (format!("x AES_CM_128_HMAC_SHA1_80 inline:{key}"), None),
            (format!("1 F8_128_HMAC_SHA1_80 inline:{key}"), None),
            ("1 AES_CM_128_HMAC_SHA1_80".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(parse_line(&line).map(|(tag, suite, _)| (tag, suite)), want, "{line}");
        }
        let (_, _, parsed) = parse_line(LINE).unwrap();
        assert_eq!(base64(parsed.bytes()), key);
        assert_eq!(parsed.bytes()[..4], *b"YS__");
    }

    #[test]
    fn what_may_be_offered() {
        use Srtp::{Off, Optional, Required};
        for (protocol, lines, want) in [
            ("RTP/AVP", &[][..], [true, true, false]),
            ("RTP/AVP", &[LINE][..], [true, true, true]),
            ("RTP/SAVP", &[LINE][..], [false, true, true]),
            ("RTP/SAVP", &[][..], [false, false, false]),
            ("RTP/SAVP", &["1 AEAD_AES_256_GCM inline:x"][..], [false, false, false]),
            ("udptl", &[][..], [true, true, true]),
        ] {
            let media = audio(protocol, lines);
            assert_eq!([Off, Optional, Required].map(|p| is_acceptable(p, &media)), want, "{protocol}");
        }
    }

    #[test]
    fn what_a_peer_is_told() {
        let mut random = Random::from_number(5);
        assert_eq!(Secure::new(Srtp::Off, &mut random), None);
        let told = |secure: &Secure| {
            let mut media = audio("RTP/AVP", &[]);
            secure.write(&mut media);
            let suites = media.attributes.iter().filter_map(|a| a.value.as_deref());
            let suites: Vec<_> = suites.map(|v| v.split(" inline").next().unwrap_or("").to_owned()).collect();
            format!("{} {}", media.protocol, suites.join(" "))
        };
        let mut secure = Secure::new(Srtp::Required, &mut random).unwrap();
        let both = "1 AES_CM_128_HMAC_SHA1_80 2 AES_CM_128_HMAC_SHA1_32";
        assert_eq!(told(&secure), format!("RTP/SAVP {both}"));
        assert_eq!(secure.cipher(), Some(Cipher::Pending));
        secure.hear(&audio("RTP/AVP", &[]));
        assert!(secure.lacks_keys() && secure.cipher() == Some(Cipher::Pending));
        secure.hear(&audio("RTP/SAVP", &["1 F8_128_HMAC_SHA1_80 inline:x", &LINE.replace("1 AES", "9 AES")]));
        assert_eq!(told(&secure), "RTP/SAVP 9 AES_CM_128_HMAC_SHA1_80");
        assert!(matches!(secure.cipher(), Some(Cipher::Srtp { ours, .. }) if ours == secure.ours[0]));

        let mut secure = Secure::new(Srtp::Optional, &mut random).unwrap();
        assert_eq!((told(&secure), secure.cipher()), (format!("RTP/AVP {both}"), None));
        secure.hear(&audio("RTP/AVP", &[]));
        assert_eq!((told(&secure).as_str(), secure.cipher()), ("RTP/AVP ", None));
        secure.hear(&audio("RTP/AVP", &[LINE]));
        assert_eq!(told(&secure), "RTP/AVP 1 AES_CM_128_HMAC_SHA1_80");
        let mut media = audio("RTP/SAVPF", &[LINE]);
        lay_bare(&mut media);
        assert_eq!(media, audio("RTP/AVPF", &[]));
    }

    #[test]
    fn is_kept_under_seal() {
        let mut random = Random::from_number(5);
        let mut secure = Secure::new(Srtp::Required, &mut random).unwrap();
        let before = secure.seal(&[3; 32]).unwrap();
        secure.hear(&audio("RTP/SAVP", &[LINE]));
        let sealed = secure.seal(&[3; 32]).unwrap();
        assert_ne!(before[..NONCE], sealed[..NONCE]);
        assert_eq!(Secure::open(&sealed, &[3; 32]), Some(secure));
        assert_eq!(Secure::open(&sealed, &[4; 32]), None);
        let key = secure.ours[0].bytes();
        assert!(!sealed.windows(8).any(|w| w == &key[..8]));
        assert!(format!("{secure:?}").contains("ours: [***, ***]"));
    }
}
