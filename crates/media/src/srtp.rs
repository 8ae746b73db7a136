//! SRTP and SRTCP (RFC 3711) with the two suites that SDES always has (RFC 4568 §6.2): AES in counter mode, HMAC-SHA1.
//!
//! [`Streams`] is one direction under one master key: `seal` encrypts and signs in place, `open` checks and decrypts.
//! Nothing is believed of a packet before its tag is: neither a new stream, nor a higher index.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128, Block};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::fmt;

/// A sealed packet is longer by no more than this: a tag, and the index of SRTCP.
pub const OVERHEAD: usize = TAG + INDEX;
/// The long tag; SRTCP has it with both suites.
const TAG: usize = 10;
const SHORT_TAG: usize = 4;
const INDEX: usize = 4;
/// Streams (SSRCs) under one key. More than one call has; none is ever forgotten, since it could be replayed then.
const STREAMS: usize = 64;
/// Packets behind the newest that are still taken (RFC 3711 §3.3.2).
const WINDOW: u64 = 64;
/// How many turns of the sequence number a stream may be ahead that is taken up from another process.
const TURNS_AHEAD: u32 = 2;
/// RTCP's fixed header with the sender's name: not encrypted.
const RTCP_CLEAR: usize = 8;

const KEY: usize = 16;
const SALT: usize = 14;

/// Master key and salt. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; Key::BYTES]);

impl Key {
    pub const BYTES: usize = KEY + SALT;
    /// Stands for a key that is not known.
    pub const NONE: Key = Key([0; Key::BYTES]);

    pub fn new(bytes: [u8; Key::BYTES]) -> Key {
        Key(bytes)
    }

    /// For signalling, and for nobody else.
    pub fn bytes(&self) -> &[u8; Key::BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    pub const ALL: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];

    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    fn tag(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 => TAG,
            Suite::AesCm128HmacSha1_32 => SHORT_TAG,
        }
    }
}

/// What protects the packets of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// Protection is required and not agreed yet: nothing passes, in either direction.
    Pending,
    /// With the key that we encrypt by, and the peer's.
    Srtp { suite: Suite, ours: Key, theirs: Key },
}

/// Why a packet is not taken, or cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too short, no RTP, or no room for the tag.
    Malformed,
    /// The tag is not right.
    Forged,
    /// It came before, or is too old to tell.
    Replayed,
    /// More streams than one call has.
    TooMany,
    /// No keys yet.
    Pending,
}

/// Keys of one kind of packet, derived from the master key (RFC 3711 §4.3).
#[derive(Clone)]
struct Derived {
    cipher: Aes128,
    salt: [u8; SALT],
    mac: Hmac<Sha1>,
}

const RTP_LABELS: u8 = 0;
const RTCP_LABELS: u8 = 3;

impl Derived {
    fn new(master: &Key, labels: u8) -> Option<Derived> {
        let key: [u8; KEY] = derive(master, labels)?;
        let mac: [u8; 20] = derive(master, labels + 1)?;
        let salt = derive(master, labels + 2)?;
        let mac = <Hmac<Sha1> as Mac>::new_from_slice(&mac).ok()?;
        Some(Derived { cipher: Aes128::new(&Block::from(key)), salt, mac })
    }

    /// Encrypts or decrypts. `index` has 48 bits (RFC 3711 §4.1.1).
    fn apply(&self, ssrc: u32, index: u64, text: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..SALT].copy_from_slice(&self.salt);
        let ssrc = ssrc.to_be_bytes();
        let index = index.to_be_bytes();
        iv[4..8].iter_mut().zip(ssrc).for_each(|(byte, own)| *byte ^= own);
        iv[8..14].iter_mut().zip(&index[2..]).for_each(|(byte, own)| *byte ^= own);
        counter_mode(&self.cipher, iv, text);
    }

    fn tag(&self, parts: [&[u8]; 2]) -> [u8; TAG] {
        let mut mac = self.mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        let full = mac.finalize().into_bytes();
        let mut tag = [0; TAG];
        tag.iter_mut().zip(full).for_each(|(byte, own)| *byte = own);
        tag
    }
}

