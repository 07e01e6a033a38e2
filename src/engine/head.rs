//! Connections, request heads and response heads → variables.

use super::transaction::Transaction;
use super::values::{ESCAPES, ValueId};
use super::{BodyStep, EventKind};
use crate::body::Processor;
use crate::http::{CookieFormat, MediaType, Pairs, Target, parse_cookies, parse_query};
use crate::limits;
use crate::ruleset::Mode;
use crate::ruleset::classes::mask_of;
use crate::variable::Variable as V;
use std::net::SocketAddr;

impl Transaction {
    /// Sets what is known before anything has been received.
    pub(super) fn prepare(&mut self) {
        let id = std::mem::take(&mut self.id);
        self.set(V::UniqueId, id.as_bytes());
        self.id = id;
        self.scalars[V::Webappid as usize] = self.values.push(self.ruleset.settings.web_app_id.as_bytes());
        // 3.0.15 in ModSecurity's own arithmetic; rules compare it to know what an engine can do.
        self.set(V::ModsecBuild, b"030015100");
        let zero = self.values.push(b"0");
        for flag in [
            V::ReqbodyError,
            V::ReqbodyProcessorError,
            V::UrlencodedError,
            V::InboundDataError,
            V::OutboundDataError,
            V::MultipartStrictError,
            V::MultipartUnmatchedBoundary,
            V::RequestBodyLength,
            V::FilesCombinedSize,
            V::ArgsCombinedSize,
        ] {
            self.scalars[flag as usize] = zero;
        }
    }

    /// Client and server address.
    pub fn process_connection(&mut self, client: SocketAddr, server: SocketAddr) {
        self.client = Some(client);
        self.server = Some(server);
        self.set_address(V::RemoteAddr, client);
        self.scalars[V::UseragentIp as usize] = self.scalars[V::RemoteAddr as usize];
        self.set_number(V::RemotePort, i64::from(client.port()));
        self.set_address(V::ServerAddr, server);
        self.set_number(V::ServerPort, i64::from(server.port()));
    }

    fn set_address(&mut self, variable: V, address: SocketAddr) {
        use std::io::Write;
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        // Writing into a vector cannot fail.
        let _ = write!(text, "{}", address.ip().to_canonical());
        self.set(variable, &text);
        self.scratch = text;
    }

    /// Method, request target and protocol (`HTTP/1.1`) as received.
    pub fn process_uri(&mut self, method: &[u8], target: &[u8], protocol: &[u8]) {
        self.set(V::RequestMethod, method);
        self.set(V::RequestProtocol, protocol);
        self.set(V::RequestUriRaw, target);
        let parsed = Target::parse(method, target);
        let uri = parsed.request_uri();
        // Equal values under one name are looked at once.
        if uri == target {
            self.scalars[V::RequestUri as usize] = self.scalars[V::RequestUriRaw as usize];
        } else {
            self.set(V::RequestUri, &uri);
        }
        let filename = parsed.request_filename();
        self.set(V::RequestFilename, &filename);
        self.scalars[V::PathInfo as usize] = self.scalars[V::RequestFilename as usize];
        self.scalars[V::ScriptFilename as usize] = self.scalars[V::RequestFilename as usize];
        self.set(V::RequestBasename, &parsed.request_basename());
        self.scalars[V::ScriptBasename as usize] = self.scalars[V::RequestBasename as usize];
        self.set(V::QueryString, parsed.query_string());
        let mut line = std::mem::take(&mut self.scratch);
        line.clear();
        line.extend_from_slice(method);
        line.push(b' ');
        line.extend_from_slice(target);
        if !protocol.is_empty() {
            line.push(b' ');
            line.extend_from_slice(protocol);
        }
        self.set(V::RequestLine, &line);
        self.scratch = line;
        self.describe_target(&parsed, method, protocol);
        if let Some(authority) = parsed.authority {
            self.set(V::ServerName, host_name(authority));
        }
        let settings = &self.ruleset.settings;
        let (separator, limit) = (settings.argument_separator, settings.arguments_limit);
        let mut arguments = Pairs::new();
        let outcome = parse_query(parsed.query_string(), separator, limit, &mut arguments);
        if outcome.invalid_encoding {
            self.set(V::UrlencodedError, b"1");
        }
        if outcome.limit_hit {
            self.note(
                EventKind::ArgumentsLimit,
                &format!("the query string has more than {limit} arguments"),
            );
        }
        for (name, value) in arguments.iter() {
            self.add_member(V::ArgsGet, name, value);
        }
    }

