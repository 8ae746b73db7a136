//! The 80 bits of a frame (table 8) and their bytes (RFC 3551 §4.5.6).

use super::excitation::PulseCode;
use super::lsp::{LspCode, NoiseCode};

/// Bytes of a speech frame.
pub const BYTES: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub lsp: LspCode,
    /// Over the upper six bits of the first lag.
    pub parity: u8,
    pub subframes: [Subframe; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subframe {
    pub lag: u8,
    pub pulses: PulseCode,
    pub gains: u8,
}

/// Bytes of a comfort noise frame.
pub const SID_BYTES: usize = 2;

/// A comfort noise frame (silence insertion descriptor, §B.4.3): 15 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sid {
    pub lsp: NoiseCode,
    pub gain: u8,
}

impl Sid {
    pub fn read(bytes: [u8; SID_BYTES]) -> Sid {
        let bits = u16::from_be_bytes(bytes);
        let field = |shift: u16, mask: u16| (bits >> shift & mask).to_le_bytes()[0];
        let lsp = NoiseCode { blended: bits >> 15 == 1, first: field(10, 31), second: field(6, 15) };
        Sid { lsp, gain: field(1, 31) }
    }
}

/// Takes fields from the most significant end.
struct Reader(u128);

impl Reader {
    fn take(&mut self, bits: u32) -> u16 {
        let field = self.0 >> (128 - bits);
        self.0 <<= bits;
        u16::try_from(field).unwrap_or(0)
    }

    fn take8(&mut self, bits: u32) -> u8 {
        self.take(bits).to_le_bytes()[0]
    }

    fn subframe(&mut self, lag: u8) -> Subframe {
        let pulses = PulseCode { positions: self.take(13), signs: self.take8(4) };
        Subframe { lag, pulses, gains: self.take8(7) }
    }
}

impl Frame {
    pub fn read(bytes: &[u8; BYTES]) -> Frame {
        let mut wide = [0; 16];
        wide[..BYTES].copy_from_slice(bytes);
        let mut reader = Reader(u128::from_be_bytes(wide));
        let lsp = LspCode {
            predictor: reader.take8(1),
            first: reader.take8(7),
            lower: reader.take8(5),
            upper: reader.take8(5),
        };
        let lag = reader.take8(8);
        let parity = reader.take8(1);
        let first = reader.subframe(lag);
        let lag = reader.take8(5);
        Frame { lsp, parity, subframes: [first, reader.subframe(lag)] }
    }

    pub fn write(&self) -> [u8; BYTES] {
        let [first, second] = &self.subframes;
        let fields = [
            (u16::from(self.lsp.predictor), 1),
            (u16::from(self.lsp.first), 7),
            (u16::from(self.lsp.lower), 5),
            (u16::from(self.lsp.upper), 5),
            (u16::from(first.lag), 8),
            (u16::from(self.parity), 1),
            (first.pulses.positions, 13),
            (u16::from(first.pulses.signs), 4),
            (u16::from(first.gains), 7),
            (u16::from(second.lag), 5),
            (second.pulses.positions, 13),
            (u16::from(second.pulses.signs), 4),
            (u16::from(second.gains), 7),
        ];
        let joined = fields.iter().fold(0u128, |sum, &(value, bits)| sum << bits | u128::from(value)) << 48;
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&joined.to_be_bytes()[..BYTES]);
        bytes
    }

    pub fn parity_of(lag: u8) -> u8 {
        u8::from((lag >> 2).count_ones() & 1 == 0)
    }

    /// §4.1.2: the pitch of the first subframe may be believed.
    pub fn parity_holds(&self) -> bool {
        Frame::parity_of(self.subframes[0].lag) == self.parity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_its_place() {
        for bit in 0..80 {
            let mut bytes = [0; BYTES];
            bytes[bit / 8] = 0x80 >> (bit % 8);
            assert_eq!(Frame::read(&bytes).write(), bytes, "bit {bit}");
            assert_ne!(Frame::read(&bytes), Frame::default(), "bit {bit}");
        }
    }
}
