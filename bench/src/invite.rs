//! An INVITE as a customer's PBX sends it.

/// About a kilobyte, with what real ones carry.
pub fn text() -> String {
    let head = "INVITE sip:+8801712345678@203.0.113.5:5060;user=phone SIP/2.0
Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK776asdhds1f3a9c2;rport
Max-Forwards: 69
From: \"Acme Trading\" <sip:442071234567@198.51.100.10>;tag=as1928301774
To: <sip:+8801712345678@203.0.113.5>
Contact: <sip:442071234567@198.51.100.10:5060>
Call-ID: a84b4c76e66710f25e1c0c2d4a19e0f1@198.51.100.10
CSeq: 102 INVITE
User-Agent: Asterisk PBX 18.20.2
Date: Thu, 01 Feb 2029 12:00:00 GMT
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE
Supported: replaces, timer
P-Asserted-Identity: \"Acme Trading\" <sip:442071234567@198.51.100.10>
Session-Expires: 1800
Min-SE: 90
Content-Type: application/sdp
";
    let body = body();
    format!("{head}Content-Length: {}\n\n", body.len()).replace('\n', "\r\n") + &body
}

pub fn body() -> String {
    "v=0
o=root 1821463789 1821463789 IN IP4 198.51.100.10
s=Asterisk PBX 18.20.2
c=IN IP4 198.51.100.10
t=0 0
m=audio 14382 RTP/AVP 8 0 18 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:150
a=sendrecv
"
    .replace('\n', "\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_in_order() {
        let text = text();
        let message = sip::message::Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.check(), Ok(()));
        assert_eq!(message.body(), body().as_bytes());
        assert!((1000..1500).contains(&text.len()), "{}", text.len());
    }
}