    /// What the request line and the target are made of, without looking at a long query string more than once.
    fn describe_target(&mut self, target: &Target<'_>, method: &[u8], protocol: &[u8]) {
        let query = target.query_string();
        if query.len() < DESCRIBED {
            return;
        }
        let end = target.raw.len() - target.fragment.map_or(0, |fragment| fragment.len() + 1);
        let (before, after) = (&target.raw[..end - query.len()], &target.raw[end..]);
        let of_query = self.values.mask(self.scalars[V::QueryString as usize]);
        let [query, target, line] = [V::QueryString, V::RequestUriRaw, V::RequestLine]
            .map(|variable| self.scalars[variable as usize]);
        let around_query = mask_of(before) | mask_of(after);
        let around_target = mask_of(method) | mask_of(b" ") | mask_of(protocol);
        self.values.describe(target, of_query | around_query);
        self.values.describe(line, of_query | around_query | around_target);
        // None begins or ends outside of the query string: what stands around it there is in no escape.
        if around_query & ESCAPES == 0 {
            self.values.has_escapes_of(target, query);
            if around_target & ESCAPES == 0 {
                self.values.has_escapes_of(line, query);
            }
        }
    }

    /// The exact request line, where it was not `METHOD SP target SP protocol`.
    pub fn set_request_line(&mut self, line: &[u8]) {
        self.set(V::RequestLine, line);
    }

    /// One request header, in order.
    pub fn add_request_header(&mut self, name: &[u8], value: &[u8]) {
        self.add_member(V::RequestHeaders, name, value);
        if name.eq_ignore_ascii_case(b"cookie") {
            let settings = &self.ruleset.settings;
            let format =
                if settings.cookie_format == 1 { CookieFormat::Version1 } else { CookieFormat::Netscape };
            let mut cookies = Pairs::new();
            let cut = parse_cookies(value, format, settings.cookie_separator, limits::COOKIES, &mut cookies);
            if cut {
                self.note(EventKind::ArgumentsLimit, "more cookies than are inspected");
            }
            for (name, value) in cookies.iter() {
                self.add_member(V::RequestCookies, name, value);
            }
        }
    }

    /// Derives what depends on the whole request head.
    pub(super) fn finish_request_head(&mut self) {
        if let Some(host) = self.header(V::RequestHeaders, b"host")
            && self.scalars[V::ServerName as usize] == ValueId::EMPTY
        {
            self.set(V::ServerName, host_name(&host));
        }
        if let Some(authorization) = self.header(V::RequestHeaders, b"authorization") {
            let scheme = authorization.split(|b| *b == b' ').next().unwrap_or_default();
            self.set(V::AuthType, scheme);
            if scheme.eq_ignore_ascii_case(b"basic")
                && let Some(user) = basic_user(authorization.get(scheme.len()..).unwrap_or_default())
            {
                self.set(V::RemoteUser, &user);
            }
        }
        self.request_body.content_type = self.joined_header(V::RequestHeaders, b"content-type");
        self.request_body.codings = self.joined_header(V::RequestHeaders, b"content-encoding");
        let types = MediaType::list(&self.request_body.content_type);
        // ModSecurity chooses these two by itself; others are chosen by rules.
        let processor = types.iter().find_map(|kind| match MediaType::parse(kind).essence.as_slice() {
            b"application/x-www-form-urlencoded" => Some(Processor::Urlencoded),
            b"multipart/form-data" => Some(Processor::Multipart),
            _ => None,
        });
        self.request_body.has_several_types = types.len() > 1;
        self.request_body.processor = processor;
        // Empty rather than absent: rules ask with `!@rx` whether it is none of those they know.
        self.set(V::ReqbodyProcessor, processor.map_or("", Processor::name).as_bytes());
        self.set_arguments_size();
    }

