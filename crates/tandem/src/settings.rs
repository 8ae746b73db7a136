//! The settings of one process: which folder, which sockets, which threads. Everything operational (accounts, rates,
//! parameters) lives in the database instead.
//!
//! Sources in rising order: the defaults here, the settings file, the environment (`TANDEM_…`), flags. The last two
//! are the same thing seen by `clap` and arrive here as [`Overrides`].

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use vocab::Transport;

/// The file that is read when none is named and it is there.
pub const DEFAULT_FILE: &str = "tandem.toml";
pub const SIP_PORT: u16 = 5060;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Data folder.
    pub data: PathBuf,
    /// What is written to the log, in the language of `tracing`'s filters: a level, or `module=level,…`.
    pub log: String,
    pub api: SocketAddr,
    pub listeners: Vec<Listener>,
    /// None were configured: those whose ports are parameters come to them.
    pub usual_listeners: bool,
    pub media: Media,
    pub tcp: Tcp,
    pub tls: Tls,
    pub journal: JournalSettings,
    /// How long calls may go on after the first request to stop.
    pub stop_wait: Duration,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub transport: Transport,
    #[serde(deserialize_with = "from_text")]
    pub address: ListenAddress,
    /// What peers are told to reach us at, when it is not the address of the socket (1:1 NAT).
    #[serde(default, deserialize_with = "maybe_from_text")]
    pub advertised: Option<ListenAddress>,
    /// One of the defaults: left out without complaint where the machine lacks the address family.
    #[serde(skip)]
    pub if_available: bool,
}

impl Listener {
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip, self.address.port.unwrap_or(self.transport.default_port()))
    }
}

/// An address with or without a port; that of the transport where it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl ListenAddress {
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(SIP_PORT))
    }
}

impl FromStr for ListenAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress { ip: address.ip(), port: Some(address.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        let ip = bare.parse().map_err(|_| {
            format!(
                "{text:?} is not an address; expected one like \"192.0.2.1:5060\" or \"[2001:db8::1]:5060\""
            )
        })?;
        Ok(ListenAddress { ip, port: None })
    }
}

/// `transport:address[=advertised]`, the form of the flag `--listen`.
impl FromStr for Listener {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?}: expected udp:, tcp:, tls:, ws: or wss: and an address, like \"udp:192.0.2.1:5060\""
            )
        };
        let (transport, rest) = text.split_once(':').ok_or_else(expected)?;
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            "ws" => Transport::Ws,
            "wss" => Transport::Wss,
            _ => return Err(expected()),
        };
        let (address, advertised) = match rest.split_once('=') {
            Some((address, advertised)) => (address, Some(advertised.parse()?)),
            None => (rest, None),
        };
        Ok(Listener { transport, address: address.parse()?, advertised, if_available: false })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// First and last port; the parameters `SS_MEDIAPROXYPORT_…` where absent.
    #[serde(deserialize_with = "maybe_from_text")]
    pub ports: Option<PortRange>,
    /// Threads that relay; from the number of processors where absent.
    pub threads: Option<usize>,
    /// Only these of our addresses are put into session descriptions; all where empty.
    pub addresses: Vec<IpAddr>,
    /// Public addresses behind 1:1 NAT.
    pub advertised_v4: Option<Ipv4Addr>,
    pub advertised_v6: Option<Ipv6Addr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl FromStr for PortRange {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("{text:?}: expected two ports from 1024 on, four or more in all, like \"10000-20000\"")
        };
        let (first, last) = text.split_once('-').ok_or_else(expected)?;
        let port = |t: &str| t.trim().parse::<u16>().map_err(|_| expected());
        let range = PortRange { first: port(first)?, last: port(last)? };
        // Two legs, each with a port for RTP and one for RTCP.
        if range.first < 1024 || range.last < range.first.saturating_add(3) {
            Err(expected())
        } else {
            Ok(range)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tcp {
    /// Connections from one address at a time (`R-26`).
    pub connections_per_source: usize,
    pub connections: usize,
    /// A connection on which nothing has come for this long is closed.
    pub idle_timeout_s: u64,
    /// A message that has begun must be whole within this time, and a stranger's first one must have come.
    pub message_timeout_s: u64,
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp { connections_per_source: 100, connections: 10_000, idle_timeout_s: 900, message_timeout_s: 10 }
    }
}

