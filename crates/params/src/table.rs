//! The table of parameters. One entry: field, type, default; operators' name, aliases; values, unit; group,
//! where it applies (`switch`: everywhere and at once, `gateway`: a gateway may have its own, `start`:
//! everywhere from the next start); one sentence of help.

use crate::kind::{Hours, Kind, Value, choices};
use crate::{Group, ParamError, ParamSpec, find, unknown};
use std::sync::Arc;
use vocab::Money;

choices! {
    /// Whether media goes through the switch (`MED-1`).
    MediaProxyMode {
        /// Never: the peers send to each other.
        Off = "Off",
        /// Always, unless a gateway says Off.
        On = "On",
        /// When the peers cannot be expected to reach each other.
        Auto = "Auto",
        /// Always, whatever a gateway says.
        MustOn = "Must On",
    }
}

choices! {
    /// Where a change of an answered call may move a peer's media (`R-33`).
    MediaMove {
        /// Only to the address of its signalling or the one it has.
        Never = "Never",
        /// Also to their neighbours: the same /24, or /64 of IPv6.
        SameNetwork = "Same Network",
        /// To any address.
        Anywhere = "Anywhere",
    }
}

choices! {
    /// Whether media of a gateway is encrypted (`MED-23`).
    Srtp {
        /// It is not. Keys that two gateways without it exchange pass as they are.
        Off = "Off",
        /// When the peer wants it: keys are offered beside plain media (RFC 8643).
        Optional = "Optional",
        /// Calls without it are refused.
        Required = "Required",
    }
}

choices! {
    /// Who decides which codec is used towards a gateway (`MED-10`).
    CodecMode {
        /// The peers, by offer and answer; the list filters and orders.
        Auto = "Auto",
        /// We: only the first codec of the list.
        Specified = "Specified",
    }
}

choices! {
    /// How deep the jitter buffer is (`MED-13`).
    JitterMode {
        /// Always as deep as at the start.
        Fixed = "Fixed",
        /// As deep as the jitter of the last seconds wants it.
        Adaptive = "Adaptive",
    }
}

choices! {
    /// Which media of a gateway is watched for silence (`MED-5`).
    MediaCheck {
        None = "None",
        FromPeer = "From Peer",
        ToPeer = "To Peer",
        Both = "Both",
    }
}

choices! {
    /// By which method digits are taken from a gateway (`MED-16`).
    DtmfReceive {
        /// Whichever comes first; the others are ignored for the rest of the call.
        All = "All",
        /// Telephone events.
        Rfc2833 = "RFC2833",
        Info = "INFO",
        /// Tones in the speech.
        Inband = "Inband",
    }
}

choices! {
    /// By which method digits are sent to a gateway (`MED-17`).
    DtmfMethod {
        /// What the peer announced: telephone events, else INFO, else tones.
        Auto = "Auto",
        Rfc2833 = "RFC2833",
        /// `application/dtmf-relay`, with the length.
        InfoRelay = "INFO",
        /// `application/dtmf`, the bare digit.
        Info = "INFO dtmf",
        Inband = "Inband",
    }
}

choices! {
    /// What happens to calls in progress when the money is used up (`BIL-13`).
    OverdraftPolicy {
        /// They end at the second the money ends.
        Cut = "Cut",
        /// They may finish; only new calls are refused.
        BlockNew = "BlockNew",
    }
}

choices! {
    /// Which of the rates that could apply to a caller is charged (`BIL-5`).
    RateChoice {
        /// The one with the lowest price of the first minute.
        Cheapest = "Cheapest",
        /// The one that stands nearest to the caller: gateway, account's own, account's group.
        MostSpecific = "MostSpecific",
    }
}

choices! {
    /// `Privacy` of our REGISTER (RFC 3323).
    UserAgentPrivacy {
        /// No such header.
        Ignore = "Ignore",
        None = "None",
        Id = "Id",
    }
}

choices! {
    /// What the display name of a caller is (`SIG-16`).
    DisplayFrom {
        /// As received.
        Ignore = "Ignore",
        /// `+` and the number.
        E164 = "E164",
        /// The number.
        Number = "Number",
    }
}

choices! {
    /// What gateways of one prefix length and priority are sorted by (`RTE-4`).
    RoutePolicy {
        /// Their order in the configuration.
        Fixed = "Fixed",
        /// Shares of the traffic.
        Weight = "Weight",
        /// The price of the call.
        Cost = "Cost",
        /// Answer-seizure ratio and call duration of late.
        Quality = "Quality",
        /// One after the other.
        RoundRobin = "Round Robin",
        /// The part of their lines that is in use.
        LeastLoaded = "Least Loaded",
        /// Free capacity alone.
        FreeCapacity = "Free Capacity",
    }
}

choices! {
    /// Who is shown as the caller when a phone forwards (`SIG-9`).
    ForwardDisplay {
        /// Who called the phone.
        Original = "Original",
        /// The phone.
        Own = "Own",
    }
}