    /// `ARGS_COMBINED_SIZE`
    pub(super) fn set_arguments_size(&mut self) {
        let size: usize = [V::ArgsPath, V::ArgsGet, V::ArgsPost]
            .iter()
            .flat_map(|v| &self.collections[*v as usize])
            .map(|m| self.values.get(m.name).len() + self.values.get(m.value).len())
            .sum();
        self.set_number(V::ArgsCombinedSize, i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// One response header, in order.
    pub fn add_response_header(&mut self, name: &[u8], value: &[u8]) {
        self.add_member(V::ResponseHeaders, name, value);
    }

    /// Derives what depends on the whole response head.
    pub(super) fn finish_response_head(&mut self, status: u16, protocol: &[u8]) {
        self.has_response = true;
        self.response_status = status;
        self.set_number(V::ResponseStatus, i64::from(status));
        self.set_number(V::Status, i64::from(status));
        self.set(V::ResponseProtocol, protocol);
        let mut line = protocol.to_vec();
        line.extend_from_slice(format!(" {status}").as_bytes());
        self.set(V::StatusLine, &line);
        let content_type = self.header(V::ResponseHeaders, b"content-type").unwrap_or_default();
        let essence = MediaType::parse(&content_type).essence;
        self.set(V::ResponseContentType, &essence);
        if let Some(length) = self.header(V::ResponseHeaders, b"content-length") {
            self.set(V::ResponseContentLength, &length);
        }
        self.response_body.essence = String::from_utf8_lossy(&essence).into_owned();
        self.response_body.content_type = content_type;
        self.response_body.is_partial = status == 206 && !self.is_whole_range();
        self.response_body.codings = self.joined_header(V::ResponseHeaders, b"content-encoding");
    }

    /// Whether `Content-Range` says that all of the representation is there (RFC 9110 §14.4).
    fn is_whole_range(&self) -> bool {
        let range = self.joined_header(V::ResponseHeaders, b"content-range").to_ascii_lowercase();
        let number = |digits: &str| digits.parse::<u64>().ok();
        let read = || {
            let (range, length) =
                std::str::from_utf8(&range).ok()?.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.trim().split_once('-')?;
            Some(number(first)? == 0 && number(last)?.checked_add(1)? == number(length.trim())?)
        };
        read().unwrap_or(false)
    }

    /// The first value of a header.
    pub(super) fn header(&self, collection: V, name: &[u8]) -> Option<Vec<u8>> {
        self.collections[collection as usize]
            .iter()
            .find(|m| self.values.get(m.name).eq_ignore_ascii_case(name))
            .map(|m| self.values.get(m.value).to_vec())
    }

    /// All values of a header, joined with commas (RFC 9110 §5.3).
    pub(super) fn joined_header(&self, collection: V, name: &[u8]) -> Vec<u8> {
        let mut joined = Vec::new();
        for m in &self.collections[collection as usize] {
            if self.values.get(m.name).eq_ignore_ascii_case(name) {
                if !joined.is_empty() {
                    joined.extend_from_slice(b", ");
                }
                joined.extend_from_slice(self.values.get(m.value));
            }
        }
        joined
    }

    /// Whether a body step may be taken at all.
    pub(super) fn inactive_step(&self) -> Option<BodyStep> {
        if self.mode == Mode::Off {
            return Some(BodyStep::Continue);
        }
        self.interruption.clone().map(BodyStep::Interrupt)
    }
}

/// The host of `host:port` or `[v6]:port`.
fn host_name(authority: &[u8]) -> &[u8] {
    let host = authority.rsplit(|b| *b == b'@').next().unwrap_or_default();
    if host.first() == Some(&b'[') {
        let end = host.iter().position(|b| *b == b']').map_or(host.len(), |i| i + 1);
        return &host[..end];
    }
    host.split(|b| *b == b':').next().unwrap_or_default()
}

/// The user of `Basic` credentials (RFC 7617).
fn basic_user(credentials: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD.decode(credentials.trim_ascii()).ok()?;
    decoded.split(|b| *b == b':').next().map(<[u8]>::to_vec)
}

/// Bytes from which on a query string is long enough to be looked at once only.
const DESCRIBED: usize = 64;