/// Files in PEM. They are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Our certificate and those that lead to a known authority; one of our own making where absent.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Who connects must show a certificate of one of these authorities; nobody needs one where absent.
    pub client_authorities: Option<PathBuf>,
    /// Authorities of the certificates that vendors show; those that the system trusts where absent.
    pub vendor_authorities: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSettings {
    /// Records are gathered for this long before one write to disk serves them all. Answers wait for it.
    pub gather_ms: u64,
    /// Size of a journal file. Twice as much is set aside on disk, for records of calls when it is full.
    pub segment_mb: u32,
}

impl Default for JournalSettings {
    fn default() -> JournalSettings {
        JournalSettings { gather_ms: 16, segment_mb: 64 }
    }
}

/// The settings file, as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data: Option<PathBuf>,
    log: Option<String>,
    stop_wait_s: Option<u64>,
    api: FileApi,
    listener: Vec<Listener>,
    media: Media,
    tcp: Tcp,
    tls: Tls,
    journal: JournalSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileApi {
    address: Option<SocketAddr>,
}

/// What environment and flags say over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub data: Option<PathBuf>,
    pub log: Option<String>,
    pub api: Option<SocketAddr>,
    pub listeners: Vec<Listener>,
    pub media_ports: Option<PortRange>,
    pub media_threads: Option<usize>,
    pub stop_wait_s: Option<u64>,
}

/// Why the settings cannot be used: one sentence with file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the named file, or [`DEFAULT_FILE`] if there is one, and lays the overrides over it.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Settings, SettingsError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => String::new(),
            Err(e) => return Err(SettingsError(format!("{}: {e}", path.display()))),
        };
        Settings::from_text(&text, &path.display().to_string(), overrides)
    }

    pub fn from_text(text: &str, name: &str, over: Overrides) -> Result<Settings, SettingsError> {
        let file: File = toml::from_str(text).map_err(|e| SettingsError(located(&e, text, name)))?;
        let mut media = file.media;
        media.ports = over.media_ports.or(media.ports);
        media.threads = over.media_threads.or(media.threads);
        let given = if over.listeners.is_empty() { file.listener } else { over.listeners };
        let settings = Settings {
            data: over.data.or(file.data).unwrap_or_else(|| "data".into()),
            log: over.log.or(file.log).unwrap_or_else(|| "info".into()),
            api: over.api.or(file.api.address).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            usual_listeners: given.is_empty(),
            listeners: if given.is_empty() { default_listeners() } else { given },
            media,
            tcp: file.tcp,
            tls: file.tls,
            journal: file.journal,
            stop_wait: Duration::from_secs(over.stop_wait_s.or(file.stop_wait_s).unwrap_or(5)),
        };
        settings.checked().map_err(|message| SettingsError(format!("{name}: {message}")))
    }

    /// What no single value can be blamed for.
    fn checked(self) -> Result<Settings, String> {
        if self.media.threads.is_some_and(|n| !(1..=64).contains(&n)) {
            return Err("media.threads: expected a number from 1 to 64".into());
        }
        if !(1..=1024).contains(&self.journal.segment_mb) {
            return Err("journal.segment_mb: expected a number from 1 to 1024".into());
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("tls: expected certificate and key, or none of the two".into());
        }
        if self.listeners.len() > 64 {
            return Err("more than 64 listeners".into());
        }
        for (i, a) in self.listeners.iter().enumerate() {
            let twice = |b: &&Listener| b.transport == a.transport && b.socket() == a.socket();
            if a.socket().port() != 0 && self.listeners.iter().take(i).any(|b| twice(&b)) {
                return Err(format!("listener {} {} stands there twice", a.transport, a.socket()));
            }
        }
        Ok(self)
    }

    /// All listeners, with those of `SS_SIP_TLS_PORT` and `SS_SIP_WS_PORT`; 0 is off.
    pub fn listeners_with(&self, tls: u16, ws: u16) -> Vec<Listener> {
        let ports = [(Transport::Tls, tls), (Transport::Ws, ws)];
        let more = ports.into_iter().filter(|(_, port)| self.usual_listeners && *port != 0);
        let more = more.flat_map(|(transport, port)| ANY.map(|ip| usual(transport, ip, Some(port))));
        self.listeners.iter().cloned().chain(more).collect()
    }
}

