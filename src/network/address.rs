//! Addresses of nodes: what a peer says of its own, which ones are worth dialing, and what counts as one place.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a peer seen at `seen` listens, if it says so: its port, at the IP address that it names or else is seen at. A
/// host name stands for the latter: nobody makes this node ask a name server.
pub fn listen_address(listen: Option<&str>, seen: IpAddr) -> Option<SocketAddr> {
    let listen = listen?;
    let named: Option<SocketAddr> = listen.parse().ok();
    let port = named.map(|named| named.port()).or_else(|| listen.rsplit_once(':')?.1.parse().ok())?;
    let ip = named.map(|named| named.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
    Some(SocketAddr::new(ip.unwrap_or(seen.to_canonical()), port)).filter(|address| address.port() != 0)
}

/// Whether an address told by a peer at `teller` may be dialed. Only who is on this machine speaks of this machine, and
/// only who is in a private network of such: nobody far away makes this node knock at doors near it.
pub fn is_worth_dialing(address: &SocketAddr, teller: IpAddr) -> bool {
    let (ip, teller) = (address.ip().to_canonical(), teller.to_canonical());
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let is_one_place = address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_link_local;
    is_one_place && (!ip.is_loopback() || teller.is_loopback()) && (!is_local(ip) || is_local(teller))
}

/// Whether an address means something near this node only: on this machine or in a private network.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // RFC 6598: between a provider and its customers.
            let [a, b, ..] = ip.octets();
            ip.is_loopback() || ip.is_private() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// Addresses that one party may well hold all of: 16 bits of IPv4, 32 bits of IPv6. Near addresses stand each for
/// itself, because there groups say nothing about parties.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// An IPv4 network.
    V4([u8; 2]),
    /// An IPv6 network.
    V6([u16; 2]),
    /// An address on this machine or in a private network.
    Local(IpAddr),
}

/// The group of an address.
pub fn group(ip: IpAddr) -> Group {
    let ip = ip.to_canonical();
    match ip {
        _ if is_local(ip) => Group::Local(ip),
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            Group::V4([a, b])
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            Group::V6([a, b])
        }
    }
}

/// What one party gets cheaply: an IPv4 address, or an IPv6 network of 64 bits.
pub fn place(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_is_reached_where_it_says_or_where_it_is_seen() {
        for (listen, expected) in [
            (Some("198.51.100.1:24000"), Some("198.51.100.1:24000")),
            (Some("0.0.0.0:24000"), Some("192.0.2.1:24000")),
            (Some("[::]:24000"), Some("192.0.2.1:24000")),
            (Some("[2001:db8::1]:7"), Some("[2001:db8::1]:7")),
            (Some("node.example.org:24001"), Some("192.0.2.1:24001")),
            (Some("node.example.org"), None),
            (Some("198.51.100.1:0"), None),
            (Some("198.51.100.1:99999"), None),
            (Some(""), None),
            (None, None),
        ] {
            let address = listen_address(listen, ip("::ffff:192.0.2.1"));
            assert_eq!(address, expected.map(|text| text.parse().unwrap()), "{listen:?}");
        }
    }

    #[test]
    fn nobody_sends_this_node_to_its_own_machine_or_to_no_place() {
        for (address, teller, expected) in [
            ("198.51.100.1:1", "192.0.2.1", true),
            ("198.51.100.1:0", "192.0.2.1", false),
            ("0.0.0.0:1", "192.0.2.1", false),
            ("224.0.0.1:1", "192.0.2.1", false),
            ("255.255.255.255:1", "192.0.2.1", false),
            ("169.254.1.1:1", "192.0.2.1", false),
            ("[fe80::1]:1", "192.0.2.1", false),
            ("127.0.0.1:1", "192.0.2.1", false),
            ("[::ffff:127.0.0.1]:1", "192.0.2.1", false),
            ("10.0.0.1:1", "192.0.2.1", false),
            ("100.64.0.1:1", "192.0.2.1", false),
            ("[fd00::1]:1", "2001:db8::1", false),
            ("10.0.0.1:1", "192.168.0.1", true),
            ("127.0.0.1:1", "192.168.0.1", false),
            ("127.0.0.1:1", "127.0.0.1", true),
            ("[::1]:1", "127.0.0.1", true),
        ] {
            assert_eq!(is_worth_dialing(&address.parse().unwrap(), ip(teller)), expected, "{address} by {teller}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_place_and_an_ipv4_address_is() {
        assert_eq!(place(ip("2001:db8:1:2:3::4")), place(ip("2001:db8:1:2::9")));
        assert_ne!(place(ip("2001:db8:1:2::9")), place(ip("2001:db8:1:3::9")));
        assert_eq!(place(ip("::ffff:192.0.2.1")), place(ip("192.0.2.1")));
        assert_ne!(place(ip("192.0.2.1")), place(ip("192.0.2.2")));
    }

    #[test]
    fn a_group_is_sixteen_bits_of_ipv4_or_thirty_two_of_ipv6_and_near_addresses_are_one_each() {
        assert_eq!(group(ip("198.51.100.1")), group(ip("::ffff:198.51.2.2")));
        assert_ne!(group(ip("198.51.100.1")), group(ip("198.52.100.1")));
        assert_eq!(group(ip("2001:db8:1::1")), group(ip("2001:db8:2::1")));
        assert_ne!(group(ip("2001:db8::1")), group(ip("2001:db9::1")));
        assert_ne!(group(ip("10.0.0.1")), group(ip("10.0.0.2")));
        assert_eq!(group(ip("100.64.0.1")), Group::Local(ip("100.64.0.1")));
        assert_eq!(group(ip("100.128.0.1")), Group::V4([100, 128]));
    }
}
