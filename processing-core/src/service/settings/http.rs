//! The one port.
//!
//! Invariant: by default it is none of the ports that the systems of this fleet's users take (3000,
//! 8080, 8081, 9092), and it is open to this machine only.

use std::net::SocketAddr;

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
];

/// The one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// `http.listen`; `None`: no port at all.
    pub listen: Option<SocketAddr>,
    /// `http.port.next.free`.
    pub next_free: bool,
}

impl HttpSettings {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        Ok(Self { listen: values.get("http.listen")?, next_free: values.get("http.port.next.free")? })
    }
}
