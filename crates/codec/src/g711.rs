//! G.711: A-law and µ-law, by tables worked out at compile time from the Recommendation's segments.
//!
//! Samples are 16 bits wide; A-law looks at the upper 13, µ-law at the upper 14 (G.711 tables 1 and 2).

/// What a silent line carries.
pub const ALAW_SILENCE: u8 = 0xd5;
pub const ULAW_SILENCE: u8 = 0xff;

/// Every other bit is inverted on the wire (G.711 §3.2 note).
const ALAW_INVERSION: u8 = 0x55;
/// Added before the segment is looked for, so that segments begin at powers of two.
const ULAW_BIAS: i32 = 33;
const ULAW_LARGEST: i32 = 8158;

static ALAW_DECODED: [i16; 256] = decoded(true);
static ULAW_DECODED: [i16; 256] = decoded(false);
static ALAW_ENCODED: [u8; 4096] = alaw_encoded();
static ULAW_ENCODED: [u8; 16384] = ulaw_encoded();

#[expect(clippy::cast_possible_truncation, reason = "13 and 14 bit values shifted to 16, codes below 256")]
const fn decoded(alaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if alaw { alaw_value(code as u8) } else { ulaw_value(code as u8) } as i16;
        code += 1;
    }
    table
}

const fn alaw_value(code: u8) -> i32 {
    let plain = code ^ ALAW_INVERSION;
    let (segment, step) = ((plain >> 4) & 7, (plain & 15) as i32);
    // The middle of the interval, in units of 1/8 of the smallest step.
    let magnitude = match segment {
        0 => 16 * step + 8,
        s => (16 * step + 264) << (s - 1),
    };
    if plain & 0x80 != 0 { magnitude } else { -magnitude }
}

const fn ulaw_value(code: u8) -> i32 {
    let plain = !code;
    let (segment, step) = ((plain >> 4) & 7, (plain & 15) as i32);
    let magnitude = (((2 * step + ULAW_BIAS) << segment) - ULAW_BIAS) * 4;
    if plain & 0x80 == 0 { magnitude } else { -magnitude }
}

#[expect(clippy::cast_possible_truncation, reason = "codes are below 128 before the sign bit")]
const fn alaw_encoded() -> [u8; 4096] {
    let mut table = [0; 4096];
    let mut index = 0i32;
    while index < 4096 {
        let value = index - 2048;
        // A negative value belongs to the interval above it: −1 is the first negative one.
        let magnitude = if value < 0 { !value } else { value };
        // Segments 0 and 1 have the same step.
        let segment = if magnitude < 16 { 0 } else { 28 - magnitude.leading_zeros() as i32 };
        let shift = if segment == 0 { 0 } else { segment - 1 };
        let code = ((segment << 4) | ((magnitude >> shift) & 15)) as u8;
        let sign = if value < 0 { 0 } else { 0x80 };
        table[index as usize] = (code | sign) ^ ALAW_INVERSION;
        index += 1;
    }
    table
}

#[expect(clippy::cast_possible_truncation, reason = "codes are below 128 before the sign bit")]
const fn ulaw_encoded() -> [u8; 16384] {
    let mut table = [0; 16384];
    let mut index = 0i32;
    while index < 16384 {
        let value = index - 8192;
        let bare = if value < 0 { !value } else { value };
        let magnitude = (if bare > ULAW_LARGEST { ULAW_LARGEST } else { bare }) + ULAW_BIAS;
        let segment = 26 - magnitude.leading_zeros() as i32;
        let code = ((segment << 4) | ((magnitude >> (segment + 1)) & 15)) as u8;
        let sign = if value < 0 { 0x80 } else { 0 };
        table[index as usize] = !(code | sign);
        index += 1;
    }
    table
}

pub fn alaw_to_linear(code: u8) -> i16 {
    ALAW_DECODED[usize::from(code)]
}

pub fn ulaw_to_linear(code: u8) -> i16 {
    ULAW_DECODED[usize::from(code)]
}

pub fn linear_to_alaw(sample: i16) -> u8 {
    ALAW_ENCODED[usize::from(sample.cast_unsigned() ^ 0x8000) >> 4]
}

pub fn linear_to_ulaw(sample: i16) -> u8 {
    ULAW_ENCODED[usize::from(sample.cast_unsigned() ^ 0x8000) >> 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G.711 tables 1a and 2a, rows picked from each segment: (code on the wire, 16-bit value at its middle).
    #[test]
    fn values_of_the_recommendation() {
        for (code, value) in
            [(0xd5, 8), (0x55, -8), (0xd4, 24), (0xaa, 32256), (0x2a, -32256), (0x80, 5504), (0xc5, 264)]
        {
            assert_eq!(alaw_to_linear(code), value, "A-law {code:#x}");
        }
        for (code, value) in
            [(0xff, 0), (0x7f, 0), (0xfe, 8), (0x7e, -8), (0x80, 32124), (0x00, -32124), (0xef, 132)]
        {
            assert_eq!(ulaw_to_linear(code), value, "µ-law {code:#x}");
        }
    }

    #[test]
    fn every_code_comes_back() {
        for code in 0..=255 {
            assert_eq!(linear_to_alaw(alaw_to_linear(code)), code);
            // µ-law has two zeros; the negative one comes back as the positive one.
            let back = linear_to_ulaw(ulaw_to_linear(code));
            assert_eq!(back, if code == 0x7f { 0xff } else { code });
        }
    }

    #[test]
    fn louder_is_never_less() {
        let alaw = |s: i16| alaw_to_linear(linear_to_alaw(s));
        let ulaw = |s: i16| ulaw_to_linear(linear_to_ulaw(s));
        assert!((i16::MIN..i16::MAX).all(|s| alaw(s) <= alaw(s + 1) && ulaw(s) <= ulaw(s + 1)));
    }
}
