//! Digest access authentication from the side of a user agent (RFC 7616, RFC 8760), for simulated peers.

use crate::wire::list_parameter;
use md5::{Digest, Md5};
use sha2::Sha256;
use vocab::leg::StoredSecret;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn hash(algorithm: &str, text: &str) -> String {
    match algorithm.eq_ignore_ascii_case("SHA-256") {
        true => hex(&Sha256::digest(text.as_bytes())),
        false => hex(&Md5::digest(text.as_bytes())),
    }
}

/// The stored form of a password.
pub fn secret(username: &str, realm: &str, password: &str) -> StoredSecret {
    let text = format!("{username}:{realm}:{password}");
    StoredSecret { ha1_md5: hash("MD5", &text), ha1_sha256: hash("SHA-256", &text) }
}

/// Who answers a challenge, and for what.
pub struct Answer<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce_count: u32,
}

impl Answer<'_> {
    /// Value of `Authorization` or `Proxy-Authorization` for a challenge.
    pub fn to(&self, challenge: &str) -> String {
        let part = |name| list_parameter(challenge, name).unwrap_or("");
        let (realm, nonce, algorithm) = (part("realm"), part("nonce"), part("algorithm"));
        let algorithm = if algorithm.is_empty() { "MD5" } else { algorithm };
        let ha1 = hash(algorithm, &format!("{}:{realm}:{}", self.username, self.password));
        let ha2 = hash(algorithm, &format!("{}:{}", self.method, self.uri));
        let (nc, cnonce) = (format!("{:08x}", self.nonce_count), "0a4f113b");
        let (response, qop) = match part("qop").starts_with("auth") {
            true => (
                hash(algorithm, &format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}")),
                format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""),
            ),
            false => (hash(algorithm, &format!("{ha1}:{nonce}:{ha2}")), String::new()),
        };
        let opaque = match part("opaque") {
            "" => String::new(),
            text => format!(", opaque=\"{text}\""),
        };
        format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", algorithm={algorithm}, \
             response=\"{response}\"{qop}{opaque}",
            self.username, self.uri
        )
    }
}

/// Is the answer to a challenge right?
pub fn is_right(authorization: &str, username: &str, password: &str, method: &str) -> bool {
    let part = |name| list_parameter(authorization, name).unwrap_or("");
    let (algorithm, realm, nonce) = (part("algorithm"), part("realm"), part("nonce"));
    let ha1 = hash(algorithm, &format!("{username}:{realm}:{password}"));
    let ha2 = hash(algorithm, &format!("{method}:{}", part("uri")));
    let text = match part("qop") {
        "" => format!("{ha1}:{nonce}:{ha2}"),
        qop => format!("{ha1}:{nonce}:{}:{}:{qop}:{ha2}", part("nc"), part("cnonce")),
    };
    part("username") == username && hash(algorithm, &text) == part("response")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1, both algorithms.
    #[test]
    fn matches_the_examples_of_the_rfc() {
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
            let ha1 = hash(algorithm, "Mufasa:http-auth@example.org:Circle of Life");
            let ha2 = hash(algorithm, "GET:/dir/index.html");
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let got = hash(algorithm, &format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"));
            assert_eq!(got, response);
        }
    }

    #[test]
    fn an_answer_satisfies_its_challenge() {
        for algorithm in ["MD5", "SHA-256"] {
            let challenge =
                format!("Digest realm=\"tandem\", nonce=\"n1\", algorithm={algorithm}, qop=\"auth\"");
            let answer =
                Answer { username: "acme", password: "pw", method: "INVITE", uri: "sip:1@h", nonce_count: 1 };
            let value = answer.to(&challenge);
            assert!(is_right(&value, "acme", "pw", "INVITE"), "{value}");
            assert!(!is_right(&value, "acme", "other", "INVITE"));
            assert!(!is_right(&value, "acme", "pw", "BYE"));
        }
    }
}
