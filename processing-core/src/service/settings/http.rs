//! The one port.
//!
//! Invariant: by default it is none of the ports that the systems of this fleet's users take (3000,
//! 8080, 8081, 9092), and it is open to this machine only.

use std::net::{IpAddr, SocketAddr};

use super::{SettingsError, Spec, ValueKind, Values};

pub(super) const SPECS: &[Spec] = &[
    Spec::new(
        "http.listen",
        ValueKind::Listen,
        "127.0.0.1:9464",
        "Address of /livez, /readyz, /metrics, /status and the queries; 0.0.0.0:9464 opens it to others",
    ),
    Spec::new(
        "http.port.next.free",
        ValueKind::Switch,
        "false",
        "Whether the next free port is taken if that one is in use",
    ),
    Spec::new(
        "http.advertised",
        ValueKind::Checked { wants: "a host, or host:port such as 10.0.0.3:9464", check: is_host },
        "",
        "Host, or host:port, at which other instances reach http.listen; without it that address itself, unless it is \
         0.0.0.0; in Kubernetes the pod's IP",
    )
    .aliases(&["POD_IP"]),
];

/// The one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// `http.listen`; `None`: no port at all.
    pub listen: Option<SocketAddr>,
    /// `http.port.next.free`.
    pub next_free: bool,
    /// `http.advertised`.
    pub advertised: Option<String>,
}

impl HttpSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self {
            listen: values.get("http.listen")?,
            next_free: values.get("http.port.next.free")?,
            advertised: Some(values.get::<String>("http.advertised")?).filter(|text| !text.is_empty()),
        })
    }

    /// Host and port at which others reach the port that was opened at `bound`; `None` where nobody knows: every
    /// address of the machine is listened on, and none is advertised.
    pub fn reached_at(&self, bound: SocketAddr) -> Option<String> {
        match &self.advertised {
            Some(given) => Some(match given.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, bound.port()).to_string(),
                Err(_) if port_of(given).is_some() => given.clone(),
                Err(_) => format!("{given}:{}", bound.port()),
            }),
            None => (!bound.ip().is_unspecified()).then(|| bound.to_string()),
        }
    }
}

fn port_of(text: &str) -> Option<u16> {
    text.rsplit_once(':')?.1.parse().ok()
}

/// Empty, an IP address, or a name or `[IPv6]` with or without a port.
fn is_host(text: &str) -> bool {
    if text.is_empty() || text.parse::<IpAddr>().is_ok() || text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let host = if text.contains(':') {
        match (port_of(text), text.rsplit_once(':')) {
            (Some(_), Some((host, _))) => host,
            _ => return false,
        }
    } else {
        text
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=253).contains(&host.len()) && host.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_told_where_they_reach_the_port() {
        let port = |advertised: &str, bound: &str| {
            let advertised = Some(advertised.to_owned()).filter(|text| !text.is_empty());
            let bound = bound.parse().unwrap();
            HttpSettings { listen: Some(bound), next_free: false, advertised }.reached_at(bound)
        };
        for (advertised, bound, reached) in [
            ("", "127.0.0.1:9464", Some("127.0.0.1:9464")),
            ("", "0.0.0.0:9464", None),
            ("", "[::]:9464", None),
            ("10.0.0.3", "0.0.0.0:9465", Some("10.0.0.3:9465")),
            ("fd00::3", "[::]:9465", Some("[fd00::3]:9465")),
            ("pod-0.trending", "0.0.0.0:9465", Some("pod-0.trending:9465")),
            ("pod-0.trending:80", "0.0.0.0:9465", Some("pod-0.trending:80")),
            ("[fd00::3]:80", "[::]:9465", Some("[fd00::3]:80")),
        ] {
            assert!(is_host(advertised), "{advertised}");
            assert_eq!(port(advertised, bound).as_deref(), reached, "{advertised} {bound}");
        }
        for wrong in ["http://x", "a b", "x:port", ":80", "x:99999", "x/y"] {
            assert!(!is_host(wrong), "{wrong}");
        }
    }
}
