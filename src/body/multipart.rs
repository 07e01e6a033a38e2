//! `multipart/form-data`.

/// An uploaded file. The content itself is not kept beyond [`super::BodyLimits::file_content`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePart {
    /// The form field's name.
    pub field: Vec<u8>,
    /// The file name that the client gave.
    pub filename: Vec<u8>,
    /// The part's `Content-Type`, raw; empty when there is none.
    pub content_type: Vec<u8>,
    /// Bytes of content.
    pub size: u64,
    /// The first bytes of content (`FILES_TMP_CONTENT`).
    pub content: Vec<u8>,
}

/// The `MULTIPART_*` flags, named as the variables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MultipartFlags {
    pub boundary_quoted: bool,
    pub boundary_whitespace: bool,
    pub data_before: bool,
    pub data_after: bool,
    pub header_folding: bool,
    pub lf_line: bool,
    pub crlf_line: bool,
    pub missing_semicolon: bool,
    pub invalid_quoting: bool,
    pub invalid_part: bool,
    pub invalid_header_folding: bool,
    pub file_limit_exceeded: bool,
    /// 0, 1 (a line looked like a boundary and was none), or 2 (so, and a real boundary followed).
    pub unmatched_boundary: u8,
    /// The parser failed (`MULTIPART_STRICT_ERROR` includes it).
    pub error: bool,
}

impl MultipartFlags {
    /// `MULTIPART_CRLF_LF_LINES`: some lines end with CRLF and some with LF alone.
    pub fn crlf_lf_lines(self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`.
    pub fn strict_error(self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.invalid_header_folding
            || self.file_limit_exceeded
    }
}
