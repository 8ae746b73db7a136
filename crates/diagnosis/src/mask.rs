//! Secrets and dialled digits are taken out of a message before it is kept, shown or sent on. Lengths stay, so that
//! `Content-Length` and offsets remain true.

/// Headers whose value proves who somebody is.
const SECRET_HEADERS: [&[u8]; 4] =
    [b"authorization", b"proxy-authorization", b"authentication-info", b"x-auth-token"];
/// Parts of them that are no secret, and tell what is wrong.
const OPEN_PARTS: [&[u8]; 5] = [b"username", b"realm", b"algorithm", b"uri", b"qop"];
/// Bodies that carry digits, and keys of session descriptions.
const DIGIT_BODIES: [&[u8]; 2] = [b"application/dtmf", b"audio/telephone-event"];

/// Masks in place.
pub fn mask(message: &mut [u8]) {
    let head_end = find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    let mut digits = false;
    let mut at = 0;
    while at < head_end {
        let end = find(&message[at..head_end], b"\n").map_or(head_end, |n| at + n + 1);
        let line = &mut message[at..end];
        let name_end = line.iter().position(|b| *b == b':').unwrap_or(0);
        let (name, value) = line.split_at_mut(name_end);
        let name = name.trim_ascii();
        if SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            mask_credentials(value);
        } else if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
            let value = value.to_ascii_lowercase();
            digits |= DIGIT_BODIES.iter().any(|kind| find(&value, kind).is_some());
        }
        at = end;
    }
    let Some(body) = message.get_mut(head_end..) else { return };
    if digits {
        mask_digits(body);
    }
    mask_keys(body);
}

/// Every quoted or bare value but those that are open.
fn mask_credentials(value: &mut [u8]) {
    let mut at = 0;
    while let Some(equals) = value[at..].iter().position(|b| *b == b'=').map(|n| at + n) {
        let name_start = value[..equals]
            .iter()
            .rposition(|b| matches!(b, b' ' | b',' | b'\t' | b':'))
            .map_or(0, |n| n + 1);
        let open = OPEN_PARTS.iter().any(|part| value[name_start..equals].eq_ignore_ascii_case(part));
        let quoted = value.get(equals + 1) == Some(&b'"');
        let start = equals + 1 + usize::from(quoted);
        let stop = |b: &u8| if quoted { *b == b'"' } else { matches!(*b, b',' | b'\r' | b'\n' | b' ') };
        let end = value[start..].iter().position(stop).map_or(value.len(), |n| start + n);
        if !open {
            value[start..end].fill(b'*');
        }
        at = end.max(equals + 1);
    }
    // A scheme without parts (Basic, Bearer) is a secret as a whole.
    if !value.contains(&b'=') || starts_with_scheme(value, b"basic") || starts_with_scheme(value, b"bearer") {
        let end = value.trim_ascii_end().len();
        value[1.min(end)..end].iter_mut().filter(|b| **b != b' ').for_each(|b| *b = b'*');
    }
}

fn starts_with_scheme(value: &[u8], scheme: &[u8]) -> bool {
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
    value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// `Signal=5`, or the digit alone.
fn mask_digits(body: &mut [u8]) {
    for line in body.split_mut(|b| *b == b'\n') {
        let equals = line.iter().position(|b| *b == b'=');
        let is_signal = equals.is_none_or(|n| line[..n].trim_ascii().eq_ignore_ascii_case(b"signal"));
        if is_signal {
            let digits = &mut line[equals.map_or(0, |n| n + 1)..];
            digits
                .iter_mut()
                .filter(|b| b.is_ascii_digit() || b"ABCDabcd*#".contains(b))
                .for_each(|b| *b = b'*');
        }
    }
}

/// Keys of SRTP (RFC 4568): `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:KEY`.
fn mask_keys(body: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = find(&body[at..], b"inline:") {
        let start = at + found + b"inline:".len();
        let end = body[start..]
            .iter()
            .position(|b| matches!(b, b'|' | b'\r' | b'\n' | b' '))
            .map_or(body.len(), |n| start + n);
        body[start..end].fill(b'*');
        at = end;
    }
}

pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        mask(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn credentials_are_gone_and_names_stay() {
        let text = masked(
            "REGISTER sip:x SIP/2.0\r\nAuthorization: Digest username=\"bob\", realm=\"r\", nonce=\"abc\", response=\"0123456789abcdef\", nc=00000001\r\nCall-ID: 1\r\n\r\n",
        );
        assert!(text.contains("username=\"bob\", realm=\"r\""), "{text}");
        for secret in ["abc\"", "0123456789abcdef", "00000001"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.ends_with("Call-ID: 1\r\n\r\n"));
        let text = masked("A\r\nProxy-Authorization: Basic c2VjcmV0OnB3\r\n\r\n");
        assert!(!text.contains("c2Vj"), "{text}");
    }

    #[test]
    fn digits_and_keys_are_gone() {
        let text =
            masked("INFO x\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n");
        assert!(text.contains("Signal=*\r\nDuration=160"), "{text}");
        let text = masked("INFO x\r\nContent-Type: application/dtmf\r\n\r\n7");
        assert!(text.ends_with("\r\n\r\n*"), "{text}");
        let text = masked("X\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20\r\n");
        assert!(text.contains("inline:********|2^20"), "{text}");
    }

    #[test]
    fn nothing_else_changes_and_nothing_breaks() {
        let plain = "INVITE sip:1@x SIP/2.0\r\nFrom: <sip:5@x>;tag=1\r\n\r\nv=0\r\nm=audio 5 RTP/AVP 8\r\n";
        assert_eq!(masked(plain), plain);
        for odd in [
            "",
            ":",
            "Authorization:",
            "Authorization: =",
            "Authorization: a=\"",
            "\r\n\r\n",
            "a=crypto inline:",
        ] {
            masked(odd);
        }
    }
}