/// RFC 3711 §4.3.1 and §4.3.3, with a derivation rate of 0.
fn derive<const N: usize>(master: &Key, label: u8) -> Option<[u8; N]> {
    let (key, salt) = master.0.split_first_chunk::<KEY>()?;
    let mut iv = [0; 16];
    iv.iter_mut().zip(salt).for_each(|(byte, own)| *byte = *own);
    iv[7] ^= label;
    let mut out = [0; N];
    counter_mode(&Aes128::new(&Block::from(*key)), iv, &mut out);
    Some(out)
}

/// Blocks made at once: the processor works on several in the time of one.
const AT_ONCE: usize = 8;

/// XORs `text` with the key stream that begins at `iv`.
pub(crate) fn counter_mode(cipher: &Aes128, iv: [u8; 16], text: &mut [u8]) {
    let mut counter = u128::from_be_bytes(iv);
    for part in text.chunks_mut(AT_ONCE * 16) {
        let mut blocks = [Block::from([0; 16]); AT_ONCE];
        let blocks = &mut blocks[..part.len().div_ceil(16)];
        for block in blocks.iter_mut() {
            *block = Block::from(counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        part.iter_mut().zip(blocks.iter().flatten()).for_each(|(byte, own)| *byte ^= own);
    }
}

/// Tags are compared without telling by the time taken how much of them is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Which of the newest packets have been taken.
#[derive(Clone, Copy, Debug)]
struct Window {
    newest: u64,
    /// Bit n: `newest - n` was taken.
    taken: u64,
}

impl Window {
    fn new(index: u64) -> Window {
        Window { newest: index, taken: 1 }
    }

    fn admits(&self, index: u64) -> bool {
        let Some(behind) = self.newest.checked_sub(index) else { return true };
        behind < WINDOW && self.taken >> behind & 1 == 0
    }

    fn take(&mut self, index: u64) {
        match index.checked_sub(self.newest) {
            Some(ahead) => {
                self.taken = if ahead < WINDOW { self.taken << ahead | 1 } else { 1 };
                self.newest = index;
            }
            None if self.newest - index < WINDOW => self.taken |= 1 << (self.newest - index),
            None => {}
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// `None` before the first packet of the kind.
    rtp: Option<Window>,
    rtcp: Option<Window>,
}

/// One direction under one master key.
#[derive(Clone)]
pub struct Streams {
    rtp: Derived,
    rtcp: Derived,
    tag: usize,
    streams: Vec<Stream>,
    /// Turns of the sequence number that a stream has behind it when it is met (not 0 after a restart).
    turns: u32,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Streams({})", self.streams.len())
    }
}

impl Streams {
    /// `None` does not happen: all lengths are right.
    pub fn new(suite: Suite, master: &Key, turns: u32) -> Option<Streams> {
        Some(Streams {
            rtp: Derived::new(master, RTP_LABELS)?,
            rtcp: Derived::new(master, RTCP_LABELS)?,
            tag: suite.tag(),
            streams: Vec::new(),
            turns,
        })
    }

    /// Turns of the stream that has most.
    pub fn turns(&self) -> u32 {
        let most = self.streams.iter().filter_map(|s| s.rtp).map(|w| w.newest >> 16).max();
        most.and_then(|turns| u32::try_from(turns).ok()).unwrap_or(self.turns)
    }

    /// Protects the first `len` bytes of `buffer`; returns how many there are now.
    pub fn seal(&mut self, buffer: &mut [u8], len: usize, rtcp: bool) -> Result<usize, Fault> {
        if buffer.len() < len + OVERHEAD {
            return Err(Fault::Malformed);
        }
        if rtcp { self.seal_rtcp(buffer, len) } else { self.seal_rtp(buffer, len) }
    }

    fn seal_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Fault> {
        let packet = buffer.get_mut(..len).ok_or(Fault::Malformed)?;
        let (start, ssrc, sequence) = rtp_parts(packet)?;
        let known = self.streams.iter().find(|s| s.ssrc == ssrc).and_then(|s| s.rtp);
        let index = known.map_or(first_index(self.turns, sequence), |w| index_near(w.newest, sequence));
        self.rtp.apply(ssrc, index, &mut packet[start..]);
        let tag = self.rtp.tag([packet, &turns_of(index)]);
        self.stream(ssrc)?.rtp.get_or_insert(Window::new(index)).take(index);
        let place = buffer.get_mut(len..len + self.tag).ok_or(Fault::Malformed)?;
        place.copy_from_slice(&tag[..self.tag]);
        Ok(len + self.tag)
    }

    fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Fault> {
        let packet = buffer.get_mut(..len).ok_or(Fault::Malformed)?;
        let ssrc = rtcp_ssrc(packet)?;
        let stream = self.stream(ssrc)?;
        let index = stream.rtcp.map_or(0, |w| w.newest + 1);
        stream.rtcp = Some(Window::new(index));
        self.rtcp.apply(ssrc, index, &mut packet[RTCP_CLEAR..]);
        let flagged = u32::try_from(index & 0x7fff_ffff).unwrap_or(0) | ENCRYPTED;
        let end = len + INDEX;
        buffer[len..end].copy_from_slice(&flagged.to_be_bytes());
        let tag = self.rtcp.tag([&buffer[..end], &[]]);
        buffer[end..end + TAG].copy_from_slice(&tag);
        Ok(end + TAG)
    }

    /// Checks and decrypts; returns how many bytes are left.
    pub fn open(&mut self, packet: &mut [u8], rtcp: bool) -> Result<usize, Fault> {
        if rtcp { self.open_rtcp(packet) } else { self.open_rtp(packet) }
    }

    fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        let len = packet.len().checked_sub(self.tag).ok_or(Fault::Malformed)?;
        let (packet, tag) = packet.split_at_mut_checked(len).ok_or(Fault::Malformed)?;
        let (start, ssrc, sequence) = rtp_parts(packet)?;
        let known = self.streams.iter().find(|s| s.ssrc == ssrc).and_then(|s| s.rtp);
        let signed = |index: u64| same(&self.rtp.tag([packet, &turns_of(index)])[..self.tag], tag);
        let index = match known {
            Some(window) => {
                let index = index_near(window.newest, sequence);
                if !window.admits(index) {
                    return Err(Fault::Replayed);
                }
                signed(index).then_some(index)
            }
            None => self.first_turns().map(|turns| first_index(turns, sequence)).find(|i| signed(*i)),
        };
        let index = index.ok_or(Fault::Forged)?;
        self.stream(ssrc)?.rtp.get_or_insert(Window::new(index)).take(index);
        self.rtp.apply(ssrc, index, &mut packet[start..]);
        Ok(len)
    }

    /// Of a stream that is taken up it is not known for certain how often its number has turned.
    fn first_turns(&self) -> impl Iterator<Item = u32> {
        let ahead = if self.turns == 0 { 0 } else { TURNS_AHEAD };
        let around = self.turns..=self.turns.saturating_add(ahead);
        around.chain((self.turns != 0).then_some(self.turns.saturating_sub(1)))
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Fault> {
        let end = packet.len().checked_sub(TAG).ok_or(Fault::Malformed)?;
        let (packet, tag) = packet.split_at_mut_checked(end).ok_or(Fault::Malformed)?;
        let len = end.checked_sub(INDEX).ok_or(Fault::Malformed)?;
        let ssrc = rtcp_ssrc(packet.get(..len).ok_or(Fault::Malformed)?)?;
        let flagged = packet.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let index = u64::from(flagged & !ENCRYPTED);
        let known = self.streams.iter().find(|s| s.ssrc == ssrc).and_then(|s| s.rtcp);
        if known.is_some_and(|window| !window.admits(index)) {
            return Err(Fault::Replayed);
        }
        if !same(&self.rtcp.tag([packet, &[]]), tag) {
            return Err(Fault::Forged);
        }
        self.stream(ssrc)?.rtcp.get_or_insert(Window::new(index)).take(index);
        if flagged & ENCRYPTED != 0 {
            self.rtcp.apply(ssrc, index, &mut packet[RTCP_CLEAR..len]);
        }
        Ok(len)
    }

    fn stream(&mut self, ssrc: u32) -> Result<&mut Stream, Fault> {
        let place = match self.streams.iter().position(|s| s.ssrc == ssrc) {
            Some(place) => place,
            None if self.streams.len() >= STREAMS => return Err(Fault::TooMany),
            None => {
                self.streams.push(Stream { ssrc, rtp: None, rtcp: None });
                self.streams.len() - 1
            }
        };
        self.streams.get_mut(place).ok_or(Fault::TooMany)
    }
}

/// The E bit of SRTCP (RFC 3711 §3.4).
const ENCRYPTED: u32 = 1 << 31;

fn turns_of(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

fn first_index(turns: u32, sequence: u16) -> u64 {
    u64::from(turns) << 16 | u64::from(sequence)
}

/// The index with this sequence number that is nearest to `newest` (RFC 3711 §3.3.1).
fn index_near(newest: u64, sequence: u16) -> u64 {
    const TURN: u64 = 1 << 16;
    let same_turn = newest & !(TURN - 1) | u64::from(sequence);
    if same_turn + TURN / 2 < newest {
        same_turn + TURN
    } else if same_turn > newest + TURN / 2 && same_turn >= TURN {
        same_turn - TURN
    } else {
        same_turn
    }
}

/// Where the payload begins, SSRC and sequence number. What is behind is encrypted, padding too, and not looked at.
fn rtp_parts(packet: &[u8]) -> Result<(usize, u32, u16), Fault> {
    let start = crate::rtp::header_len(packet).ok_or(Fault::Malformed)?;
    let [_, _, s0, s1, _, _, _, _, n0, n1, n2, n3] = *packet.first_chunk().ok_or(Fault::Malformed)?;
    Ok((start, u32::from_be_bytes([n0, n1, n2, n3]), u16::from_be_bytes([s0, s1])))
}

fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Fault> {
    let [_, _, _, _, n0, n1, n2, n3] = *packet.first_chunk::<RTCP_CLEAR>().ok_or(Fault::Malformed)?;
    Ok(u32::from_be_bytes([n0, n1, n2, n3]))
}

/// Both directions of a side.
#[derive(Clone, Debug)]
pub struct Guard {
    config: Cipher,
    streams: Option<(Streams, Streams)>,
}

impl Guard {
    /// `turns` of what was sent and of what came.
    pub fn new(config: Cipher, turns: (u32, u32)) -> Guard {
        let streams = match config {
            Cipher::Pending => None,
            Cipher::Srtp { suite, ours, theirs } => {
                Streams::new(suite, &ours, turns.0).zip(Streams::new(suite, &theirs, turns.1))
            }
        };
        Guard { config, streams }
    }

    /// A key that stays goes on as it was; a new one begins anew.
    pub fn follow(&mut self, config: Cipher) {
        let mut fresh = Guard::new(config, (0, 0));
        if let (
            Cipher::Srtp { suite: old_suite, ours: old_ours, theirs: old_theirs },
            Cipher::Srtp { suite, ours, theirs },
            Some(old),
            Some(new),
        ) = (self.config, config, &mut self.streams, &mut fresh.streams)
            && old_suite == suite
        {
            if old_ours == ours {
                std::mem::swap(&mut old.0, &mut new.0);
            }
            if old_theirs == theirs {
                std::mem::swap(&mut old.1, &mut new.1);
            }
        }
        *self = fresh;
    }

    pub fn seal(&mut self, buffer: &mut [u8], len: usize, rtcp: bool) -> Result<usize, Fault> {
        self.streams.as_mut().ok_or(Fault::Pending)?.0.seal(buffer, len, rtcp)
    }

    pub fn open(&mut self, packet: &mut [u8], rtcp: bool) -> Result<usize, Fault> {
        self.streams.as_mut().ok_or(Fault::Pending)?.1.open(packet, rtcp)
    }

    pub fn turns(&self) -> (u32, u32) {
        self.streams.as_ref().map_or((0, 0), |(out, inward)| (out.turns(), inward.turns()))
    }
}

#[cfg(test)]
mod tests;
