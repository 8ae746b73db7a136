//! How well a stream is heard: the E-model of G.107 with the impairments of G.113 (`MED-7`), and what is good, needs
//! watching, or is bad.

use std::time::Duration;

/// R of a line without any impairment but the defaults of G.107.
const BASE: f64 = 93.2;

/// What is known of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream<'a> {
    /// Encoding name (RFC 3551), in any case of letters.
    pub codec: &'a str,
    /// Packets that came, and that did not.
    pub received: u64,
    pub lost: u64,
    pub jitter: Duration,
    /// Both ways, when it is known.
    pub round_trip: Option<Duration>,
}

/// Equipment impairment and robustness against random loss (G.113 Appendix I); G.711 and G.722 as concealed by Appendix I of
/// G.711. On the narrow-band scale G.722 is no better than G.711.
fn impairment(codec: &str) -> Option<(f64, f64)> {
    const TABLE: [(&str, f64, f64); 7] = [
        ("PCMA", 0.0, 25.1),
        ("PCMU", 0.0, 25.1),
        ("G722", 0.0, 25.1),
        ("G729", 11.0, 19.0),
        ("G729A", 11.0, 19.0),
        ("G723", 15.0, 16.1),
        ("GSM", 20.0, 10.0),
    ];
    TABLE.iter().find(|(name, ..)| name.eq_ignore_ascii_case(codec)).map(|(_, ie, bpl)| (*ie, *bpl))
}

/// The rating R of 0 to 93.2; `None` for a codec that G.113 does not rate, or where nothing came.
pub fn rating(stream: &Stream) -> Option<f64> {
    let (ie, bpl) = impairment(stream.codec)?;
    let expected = stream.received.checked_add(stream.lost).filter(|_| stream.received > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "a share of packets")]
    let loss = stream.lost as f64 * 100.0 / expected as f64;
    let effective = ie + (95.0 - ie) * loss / (loss + bpl);
    Some(BASE - delay_impairment(mouth_to_ear(stream)) - effective)
}

/// One way, in ms: half the round trip, a packet, and the buffer that such a jitter needs.
fn mouth_to_ear(stream: &Stream) -> f64 {
    let way = stream.round_trip.map_or(0.0, |trip| trip.as_secs_f64() * 500.0);
    let buffer = (stream.jitter.as_secs_f64() * 2000.0).clamp(20.0, 200.0);
    way + 20.0 + buffer
}

/// G.107's Id for a line without echo, to within 0.3 up to 300 ms.
fn delay_impairment(ms: f64) -> f64 {
    0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
}

/// Mean opinion score of a rating in hundredths: 100 to 450 (G.107 Annex B).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 100 to 450")]
pub fn opinion(rating: f64) -> u16 {
    let r = rating.clamp(0.0, 100.0);
    let mos = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
    (mos.clamp(1.0, 4.5) * 100.0).round() as u16
}

/// Both in one.
pub fn mos(stream: &Stream) -> Option<u16> {
    rating(stream).map(opinion)
}

/// How a figure is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    Good,
    Warning,
    Critical,
}

/// A figure's bounds, in its own unit.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    warning: u64,
    critical: u64,
    /// Above this somebody is to be called.
    alarm: u64,
}

/// Lost packets of a million.
pub const LOSS_PPM: Bounds = Bounds { warning: 5_000, critical: 20_000, alarm: 10_000 };
pub const JITTER_US: Bounds = Bounds { warning: 20_000, critical: 50_000, alarm: 30_000 };
pub const DELAY_US: Bounds = Bounds { warning: 150_000, critical: 300_000, alarm: 200_000 };
pub const ROUND_TRIP_US: Bounds = Bounds { warning: 300_000, critical: 500_000, alarm: 400_000 };

impl Bounds {
    pub fn band(&self, value: u64) -> Band {
        match value {
            v if v >= self.critical => Band::Critical,
            v if v >= self.warning => Band::Warning,
            _ => Band::Good,
        }
    }

    pub fn alarms(&self, value: u64) -> bool {
        value >= self.alarm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delay to R as the full G.107 gives it, which the short formula must meet.
    #[test]
    fn delay_costs_what_g107_says() {
        for (ms, r) in
            [(0.0, 93.21), (50.0, 91.76), (100.0, 90.66), (150.0, 89.54), (200.0, 85.80), (300.0, 72.67)]
        {
            let short = BASE - delay_impairment(ms);
            assert!((short - r).abs() < 0.5, "{ms} ms: {short} for {r}");
        }
    }

    #[test]
    fn loss_and_codec_cost_what_g113_says() {
        for (codec, per_mille, mos_wanted) in [
            ("PCMA", 0, 438),
            ("pcmu", 10, 429),
            ("PCMA", 20, 419),
            ("PCMA", 50, 386),
            ("G729", 0, 405),
            ("G729", 20, 372),
            ("G723", 0, 390),
            ("G723", 50, 299),
        ] {
            // 5 ms of the way make it 50 ms in all with the packet and a buffer for 12.5 ms.
            let stream = Stream {
                codec,
                received: 1000 - per_mille,
                lost: per_mille,
                jitter: Duration::from_micros(12_500),
                round_trip: Some(Duration::from_millis(10)),
            };
            let got = mos(&stream).unwrap();
            assert!(got.abs_diff(mos_wanted) <= 4, "{codec} {per_mille}: {got} for {mos_wanted}");
        }
        assert_eq!(mos(&Stream { codec: "opus", received: 5, ..Stream::default() }), None);
        assert_eq!(mos(&Stream { codec: "PCMA", ..Stream::default() }), None, "nothing came");
        assert_eq!((opinion(-5.0), opinion(200.0)), (100, 450));
    }

    #[test]
    fn bands() {
        for (bounds, good, warning, critical) in [
            (LOSS_PPM, 4_999, 5_000, 20_000),
            (JITTER_US, 19_999, 20_000, 50_000),
            (DELAY_US, 149_999, 150_000, 300_000),
            (ROUND_TRIP_US, 299_999, 300_000, 500_000),
        ] {
            let bands = [good, warning, critical].map(|v| bounds.band(v));
            assert_eq!(bands, [Band::Good, Band::Warning, Band::Critical]);
        }
        assert!(LOSS_PPM.alarms(10_000) && !JITTER_US.alarms(29_999) && DELAY_US.alarms(200_000));
    }
}
