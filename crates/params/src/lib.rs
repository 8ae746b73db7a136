//! The registry of system parameters (`OPS-5`): one table, everything else made from it.
//!
//! [`table`] holds one entry per parameter. From it come the typed fields of [`Params`], reading and writing
//! by the operators' names, defaults, ranges in words and the reference in [`SPECS`]. To add a parameter, add
//! its entry and the place that reads the field; one that nothing reads may not exist.

mod kind;
mod table;

pub use kind::{Hours, Kind};
pub use table::{
    BlackListMode, CodecMode, DisplayFrom, DtmfMethod, DtmfReceive, ForwardDisplay, JitterMode, MediaCheck,
    MediaMove, MediaProxyMode, NoTimerProbe, OverdraftPolicy, Params, RateChoice, RoutePolicy, SPECS,
    SessionRefresher, Srtp, TlsVerify, TraceMask, UserAgentPrivacy,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use std::fmt;
use vocab::Money;

/// Heading under which a parameter stands in the console and in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    Sip,
    CallLength,
    Protection,
    Registration,
    Media,
    Switching,
    Routing,
    Billing,
    Trace,
}

impl Group {
    pub fn title(self) -> &'static str {
        match self {
            Group::Sip => "SIP",
            Group::CallLength => "Call length",
            Group::Protection => "Protection",
            Group::Registration => "Registration and NAT",
            Group::Media => "Media",
            Group::Switching => "Gateway switching",
            Group::Routing => "Routing",
            Group::Billing => "Billing",
            Group::Trace => "Trace and log",
        }
    }
}

/// What is known about one parameter besides its value.
#[derive(Clone, Copy, Debug)]
pub struct ParamSpec {
    /// The operators' name, like `SS_SIP_TIMEOUT_INVITE`.
    pub name: &'static str,
    /// Other names and old spellings that are read as this one.
    pub aliases: &'static [&'static str],
    /// What values there are.
    pub kind: Kind,
    /// Unit of the text: "s", "ms", or empty.
    pub unit: &'static str,
    pub group: Group,
    /// A mapping or routing gateway may have its own value.
    pub gateway: bool,
    /// Takes effect at the next start only; the others for new calls at once.
    pub start: bool,
    /// One sentence.
    pub help: &'static str,
}

impl ParamSpec {
    /// The default as text.
    pub fn default_text(&self) -> String {
        Params::default().get(self.name).unwrap_or_default()
    }

    /// The allowed values in words, like "1–120 s" or "0 (no bound) or 1–50".
    pub fn range_text(&self) -> String {
        self.kind.in_words(self.unit)
    }

    fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The parameter of this name, alias or old spelling, in any case of letters.
pub fn find(name: &str) -> Option<&'static ParamSpec> {
    SPECS.iter().find(|spec| spec.is_called(name))
}

