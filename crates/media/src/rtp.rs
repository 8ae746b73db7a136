//! RTP headers (RFC 3550 §5.1) and the telling apart of RTP and RTCP (RFC 5761 §4).

/// What the relay needs of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Bytes of payload, without padding.
    pub payload_len: usize,
}

impl RtpHeader {
    /// RFC 3550 A.1: version 2, a header that fits, a padding count that fits.
    pub fn parse(packet: &[u8]) -> Option<RtpHeader> {
        let fixed: &[u8; 12] = packet.first_chunk()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 || is_rtcp(packet) {
            return None;
        }
        let payload_len = if first & 0x3f == 0 { packet.len() - 12 } else { payload_len(first, packet)? };
        Some(RtpHeader {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload_len,
        })
    }
}

/// The payload of a packet whose header was read: behind contributing sources and extension, before padding.
pub fn payload<'a>(header: &RtpHeader, packet: &'a [u8]) -> Option<&'a [u8]> {
    packet.get(header_len(packet)?..)?.get(..header.payload_len)
}

/// Where the payload of an RTP packet begins, whatever it is; at most at the packet's end.
pub fn header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first().filter(|first| **first >> 6 == 2)?;
    let mut start = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let [_, _, l0, l1] = *packet.get(start..)?.first_chunk()?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
    }
    (start <= packet.len()).then_some(start)
}

/// The payload's length behind contributing sources, extension and padding.
fn payload_len(first: u8, packet: &[u8]) -> Option<usize> {
    let mut rest = packet.get(12 + 4 * usize::from(first & 0x0f)..)?;
    if first & 0x10 != 0 {
        let [_, _, l0, l1] = *rest.first_chunk()?;
        rest = rest.get(4 + 4 * usize::from(u16::from_be_bytes([l0, l1]))..)?;
    }
    if first & 0x20 == 0 {
        return Some(rest.len());
    }
    match *rest.last()? {
        0 => None,
        padding => rest.len().checked_sub(usize::from(padding)),
    }
}

/// RFC 5761 §4: payload types 64 to 95 are not used for RTP, so that the second byte of 192 to 223 is RTCP.
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, _, _, ..] if first >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        let plain = [0x80, 8, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
        let with = |first: u8, tail: &[u8]| {
            let mut p = plain.to_vec();
            p[0] = first;
            p.extend_from_slice(tail);
            p
        };
        for (name, packet, want) in [
            ("empty", vec![], None),
            ("short", plain[..11].to_vec(), None),
            ("no payload", plain.to_vec(), Some(0)),
            ("payload", with(0x80, &[1; 160]), Some(160)),
            ("version 1", with(0x40, &[1; 160]), None),
            ("version 3", with(0xc0, &[1; 160]), None),
            ("a source", with(0x81, &[1; 5]), Some(1)),
            ("a source missing", with(0x81, &[1; 3]), None),
            ("15 sources missing", with(0x8f, &[1; 59]), None),
            ("extension", with(0x90, &[0, 0, 0, 1, 9, 9, 9, 9, 7]), Some(1)),
            ("extension too long", with(0x90, &[0, 0, 255, 255, 9]), None),
            ("extension cut", with(0x90, &[0, 0, 0]), None),
            ("padding", with(0xa0, &[5, 0, 2]), Some(1)),
            ("all padding", with(0xa0, &[0, 0, 3]), Some(0)),
            ("padding of 0", with(0xa0, &[1, 0]), None),
            ("too much padding", with(0xa0, &[1, 3]), None),
            ("padding without payload", with(0xa0, &[]), None),
            ("STUN", [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat(), None),
            ("RTCP", [&[0x81, 200, 0, 6][..], &[0; 24]].concat(), None),
        ] {
            assert_eq!(RtpHeader::parse(&packet).map(|h| h.payload_len), want, "{name}");
        }
        let header = RtpHeader::parse(&with(0x80, &[])).unwrap();
        assert_eq!((header.payload_type, header.sequence, header.timestamp), (8, 1, 160));
        assert_eq!((header.ssrc, header.marker), (0x0102_0304, false));
    }
}