choices! {
    /// Which certificate a gateway may show that is called over TLS.
    TlsVerify {
        /// One that a known authority has issued for its name or address.
        Trusted = "Trusted",
        /// Whichever: protects from listeners, not from impostors.
        Any = "Any",
    }
}

choices! {
    /// Who is proposed to refresh a session (`SIG-22`).
    SessionRefresher {
        /// The switch, where it may choose.
        Auto = "Auto",
        /// The side that sent the INVITE.
        Uac = "UAC",
        /// The side that answered it.
        Uas = "UAS",
    }
}

choices! {
    /// How a peer without session timers is asked whether it still knows the call (`SIG-23`).
    NoTimerProbe {
        /// It is not.
        Off = "Off",
        /// By OPTIONS inside the dialog.
        Options = "OPTIONS",
        /// By a re-INVITE that changes nothing.
        Reinvite = "INVITE",
    }
}

choices! {
    /// What the log files hold (`DBG-8`): this and everything graver.
    TraceMask {
        Error = "ERROR",
        Warning = "WARNING",
        Info = "INFO",
        Debug = "DEBUG",
    }
}

choices! {
    /// Whose numbers the dynamic black list watches (`RTE-10`).
    BlackListMode {
        /// Nobody's.
        Off = "Off",
        /// Everybody's.
        Global = "Global",
        /// Those of mapping gateways that ask for it.
        Standalone = "Standalone",
    }
}

macro_rules! is {
    (gateway gateway) => {
        true
    };
    (start start) => {
        true
    };
    ($flag:ident $scope:ident) => {
        false
    };
}

macro_rules! parameters {
    ($(
        $field:ident: $type:ty = $default:expr;
        $name:literal $(or $alias:literal)*, $kind:expr, $unit:literal, $group:ident, $scope:ident, $help:literal;
    )*) => {
        /// The value of every parameter. Units are in the names of the fields; what 0 means stands in [`SPECS`].
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Params {$(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub $field: $type,
        )*}

        impl Default for Params {
            fn default() -> Params {
                Params { $($field: $default),* }
            }
        }

        /// Every parameter, in the order of the reference.
        pub const SPECS: &[ParamSpec] = &[$(
            ParamSpec {
                name: $name,
                aliases: &[$($alias),*],
                kind: $kind,
                unit: $unit,
                group: Group::$group,
                gateway: is!(gateway $scope),
                start: is!(start $scope),
                help: $help,
            },
        )*];

        impl Params {
            /// Sets a parameter by its name, an alias or an old spelling. On error nothing is changed.
            pub fn set(&mut self, name: &str, text: &str) -> Result<(), ParamError> {
                let spec = find(name).ok_or_else(|| unknown(name))?;
                let refused = || ParamError::OutOfRange {
                    name: spec.name,
                    text: text.chars().take(80).collect(),
                    expected: spec.range_text(),
                };
                match spec.name {
                    $($name => self.$field = Value::read(text.trim(), &spec.kind).ok_or_else(refused)?,)*
                    _ => return Err(unknown(name)),
                }
                Ok(())
            }

            /// The value of a parameter as text.
            pub fn get(&self, name: &str) -> Option<String> {
                match find(name)?.name {
                    $($name => Some(self.$field.write()),)*
                    _ => None,
                }
            }
        }
    };
}

/// `SS_SIP_CODECS` of whoever does not care.
pub(crate) const ANY_CODEC: &str = "Any";
const GAINS: &[&str] = &[
    "-10", "-9", "-8", "-7", "-6", "-5", "-4", "-3", "-2", "-1", "0", "1", "2", "3", "4", "5", "6", "7", "8",
    "9", "10",
];

/// A day: no call, and so no bound on one, is longer.
const DAY_S: u32 = 86_400;