/// Why a parameter was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamError {
    Unknown { name: String, did_you_mean: Option<&'static str> },
    OutOfRange { name: &'static str, text: String, expected: String },
    NotPerGateway { name: &'static str },
    Conflict { name: &'static str, why: String },
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamError::Unknown { name, did_you_mean: None } => write!(f, "there is no parameter {name:?}"),
            ParamError::Unknown { name, did_you_mean: Some(close) } => {
                write!(f, "there is no parameter {name:?}; did you mean {close}?")
            }
            ParamError::OutOfRange { name, text, expected } => {
                write!(f, "{name}: {text:?} is not allowed; expected {expected}")
            }
            ParamError::NotPerGateway { name } => write!(f, "{name} cannot be set for one gateway"),
            ParamError::Conflict { name, why } => write!(f, "{name}: {why}"),
        }
    }
}

impl std::error::Error for ParamError {}

impl Params {
    /// These parameters with some values replaced, checked as a whole. With `gateway_only`, a parameter that
    /// a gateway may not override is refused.
    pub fn with_overrides<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
        gateway_only: bool,
    ) -> Result<Params, ParamError> {
        let mut params = self.clone();
        for (name, text) in overrides {
            if let Some(spec) = find(name).filter(|spec| gateway_only && !spec.gateway) {
                return Err(ParamError::NotPerGateway { name: spec.name });
            }
            params.set(name, text)?;
        }
        params.validate()?;
        Ok(params)
    }

    /// Checks that concern more than one parameter.
    pub fn validate(&self) -> Result<(), ParamError> {
        self.validate_ports()?;
        self.validate_codecs()?;
        self.validate_quality()?;
        self.validate_jitter()?;
        self.validate_fees()
    }

    fn validate_ports(&self) -> Result<(), ParamError> {
        // One relayed call needs two pairs of RTP and RTCP ports.
        if u32::from(self.mediaproxyport_end) < u32::from(self.mediaproxyport_start) + 3 {
            return Err(ParamError::Conflict {
                name: "SS_MEDIAPROXYPORT_END",
                why: format!(
                    "{} leaves no room for a call above SS_MEDIAPROXYPORT_START {}; expected at least 4 ports",
                    self.mediaproxyport_end, self.mediaproxyport_start
                ),
            });
        }
        Ok(())
    }

    fn validate_jitter(&self) -> Result<(), ParamError> {
        let [min, start, max] =
            [self.jitterbuffer_min_ms, self.jitterbuffer_default_ms, self.jitterbuffer_max_ms];
        if min <= start && start <= max {
            return Ok(());
        }
        Err(ParamError::Conflict {
            name: "SS_JITTERBUFFER_DEFAULT",
            why: format!(
                "{start} ms does not lie between SS_JITTERBUFFER_MIN {min} ms and SS_JITTERBUFFER_MAX {max} ms"
            ),
        })
    }

    /// The encoding names of `SS_SIP_CODECS` in capitals; none: any codec.
    pub fn codec_names(&self) -> Vec<String> {
        if self.sip_codecs.trim().eq_ignore_ascii_case(table::ANY_CODEC) {
            return Vec::new();
        }
        self.sip_codecs.split(',').map(|name| registered_codec(name.trim())).collect()
    }

    fn validate_codecs(&self) -> Result<(), ParamError> {
        let conflict = |name, why| Err(ParamError::Conflict { name, why });
        let names = self.codec_names();
        if let Some(unknown) = names.iter().find(|name| !CODECS.contains(&name.as_str())) {
            let known = CODECS.join(", ");
            return conflict(
                "SS_SIP_CODECS",
                format!("{unknown:?} is no codec we know; expected {known}, or Any"),
            );
        }
        if self.sip_codec_mode == CodecMode::Specified && names.is_empty() {
            return conflict("SS_SIP_CODEC_MODE", "Specified needs a codec in SS_SIP_CODECS".to_owned());
        }
        // `MED-10`: converting needs the relay.
        if self.codec_conversion && self.mediaproxymode == MediaProxyMode::Off {
            let why = "codecs cannot be converted while SS_MEDIAPROXYMODE is Off".to_owned();
            return conflict("SS_CODEC_CONVERSION", why);
        }
        Ok(())
    }

    /// The window of a gateway's quality: at most a day in minutes.
    fn validate_quality(&self) -> Result<(), ParamError> {
        let (time, step) = (self.gateway_asr_reserve_time_s, self.gateway_asr_reserve_separate_s);
        if step <= time && time / step.max(1) <= MOST_QUALITY_STEPS {
            return Ok(());
        }
        Err(ParamError::Conflict {
            name: "SS_GATEWAY_ASR_RESERVE_SEPARATE",
            why: format!(
                "{step} s does not divide SS_GATEWAY_ASR_RESERVE_TIME {time} s into 1–{MOST_QUALITY_STEPS} steps"
            ),
        })
    }

    /// Fees are multiples of the unit, so a finer unit would give them more decimals than they may have.
    fn validate_fees(&self) -> Result<(), ParamError> {
        let one_step = 10i128.pow(Money::DECIMALS.saturating_sub(self.billing_fee_precision));
        if self.billing_fee_unit.0 % one_step == 0 {
            return Ok(());
        }
        Err(ParamError::Conflict {
            name: "SERVER_BILLING_FEE_UNIT",
            why: format!(
                "{} has more decimals than SERVER_BILLING_FEE_PRECISION {} allows",
                self.billing_fee_unit, self.billing_fee_precision
            ),
        })
    }

    /// All names and values, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String)> {
        SPECS.iter().filter_map(|spec| Some((spec.name, self.get(spec.name)?)))
    }
}

