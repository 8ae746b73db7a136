//! The kernel's filter (`SEC-5`): one nftables table of our own. Known gateways pass, denied sources are dropped,
//! strangers send so much and no more. Other tables are neither read nor touched; what they drop stays dropped.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

/// Name of the table, in the family `inet`.
pub const TABLE: &str = "tandem";

/// What the filter is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ports where SIP comes in.
    pub udp_ports: BTreeSet<u16>,
    pub tcp_ports: BTreeSet<u16>,
    /// Networks of gateways.
    pub allow: BTreeSet<Network>,
    pub deny: BTreeSet<Network>,
    /// Packets a second of one stranger, and how many at once.
    pub rate: u32,
    pub burst: u32,
}

/// An address with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.0.2.1` or `2001:db8::/32`; bits beyond the prefix become zero. `None` for anything else.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let longest = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(longest);
        (bits <= longest).then(|| Network { address: masked(address, bits), bits })
    }

    fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// Takes the table away, whether it is there or not.
pub fn removal() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// Puts the table in place of the one before, in one transaction (`nft -f`).
pub fn script(filter: &Filter) -> String {
    let mut text = removal();
    let _ = writeln!(text, "table inet {TABLE} {{");
    for (name, family, v4) in [("4", "ipv4_addr", true), ("6", "ipv6_addr", false)] {
        write_set(&mut text, &format!("allow{name}"), family, &filter.allow, v4);
        write_set(&mut text, &format!("deny{name}"), family, &filter.deny, v4);
        // Who is not heard of for a minute makes room for others.
        let _ = writeln!(
            text,
            "  set strangers{name} {{ type {family}; flags dynamic, timeout; timeout 1m; size 65536; }}"
        );
    }
    text += "  chain input {\n    type filter hook input priority -10; policy accept;\n";
    for (protocol, ports, condition) in
        [("udp", &filter.udp_ports, ""), ("tcp", &filter.tcp_ports, " ct state new")]
    {
        if !ports.is_empty() {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let _ = writeln!(text, "    {protocol} dport {{ {} }}{condition} jump sip", ports.join(", "));
        }
    }
    text += "  }\n  chain sip {\n    iif \"lo\" accept\n";
    for (name, family) in [("4", "ip"), ("6", "ip6")] {
        // A gateway that is denied by name of its address is denied.
        let _ = writeln!(text, "    {family} saddr @deny{name} counter drop");
        let _ = writeln!(text, "    {family} saddr @allow{name} counter accept");
    }
    for (name, family) in [("4", "ip"), ("6", "ip6")] {
        let _ = writeln!(
            text,
            "    update @strangers{name} {{ {family} saddr limit rate over {}/second burst {} packets }} counter drop",
            filter.rate.max(1),
            filter.burst.max(1)
        );
    }
    text += "  }\n}\n";
    text
}

fn write_set(text: &mut String, name: &str, family: &str, networks: &BTreeSet<Network>, v4: bool) {
    // Networks that lie within others are one interval.
    let _ = write!(text, "  set {name} {{ type {family}; flags interval; auto-merge;");
    let elements: Vec<String> =
        networks.iter().filter(|n| n.is_v4() == v4).map(ToString::to_string).collect();
    if !elements.is_empty() {
        let _ = write!(text, " elements = {{ {} }};", elements.join(", "));
    }
    text.push_str(" }\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(Network::parse(text).map(|n| n.to_string()).as_deref(), Some(shown));
        }
        for bad in ["", "x", "192.0.2.7/33", "192.0.2.7 }", "::/129", "1.2.3.4/", "host.example"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_script_names_only_our_table() {
        let filter = Filter {
            udp_ports: [5060].into(),
            tcp_ports: [5060].into(),
            allow: ["192.0.2.1", "2001:db8::/64"].into_iter().filter_map(Network::parse).collect(),
            deny: Network::parse("198.51.100.0/24").into_iter().collect(),
            rate: 20,
            burst: 50,
        };
        let text = script(&filter);
        assert!(text.contains(
            "set allow4 { type ipv4_addr; flags interval; auto-merge; elements = { 192.0.2.1/32 }; }"
        ));
        assert!(text.contains(
            "set allow6 { type ipv6_addr; flags interval; auto-merge; elements = { 2001:db8::/64 }; }"
        ));
        assert!(text.contains("set deny6 { type ipv6_addr; flags interval; auto-merge; }"));
        for line in text.lines().filter(|l| l.contains("table")) {
            assert!(line.contains("table inet tandem"), "{line}");
        }
        assert!(!text.contains("flush"));
    }
}
