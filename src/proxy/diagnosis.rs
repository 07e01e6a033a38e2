//! What pingora's errors, and ours among them, mean.

use super::answer::Trouble;
use pingora_core::{Error, ErrorSource, ErrorType};

/// The error by which a gate ends a connection without an answer.
pub(super) const ABANDONED: ErrorType = ErrorType::Custom("abandoned by a rule");

/// The error by which waiting for an upstream ends.
pub(super) const LATE: ErrorType = ErrorType::Custom("the upstream is late");

/// The error by which writing to a slow client ends.
pub(super) const SLOW: ErrorType = ErrorType::Custom("the client is slow");

/// The error by which a response ends when too much waits for clients.
pub(super) const CROWDED: ErrorType = ErrorType::Custom("too much waits for clients");

/// Why an upstream could not be connected.
pub(super) fn connect_trouble(error: &Error) -> Trouble {
    match error.etype() {
        ErrorType::ConnectTimedout => Trouble::UpstreamConnectLate,
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSWantX509Lookup => Trouble::UpstreamTls,
        _ => Trouble::UpstreamRefused,
    }
}

/// Whether the upstream did not answer in time.
pub(super) fn is_late(error: &Error) -> bool {
    let is_timeout = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    error.etype() == &LATE || is_timeout && *error.esource() == ErrorSource::Upstream
}

/// What an error of pingora's means.
pub(super) fn trouble_of(error: &Error) -> Trouble {
    if is_late(error) {
        return Trouble::UpstreamLate;
    }
    if error.etype() == &SLOW {
        return Trouble::ResponseLate;
    }
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Trouble::BodyLate,
        (
            ErrorSource::Downstream,
            ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ConnectionClosed
            | ErrorType::H2Error,
        ) => Trouble::ClientGone,
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader) => Trouble::Unforwardable,
        (ErrorSource::Downstream, _) => Trouble::BodyMalformed,
        (ErrorSource::Upstream, _) => Trouble::UpstreamBroken,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Trouble::Proxy,
    }
}
