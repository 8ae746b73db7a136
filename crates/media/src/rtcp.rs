//! A look into relayed RTCP (RFC 3550 §6.4): sender reports and report blocks, for round trip and reported loss.

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;

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

fn block(bytes: &[u8]) -> Option<ReportBlock> {
    let lost = word(bytes, 4)?;
    // 24 bits, signed: moved up over the fraction and back down with their sign.
    Some(ReportBlock {
        lost: (lost << 8).cast_signed() >> 8,
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
        let block = |lost, last, delay| ReportBlock { lost, last_sender_report: last, delay };
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
}
