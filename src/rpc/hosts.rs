//! Which names a request may come under, and which web pages may make one.
//!
//! A page on the web can make a browser talk to a node on the same machine, under the page's own name if its DNS entry is
//! changed meanwhile (DNS rebinding). So the `Host` header has to be `localhost`, an address, or a name the operator
//! allowed; and a request that says which page made it (`Origin`) is taken only from the node's own pages and those the
//! operator allowed. Browsers put no `Origin` check before a WebSocket, so this is the one there is.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Stands for every name, or every page.
const ANY: &str = "*";

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Hosts {
    /// With further hosts (`name` or `name:port`) and origins (`https://name`).
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |list: &[String]| list.iter().map(|entry| entry.to_ascii_lowercase()).collect();
        let origins: Vec<String> = lower(origins);
        let origins = origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        Self { hosts: lower(hosts), origins }
    }

    /// Whether a request may come under this name.
    pub fn allows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        let is_address = name.parse::<Ipv4Addr>().is_ok()
            || name
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
        is_address
            || name == "localhost"
            || self.hosts.iter().any(|allowed| allowed == ANY || *allowed == host || allowed == name)
    }

    /// Whether a page from `origin` may make a request to `host`.
    pub fn allows_origin(&self, origin: &str, host: &str) -> bool {
        let own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
        own || self.is_listed(origin)
    }

    /// Whether the operator allowed pages from `origin`.
    pub fn is_listed(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins.iter().any(|allowed| allowed == ANY || *allowed == origin)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&["node.example".to_owned(), "Other.example:8080".to_owned()], &["https://shop.example/".to_owned()])
    }

    #[test]
    fn a_name_nobody_allowed_is_refused() {
        let hosts = hosts();
        for good in [
            "localhost",
            "localhost:24001",
            "127.0.0.1:24001",
            "10.1.2.3",
            "[::1]:24001",
            "[::1]",
            "LOCALHOST:1",
            "node.example",
            "Node.example:443",
            "other.example:8080",
        ] {
            assert!(hosts.allows_host(good), "{good}");
        }
        for bad in
            ["evil.example", "localhost.evil.example", "other.example", "127.0.0.1.evil.example", "", "[evil]", ":1"]
        {
            assert!(!hosts.allows_host(bad), "{bad}");
        }
        assert!(Hosts::new(&["*".to_owned()], &[]).allows_host("any.example"));
    }

    #[test]
    fn a_page_is_taken_from_the_nodes_own_host_or_the_list() {
        let hosts = hosts();
        assert!(hosts.allows_origin("http://localhost:24001", "localhost:24001"));
        assert!(hosts.allows_origin("https://shop.example", "localhost:24001"));
        for bad in ["http://localhost:3000", "https://evil.example", "null", "", "http://shop.example"] {
            assert!(!hosts.allows_origin(bad, "localhost:24001"), "{bad}");
        }
    }
}