const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

fn usual(transport: Transport, ip: IpAddr, port: Option<u16>) -> Listener {
    let address = ListenAddress { ip, port };
    Listener { transport, address, advertised: None, if_available: ip.is_ipv6() }
}

fn default_listeners() -> Vec<Listener> {
    ANY.into_iter().flat_map(|ip| [Transport::Udp, Transport::Tcp].map(|t| usual(t, ip, None))).collect()
}

/// `file:line: message`.
fn located(error: &toml::de::Error, text: &str, name: &str) -> String {
    let upto = error.span().and_then(|span| text.get(..span.start));
    let line = upto.map_or(1, |before| before.matches('\n').count() + 1);
    format!("{name}:{line}: {}", error.message())
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(d: D) -> Result<T, D::Error> {
    String::deserialize(d)?.parse().map_err(de::Error::custom)
}

fn maybe_from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(d: D) -> Result<Option<T>, D::Error> {
    from_text(d).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, String> {
        Settings::from_text(text, "tandem.toml", Overrides::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_configured_gives_the_documented_defaults() {
        let s = load("").unwrap();
        assert_eq!((s.data.to_str(), s.api.to_string().as_str()), (Some("data"), "127.0.0.1:8080"));
        let shown: Vec<_> = s
            .listeners
            .iter()
            .map(|l| format!("{} {} {}", l.transport, l.address.socket(), l.if_available))
            .collect();
        let want =
            ["udp 0.0.0.0:5060 false", "tcp 0.0.0.0:5060 false", "udp [::]:5060 true", "tcp [::]:5060 true"];
        assert_eq!(shown, want);
        let more: Vec<_> = s.listeners_with(5061, 0).iter().skip(4).map(Listener::socket).collect();
        assert_eq!(more, ["0.0.0.0:5061".parse().unwrap(), "[::]:5061".parse().unwrap()]);
        assert_eq!(
            s.listeners_with(0, 8088).iter().skip(4).filter(|l| l.transport == Transport::Ws).count(),
            2
        );
    }

    #[test]
    fn a_full_file_is_read() {
        let s = load(
            r#"
            data = "/var/lib/tandem"
            log = "debug"
            stop_wait_s = 60
            [api]
            address = "[::1]:9000"
            [[listener]]
            transport = "udp"
            address = "10.0.0.1"
            advertised = "203.0.113.7"
            [[listener]]
            transport = "tcp"
            address = "[::]:5070"
            [media]
            ports = "20000-20999"
            threads = 2
            advertised_v4 = "203.0.113.7"
            [tcp]
            connections_per_source = 5
            [tls]
            certificate = "/etc/tandem/sip.pem"
            key = "/etc/tandem/sip.key"
            [journal]
            gather_ms = 0
            "#,
        )
        .unwrap();
        assert_eq!(
            (s.stop_wait.as_secs(), s.api.to_string().as_str(), s.journal.gather_ms),
            (60, "[::1]:9000", 0)
        );
        assert_eq!(
            s.listeners[0].advertised.map(|a| a.socket().to_string()),
            Some("203.0.113.7:5060".into())
        );
        assert_eq!(s.listeners[1].address.socket().to_string(), "[::]:5070");
        assert_eq!(s.media.ports, Some(PortRange { first: 20_000, last: 20_999 }));
        assert_eq!((s.tcp.connections_per_source, s.tcp.connections), (5, 10_000));
        assert_eq!(s.tls.key.as_deref(), Some(Path::new("/etc/tandem/sip.key")));
        assert_eq!(s.listeners_with(5061, 8088), s.listeners);
    }

    #[test]
    fn errors_name_the_line_and_what_was_expected() {
        for (text, line, words) in [
            ("data = 'x'\ncolour = 'red'\n", 2, "unknown field `colour`, expected one of `data`, `log`"),
            ("[media]\n\nport = '1-2'", 3, "unknown field `port`, expected one of `ports`, `threads`"),
            (
                "[[listener]]\ntransport = 'sctp'\naddress = '0.0.0.0'",
                2,
                "expected one of `udp`, `tcp`, `tls`, `ws`, `wss`",
            ),
            (
                "[[listener]]\ntransport = 'udp'\naddress = 'here'",
                3,
                "\"here\" is not an address; expected one like",
            ),
            ("[[listener]]\ntransport = 'udp'", 1, "missing field `address`"),
            ("[media]\nports = '20000-20001'", 2, "expected two ports"),
            ("[media]\nports = 7", 2, "expected a string"),
            ("[api]\naddress = '127.0.0.1'", 2, "invalid socket address"),
            ("log = ", 1, ""),
        ] {
            let got = load(text).unwrap_err();
            assert!(
                got.starts_with(&format!("tandem.toml:{line}: ")) && got.contains(words),
                "{text:?}: {got}"
            );
        }
        assert!(load("[media]\nthreads = 0").unwrap_err().contains("media.threads"));
        assert!(load("[tls]\nkey = 'k'").unwrap_err().contains("expected certificate and key"));
        let twice = "[[listener]]\ntransport='udp'\naddress='1.2.3.4'\n".repeat(2);
        assert!(load(&twice).unwrap_err().contains("twice"));
    }

    #[test]
    fn environment_and_flags_win_over_the_file() {
        let over = Overrides {
            data: Some("there".into()),
            listeners: vec!["tcp:127.0.0.1:5999=192.0.2.1".parse().unwrap()],
            media_ports: Some("3000-3999".parse().unwrap()),
            ..Overrides::default()
        };
        let text = "data = 'here'\nlog = 'warn'\n[media]\nports = '4000-4999'\nthreads = 3";
        let s = Settings::from_text(text, "f", over).unwrap();
        assert_eq!((s.data.to_str(), s.log.as_str(), s.media.threads), (Some("there"), "warn", Some(3)));
        assert_eq!(s.media.ports, Some(PortRange { first: 3000, last: 3999 }));
        assert_eq!(s.listeners.len(), 1);
    }

    #[test]
    fn listen_flags() {
        for (text, want) in [
            ("udp:127.0.0.1:5070", Some(("udp", "127.0.0.1:5070"))),
            ("tcp:[::1]:5070", Some(("tcp", "[::1]:5070"))),
            ("udp:::1", Some(("udp", "[::1]:5060"))),
            ("tcp:[::]", Some(("tcp", "[::]:5060"))),
            ("127.0.0.1:5060", None),
            ("tls:127.0.0.1", Some(("tls", "127.0.0.1:5061"))),
            ("ws:127.0.0.1:8088", Some(("ws", "127.0.0.1:8088"))),
            ("wss:[::1]:443", Some(("wss", "[::1]:443"))),
            ("sctp:127.0.0.1:5060", None),
            ("udp:host:5060", None),
        ] {
            let got = text.parse::<Listener>().ok();
            let got = got.map(|l| (l.transport.to_string(), l.socket().to_string()));
            assert_eq!(got, want.map(|(t, a)| (t.to_string(), a.to_string())), "{text}");
        }
    }
}
