//! What can be wrong with a request head, and which of it is refused.
//!
//! The rule: everything that an origin could read differently from Portcullis is fatal. What has one reading only,
//! or is normalised before it goes upstream so that one remains, is recorded and let through.

/// Something wrong with a request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant's sentence is in its row")]
pub enum Fault {
    HeadTooLong,
    RequestLineTooLong,
    TooManyHeaders,
    Unterminated,
    LeadingEmptyLine,
    BareLf,
    BareCr,
    NulByte,
    WordsMissing,
    WordsExtra,
    WordsSpacing,
    BadMethod,
    VersionMissing,
    BadVersion,
    UnsupportedVersion,
    BadTarget,
    TargetControl,
    TargetUnencoded,
    TargetFragment,
    TargetUserinfo,
    SpaceBeforeHeaders,
    ObsoleteFolding,
    NoColon,
    EmptyName,
    SpaceBeforeColon,
    BadName,
    BadValue,
    ContentTypeJoined,
    HostMissing,
    HostEmpty,
    HostInvalid,
    HostDuplicate,
    HostMismatch,
    BadContentLength,
    ContentLengthOverflow,
    ContentLengthList,
    ContentLengthDuplicate,
    ContentLengthConflict,
    ContentLengthDropped,
    LengthAndTransferEncoding,
    BadTransferEncoding,
    TransferEncodingOnHttp10,
}

