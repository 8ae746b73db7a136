//! A notice as an Internet message (RFC 5322), and the lines that hand it over (RFC 5321). The relay is the
//! operator's own, in the same network: no sign-in and no TLS.

/// What is sent, and the class of answer (`250` → 2) that each line must get; the first answer is the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub expected: u8,
}

/// An address that can stand in a command: `name@host`, printable, without brackets, quotes and spaces.
pub fn is_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"".contains(c);
    let parts: Vec<&str> = text.split('@').collect();
    text.len() <= 254
        && text.chars().all(plain)
        && matches!(parts[..], [name, host] if !name.is_empty() && !host.is_empty())
}

/// The whole dialogue for one message.
pub fn dialogue(from: &str, to: &[String], message: &str) -> Vec<Line> {
    let line = |text: String, expected| Line { text, expected };
    let mut lines = vec![line("EHLO tandem\r\n".into(), 2), line(format!("MAIL FROM:<{from}>\r\n"), 2)];
    lines.extend(to.iter().map(|to| line(format!("RCPT TO:<{to}>\r\n"), 2)));
    lines.push(line("DATA\r\n".into(), 3));
    lines.push(line(format!("{}.\r\n", stuffed(message)), 2));
    lines.push(line("QUIT\r\n".into(), 2));
    lines
}

/// Each line ends with CR LF; one that begins with a dot gets another (RFC 5321 §4.5.2).
fn stuffed(message: &str) -> String {
    let dotted =
        |line: &str| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") };
    message.lines().map(dotted).collect()
}

/// Header and body. Nothing in subject or addresses can begin another header.
pub fn message(from: &str, to: &[String], id: &str, subject: &str, body: &str) -> String {
    let clean = |text: &str| -> String {
        let one_line = text.chars().filter(|c| !c.is_control());
        // Headers are ASCII; what is not would need encoded words, and stands in the body anyway.
        one_line.map(|c| if c.is_ascii() { c } else { '?' }).take(200).collect()
    };
    let header = [
        format!("From: {}", clean(from)),
        format!("To: {}", to.iter().map(|t| clean(t)).collect::<Vec<_>>().join(", ")),
        format!("Message-ID: <{}>", clean(id)),
        format!("Subject: {}", clean(subject)),
        "MIME-Version: 1.0".into(),
        "Content-Type: text/plain; charset=utf-8".into(),
        "Content-Transfer-Encoding: 8bit".into(),
        "Auto-Submitted: auto-generated".into(),
    ];
    format!("{}\r\n\r\n{body}", header.join("\r\n"))
}

/// The class of an answer that is complete, reading line by line: `250-…` goes on, `250 …` is the last.
pub fn class(line: &str) -> Option<Option<u8>> {
    let bytes = line.as_bytes();
    let code = bytes.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
    match bytes.get(3) {
        Some(b'-') => Some(None),
        Some(b' ' | b'\r' | b'\n') | None => Some(Some(code[0] - b'0')),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let to = ["ops@example.net".to_owned()];
        let text = message("a@b", &to, "1@x", "gateway x\r\nBcc: all@example.net", ".\r\nline\n.dot");
        assert!(!text.contains("\nBcc"));
        let lines = dialogue("a@b", &to, &text);
        let data = &lines[4].text;
        assert!(data.ends_with("\r\n\r\n..\r\nline\r\n..dot\r\n.\r\n"), "{data:?}");
        assert_eq!(data.matches("\r\n.\r\n").count(), 1);
        assert_eq!(lines.iter().map(|l| l.expected).collect::<Vec<_>>(), [2, 2, 2, 3, 2, 2]);
    }

    #[test]
    fn addresses() {
        for good in ["a@b", "noc+x@mail.example.net"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b>\r\nDATA", "<a@b>", "ä@b"] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(class("250-PIPELINING\r\n"), Some(None));
        assert_eq!(class("250 OK\r\n"), Some(Some(2)));
        assert_eq!(class("354"), Some(Some(3)));
        assert_eq!((class("25"), class("abc"), class("250x")), (None, None, None));
    }
}
