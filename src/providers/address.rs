//! Where a provider is, as far as it matters for a key.

use std::net::IpAddr;

/// True for an address at which a key would leave this machine unencrypted.
pub fn is_exposed(url: &str) -> bool {
    let Some(rest) = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| &url[7..]) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, _)) => host,
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_local_name = host.eq_ignore_ascii_case("localhost");
    !is_local_name && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_on_this_machine_or_are_encrypted() {
        for url in [
            "https://x/v1",
            "http://localhost:1/v1",
            "HTTP://LOCALHOST",
            "http://127.0.0.1:8/v1",
            "http://[::1]:8/",
            "",
            "http:",
        ] {
            assert!(!is_exposed(url), "{url}");
        }
        for url in [
            "http://x/v1",
            "HTTP://x",
            "http://localhost.x/v1",
            "http://localhost@x/",
            "http://10.0.0.1:8",
            "http://[fe80::1]/",
        ] {
            assert!(is_exposed(url), "{url}");
        }
    }
}