/// What is known of a fault: its stable name, whether it is fatal, one sentence, and where it is written.
struct Row(&'static str, bool, &'static str, &'static str);

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 42] = [
        Fault::HeadTooLong,
        Fault::RequestLineTooLong,
        Fault::TooManyHeaders,
        Fault::Unterminated,
        Fault::LeadingEmptyLine,
        Fault::BareLf,
        Fault::BareCr,
        Fault::NulByte,
        Fault::WordsMissing,
        Fault::WordsExtra,
        Fault::WordsSpacing,
        Fault::BadMethod,
        Fault::VersionMissing,
        Fault::BadVersion,
        Fault::UnsupportedVersion,
        Fault::BadTarget,
        Fault::TargetControl,
        Fault::TargetUnencoded,
        Fault::TargetFragment,
        Fault::TargetUserinfo,
        Fault::SpaceBeforeHeaders,
        Fault::ObsoleteFolding,
        Fault::NoColon,
        Fault::EmptyName,
        Fault::SpaceBeforeColon,
        Fault::BadName,
        Fault::BadValue,
        Fault::ContentTypeJoined,
        Fault::HostMissing,
        Fault::HostEmpty,
        Fault::HostInvalid,
        Fault::HostDuplicate,
        Fault::HostMismatch,
        Fault::BadContentLength,
        Fault::ContentLengthOverflow,
        Fault::ContentLengthList,
        Fault::ContentLengthDuplicate,
        Fault::ContentLengthConflict,
        Fault::ContentLengthDropped,
        Fault::LengthAndTransferEncoding,
        Fault::BadTransferEncoding,
        Fault::TransferEncodingOnHttp10,
    ];

    /// A stable name in snake_case, fit for a metric's label.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether the request must be answered 400 whatever rules say.
    pub fn is_fatal(self) -> bool {
        self.row().1
    }

    /// One sentence for people; says how the fault is normalised when it is not fatal.
    pub fn sentence(self) -> &'static str {
        self.row().2
    }

    /// The RFC's section, or the limit, that it offends.
    pub fn source(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> Row {
        match self {
            Fault::HeadTooLong => {
                Row("head_too_long", true, "The head is longer than allowed.", "limits::HEAD_BYTES")
            }
            Fault::RequestLineTooLong => Row(
                "request_line_too_long",
                true,
                "The request line is longer than allowed.",
                "limits::REQUEST_LINE_BYTES, RFC 9112 §3",
            ),
            Fault::TooManyHeaders => Row(
                "too_many_headers",
                true,
                "There are more header fields than allowed.",
                "limits::HEADER_FIELDS",
            ),
            Fault::Unterminated => Row("unterminated", true, "No empty line ends the head.", "RFC 9112 §2.1"),
            Fault::LeadingEmptyLine => Row(
                "leading_empty_line",
                false,
                "Empty lines precede the request line; they are not sent upstream.",
                "RFC 9112 §2.2",
            ),
            Fault::BareLf => Row(
                "bare_lf",
                true,
                "A line ends with LF alone; recipients differ in whether that ends a line.",
                "RFC 9112 §2.2",
            ),
            Fault::BareCr => Row(
                "bare_cr",
                true,
                "A CR is not followed by LF; recipients differ in whether that ends a line.",
                "RFC 9112 §2.2",
            ),
            Fault::NulByte => Row(
                "nul_byte",
                true,
                "The head holds a NUL byte, at which some recipients stop reading.",
                "RFC 9110 §5.5",
            ),
            Fault::WordsMissing => {
                Row("words_missing", true, "The request line has fewer than two words.", "RFC 9112 §3")
            }
            Fault::WordsExtra => Row(
                "words_extra",
                true,
                "The request line has more than three words; recipients differ in where the target ends.",
                "RFC 9112 §3",
            ),
            Fault::WordsSpacing => Row(
                "words_spacing",
                true,
                "The words of the request line are not separated by single spaces.",
                "RFC 9112 §3",
            ),
            Fault::BadMethod => Row("bad_method", true, "The method is not a token.", "RFC 9110 §9.1"),
            Fault::VersionMissing => {
                Row("version_missing", true, "The request line names no version (HTTP/0.9).", "RFC 9112 §3")
            }
            Fault::BadVersion => {
                Row("bad_version", true, "The request line's last word is no HTTP version.", "RFC 9112 §2.3")
            }
            Fault::UnsupportedVersion => Row(
                "unsupported_version",
                true,
                "The version is neither HTTP/1.0 nor HTTP/1.1.",
                "RFC 9110 §2.5",
            ),
            Fault::BadTarget => Row(
                "bad_target",
                true,
                "The target has none of the four forms, or one that the method does not permit.",
                "RFC 9112 §3.2",
            ),
            Fault::TargetControl => {
                Row("target_control", true, "The target holds control characters.", "RFC 3986 §2")
            }
            Fault::TargetUnencoded => Row(
                "target_unencoded",
                false,
                "The target holds bytes that must be percent-encoded; they are sent upstream encoded.",
                "RFC 3986 §2",
            ),
            Fault::TargetFragment => {
                Row("target_fragment", true, "The target has a fragment.", "RFC 9112 §3.2")
            }
            Fault::TargetUserinfo => Row(
                "target_userinfo",
                true,
                "The target's authority holds user information, which hides the real host.",
                "RFC 9110 §4.2.4",
            ),
            Fault::SpaceBeforeHeaders => Row(
                "space_before_headers",
                true,
                "White space stands between the request line and the first header field.",
                "RFC 9112 §2.2",
            ),
            Fault::ObsoleteFolding => {
                Row("obsolete_folding", true, "A header field goes on in the next line.", "RFC 9112 §5.2")
            }
            Fault::NoColon => Row("no_colon", true, "A header line has no colon.", "RFC 9112 §5"),
            Fault::EmptyName => Row("empty_name", true, "A header field has no name.", "RFC 9112 §5"),
            Fault::SpaceBeforeColon => Row(
                "space_before_colon",
                true,
                "White space stands between a header field's name and its colon.",
                "RFC 9112 §5.1",
            ),
            Fault::BadName => Row("bad_name", true, "A header field's name is not a token.", "RFC 9110 §5.1"),
            Fault::BadValue => {
                Row("bad_value", true, "A header field's value holds control characters.", "RFC 9110 §5.5")
            }
            Fault::ContentTypeJoined => Row(
                "content_type_joined",
                false,
                "Several Content-Type fields are joined to one, with commas.",
                "RFC 9110 §5.3",
            ),
            Fault::HostMissing => {
                Row("host_missing", true, "An HTTP/1.1 request has no Host field.", "RFC 9112 §3.2")
            }
            Fault::HostEmpty => Row("host_empty", true, "The Host field is empty.", "RFC 9110 §7.2"),
            Fault::HostInvalid => {
                Row("host_invalid", true, "The Host field is no host and port.", "RFC 9112 §3.2")
            }
            Fault::HostDuplicate => {
                Row("host_duplicate", true, "There are several Host fields.", "RFC 9112 §3.2")
            }
            Fault::HostMismatch => {
                Row("host_mismatch", true, "Host and the target's authority differ.", "RFC 9112 §3.2.2")
            }
            Fault::BadContentLength => Row(
                "bad_content_length",
                true,
                "Content-Length is not a plain decimal number.",
                "RFC 9110 §8.6",
            ),
            Fault::ContentLengthOverflow => {
                Row("content_length_overflow", true, "Content-Length does not fit 63 bits.", "RFC 9110 §8.6")
            }
            Fault::ContentLengthList => {
                Row("content_length_list", true, "Content-Length is a list of numbers.", "RFC 9112 §6.3")
            }
            Fault::ContentLengthDuplicate => Row(
                "content_length_duplicate",
                true,
                "Content-Length is given several times, always the same.",
                "RFC 9112 §6.3",
            ),
            Fault::ContentLengthConflict => Row(
                "content_length_conflict",
                true,
                "Content-Length is given several times and differs.",
                "RFC 9112 §6.3",
            ),
            Fault::ContentLengthDropped => Row(
                "content_length_dropped",
                false,
                "Content-Length beside `Transfer-Encoding: chunked` is dropped; the connection ends after the answer.",
                "RFC 9112 §6.3",
            ),
            Fault::LengthAndTransferEncoding => Row(
                "length_and_transfer_encoding",
                true,
                "Content-Length and Transfer-Encoding are given together, and one of them is odd by itself.",
                "RFC 9112 §6.1",
            ),
            Fault::BadTransferEncoding => Row(
                "bad_transfer_encoding",
                true,
                "Transfer-Encoding is anything but one single `chunked`.",
                "RFC 9112 §6.1",
            ),
            Fault::TransferEncodingOnHttp10 => Row(
                "transfer_encoding_on_http10",
                true,
                "Transfer-Encoding is given in an HTTP/1.0 request.",
                "RFC 9112 §6.1",
            ),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.sentence(), self.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_with_a_name_of_its_own() {
        let mut names: Vec<_> = Fault::ALL.iter().map(|f| f.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(Fault::ALL.is_sorted());
        assert_eq!(Fault::ALL.last(), Some(&Fault::TransferEncodingOnHttp10));
        let let_through: Vec<_> = Fault::ALL.iter().filter(|f| !f.is_fatal()).map(|f| f.name()).collect();
        assert_eq!(
            let_through,
            ["leading_empty_line", "target_unencoded", "content_type_joined", "content_length_dropped"]
        );
    }
}
