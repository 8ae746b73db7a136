//! Every combination of the settings of `SIG-14` to `SIG-17` against the INVITE that the vendor must get. What is
//! expected is worked out here anew, from the words of the specification.

const RECEIVED: [(&str, &str); 3] = [
    ("P-Asserted-Identity", "\"Al\" <sip:+4911@carrier.example>"),
    ("P-Preferred-Identity", "<sip:4912@carrier.example>"),
    ("Remote-Party-ID", "<sip:4913@carrier.example>;party=calling"),
];
const CLAIMS: [&str; 3] = ["none", "passthrough", "caller"];

#[derive(Clone, Copy, Debug)]
struct Settings {
    claims: [&'static str; 3],
    privacy: &'static str,
    display: &'static str,
    domain: bool,
    original_to: bool,
    /// The caller's Privacy, and whether its gateway may ask for any.
    wish: Option<&'static str>,
    support: bool,
    identified: bool,
}

fn all() -> Vec<Settings> {
    let mut all = Vec::new();
    for n in 0..3_usize.pow(6) << 4 {
        let (bits, mut rest) = (n & 15, n >> 4);
        let mut of = |list: [&'static str; 3]| {
            let chosen = list[rest % 3];
            rest /= 3;
            chosen
        };
        let claims = [of(CLAIMS), of(CLAIMS), of(CLAIMS)];
        let privacy = of(["none", "passthrough", "id"]);
        let display = of(["Ignore", "E164", "Number"]);
        let wish = Some(of(["", "id", "none"])).filter(|w| !w.is_empty());
        let bit = |place: usize| bits & 1 << place != 0;
        let (domain, original_to, support, identified) = (bit(0), bit(1), bit(2), bit(3));
        all.push(Settings { claims, privacy, display, domain, original_to, wish, support, identified });
    }
    all
}

/// What the INVITE must say: headers with their text, `None` for those that must not be there.
fn expected(s: &Settings) -> Vec<(&'static str, Option<String>)> {
    let privacy = match s.privacy {
        "id" => Some("id"),
        "passthrough" if s.support => s.wish,
        _ => None,
    };
    let hidden = privacy == Some("id");
    let host = if s.domain { "voice.example" } else { "192.0.2.1" };
    let from = match (hidden, s.display) {
        (true, _) => "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=".to_owned(),
        (_, "E164") => format!("\"+4930100\" <sip:4930100@{host}>;tag="),
        (_, "Number") => format!("\"4930100\" <sip:4930100@{host}>;tag="),
        _ => format!("\"Al B\" <sip:4930100@{host}>;tag="),
    };
    let own = [
        format!("<sip:+4930100@{host}>"),
        format!("<sip:4930100@{host}>"),
        format!("<sip:4930100@{host}>;party=calling;privacy={}", if hidden { "full" } else { "off" }),
    ];
    let to = if s.original_to { "8801712345678" } else { "008801712345678" };
    let mut all = vec![
        ("From", Some(from)),
        ("To", Some(format!("<sip:{to}@10.2.0.1>"))),
        ("Privacy", privacy.map(str::to_owned)),
    ];
    for ((claim, (name, received)), own) in s.claims.into_iter().zip(RECEIVED).zip(own) {
        let value = match claim {
            "caller" => Some(own),
            "passthrough" if s.identified => Some(received.to_owned()),
            _ => None,
        };
        all.push((name, value));
    }
    all
}

fn scenario(s: &Settings) -> String {
    let [pai, ppi, rpid] = s.claims;
    let word = |on: bool, word: &'static str| if on { word } else { "" };
    let mut sent = s.wish.map_or(String::new(), |wish| format!(" {{Privacy: {wish}}}"));
    if s.identified {
        RECEIVED.iter().for_each(|(name, value)| sent += &format!(" {{{name}: {value}}}"));
    }
    let mut got = String::new();
    for (name, value) in expected(s) {
        got += &value.map_or(format!(" !{{{name}}}"), |value| format!(" {{{name}: {value}}}"));
    }
    format!(
        "scenario {s:?}
config: customer acme prepaid 10.00 880=0.03/60/6 ; param SS_LOCAL_IP_DOMAIN=voice.example
config: caller alice of acme {}
config: vendor v1 prio 1 880=0.02/1/1 called_rewrite 880:00880 pai {pai} ppi {ppi} rpid {rpid} privacy {} pai_rewrite 49:+49 {} \
         SS_SIP_E164_DISPLAY_FROM={} SS_SIP_ROUTING_GATEWAY_INVITE_USE_CONTACT={}
alice -> INVITE 8801712345678 sdp name=Al_B{sent}
alice <- 100
v1 <- INVITE 008801712345678 sdp{got}
v1 -> 486
v1 <- ACK
alice <- 486
alice -> ACK
cdr: end_reason=callee_busy
",
        word(s.support, "support_privacy"),
        s.privacy,
        word(s.domain, "local_domain"),
        s.display,
        word(s.original_to, "On").max(word(!s.original_to, "Off")),
    )
}

#[test]
fn every_combination_of_identity_settings() {
    let all = all();
    assert_eq!(all.len(), 11_664);
    let mut failed = Vec::new();
    for settings in &all {
        let text = scenario(settings);
        let scenarios = sim::ladder::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        for scenario in &scenarios {
            failed.extend(sim::ladder::run(scenario).err().map(|e| format!("{settings:?}: {e}")));
        }
    }
    let first = failed.first().cloned().unwrap_or_default();
    assert!(failed.is_empty(), "{} of {} combinations fail; the first: {first}", failed.len(), all.len());
}
