//! A capture as text: for trace files, downloads and the evidence file.

use crate::capture::{Capture, Message};
use crate::ladder::{Ladder, SWITCH, ladder};
use std::fmt::Write;
use vocab::Utc;

/// `2026-01-31T12:00:00.123Z`, from the days of the civil calendar (Howard Hinnant's algorithm).
pub fn time(at: Utc) -> String {
    let (days, rest) = (at.0.div_euclid(86_400_000_000), at.0.rem_euclid(86_400_000_000));
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let ms = rest / 1000;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
}

/// One message with its heading, as a trace file has it.
pub fn message(capture: &Capture, message: &Message) -> String {
    let (source, destination) =
        if message.incoming { (message.remote, message.local) } else { (message.local, message.remote) };
    let way = if message.incoming { "received" } else { "sent" };
    format!(
        "--- {} {} {way} {} {source} -> {destination} {} bytes\n{}\n\n",
        time(message.at),
        name(capture),
        message.transport,
        message.bytes.len(),
        String::from_utf8_lossy(&message.bytes).replace("\r\n", "\n").trim_end(),
    )
}

/// One event, on a line.
pub fn event(capture: &Capture, at: Utc, words: &str) -> String {
    format!("--- {} {} {words}\n\n", time(at), name(capture))
}

fn name(capture: &Capture) -> String {
    match capture.call {
        Some(call) => format!("call {call}"),
        None => format!("dialog {}", capture.correlation()),
    }
}

/// All of it, in the order of time.
pub fn whole(capture: &Capture) -> String {
    let mut parts: Vec<(Utc, String)> =
        capture.messages.iter().map(|m| (m.at, message(capture, m))).collect();
    parts.extend(capture.events.iter().map(|(at, e)| (*at, event(capture, *at, &e.words()))));
    parts.sort_by_key(|(at, _)| *at);
    let mut text: String = parts.into_iter().map(|(_, part)| part).collect();
    if capture.left_out > 0 {
        let _ = writeln!(text, "--- {} more messages were not kept", capture.left_out);
    }
    text
}

const LANE: usize = 26;

/// The ladder drawn in letters, without the messages' texts.
pub fn drawn(capture: &Capture) -> String {
    let Ladder { lanes, rows } = ladder(capture);
    let mut text = " ".repeat(12);
    for lane in &lanes {
        let _ = write!(text, "{lane:<LANE$}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for row in rows {
        let seconds = row.after_ms / 1000;
        let _ = write!(text, "{seconds:>6}.{:03}  ", row.after_ms % 1000);
        if row.from == row.to {
            let _ = writeln!(text, "{}* {}", " ".repeat(LANE * SWITCH), row.label);
            continue;
        }
        let (first, last) = (row.from.min(row.to), row.from.max(row.to));
        let width = LANE * (last - first) - 2;
        let label: String = row.label.chars().take(width.saturating_sub(4)).collect();
        let fill = "-".repeat(width.saturating_sub(label.chars().count() + 3));
        let arrow =
            if row.from < row.to { format!("- {label} {fill}>") } else { format!("<- {label} {fill}") };
        let _ = writeln!(text, "{}|{arrow}|", " ".repeat(LANE * first));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_calendar() {
        assert_eq!(time(Utc(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(Utc(1_709_210_096_789_000)), "2024-02-29T12:34:56.789Z");
        assert_eq!(time(Utc(1_798_761_599_999_999)), "2026-12-31T23:59:59.999Z");
    }
}
