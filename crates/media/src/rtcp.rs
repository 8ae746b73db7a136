//! RTCP (RFC 3550 §6.4): a look into what is relayed, for round trip and reported loss; and our own reports, for
//! streams that end here because speech is converted.

use vocab::Tick;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const CNAME: u8 = 1;

/// What one compound packet tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reports {
    /// The middle 32 bits of the sender report's NTP time: the name by which the other side will refer to it.
    pub sender_time: Option<u32>,
    /// The first report block.
    pub block: Option<ReportBlock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Cumulative number of packets lost; negative when duplicates outnumber the lost.
    pub lost: i32,
    /// In timestamp units.
    pub jitter: u32,
    /// The last sender report received (`sender_time`); 0: none yet.
    pub last_sender_report: u32,
    /// Since then, in units of 1/65536 s.
    pub delay: u32,
}

/// Reads a compound packet as far as it is well-formed; whatever follows is ignored.
pub fn reports(compound: &[u8]) -> Reports {
    let mut found = Reports::default();
    let mut rest = compound;
    while let Some(&[first, kind, l0, l1]) = rest.first_chunk() {
        let len = 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let Some(packet) = rest.get(..len).filter(|_| first >> 6 == 2) else { break };
        let blocks = match kind {
            SENDER_REPORT => {
                found.sender_time = word(packet, 10);
                28
            }
            RECEIVER_REPORT => 8,
            _ => packet.len(),
        };
        if first & 0x1f != 0 && found.block.is_none() {
            found.block = packet.get(blocks..).and_then(block);
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    found
}

/// What we report to one peer.
#[derive(Clone, Copy, Debug)]
pub struct OwnReport {
    pub ssrc: u32,
    pub now: Tick,
    /// Of the stream sent to it: RTP time now, packets and payload bytes so far.
    pub timestamp: u32,
    pub packets: u32,
    pub bytes: u32,
    /// On the stream that comes from it, once there is one.
    pub heard: Option<Heard>,
}

/// A report block (§6.4.1).
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub ssrc: u32,
    /// Of 256, since the last report.
    pub fraction_lost: u8,
    pub lost: u32,
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// The peer's last sender report, and when it came.
    pub sender: Option<(u32, Tick)>,
}

/// Longest of our compounds: sender report, block, name.
pub const OWN_REPORT: usize = 28 + 24 + 20;

/// The name of a sender report made at this time: the middle of its NTP time. Ours runs from the switch's start, which
/// §4 of RFC 3550 permits.
pub fn name_of(now: Tick) -> u32 {
    let (seconds, fraction) = ntp(now);
    seconds << 16 | fraction >> 16
}

fn ntp(now: Tick) -> (u32, u32) {
    let fraction = ((now.0 % 1_000_000) << 32) / 1_000_000;
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    (low(now.0 / 1_000_000), low(fraction))
}

impl OwnReport {
    /// Writes the compound and says how long it is.
    pub fn write(&self) -> ([u8; OWN_REPORT], usize) {
        let mut out = [0; OWN_REPORT];
        let mut length = 0;
        let mut put = |bytes: [u8; 4]| {
            if let Some(place) = out.get_mut(length..length + 4) {
                place.copy_from_slice(&bytes);
                length += 4;
            }
        };
        let blocks = u8::from(self.heard.is_some());
        put([0x80 | blocks, SENDER_REPORT, 0, 6 + 6 * blocks]);
        let (seconds, fraction) = ntp(self.now);
        for word in [self.ssrc, seconds, fraction, self.timestamp, self.packets, self.bytes] {
            put(word.to_be_bytes());
        }
        if let Some(heard) = &self.heard {
            let lost = heard.lost.min(0x7f_ffff) | u32::from(heard.fraction_lost) << 24;
            let (last, delay) = heard.sender.map_or((0, 0), |(name, at)| {
                let delay = self.now.since(at).as_micros().saturating_mul(65_536) / 1_000_000;
                (name, u32::try_from(delay).unwrap_or(u32::MAX))
            });
            for word in [heard.ssrc, lost, heard.highest, heard.jitter, last, delay] {
                put(word.to_be_bytes());
            }
        }
        // §6.5: a name that lasts as long as the stream. Eight letters, an end, and filling.
        put([0x81, SOURCE_DESCRIPTION, 0, 4]);
        put(self.ssrc.to_be_bytes());
        let letter = |n: u32| b'a' + u8::try_from(self.ssrc >> (4 * n) & 15).unwrap_or(0);
        put([CNAME, 8, letter(0), letter(1)]);
        put([letter(2), letter(3), letter(4), letter(5)]);
        put([letter(6), letter(7), 0, 0]);
        (out, length)
    }
}

fn block(bytes: &[u8]) -> Option<ReportBlock> {
    let lost = word(bytes, 4)?;
    // 24 bits, signed: moved up over the fraction and back down with their sign.
    Some(ReportBlock {
        lost: (lost << 8).cast_signed() >> 8,
        jitter: word(bytes, 12)?,
        last_sender_report: word(bytes, 16)?,
        delay: word(bytes, 20)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn sender_report(time: u32) -> Vec<u8> {
        let mut p = vec![0x80, SENDER_REPORT, 0, 6, 1, 2, 3, 4, 0, 0];
        p.extend_from_slice(&time.to_be_bytes());
        p.resize(28, 0);
        p
    }

    pub fn receiver_report(lost: u32, last: u32, delay: u32) -> Vec<u8> {
        let mut p = vec![0x81, RECEIVER_REPORT, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8];
        for word in [lost, 0, 0, last, delay] {
            p.extend_from_slice(&word.to_be_bytes());
        }
        p
    }

    #[test]
    fn reads_compounds() {
        let block = |lost, last, delay| ReportBlock { lost, jitter: 0, last_sender_report: last, delay };
        let mut both = sender_report(0xabcd_ef01);
        both.extend(receiver_report(0x80ff_ffff, 7, 9));
        for (packet, want) in [
            (vec![], Reports::default()),
            (vec![0x80, 200], Reports::default()),
            (sender_report(5), Reports { sender_time: Some(5), block: None }),
            (sender_report(5)[..27].to_vec(), Reports::default()),
            (receiver_report(3, 4, 5), Reports { sender_time: None, block: Some(block(3, 4, 5)) }),
            (both, Reports { sender_time: Some(0xabcd_ef01), block: Some(block(-1, 7, 9)) }),
            // Says it has a block, but is too short for one.
            (vec![0x81, 201, 0, 1, 0, 0, 0, 0], Reports::default()),
            (vec![0x41, 201, 0, 0], Reports::default()),
        ] {
            assert_eq!(reports(&packet), want, "{packet:02x?}");
        }
    }

    #[test]
    fn our_report_reads_as_it_was_meant() {
        let heard = Heard {
            ssrc: 9,
            fraction_lost: 25,
            lost: 7,
            highest: 70_000,
            jitter: 80,
            sender: Some((0x1234_5678, Tick(1_500_000))),
        };
        let report = OwnReport {
            ssrc: 0xabcd,
            now: Tick(2_000_000),
            timestamp: 160,
            packets: 3,
            bytes: 60,
            heard: None,
        };
        let (bytes, length) = report.write();
        assert_eq!((length, bytes[..4].to_vec()), (48, vec![0x80, 200, 0, 6]));
        let name = name_of(Tick(2_000_000));
        assert_eq!(reports(&bytes[..length]), Reports { sender_time: Some(name), block: None });
        let (bytes, length) = OwnReport { heard: Some(heard), ..report }.write();
        assert_eq!(
            (length, bytes[3], bytes[32], bytes[52..56].to_vec()),
            (72, 12, 25, vec![0x81, 202, 0, 4])
        );
        let block = ReportBlock { lost: 7, jitter: 80, last_sender_report: 0x1234_5678, delay: 32_768 };
        assert_eq!(reports(&bytes[..length]).block, Some(block));
    }
}
