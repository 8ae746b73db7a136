//! The second factor: time-based one-time passwords (RFC 6238 over RFC 4226), six digits, steps of 30 seconds, SHA-1,
//! which is what authenticator apps take.

use hmac::{Hmac, Mac};
use sha1::Sha1;
use vocab::Utc;

const STEP_S: i64 = 30;
/// 160 bits, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret in base 32. `None` when the system has no randomness to give.
pub(crate) fn new_secret() -> Option<String> {
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(base32(&bytes))
}

/// What an authenticator app reads from a picture or takes as text.
pub(crate) fn uri(user: &str, secret: &str) -> String {
    let user: String = user
        .bytes()
        .map(|b| match b.is_ascii_alphanumeric() {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect();
    format!("otpauth://totp/Tandem:{user}?secret={secret}&issuer=Tandem")
}

/// The time step whose code this is: the present one, or one before or after for clocks that differ (RFC 6238 §5.2).
pub(crate) fn step_of(secret: &str, code: &str, now: Utc) -> Option<u64> {
    let key = unbase32(secret)?;
    let step = u64::try_from(now.millis().div_euclid(1000).div_euclid(STEP_S)).ok()?;
    let steps = [step, step.saturating_sub(1), step.saturating_add(1)];
    steps.into_iter().find(|s| code_at(&key, *s).is_some_and(|c| c == code))
}

/// RFC 4226 §5.3.
fn code_at(key: &[u8], step: u64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash.last()? & 0x0f);
    let bytes: [u8; 4] = hash.get(offset..offset + 4)?.try_into().ok()?;
    let number = (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000;
    Some(format!("{number:06}"))
}

/// RFC 4648 §6, without padding.
fn base32(bytes: &[u8]) -> String {
    let bit = |i: usize| bytes.get(i / 8).map_or(0, |b| (b >> (7 - i % 8)) & 1);
    (0..bytes.len() * 8)
        .step_by(5)
        .map(|start| (start..start + 5).fold(0u8, |n, i| n << 1 | bit(i)))
        .filter_map(|n| BASE32.get(usize::from(n)).map(|c| char::from(*c)))
        .collect()
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0u16, 0);
    for c in text.bytes() {
        let value = BASE32.iter().position(|b| *b == c.to_ascii_uppercase())?;
        held = held << 5 | u16::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the SHA-1 rows; its codes have eight digits, of which these are the last six.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = base32(b"12345678901234567890");
        assert_eq!(secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (at_s, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Utc::from_millis(at_s * 1000);
            assert_eq!(step_of(&secret, code, now), Some(u64::try_from(at_s / 30).unwrap()), "{at_s}");
            let late = Utc::from_millis((at_s + 61) * 1000);
            assert_eq!(step_of(&secret, code, late), None, "{at_s}, a minute late");
        }
        for bad in ["", "0000000", "28708", "abcdef", "287083"] {
            assert_eq!(step_of(&secret, bad, Utc::from_millis(59_000)), None, "{bad}");
        }
        assert_eq!(step_of("no base 32!", "287082", Utc::from_millis(59_000)), None);
    }

    #[test]
    fn secrets_are_random_and_named() {
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(a, b);
        assert_eq!(unbase32(&a).map(|k| k.len()), Some(20));
        assert_eq!(uri("a b", "ABC"), "otpauth://totp/Tandem:a%20b?secret=ABC&issuer=Tandem");
    }
}
