//! A raw HTTP/1 request head → its parts and its faults, without any I/O.
//!
//! It reads what can be read even when the request will be refused, so that rules see what came.

use super::head::must_be_encoded;
use super::{Fault, Framing, HeadLimits, RequestHead, Target, TargetForm};
use memchr::memchr;

/// The head in `bytes`, its faults sorted, each once.
pub(super) fn read(bytes: &[u8], limits: &HeadLimits) -> RequestHead {
    let mut reader = Reader { head: RequestHead::default(), limits: *limits };
    reader.read(bytes);
    let mut head = reader.head;
    head.faults.sort_unstable();
    head.faults.dedup();
    head
}

struct Reader {
    head: RequestHead,
    limits: HeadLimits,
}

impl Reader {
    fn fault(&mut self, fault: Fault) {
        if !self.head.faults.contains(&fault) {
            self.head.faults.push(fault);
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut rest = match bytes.get(..self.limits.bytes) {
            Some(part) if part.len() < bytes.len() => {
                self.fault(Fault::HeadTooLong);
                part
            }
            _ => bytes,
        };
        if memchr(0, rest).is_some() {
            self.fault(Fault::NulByte);
        }
        let mut has_line = false;
        let mut ended = false;
        while !rest.is_empty() {
            let (line, after) = self.next_line(rest);
            rest = after;
            if !has_line {
                if line.is_empty() {
                    self.fault(Fault::LeadingEmptyLine);
                } else {
                    has_line = true;
                    self.request_line(line);
                }
            } else if line.is_empty() || !self.header_lines(line) {
                ended = true;
                break;
            }
        }
        if !has_line {
            self.fault(Fault::WordsMissing);
        }
        if !ended {
            self.fault(Fault::Unterminated);
        }
        self.join_content_types();
        self.check_host();
        self.check_framing();
    }

    /// The first line of `rest` without its end, and what follows it.
    fn next_line<'b>(&mut self, rest: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        let Some(lf) = memchr(b'\n', rest) else {
            self.fault(Fault::Unterminated);
            return (rest, &[]);
        };
        let (line, after) = (rest.get(..lf).unwrap_or_default(), rest.get(lf + 1..).unwrap_or_default());
        let line = match line {
            [line @ .., b'\r'] => line,
            line => {
                self.fault(Fault::BareLf);
                line
            }
        };
        if memchr(b'\r', line).is_some() {
            self.fault(Fault::BareCr);
        }
        (line, after)
    }

    fn request_line(&mut self, line: &[u8]) {
        if line.len() > self.limits.line {
            self.fault(Fault::RequestLineTooLong);
        }
        self.head.line = line.to_vec();
        if line.iter().any(|b| matches!(b, b'\t' | 0x0B | 0x0C))
            || line.starts_with(b" ")
            || line.ends_with(b" ")
        {
            self.fault(Fault::WordsSpacing);
        }
        let words: Vec<&[u8]> =
            line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).take(4).collect();
        if line.windows(2).any(|w| w == b"  ") {
            self.fault(Fault::WordsSpacing);
        }
        // With too many words, the target is everything between the first and a last one that is a version: rules
        // should see what a lenient origin would take for it.
        let first = words.first().copied().unwrap_or_default();
        let after_first = line.trim_ascii().get(first.len()..).unwrap_or_default().trim_ascii_start();
        let last_at = after_first.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        let last = after_first.get(last_at..).unwrap_or_default();
        let (target, protocol) = match words.len() {
            0 | 1 => {
                self.fault(Fault::WordsMissing);
                (&b""[..], &b""[..])
            }
            2 => {
                self.fault(Fault::VersionMissing);
                (after_first, &b""[..])
            }
            n => {
                if n > 3 {
                    self.fault(Fault::WordsExtra);
                }
                (after_first.get(..last_at).unwrap_or_default().trim_ascii_end(), last)
            }
        };
        self.head.method = first.to_vec();
        self.head.target = target.to_vec();
        self.head.protocol = protocol.to_vec();
        if !is_token(first) {
            self.fault(Fault::BadMethod);
        }
        match protocol {
            b"HTTP/1.0" | b"HTTP/1.1" | b"" => {}
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                // HTTP/0.9 knew no versions and no headers: who writes one before 1.0 speaks no HTTP at all.
                self.fault(if *major == b'0' { Fault::BadVersion } else { Fault::UnsupportedVersion });
            }
            _ => self.fault(Fault::BadVersion),
        }
        self.check_target();
    }

    fn check_target(&mut self) {
        if self.head.target.is_empty() {
            return;
        }
        let raw = std::mem::take(&mut self.head.target);
        let target = Target::parse(&self.head.method, &raw);
        if raw.iter().any(|b| *b < b' ' || *b == 0x7F) {
            self.fault(Fault::TargetControl);
        }
        if target.fragment.is_some() {
            self.fault(Fault::TargetFragment);
        }
        if raw.iter().any(|b| must_be_encoded(*b)) {
            self.fault(Fault::TargetUnencoded);
        }
        let is_http = |s: &[u8]| s.eq_ignore_ascii_case(b"http") || s.eq_ignore_ascii_case(b"https");
        let is_permitted = match target.form {
            // RFC 9112 §3.2.3: `CONNECT` has no other form.
            TargetForm::Authority => is_host(&raw),
            _ if self.head.method == b"CONNECT" => false,
            TargetForm::Origin | TargetForm::Asterisk => true,
            TargetForm::Absolute => target.scheme.is_some_and(is_http) && target.authority != Some(b""),
            TargetForm::Other => false,
        };
        if !is_permitted {
            self.fault(Fault::BadTarget);
        }
        if target.authority.is_some_and(|a| memchr(b'@', a).is_some()) {
            self.fault(Fault::TargetUserinfo);
        }
        self.head.target = raw;
    }

    /// One line of the header section, or several where a bare CR is in it: that is refused, and rules are shown
    /// what a reader makes of it who takes it for a line's end. `false` when there are more fields than allowed.
    fn header_lines(&mut self, line: &[u8]) -> bool {
        for part in line.split(|b| *b == b'\r').filter(|part| !part.is_empty()) {
            if self.head.headers.len() >= self.limits.fields {
                self.fault(Fault::TooManyHeaders);
                return false;
            }
            self.header_line(part);
        }
        true
    }

    fn header_line(&mut self, line: &[u8]) {
        let (name, value) = match line {
            [b' ' | b'\t', ..] => {
                self.continuation(line);
                return;
            }
            line => match memchr(b':', line) {
                Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
                None => {
                    self.fault(Fault::NoColon);
                    (line, &[][..])
                }
            },
        };
        let bare = trim_blanks(name);
        if bare.len() < name.len() {
            self.fault(Fault::SpaceBeforeColon);
        }
        if bare.is_empty() {
            self.fault(Fault::EmptyName);
        } else if !is_token(bare) {
            self.fault(Fault::BadName);
        }
        let value = trim_blanks(value);
        self.check_value(value);
        self.head.headers.push((bare.to_vec(), value.to_vec()));
    }

    /// A line that begins with white space: part of the value before it for some, a field of its own for others.
    fn continuation(&mut self, line: &[u8]) {
        let more = trim_blanks(line);
        self.check_value(more);
        match self.head.headers.last_mut() {
            Some((_, value)) => {
                value.push(b' ');
                value.extend_from_slice(more);
                self.fault(Fault::ObsoleteFolding);
            }
            None => {
                self.fault(Fault::SpaceBeforeHeaders);
                self.head.headers.push((Vec::new(), more.to_vec()));
            }
        }
    }

    fn check_value(&mut self, value: &[u8]) {
        // NUL and CR have faults of their own.
        let is_bad = |b: &u8| (*b < b' ' && !matches!(b, b'\t' | 0 | b'\r')) || *b == 0x7F;
        if value.iter().any(is_bad) {
            self.fault(Fault::BadValue);
        }
    }

    /// Several fields mean what one means that lists them all (RFC 9110 §5.3), and so httpd reads them. An origin that
    /// takes the first and one that takes the last would read the same request differently; of one line, rules and
    /// origin see the same bytes.
    fn join_content_types(&mut self) {
        let is_type = |(name, _): &(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"content-type");
        let Some(first) = self.head.headers.iter().position(is_type) else { return };
        let values: Vec<&[u8]> = self.head.values("content-type").collect();
        if values.len() < 2 {
            return;
        }
        let joined = values.join(&b", "[..]);
        let mut index = 0;
        self.head.headers.retain(|field| {
            index += 1;
            index == first + 1 || !is_type(field)
        });
        if let Some((_, value)) = self.head.headers.get_mut(first) {
            *value = joined;
        }
        self.fault(Fault::ContentTypeJoined);
    }

    fn check_host(&mut self) {
        let hosts: Vec<Vec<u8>> = self.head.values("host").map(<[u8]>::to_vec).collect();
        if hosts.len() > 1 {
            self.fault(Fault::HostDuplicate);
        }
        let Some(host) = hosts.first() else {
            if self.head.protocol == b"HTTP/1.1" {
                self.fault(Fault::HostMissing);
            }
            return;
        };
        if host.is_empty() {
            self.fault(Fault::HostEmpty);
        } else if !is_host(host) {
            self.fault(Fault::HostInvalid);
        }
        let target = Target::parse(&self.head.method, &self.head.target);
        if target.form == TargetForm::Absolute
            && target.authority.is_some_and(|a| !a.eq_ignore_ascii_case(host))
        {
            self.fault(Fault::HostMismatch);
        }
    }

    fn check_framing(&mut self) {
        let lengths: Vec<Vec<u8>> = self.head.values("content-length").map(<[u8]>::to_vec).collect();
        let codings: Vec<Vec<u8>> = self.head.values("transfer-encoding").map(<[u8]>::to_vec).collect();
        let mut framing = Framing::None;
        for length in &lengths {
            if memchr(b',', length).is_some() {
                self.fault(Fault::ContentLengthList);
            } else if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                self.fault(Fault::BadContentLength);
            } else {
                let number = std::str::from_utf8(length).ok().and_then(|s| s.parse::<u64>().ok());
                match number {
                    Some(n) if n <= i64::MAX as u64 => framing = Framing::Length(n),
                    _ => self.fault(Fault::ContentLengthOverflow),
                }
            }
        }
        let is_chunked = self.head.protocol == b"HTTP/1.1"
            && matches!(codings.as_slice(), [one] if one.eq_ignore_ascii_case(b"chunked"));
        if let [first, others @ ..] = lengths.as_slice() {
            let equal = others.iter().all(|l| l == first);
            // Of a head that is refused anyway, rules see what came.
            let is_dropped = is_chunked && equal && self.head.is_acceptable();
            if is_dropped {
                self.head.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
                self.fault(Fault::ContentLengthDropped);
            } else if !others.is_empty() {
                self.fault(if equal { Fault::ContentLengthDuplicate } else { Fault::ContentLengthConflict });
            }
            if !is_dropped && !codings.is_empty() {
                self.fault(Fault::LengthAndTransferEncoding);
            }
        }
        if !codings.is_empty() {
            if codings.len() > 1 || codings.iter().any(|c| !c.eq_ignore_ascii_case(b"chunked")) {
                self.fault(Fault::BadTransferEncoding);
            }
            if self.head.protocol != b"HTTP/1.1" {
                self.fault(Fault::TransferEncodingOnHttp10);
            }
            framing = Framing::Chunked;
        }
        // A head that is refused for another reason may hide a framing field: `Content-Length : 5`.
        self.head.framing = if self.head.is_acceptable() { framing } else { Framing::Ambiguous };
    }
}

