//! What a multipart body leaves behind besides its arguments: files and flags.

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

/// The `MULTIPART_*` flags, named as the variables are (ModSecurity reference manual, "Variables").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultipartFlags {
    /// The boundary in `Content-Type` was quoted.
    pub boundary_quoted: bool,
    /// White space stood around the `=` of the boundary parameter.
    pub boundary_whitespace: bool,
    /// Data preceded the first boundary.
    pub data_before: bool,
    /// Data followed the final boundary.
    pub data_after: bool,
    /// A part header was folded.
    pub header_folding: bool,
    /// A header or boundary line ended with LF alone.
    pub lf_line: bool,
    /// A header or boundary line ended with CRLF.
    pub crlf_line: bool,
    /// No semicolon stood between the media type and the boundary parameter.
    pub missing_semicolon: bool,
    /// `Content-Disposition` was quoted with `'`, or a `'` stood in an unquoted value.
    pub invalid_quoting: bool,
    /// A part had no name.
    pub invalid_part: bool,
    /// A part header was folded with other white space than space and tab.
    pub invalid_header_folding: bool,
    /// More files than [`super::BodyLimits::files`].
    pub file_limit_exceeded: bool,
    /// 0; 1: a line looked like a boundary and was none; 2: so, and a real boundary followed. ModSecurity's
    /// recommended rule refuses 1, its strict variant everything but 0.
    pub unmatched_boundary: u8,
    /// The parser met an error.
    pub error: bool,
}

impl MultipartFlags {
    /// `MULTIPART_CRLF_LF_LINES`: some lines end with CRLF and some with LF alone.
    pub fn crlf_lf_lines(self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: an error, or any of the flags that ModSecurity counts as one. Mixed line ends
    /// count by their LF; an unmatched boundary does not count.
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
