//! Our own addresses, from the system's list of interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use vocab::net::{Cidr, LocalAddresses};

/// Addresses from the documentation ranges: routed like any foreign one, and nothing is ever sent there.
const ABROAD_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const ABROAD_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// What stands on the interfaces now, limited to `only` when it names any.
pub fn local_addresses(only: &[IpAddr]) -> io::Result<LocalAddresses> {
    let mut interfaces = list()?;
    interfaces.retain(|(_, ip)| only.is_empty() || only.contains(ip));
    // Towards the world from the address that routing would choose; on a machine without a route from any.
    let default = |abroad: SocketAddr| {
        let routed = routed_from(abroad).filter(|ip| interfaces.iter().any(|(_, own)| own == ip));
        let mut family = interfaces.iter().map(|(_, ip)| *ip).filter(|ip| ip.is_ipv4() == abroad.is_ipv4());
        let first = family.clone().find(|ip| !ip.is_loopback());
        routed.or(first).or_else(|| family.next())
    };
    let (default_v4, default_v6) = (default(ABROAD_V4), default(ABROAD_V6));
    Ok(LocalAddresses { interfaces, default_v4, default_v6 })
}

/// Our address on the way to `remote`: connecting a UDP socket looks up the route and sends nothing.
fn routed_from(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Network and address of every interface that is up; link-local IPv6 left out, as it means nothing to a peer.
fn list() -> io::Result<Vec<(Cidr, IpAddr)>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: on success `first` is a list that stays valid until it is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut at = first;
    while !at.is_null() {
        // SAFETY: `at` is an element of the list.
        let entry = unsafe { &*at };
        let up = u32::try_from(libc::IFF_UP).unwrap_or(0) & entry.ifa_flags != 0;
        // SAFETY: both pointers are null or to socket addresses of the family that they name.
        let (address, mask) = unsafe { (ip(entry.ifa_addr), ip(entry.ifa_netmask)) };
        if let (true, Some(address), Some(mask)) = (up && !address.is_some_and(is_link_local), address, mask)
        {
            found.push((Cidr { address, length: prefix_length(mask) }, address));
        }
        at = entry.ifa_next;
    }
    // SAFETY: the list came from `getifaddrs`, and no reference into it is left.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// # Safety
/// `address` is null or points to a socket address of the family that it names.
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function; the family says which structure stands there.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn prefix_length(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(v4) => v4.to_bits().leading_ones(),
        IpAddr::V6(v6) => v6.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or(128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found() {
        let local = local_addresses(&[]).unwrap();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(local.toward("127.9.9.9".parse().unwrap()), Some(loopback));
        assert!(local.default_v4.is_some());
        let only = local_addresses(&[loopback]).unwrap();
        assert_eq!((only.default_v4, only.default_v6), (Some(loopback), None));
    }

    #[test]
    fn masks() {
        for (mask, want) in [("255.0.0.0", 8), ("255.255.255.255", 32), ("ffff:ffff::", 32), ("0.0.0.0", 0)] {
            assert_eq!(prefix_length(mask.parse().unwrap()), want);
        }
    }
}
