//! What holds when neither file nor flag says otherwise.

/// Where the admin listener is unless the configuration says otherwise. Not 9090, which is Prometheus' own.
pub const DEFAULT_ADMIN: std::net::SocketAddr =
    std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 9180));

/// Where clients come in unless the configuration says otherwise: on this machine only.
pub const DEFAULT_LISTEN: std::net::SocketAddr =
    std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8080));

/// The ruleset inside the binary, which a site uses unless it names rules of its own.
pub const EMBEDDED_RULESET: &str = "@portcullis-core";
