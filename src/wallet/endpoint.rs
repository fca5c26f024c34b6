//! Where a masternode says that others reach it: `host:port`, and whether anybody can.

use crate::limits::MAX_ENDPOINT_BYTES;
use std::net::IpAddr;

/// Why nobody would reach a masternode there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `host:port`.
    #[error("\"{endpoint}\" is no endpoint: it is written HOST:PORT, like mn.example.org:24000 or [2001:db8::1]:24000")]
    Malformed {
        /// What was written.
        endpoint: String,
    },
    /// Longer than a record holds.
    #[error("an endpoint of {bytes} bytes is longer than {limit}", limit = MAX_ENDPOINT_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No one host has such an address.
    #[error("no one can be reached at {host}: say the address of this masternode's host")]
    NoHost {
        /// The address.
        host: String,
    },
    /// It means something on one machine or in one network only.
    #[error(
        "{host} can be reached from its own machine or network only: say the address under which the others reach it"
    )]
    Local {
        /// The address or name.
        host: String,
    },
}

/// Checks an endpoint. `is_public` says whether the chain's masternodes are strangers to each other, all over the world.
/// Names are not looked up.
///
/// # Errors
/// [`EndpointError`].
pub fn check(endpoint: &str, is_public: bool) -> Result<(), EndpointError> {
    if endpoint.len() > MAX_ENDPOINT_BYTES {
        return Err(EndpointError::TooLong { bytes: endpoint.len() });
    }
    let malformed = || EndpointError::Malformed { endpoint: endpoint.to_owned() };
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(malformed)?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip: Option<IpAddr> = match literal {
        Some(literal) => Some(IpAddr::V6(literal.parse().map_err(|_| malformed())?)),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    };
    if !is_port || (ip.is_none() && !is_name(host)) {
        return Err(malformed());
    }
    let host = || host.to_owned();
    match ip.map(|ip| ip.to_canonical()) {
        Some(ip) if is_nowhere(ip) => Err(EndpointError::NoHost { host: host() }),
        Some(ip) if is_public && is_near(ip) => Err(EndpointError::Local { host: host() }),
        None if is_public && is_near_name(&host()) => Err(EndpointError::Local { host: host() }),
        _ => Ok(()),
    }
}

/// Letters, digits and hyphens between points (RFC 1123, section 2.1), and not digits alone in the last part, which would
/// be an address that is none.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && !ends && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Names that every machine or network has its own of: `localhost` (RFC 6761), `.local` (RFC 6762), those without a point.
fn is_near_name(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.contains('.') || matches!(last, "localhost" | "local" | "internal")
}

/// Whether an address stands for no one host.
fn is_nowhere(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    ip.is_unspecified() || ip.is_multicast() || is_broadcast
}

/// Whether an address means something near it only.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            // RFC 6598: between a provider and its customers.
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_documentation() || is_shared || a == 0
        }
        // 2001:db8::/32 is for documentation (RFC 3849).
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            let is_documentation = (a, b) == (0x2001, 0xdb8);
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || is_documentation
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(endpoint: &str, is_public: bool) -> &'static str {
        match check(endpoint, is_public) {
            Ok(()) => "good",
            Err(EndpointError::Malformed { .. }) => "malformed",
            Err(EndpointError::TooLong { .. }) => "long",
            Err(EndpointError::NoHost { .. }) => "nowhere",
            Err(EndpointError::Local { .. }) => "local",
        }
    }

    #[test]
    fn what_others_can_reach_is_good_and_what_nobody_can_is_not() {
        for (endpoint, public, private) in [
            ("mn.example.org:24000", "good", "good"),
            ("MN-1.Example.org:1", "good", "good"),
            ("93.184.216.34:65535", "good", "good"),
            ("[2606:2800:220:1::1]:24000", "good", "good"),
            ("127.0.0.1:24000", "local", "good"),
            ("10.1.2.3:24000", "local", "good"),
            ("192.168.0.1:24000", "local", "good"),
            ("100.64.0.1:24000", "local", "good"),
            ("169.254.0.1:24000", "local", "good"),
            ("198.51.100.1:24000", "local", "good"),
            ("[::1]:24000", "local", "good"),
            ("[fd00::1]:24000", "local", "good"),
            ("[fe80::1]:24000", "local", "good"),
            ("[2001:db8::1]:24000", "local", "good"),
            ("[::ffff:10.0.0.1]:24000", "local", "good"),
            ("localhost:24000", "local", "good"),
            ("printer.local:24000", "local", "good"),
            ("node5:24000", "local", "good"),
            ("0.0.0.0:24000", "nowhere", "nowhere"),
            ("[::]:24000", "nowhere", "nowhere"),
            ("224.0.0.1:24000", "nowhere", "nowhere"),
            ("255.255.255.255:24000", "nowhere", "nowhere"),
            ("", "malformed", "malformed"),
            ("mn.example.org", "malformed", "malformed"),
            ("mn.example.org:0", "malformed", "malformed"),
            ("mn.example.org:65536", "malformed", "malformed"),
            ("mn.example.org:+1", "malformed", "malformed"),
            (":24000", "malformed", "malformed"),
            ("http://mn.example.org:24000", "malformed", "malformed"),
            ("mn example:24000", "malformed", "malformed"),
            ("2001:db8::1:24000", "malformed", "malformed"),
            ("[mn.example.org]:24000", "malformed", "malformed"),
            ("1.2.3:24000", "malformed", "malformed"),
            ("-a.example:24000", "malformed", "malformed"),
        ] {
            assert_eq!((verdict(endpoint, true), verdict(endpoint, false)), (public, private), "{endpoint}");
        }
        assert_eq!(verdict(&format!("{}.org:24000", "a.".repeat(130)), false), "long");
    }
}