parameters! {
    sip_resend_interval_ms: Arc<[u32]> = [500, 1000, 2000, 4000, 4000, 4000].into();
    "SS_SIP_RESEND_INTERVAL", Kind::Intervals, "s", Sip, switch,
    "Waits between copies of an unanswered request over UDP.";

    sip_timeout_invite_s: u32 = 10;
    "SS_SIP_TIMEOUT_INVITE", Kind::whole(1, 120), "s", Sip, gateway,
    "How long an INVITE may stay without any response.";

    sip_timeout_trying_s: u32 = 20;
    "SS_SIP_TIMEOUT_TRYING", Kind::whole(1, 300), "s", Sip, gateway,
    "How long nothing may follow a 100 (call-progress time-out).";

    sip_timeout_session_progress_s: u32 = 20;
    "SS_SIP_TIMEOUT_SESSION_PROGRESS", Kind::whole(1, 300), "s", Sip, gateway,
    "How long nothing may follow a 183 without SDP.";

    sip_timeout_session_progress_sdp_s: u32 = 120;
    "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP", Kind::whole(1, 600), "s", Sip, gateway,
    "How long nothing may follow a 183 with SDP.";

    sip_timeout_ringing_s: u32 = 120;
    "SS_SIP_TIMEOUT_RINGING", Kind::whole(1, 600), "s", Sip, gateway,
    "How long it may ring without an answer.";

    sip_stop_switch_after_sdp: bool = false;
    "SS_SIP_STOP_SWITCH_AFTER_SDP", Kind::Switch, "", Switching, gateway,
    "No other gateway is tried once one has sent SDP.";

    sip_tls_port: u16 = 5061;
    "SS_SIP_TLS_PORT", Kind::or_zero("off", 1, 65_535), "", Sip, start,
    "Port of SIP over TLS, where the settings file names no listeners.";

    sip_ws_port: u16 = 0;
    "SS_SIP_WS_PORT", Kind::or_zero("off", 1, 65_535), "", Sip, start,
    "Port of SIP over WebSocket, where the settings file names no listeners.";

    sip_tls_verify: TlsVerify = TlsVerify::Trusted;
    "SS_SIP_TLS_VERIFY", Kind::Choice(TlsVerify::TEXTS), "", Sip, gateway,
    "Which certificate a gateway may show that is called over TLS.";

    sip_user_agent: Arc<str> = "Tandem".into();
    "SS_SIP_USER_AGENT", Kind::Text { min_length: 1, max_length: 64 }, "", Sip, switch,
    "What the switch calls itself in User-Agent and Server.";

    local_ip_domain: Arc<str> = "".into();
    "SS_LOCAL_IP_DOMAIN", Kind::HostName, "", Sip, switch,
    "What stands instead of our address in From towards routing gateways with local_domain.";

    sip_e164_display_from: DisplayFrom = DisplayFrom::Ignore;
    "SS_SIP_E164_DISPLAY_FROM", Kind::Choice(DisplayFrom::TEXTS), "", Sip, gateway,
    "The caller's display name towards a routing gateway: as received, or made of the number.";

    sip_routing_gateway_invite_use_contact: bool = false;
    "SS_SIP_ROUTING_GATEWAY_INVITE_USE_CONTACT", Kind::Switch, "", Sip, gateway,
    "To names the number that was dialled, not the one that is sent to the routing gateway.";

    sip_authentication_code: u16 = 407;
    "SS_SIP_AUTHENTICATION_CODE", Kind::Choice(&["401", "407"]), "", Sip, switch,
    "The response that challenges a call.";

    sip_authentication_retry: u32 = 3;
    "SS_SIP_AUTHENTICATION_RETRY", Kind::whole(1, 20), "", Sip, switch,
    "How often one request is challenged again after wrong credentials, and how often the switch answers a challenge.";

    sip_session_ttl_s: u32 = 600;
    "SS_SIP_SESSION_TTL" or "SS_SESSION_TIMER", Kind::or_zero("off", 90, DAY_S), "s", CallLength, gateway,
    "How long a session lives without being refreshed (Session-Expires).";

    sip_session_update_segment: u32 = 2;
    "SS_SIP_SESSION_UPDATE_SEGMENT", Kind::whole(2, 10), "", CallLength, switch,
    "Sessions are refreshed every SS_SIP_SESSION_TTL divided by this.";

    sip_session_min_se_s: u32 = 90;
    "SS_SIP_SESSION_MIN_SE", Kind::whole(90, 3600), "s", CallLength, switch,
    "The shortest session that is accepted (Min-SE).";

    sip_session_refresher: SessionRefresher = SessionRefresher::Auto;
    "SS_SIP_SESSION_REFRESHER", Kind::Choice(SessionRefresher::TEXTS), "", CallLength, switch,
    "Who is proposed to refresh sessions. Auto: the switch, where it may choose.";

    sip_session_timeout_early_hangup_s: u32 = 0;
    "SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP", Kind::whole(0, 3600), "s", CallLength, switch,
    "A call whose session is not refreshed ends so much before the session would.";

    sip_no_timer_reinvite_interval_s: u32 = 7200;
    "SS_SIP_NO_TIMER_REINVITE_INTERVAL", Kind::or_zero("no bound", 1, DAY_S), "s", CallLength, switch,
    "The longest conversation with a peer without session timers.";

    sip_no_timer_probe: NoTimerProbe = NoTimerProbe::Off;
    "SS_SIP_NO_TIMER_PROBE", Kind::Choice(NoTimerProbe::TEXTS), "", CallLength, gateway,
    "How a peer without session timers is asked, as often as a session would be refreshed, whether it still knows the call.";

    max_call_duration_s: u32 = 0;
    "SS_MAX_CALL_DURATION", Kind::or_zero("no bound", 1, DAY_S), "s", CallLength, gateway,
    "The longest conversation.";

    reply_unauthorized: bool = false;
    "SS_REPLY_UNAUTHORIZED", Kind::Switch, "", Protection, switch,
    "Strangers get a 403; otherwise they get silence.";

    authentication_max_retry: u32 = 6;
    "SS_AUTHENTICATION_MAX_RETRY", Kind::or_zero("no bound", 1, 999), "", Protection, switch,
    "Wrong answers to challenges in a row after which an address may not sign in for a while.";

    authentication_failed_suspend_s: u32 = 180;
    "SS_AUTHENTICATION_FAILED_SUSPEND", Kind::whole(60, 3600), "s", Protection, switch,
    "How long it may not.";

    endpoint_register_retry: u32 = 6;
    "SS_ENDPOINTREGISTERRETRY", Kind::whole(1, 999), "", Protection, switch,
    "Wrong registrations in a row, from one address for one name, before they are not heard for a while.";

    endpoint_register_suspend: bool = true;
    "SS_ENDPOINTREGISTERSUSPEND", Kind::Switch, "", Protection, switch,
    "Whether failed registrations suspend at all.";

    endpoint_register_suspend_s: u32 = 180;
    "SS_ENDPOINTREGISTERSUSPENDTIME", Kind::whole(30, 3600), "s", Protection, switch,
    "For how long failed registrations suspend.";

    endpoint_expire_s: u32 = 3600;
    "SS_ENDPOINT_EXPIRE", Kind::whole(60, DAY_S), "s", Registration, switch,
    "The longest registration that is granted.";

    endpoint_nat_expire_s: u32 = 300;
    "SS_ENDPOINT_NAT_EXPIRE", Kind::whole(30, 3600), "s", Registration, switch,
    "The longest registration that is granted behind NAT.";

    endpoint_register_replace: bool = true;
    "SS_ENDPOINT_REGISTER_REPLACE", Kind::Switch, "", Registration, switch,
    "Another device may register under a name that is registered; when there is no room, in the place of the oldest. Off: it is refused.";

    sip_nat_keep_alive_message: Arc<str> = "HELLO".into();
    "SS_SIP_NAT_KEEP_ALIVE_MESSAGE", Kind::Text { min_length: 0, max_length: 64 }, "", Registration, switch,
    "What devices behind NAT are sent to keep their way open; empty: nothing.";

    sip_nat_keep_alive_period_s: u32 = 30;
    "SS_SIP_NAT_KEEP_ALIVE_PERIOD", Kind::whole(10, DAY_S), "s", Registration, switch,
    "How often each device behind NAT is sent the message.";

    sip_nat_keep_alive_send_interval_ms: u32 = 500;
    "SS_SIP_NAT_KEEP_ALIVE_SEND_INTERVAL", Kind::whole(1, 10_000), "ms", Registration, switch,
    "Pause between two batches of these messages.";

    sip_nat_keep_alive_send_one_time: u32 = 3000;
    "SS_SIP_NAT_KEEP_ALIVE_SEND_ONE_TIME", Kind::whole(1, 10_000), "", Registration, switch,
    "Messages in one batch.";

    sip_user_agent_expire_s: u32 = 0;
    "SS_SIP_USER_AGENT_EXPIRE", Kind::or_zero("Auto", 20, 7200), "s", Registration, gateway,
    "How long the switch asks to be registered with a vendor; Auto: as the vendor likes.";

    sip_user_agent_retry_delay_s: u32 = 60;
    "SS_SIP_USER_AGENT_RETRY_DELAY", Kind::whole(30, 600), "s", Registration, gateway,
    "Wait after a registration with a vendor failed; doubled each time, up to ten times as long.";

    sip_user_agent_send_unregister: bool = true;
    "SS_SIP_USER_AGENT_SEND_UNREGISTER", Kind::Switch, "", Registration, gateway,
    "Registrations with vendors are taken back when the switch stops.";

    sip_user_agent_privacy: UserAgentPrivacy = UserAgentPrivacy::Ignore;
    "SS_SIP_USER_AGENT_PRIVACY", Kind::Choice(UserAgentPrivacy::TEXTS), "", Registration, gateway,
    "Privacy header of registrations with vendors.";

    call_forward_display: ForwardDisplay = ForwardDisplay::Original;
    "SS_CALL_FORWARD_DISPLAY", Kind::Choice(ForwardDisplay::TEXTS), "", Registration, switch,
    "Which caller a forwarded call shows.";

    flood_register_rate: u32 = 5;
    "SS_FLOOD_REGISTER_RATE", Kind::whole(1, 100_000), "per s", Protection, switch,
    "REGISTER requests a second that are taken from one unknown address.";

    flood_register_burst: u32 = 10;
    "SS_FLOOD_REGISTER_BURST", Kind::whole(1, 100_000), "", Protection, switch,
    "REGISTER requests that one unknown address may send at once.";

    flood_message_rate: u32 = 20;
    "SS_FLOOD_MESSAGE_RATE", Kind::whole(1, 100_000), "per s", Protection, switch,
    "SIP messages a second that are taken from one unknown address.";

    flood_message_burst: u32 = 50;
    "SS_FLOOD_MESSAGE_BURST", Kind::whole(1, 100_000), "", Protection, switch,
    "SIP messages that one unknown address may send at once.";

    flood_total_rate: u32 = 500;
    "SS_FLOOD_TOTAL_RATE", Kind::whole(10, 100_000), "per s", Protection, switch,
    "SIP messages a second that are taken from all unknown addresses together; as many again from those not heard before.";

    flood_drop_scanners: bool = true;
    "SS_FLOOD_DROP_SCANNERS", Kind::Switch, "", Protection, switch,
    "Messages of unknown addresses that bear the name of a known scanner are dropped.";

    max_cps: u32 = 0;
    "SS_MAX_CPS", Kind::or_zero("no bound", 1, 100_000), "", Protection, switch,
    "New calls a second, for the whole switch.";

    max_concurrency: u32 = 0;
    "SS_MAX_CONCURRENCY", Kind::or_zero("no bound", 1, 10_000_000), "", Protection, switch,
    "Calls in progress, for the whole switch.";

    black_list_dynamic_run_mode: BlackListMode = BlackListMode::Standalone;
    "SS_BLACK_LIST_DYNAMIC_RUN_MODE", Kind::Choice(BlackListMode::TEXTS), "", Protection, switch,
    "Whose numbers the dynamic black list watches: all, or those of mapping gateways that ask for it.";

    black_list_caller_calls_interval_s: u32 = 600;
    "SS_BLACK_LIST_CALLER_MALICIOUS_CALL_CHECK_INTERVAL", Kind::whole(1, DAY_S), "s", Protection, switch,
    "In how much time calls of one caller are counted for the dynamic black list.";

    black_list_caller_calls_limit: u32 = 0;
    "SS_BLACK_LIST_CALLER_MALICIOUS_CALL_LIMIT", Kind::or_zero("off", 1, 1_000_000), "", Protection, switch,
    "How many calls of one caller may be in this time; the next bars the number.";

    black_list_caller_calls_expire_s: u32 = 3600;
    "SS_BLACK_LIST_CALLER_MALICIOUS_CALL_EXPIRE", Kind::whole(1, 30 * DAY_S), "s", Protection, switch,
    "For how long the number is barred.";

    black_list_callee_calls_interval_s: u32 = 600;
    "SS_BLACK_LIST_CALLEE_MALICIOUS_CALL_CHECK_INTERVAL", Kind::whole(1, DAY_S), "s", Protection, switch,
    "In how much time calls to one number are counted for the dynamic black list.";

    black_list_callee_calls_limit: u32 = 0;
    "SS_BLACK_LIST_CALLEE_MALICIOUS_CALL_LIMIT", Kind::or_zero("off", 1, 1_000_000), "", Protection, switch,
    "How many calls to one number may be in this time; the next bars the number.";

    black_list_callee_calls_expire_s: u32 = 3600;
    "SS_BLACK_LIST_CALLEE_MALICIOUS_CALL_EXPIRE", Kind::whole(1, 30 * DAY_S), "s", Protection, switch,
    "For how long the number is barred.";

    black_list_no_answer_interval_s: u32 = 600;
    "SS_BLACK_LIST_NO_ANSWER_INTERVAL", Kind::whole(1, DAY_S), "s", Protection, switch,
    "In how much time unanswered calls to one number, with none answered in between, are counted for the dynamic black list.";

    black_list_no_answer_limit: u32 = 0;
    "SS_BLACK_LIST_NO_ANSWER_LIMIT", Kind::or_zero("off", 1, 1_000_000), "", Protection, switch,
    "How many unanswered calls to one number, with none answered in between, may be in this time; the next bars the number.";

    black_list_no_answer_expire_s: u32 = 3600;
    "SS_BLACK_LIST_NO_ANSWER_EXPIRE", Kind::whole(1, 30 * DAY_S), "s", Protection, switch,
    "For how long the number is barred.";

    black_list_concurrent_limit: u32 = 0;
    "SS_BLACK_LIST_CONCURRENT_LIMIT", Kind::or_zero("off", 1, 1_000_000), "", Protection, switch,
    "In how many calls one number may be at once; the next bars it.";

    black_list_concurrent_expire_s: u32 = 3600;
    "SS_BLACK_LIST_CONCURRENT_EXPIRE", Kind::whole(1, 30 * DAY_S), "s", Protection, switch,
    "For how long the number is barred.";

    mediaproxymode: MediaProxyMode = MediaProxyMode::Auto;
    "SS_MEDIAPROXYMODE", Kind::Choice(MediaProxyMode::TEXTS), "", Media, gateway,
    "Whether media goes through the switch.";

    media_proxy_behind_nat: bool = true;
    "SS_MEDIA_PROXY_BEHIND_NAT", Kind::Switch, "", Media, switch,
    "Media of peers behind NAT goes through the switch in every mode but Off.";

    media_move: MediaMove = MediaMove::SameNetwork;
    "SS_MEDIA_MOVE", Kind::Choice(MediaMove::TEXTS), "", Media, gateway,
    "How far a re-INVITE or UPDATE may move the peer's media. A move beyond is refused with 488.";

    srtp: Srtp = Srtp::Off;
    "SS_SRTP", Kind::Choice(Srtp::TEXTS), "", Media, gateway,
    "Encryption of media by SRTP with keys in the session description (SDES). Needs media through the switch.";

    sip_codec_mode: CodecMode = CodecMode::Auto;
    "SS_SIP_CODEC_MODE", Kind::Choice(CodecMode::TEXTS), "", Media, gateway,
    "Auto: the peers agree on a codec and the list filters and orders; Specified: only the first of the list is used.";

    sip_codecs: Arc<str> = ANY_CODEC.into();
    "SS_SIP_CODECS", Kind::Text { min_length: 1, max_length: 100 }, "", Media, gateway,
    "Codecs in order, separated by commas (PCMA, PCMU, G729, G722, G723, GSM, iLBC, opus), or Any.";

    codec_conversion: bool = false;
    "SS_CODEC_CONVERSION", Kind::Switch, "", Media, gateway,
    "The switch may convert between codecs, if the gateways of both sides allow it.";

    voicegain_db: i8 = 0;
    "SS_VOICEGAIN", Kind::Choice(GAINS), "dB", Media, gateway,
    "How much louder speech is made that is sent to the gateway; only where codecs may be converted.";

    jitterbuffer_mode: JitterMode = JitterMode::Adaptive;
    "SS_JITTERBUFFER_MODE", Kind::Choice(JitterMode::TEXTS), "", Media, switch,
    "Whether the jitter buffer of converted speech follows the network.";

    jitterbuffer_min_ms: u16 = 20;
    "SS_JITTERBUFFER_MIN", Kind::whole(10, 500), "ms", Media, switch,
    "The least depth of the jitter buffer.";

    jitterbuffer_max_ms: u16 = 200;
    "SS_JITTERBUFFER_MAX", Kind::whole(10, 500), "ms", Media, switch,
    "The greatest depth of the jitter buffer.";

    jitterbuffer_default_ms: u16 = 60;
    "SS_JITTERBUFFER_DEFAULT", Kind::whole(10, 500), "ms", Media, switch,
    "The depth at the start of a call, and of a fixed jitter buffer always.";

    dtmf_receive: DtmfReceive = DtmfReceive::All;
    "SS_DTMF_RECEIVE", Kind::Choice(DtmfReceive::TEXTS), "", Media, gateway,
    "How digits are taken from the gateway; All heeds the method that is heard first in a call.";

    dtmf_send: DtmfMethod = DtmfMethod::Auto;
    "SS_DTMF_SEND", Kind::Choice(DtmfMethod::TEXTS), "", Media, gateway,
    "How digits are sent to the gateway; Auto takes what it announced: RFC2833, else INFO, else tones.";

    dtmf_payload: u8 = 101;
    "SS_DTMF_PAYLOAD", Kind::whole(96, 127), "", Media, gateway,
    "Payload number of telephone events that the gateway is offered.";

    dtmf_peer_ability: bool = true;
    "SS_DTMF_PEER_ABILITY", Kind::Switch, "", Media, gateway,
    "The gateway is offered telephone events only when the other side has them; otherwise always.";

    dtmf_inband: bool = false;
    "SS_DTMF_INBAND", Kind::Switch, "", Media, gateway,
    "The gateway's speech may hold digits as tones, which are looked for.";

    mediaproxyport_start: u16 = 10_000;
    "SS_MEDIAPROXYPORT_START", Kind::whole(1024, 65_535), "", Media, start,
    "First port for RTP and RTCP.";

    mediaproxyport_end: u16 = 60_000;
    "SS_MEDIAPROXYPORT_END", Kind::whole(1024, 65_535), "", Media, start,
    "Last port for RTP and RTCP.";

    media_check_timeout_s: u32 = 30;
    "SS_MEDIA_CHECK_TIMEOUT" or "SS_RTP_TIMEOUT", Kind::or_zero("off", 5, 3600), "s", Media, switch,
    "A call whose media has stopped for this long ends.";

    media_check_direction: MediaCheck = MediaCheck::Both;
    "SS_MEDIA_CHECK_DIRECTION", Kind::Choice(MediaCheck::TEXTS), "", Media, gateway,
    "Which of the gateway's media is watched; what comes from one gateway goes to the other, and both must want it.";

    qos_signal: u8 = 24;
    "SS_QOS_SIGNAL", Kind::Dscp, "", Media, start,
    "DSCP of signalling packets.";

    qos_rtp: u8 = 46;
    "SS_QOS_RTP", Kind::Dscp, "", Media, start,
    "DSCP of media packets.";

    gateway_switch_limit: u32 = 0;
    "SS_GATEWAY_SWITCH_LIMIT", Kind::or_zero("no bound", 1, 50), "", Switching, gateway,
    "The most gateways that are tried for one call.";

    gateway_switch_until_connect: bool = false;
    "SS_GATEWAY_SWITCH_UNTIL_CONNECT", Kind::Switch, "", Switching, gateway,
    "The next gateway is tried whatever was heard, until somebody answers.";

    gateway_switch_stop_after_rtp_start: bool = true;
    "SS_GATEWAY_SWITCH_STOP_AFTER_RTP_START", Kind::Switch, "", Switching, gateway,
    "No other gateway is tried once media from one has been relayed.";

    gateway_switch_stop_after_user_busy: bool = true;
    "SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY", Kind::Switch, "", Switching, gateway,
    "No other gateway is tried once one has said that the user is busy.";

    try_protect_route_delay_s: u32 = 0;
    "SS_TRY_PROTECT_ROUTE_DELAY", Kind::whole(0, 180), "s", Switching, gateway,
    "How old a call must be before a protected gateway may be used for it, of a mapping gateway or of the protected one.";

    gateway_route_policy: RoutePolicy = RoutePolicy::FreeCapacity;
    "SS_GATEWAY_ROUTE_POLICY", Kind::Choice(RoutePolicy::TEXTS), "", Routing, switch,
    "What gateways of one prefix length and priority are sorted by, where the mapping gateway does not say; after the two sorts below.";

    gateway_asr_route_sort_config: u32 = 0;
    "SS_GATEWAY_ASR_ROUTE_SORT_CONFIG", Kind::or_zero("off", 1, 9), "", Routing, switch,
    "The place of the sort by quality among the sorts that follow prefix and priority.";

    gateway_fee_rate_route_sort_config: u32 = 0;
    "SS_GATEWAY_FEE_RATE_ROUTE_SORT_CONFIG", Kind::or_zero("off", 1, 9), "", Routing, switch,
    "The place of the sort by cost among the sorts that follow prefix and priority.";

    gateway_fee_rate_route_before_asr: bool = true;
    "SS_GATEWAY_FEE_RATE_ROUTE_BEFORE_ASR", Kind::Switch, "", Routing, switch,
    "Where both stand at one place, cost comes before quality.";

    gateway_fee_rate_call_length_s: u32 = 0;
    "SS_GATEWAY_FEE_RATE_CALL_LENGTH", Kind::or_zero("by the minute price", 1, 3600), "s", Routing, gateway,
    "The call length for which costs and margins are compared by what is really charged: first period, cycles, connection fee, minimum.";

    gateway_asr_calculate: bool = true;
    "SS_GATEWAY_ASR_CALCULATE", Kind::Switch, "", Routing, gateway,
    "The quality of the gateway is measured; without it, it sorts as if nothing were known.";

    gateway_asr_reserve_time_s: u32 = 3600;
    "SS_GATEWAY_ASR_RESERVE_TIME", Kind::whole(60, DAY_S), "s", Routing, switch,
    "The time that the measurement of quality looks back.";

    gateway_asr_reserve_separate_s: u32 = 60;
    "SS_GATEWAY_ASR_RESERVE_SEPARATE", Kind::whole(1, 3600), "s", Routing, switch,
    "The steps in which it forgets.";

    rewrite_caller: Arc<str> = "".into();
    "SS_REWRITE_CALLER", Kind::Text { min_length: 0, max_length: 4000 }, "", Routing, switch,
    "Rules that change every caller's number after those of the mapping gateway, like 00:,0E10:44.";

    rewrite_called: Arc<str> = "".into();
    "SS_REWRITE_CALLED", Kind::Text { min_length: 0, max_length: 4000 }, "", Routing, switch,
    "Rules that change every called number after those of the mapping gateway, like 00:,0E10:44.";

    billing_free_time_s: u32 = 0;
    "SERVER_BILLING_FREE_TIME", Kind::whole(0, 60), "s", Billing, switch,
    "Taken off every call before it is priced.";

    billing_hold_time_precision_ms: u32 = 50;
    "SERVER_BILLING_HOLD_TIME_PRECISION", Kind::whole(0, 999), "ms", Billing, switch,
    "A started second counts as a whole one from this fraction on.";

    billing_fee_precision: u32 = 4;
    "SERVER_BILLING_FEE_PRECISION" or "SERVER_BILLING_FEE_PRECISTION", Kind::whole(0, 8), "decimals", Billing, switch,
    "Decimals of a fee.";

    billing_fee_unit: Money = Money::ZERO;
    "SERVER_BILLING_FEE_UNIT", Kind::Amount { max: Money(100_000_000_000_000) }, "", Billing, switch,
    "The step to which fees are rounded up; 0 is one unit of the precision.";

    billing_prevent_overdraft_advance_time_s: u32 = 0;
    "SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME", Kind::whole(0, 3600), "s", Billing, switch,
    "How many seconds of a call must be affordable before it goes out.";

    billing_overdraft_policy: OverdraftPolicy = OverdraftPolicy::Cut;
    "SERVER_BILLING_OVERDRAFT_POLICY", Kind::Choice(OverdraftPolicy::TEXTS), "", Billing, switch,
    "What happens to calls in progress when the money is used up.";

    billing_rate_choice: RateChoice = RateChoice::Cheapest;
    "SERVER_BILLING_RATE_CHOICE", Kind::Choice(RateChoice::TEXTS), "", Billing, switch,
    "Which rate is charged where the gateway, the account itself and its rate group have one.";

    billing_profit_calculate: bool = true;
    "SERVER_BILLING_PROFIT_CALCULATE", Kind::Switch, "", Billing, switch,
    "CDRs say what was earned.";

    billing_gateway_route_prefix: bool = false;
    "SERVER_BILLING_GATEWAY_ROUTE_PREFIX", Kind::Switch, "", Billing, switch,
    "The prefix by which a number was routed is taken off before the vendor's rate is looked up.";

    billing_record_zero_hold_time: bool = true;
    "SERVER_BILLING_RECORD_ZERO_HOLD_TIME", Kind::Switch, "", Billing, switch,
    "CDRs are written for unanswered calls.";

    billing_record_server_hang_up: bool = true;
    "SERVER_BILLING_RECORD_SERVER_HANG_UP", Kind::Switch, "", Billing, switch,
    "CDRs are written for calls that the switch ended.";

    billing_record_illegal_call: bool = false;
    "SERVER_BILLING_RECORD_ILLEGAL_CALL", Kind::Switch, "", Billing, switch,
    "CDRs are written for calls refused because their source is unknown.";

    tracetofile: bool = true;
    "SS_TRACETOFILE", Kind::Switch, "", Trace, switch,
    "The log is written to files in the data folder too.";

    trace_file_length_kb: u32 = 40_960;
    "SS_TRACE_FILE_LENGTH", Kind::whole(1024, 1_048_576), "KB", Trace, switch,
    "How long one log file grows before the next begins; there are two.";

    trace_mask: TraceMask = TraceMask::Error;
    "SS_TRACE_MASK", Kind::Choice(TraceMask::TEXTS), "", Trace, switch,
    "What the log files hold: this level and everything graver.";

    trace_call_file_size_mb: u32 = 16;
    "SS_TRACE_CALL_FILE_SIZE", Kind::whole(16, 2048), "MB", Trace, switch,
    "How long one file of the call trace grows before the next begins; there are two.";

    trace_register_file_size_mb: u32 = 16;
    "SS_TRACE_REGISTER_FILE_SIZE", Kind::whole(16, 2048), "MB", Trace, switch,
    "How long one file of the trace of registrations grows before the next begins; there are two.";

    trace_hep_server: Arc<str> = "".into();
    "SS_TRACE_HEP_SERVER", Kind::Text { min_length: 0, max_length: 60 }, "", Trace, switch,
    "Every SIP message is sent to this address as HEP3 over UDP, like 192.0.2.9:9060; nothing is sent when empty.";

    trace_hep_id: u32 = 2001;
    "SS_TRACE_HEP_ID", Kind::whole(1, 99_999_999), "", Trace, switch,
    "By this number the receiver of HEP3 knows the switch.";

    cdr_record_to_file: bool = false;
    "SS_CDR_RECORD_TO_FILE", Kind::Switch, "", Billing, switch,
    "CDRs are written to files in the folder cdr of the data folder.";

    cdr_record_nonconnect: bool = false;
    "SS_CDR_RECORD_NONCONNECT", Kind::Switch, "", Billing, switch,
    "These files have the calls that were not answered too.";

    cdr_file_write_interval_s: u32 = 3600;
    "SERVER_CDR_FILE_WRITE_INTERVAL", Kind::or_zero("no files", 1, 86_400), "s", Billing, switch,
    "How often such a file is written.";

    cdr_file_write_max: u32 = 0;
    "SERVER_CDR_FILE_WRITE_MAX", Kind::or_zero("all", 1, 1_000_000), "files", Billing, switch,
    "How many of them are kept.";

    external_send_cdr: bool = false;
    "EXTERNAL_SEND_CDR", Kind::Switch, "", Billing, switch,
    "CDRs are sent to SERVER_CDR_REAL_TIME_REPORT_SERVER as they come.";

    cdr_report_server: Arc<str> = "".into();
    "SERVER_CDR_REAL_TIME_REPORT_SERVER", Kind::Text { min_length: 0, max_length: 300 }, "", Billing, switch,
    "The receiver of CDRs, like http://192.0.2.1:8000/cdrs.";

    query_cdr_max_day_interval: u32 = 0;
    "SERVER_QUERY_CDR_MAX_DAY_INTERVAL", Kind::or_zero("no bound", 1, 3650), "days", Billing, switch,
    "Longest span of one query of CDRs.";

    query_cdr_deny_time: Hours = Hours(0);
    "SERVER_QUERY_CDR_DENY_TIME", Kind::Hours, "", Billing, switch,
    "Hours of the day (UTC) in which queries of CDRs are refused.";
}