/// RFC 9110 §5.6.2.
fn is_token(word: &[u8]) -> bool {
    let is_token_byte = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !word.is_empty() && word.iter().all(is_token_byte)
}

/// Without spaces and tabs at both ends (RFC 9110 §5.6.3); other white space is no part of OWS and stays.
fn trim_blanks(input: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = input.iter().position(|b| !is_blank(b)).unwrap_or(input.len());
    let end = input.iter().rposition(|b| !is_blank(b)).map_or(start, |at| at + 1);
    input.get(start..end).unwrap_or_default()
}

/// `uri-host [":" port]` (RFC 9110 §7.2) by its bytes: a registered name, an IPv4 address or an IP literal in
/// brackets. Underscores occur in real names.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host {
        [b'[', rest @ ..] => {
            let Some(at) = memchr(b']', rest) else { return false };
            let (literal, after) =
                (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
            if literal.is_empty()
                || !literal.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
            {
                return false;
            }
            match after {
                [] => return true,
                [b':', port @ ..] => (&b"x"[..], port),
                _ => return false,
            }
        }
        host => match memchr(b':', host) {
            Some(at) => (host.get(..at).unwrap_or_default(), host.get(at + 1..).unwrap_or_default()),
            None => (host, &[][..]),
        },
    };
    // RFC 3986 allows percent-encoded bytes; no host on a network has them, and who decodes them is a matter of luck.
    let is_name_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(b);
    !name.is_empty()
        && name.iter().all(is_name_byte)
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
}