const MOST_QUALITY_STEPS: u32 = 1440;

/// Encoding names as registered (RFC 3551 and others), in capitals.
const CODECS: &[&str] = &["PCMA", "PCMU", "G729", "G722", "G723", "GSM", "ILBC", "OPUS"];

/// The registered name of a codec that operators call otherwise.
fn registered_codec(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    let known = match name.as_str() {
        "G711A" | "ALAW" => "PCMA",
        "G711U" | "ULAW" => "PCMU",
        "G729A" | "G729AB" | "G729B" => "G729",
        "G723.1" => "G723",
        own => own,
    };
    known.to_owned()
}

fn unknown(name: &str) -> ParamError {
    ParamError::Unknown { name: name.chars().take(80).collect(), did_you_mean: closest(name) }
}

/// The name nearest to a misspelt one, if any is near enough to be meant.
fn closest(name: &str) -> Option<&'static str> {
    if name.len() > 80 {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let distances = SPECS.iter().flat_map(|s| s.names().map(|own| (edit_distance(&upper, own), s.name)));
    distances.min_by_key(|(d, _)| *d).filter(|(d, _)| *d <= 1 + name.len() / 5).map(|(_, own)| own)
}

/// Insertions, deletions and replacements of bytes that turn one text into the other.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Written as a map from names to texts, so that stored values outlive added and removed parameters.
impl Serialize for Params {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(SPECS.len()))?;
        for (name, text) in self.iter() {
            map.serialize_entry(name, &text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Params, D::Error> {
        let texts = std::collections::BTreeMap::<String, String>::deserialize(d)?;
        let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        Params::default().with_overrides(texts, false).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_sound() {
        let defaults = Params::default();
        let mut names: Vec<&str> = SPECS.iter().flat_map(ParamSpec::names).collect();
        for spec in SPECS {
            let mut p = Params::default();
            let text = spec.default_text();
            assert_eq!(p.set(spec.name, &text), Ok(()), "{} = {text}", spec.name);
            assert_eq!(p, defaults, "{} changes when its default is set", spec.name);
            let known = ["SS_", "SERVER_", "EXTERNAL_"].iter().any(|start| spec.name.starts_with(start));
            assert!(known, "{}", spec.name);
            assert!(spec.help.ends_with('.') && !spec.help.contains('\n'), "{}", spec.name);
            assert!(!(spec.gateway && spec.start), "{}: gateways change while running", spec.name);
            assert!(!spec.range_text().is_empty());
        }
        assert_eq!(defaults.validate(), Ok(()));
        let total = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), total, "a name is used twice");
    }

    /// name, text, text read back or the range that refuses it.
    const VALUES: &[(&str, &str, Result<&str, &str>)] = &[
        ("SS_SIP_TIMEOUT_INVITE", "1", Ok("1")),
        ("SS_SIP_TIMEOUT_INVITE", "120", Ok("120")),
        ("SS_SIP_TIMEOUT_INVITE", "0", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "121", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "-1", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "+5", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "1.5", Err("1–120 s")),
        ("SS_SIP_TIMEOUT_INVITE", "99999999999999999999", Err("1–120 s")),
        ("ss_sip_timeout_invite", " 15 ", Ok("15")),
        ("SS_SIP_TIMEOUT_RINGING", "600", Ok("600")),
        ("SS_SIP_RESEND_INTERVAL", "0.5,1,2,4,4,4", Ok("0.5,1,2,4,4,4")),
        ("SS_SIP_RESEND_INTERVAL", " 0.25, 32 ", Ok("0.25,32")),
        ("SS_SIP_RESEND_INTERVAL", "0.125", Ok("0.125")),
        ("SS_SIP_RESEND_INTERVAL", "", Err("1–10 waits of 0.1–32 s, separated by commas")),
        ("SS_SIP_RESEND_INTERVAL", "1,,2", Err("1–10 waits of 0.1–32 s, separated by commas")),
        ("SS_SIP_RESEND_INTERVAL", "0.01", Err("1–10 waits of 0.1–32 s, separated by commas")),
        ("SS_SIP_RESEND_INTERVAL", "0.12345", Err("1–10 waits of 0.1–32 s, separated by commas")),
        ("SS_SIP_RESEND_INTERVAL", "33", Err("1–10 waits of 0.1–32 s, separated by commas")),
        (
            "SS_SIP_RESEND_INTERVAL",
            "1,1,1,1,1,1,1,1,1,1,1",
            Err("1–10 waits of 0.1–32 s, separated by commas"),
        ),
        ("SS_SIP_STOP_SWITCH_AFTER_SDP", "on", Ok("On")),
        ("SS_SIP_STOP_SWITCH_AFTER_SDP", "0", Ok("Off")),
        ("SS_SIP_STOP_SWITCH_AFTER_SDP", "true", Ok("On")),
        ("SS_SIP_STOP_SWITCH_AFTER_SDP", "2", Err("On or Off")),
        ("SS_SIP_AUTHENTICATION_CODE", "401", Ok("401")),
        ("SS_SIP_AUTHENTICATION_CODE", "403", Err("401 or 407")),
        ("SS_SIP_USER_AGENT", "Switch/2.0 (x)", Ok("Switch/2.0 (x)")),
        ("SS_SIP_USER_AGENT", "a\r\nRoute: b", Err("1–64 printable ASCII characters")),
        ("SS_SIP_USER_AGENT", "", Err("1–64 printable ASCII characters")),
        ("SS_GATEWAY_SWITCH_LIMIT", "0", Ok("0")),
        ("SS_GATEWAY_SWITCH_LIMIT", "51", Err("0 (no bound) or 1–50")),
        ("SS_MEDIA_CHECK_TIMEOUT", "4", Err("0 (off) or 5–3600 s")),
        ("SS_RTP_TIMEOUT", "60", Ok("60")),
        ("SS_MEDIAPROXYMODE", "Must On", Ok("Must On")),
        ("SS_MEDIAPROXYMODE", "muston", Ok("Must On")),
        ("SS_MEDIAPROXYMODE", "0", Ok("Off")),
        ("SS_MEDIAPROXYMODE", "1", Ok("On")),
        ("SS_MEDIAPROXYMODE", "2", Ok("Auto")),
        ("SS_MEDIAPROXYMODE", "3", Ok("Must On")),
        ("SS_MEDIAPROXYMODE", "4", Err("Off, On, Auto or Must On")),
        ("SS_QOS_RTP", "46", Ok("46")),
        ("SS_QOS_RTP", "0xa0", Ok("40")),
        ("SS_QOS_RTP", "184", Ok("46")),
        ("SS_QOS_RTP", "0x2E", Ok("46")),
        ("SS_QOS_RTP", "256", Err("DSCP 0–63, or an old TOS byte 64–255 or 0x40–0xff")),
        ("SS_QOS_RTP", "0x+4", Err("DSCP 0–63, or an old TOS byte 64–255 or 0x40–0xff")),
        ("SS_MEDIAPROXYPORT_START", "65536", Err("1024–65535")),
        ("SERVER_BILLING_FEE_PRECISTION", "8", Ok("8")),
        ("SERVER_BILLING_FEE_PRECISION", "9", Err("0–8 decimals")),
        ("SERVER_BILLING_FEE_UNIT", "0.005", Ok("0.005")),
        ("SERVER_BILLING_FEE_UNIT", "-0.005", Err("an amount from 0.00 to 1000000.00")),
        ("SERVER_BILLING_FEE_UNIT", "1e3", Err("an amount from 0.00 to 1000000.00")),
        ("SERVER_BILLING_OVERDRAFT_POLICY", "blocknew", Ok("BlockNew")),
        ("SERVER_BILLING_OVERDRAFT_POLICY", "Never", Err("Cut or BlockNew")),
        ("SS_MAX_CPS", "100001", Err("0 (no bound) or 1–100000")),
    ];

    #[test]
    fn values_are_read_and_ranges_hold() {
        for (name, text, want) in VALUES {
            let mut p = Params::default();
            let before = p.clone();
            match (p.set(name, text), want) {
                (Ok(()), Ok(shown)) => assert_eq!(p.get(name).as_deref(), Some(*shown), "{name} = {text:?}"),
                (Err(ParamError::OutOfRange { expected, .. }), Err(range)) => {
                    assert_eq!((expected.as_str(), &p), (*range, &before), "{name} = {text:?}");
                }
                (got, want) => panic!("{name} = {text:?}: got {got:?}, want {want:?}"),
            }
        }
    }

    #[test]
    fn fields_have_the_documented_defaults() {
        let p = Params::default();
        assert_eq!((p.sip_timeout_invite_s, p.sip_timeout_session_progress_sdp_s), (10, 120));
        assert_eq!(*p.sip_resend_interval_ms, [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!((p.sip_authentication_code, p.mediaproxymode), (407, MediaProxyMode::Auto));
        assert_eq!((p.qos_signal, p.qos_rtp, p.billing_fee_unit), (24, 46, Money::ZERO));
    }

    #[test]
    fn unknown_names_get_a_suggestion() {
        for (name, want) in [
            ("SS_SIP_TIMEOUT_INVITES", Some("SS_SIP_TIMEOUT_INVITE")),
            ("ss_sip_timout_ringing", Some("SS_SIP_TIMEOUT_RINGING")),
            ("SS_RTP_TIMOUT", Some("SS_MEDIA_CHECK_TIMEOUT")),
            ("colour", None),
            ("", None),
        ] {
            let error = Params::default().set(name, "1").unwrap_err();
            assert_eq!(error, ParamError::Unknown { name: name.to_string(), did_you_mean: want });
        }
        assert!(Params::default().get("nothing").is_none());
        assert!(Params::default().set(&"S".repeat(1_000_000), "1").is_err());
    }

    #[test]
    fn gateways_override_only_what_they_may() {
        let base = Params::default();
        let own = base.with_overrides([("SS_SIP_TIMEOUT_RINGING", "30"), ("SS_MEDIAPROXYMODE", "On")], true);
        let own = own.unwrap();
        assert_eq!((own.sip_timeout_ringing_s, base.sip_timeout_ringing_s), (30, 120));
        let refused = base.with_overrides([("SS_MAX_CPS", "1")], true);
        assert_eq!(refused, Err(ParamError::NotPerGateway { name: "SS_MAX_CPS" }));
        assert_eq!(base.with_overrides([("SS_MAX_CPS", "1")], false).unwrap().max_cps, 1);
    }

    #[test]
    fn port_range_must_hold_a_call() {
        for (start, end, ok) in
            [("10000", "10003", true), ("10000", "10002", false), ("20000", "10000", false)]
        {
            let set = [("SS_MEDIAPROXYPORT_START", start), ("SS_MEDIAPROXYPORT_END", end)];
            assert_eq!(Params::default().with_overrides(set, false).is_ok(), ok, "{start}–{end}");
        }
    }

    #[test]
    fn fee_unit_must_fit_the_precision() {
        for (precision, unit, ok) in [
            ("4", "0", true),
            ("4", "0.0005", true),
            ("4", "2.5", true),
            ("4", "0.00005", false),
            ("0", "0.5", false),
            ("0", "5", true),
            ("8", "0.00000001", true),
        ] {
            let set = [("SERVER_BILLING_FEE_PRECISION", precision), ("SERVER_BILLING_FEE_UNIT", unit)];
            assert_eq!(Params::default().with_overrides(set, false).is_ok(), ok, "{precision} {unit}");
        }
    }

    #[test]
    fn stored_values_round_trip() {
        let mut p = Params::default();
        p.set("SS_SIP_RESEND_INTERVAL", "0.2,3").unwrap();
        p.set("SS_MEDIAPROXYMODE", "Must On").unwrap();
        let json = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<Params>(&json).unwrap(), p);
        assert_eq!(serde_json::from_str::<Params>("{}").unwrap(), Params::default());
        for bad in [r#"{"SS_MAX_CPS":"-1"}"#, r#"{"SS_NOTHING":"1"}"#, r#"{"SS_MEDIAPROXYPORT_END":"9000"}"#]
        {
            assert!(serde_json::from_str::<Params>(bad).is_err(), "{bad}");
        }
    }
}
