//! Cutting messages out of a stream (RFC 3261 §18.3): by the blank line and Content-Length.

use crate::message::{MAX_BODY, MAX_HEAD};
use memchr::memchr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    NeedMore,
    /// Blank lines between messages. A double CRLF asks for one CRLF back (RFC 5626 §4.4.1).
    KeepAlive {
        length: usize,
        ping: bool,
    },
    /// One whole message of this length stands at the start.
    Message {
        length: usize,
    },
    /// Nothing sensible can follow: close the connection.
    Broken,
}

/// Remembers how far a buffer was looked through, so that bytes that arrive one by one cost linear time.
/// One per connection; the caller removes from the front what a frame covers.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    /// Start of the first line not yet looked at.
    scanned: usize,
    /// Looked through without finding a line end.
    searched: usize,
    content_length: Option<usize>,
    has_content_type: bool,
    /// Known once the head is complete.
    total: Option<usize>,
}

impl Framer {
    /// What stands at the start of the buffer? `buffer` must begin where the last frame ended.
    pub fn next(&mut self, buffer: &[u8]) -> Frame {
        if let Some(frame) = keep_alive(buffer).filter(|_| self.scanned == 0) {
            return frame;
        }
        while self.total.is_none() {
            match self.next_line(buffer) {
                Some(Ok(())) => {}
                Some(Err(())) => return Frame::Broken,
                None => {
                    self.searched = buffer.len();
                    return if buffer.len() > MAX_HEAD { Frame::Broken } else { Frame::NeedMore };
                }
            }
        }
        match self.total {
            Some(length) if buffer.len() >= length => {
                *self = Framer::default();
                Frame::Message { length }
            }
            _ => Frame::NeedMore,
        }
    }

    /// Looks at one line; `None` when it is not complete yet.
    fn next_line(&mut self, buffer: &[u8]) -> Option<Result<(), ()>> {
        let from = self.searched.max(self.scanned);
        let end = from + memchr(b'\n', buffer.get(from..)?)?;
        let line = buffer.get(self.scanned..end)?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let first = self.scanned == 0;
        self.scanned = end + 1;
        if self.scanned > MAX_HEAD {
            return Some(Err(()));
        }
        if line.is_empty() {
            return Some(self.head_complete());
        }
        let looks_right = || line.windows(4).any(|w| w.eq_ignore_ascii_case(b"SIP/"));
        Some(if first && !looks_right() { Err(()) } else { self.header(line) })
    }

    fn header(&mut self, line: &[u8]) -> Result<(), ()> {
        let Some(colon) = memchr(b':', line) else { return Ok(()) };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c") {
            self.has_content_type = true;
        }
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            return Ok(());
        }
        let value = std::str::from_utf8(value.get(1..).unwrap_or_default()).map_err(|_| ())?;
        let length = crate::header::number(value).and_then(|n| usize::try_from(n).ok()).ok_or(())?;
        // Two different lengths: whoever chooses one can be made to read the other's body as a request.
        if length > MAX_BODY || self.content_length.is_some_and(|l| l != length) {
            return Err(());
        }
        self.content_length = Some(length);
        Ok(())
    }

    /// RFC 3261 §20.14: over streams the length must be there. Without any body type, none means no body.
    fn head_complete(&mut self) -> Result<(), ()> {
        let body = match self.content_length {
            Some(length) => length,
            None if !self.has_content_type => 0,
            None => return Err(()),
        };
        self.total = Some(self.scanned + body);
        Ok(())
    }
}

fn keep_alive(buffer: &[u8]) -> Option<Frame> {
    let length = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    match length {
        0 => None,
        // A lone CR may be the first byte of more.
        1 if buffer.len() == 1 => Some(Frame::NeedMore),
        _ => Some(Frame::KeepAlive { length, ping: buffer.starts_with(b"\r\n\r\n") }),
    }
}

/// For a whole buffer at once: see [`Framer::next`].
pub fn next_frame(buffer: &[u8]) -> Frame {
    Framer::default().next(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:a@h SIP/2.0\r\nl: 3\r\nc: text/plain\r\n\r\nabc";

    #[test]
    fn frames() {
        for (text, want) in [
            (&b""[..], Frame::NeedMore),
            (b"\r", Frame::NeedMore),
            (b"\r\n\r\nOPT", Frame::KeepAlive { length: 4, ping: true }),
            (b"\r\n", Frame::KeepAlive { length: 2, ping: false }),
            (OPTIONS, Frame::Message { length: OPTIONS.len() }),
            (b"GET / HTTP/1.1\r\n", Frame::Broken),
            (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: -1\r\n\r\n", Frame::Broken),
            (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 99999999\r\n\r\n", Frame::Broken),
            (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 5\r\nl: 6\r\n\r\n", Frame::Broken),
            (b"OPTIONS sip:a@h SIP/2.0\r\nc: text/plain\r\n\r\n", Frame::Broken),
            (b"BYE sip:a@h SIP/2.0\nVia: x\n\n", Frame::Message { length: 28 }),
        ] {
            assert_eq!(next_frame(text), want, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn glued_and_byte_by_byte() {
        let mut stream = [OPTIONS, b"\r\n", OPTIONS].concat();
        let (mut buffer, mut framer, mut cut) = (Vec::new(), Framer::default(), 0);
        for byte in stream.drain(..) {
            buffer.push(byte);
            match framer.next(&buffer) {
                Frame::Message { length } => {
                    assert_eq!(buffer.drain(..length).collect::<Vec<_>>(), OPTIONS);
                    cut += 1;
                }
                Frame::KeepAlive { length, .. } => drop(buffer.drain(..length)),
                Frame::NeedMore => {}
                Frame::Broken => panic!("broken"),
            }
        }
        assert_eq!((cut, buffer.len()), (2, 0));
    }

    #[test]
    fn endless_head_is_refused() {
        let mut framer = Framer::default();
        let mut buffer = b"OPTIONS sip:a@h SIP/2.0\r\nX: ".to_vec();
        assert_eq!(framer.next(&buffer), Frame::NeedMore);
        buffer.resize(70_000, b'x');
        assert_eq!(framer.next(&buffer), Frame::Broken);
    }
}
