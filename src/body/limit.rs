//! What a body may cost, and the names of the limits that were hit.

use crate::limits;

/// The limits of one body. Defaults are in [`crate::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Arguments (`SecArgumentsLimit`); more are left out and [`LimitHit::Arguments`] says so.
    pub arguments: usize,
    /// The argument separator of urlencoded bodies (`SecArgumentSeparator`).
    pub argument_separator: u8,
    /// Nesting of JSON (`SecRequestBodyJsonDepthLimit`); deeper is an error.
    pub json_depth: usize,
    /// Bytes that a parser which must see the whole body (JSON, XML) keeps; more is an error.
    pub buffer: usize,
    /// Parts of a multipart body; more is an error.
    pub parts: usize,
    /// Files of a multipart body (`SecUploadFileLimit`); more raise `MULTIPART_FILE_LIMIT_EXCEEDED`.
    pub files: usize,
    /// Bytes of one part's headers; more is an error.
    pub part_header_bytes: usize,
    /// Bytes kept of each file's content (`FILES_TMP_CONTENT`). 0 unless a rule looks at it.
    pub file_content: usize,
    /// Nesting of XML elements; deeper is an error.
    pub xml_depth: usize,
    /// Elements, attributes and texts of one XML document together; more is an error.
    pub xml_nodes: usize,
    /// What `SecParseXmlIntoArgs` says.
    pub xml_into_args: XmlIntoArgs,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            arguments: limits::ARGUMENTS,
            argument_separator: crate::http::DEFAULT_SEPARATOR,
            json_depth: limits::JSON_DEPTH,
            buffer: limits::BODY_BUFFER_BYTES,
            parts: limits::MULTIPART_PARTS,
            files: limits::UPLOAD_FILES,
            part_header_bytes: limits::PART_HEADER_BYTES,
            file_content: 0,
            xml_depth: limits::XML_DEPTH,
            xml_nodes: limits::XML_NODES,
            xml_into_args: XmlIntoArgs::Off,
        }
    }
}

/// `SecParseXmlIntoArgs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XmlIntoArgs {
    /// The document is in `XML` only.
    #[default]
    Off,
    /// The document is in `XML`, and its texts are arguments too.
    On,
    /// Its texts are arguments, and `XML` is empty.
    OnlyArgs,
}

/// A limit that was hit, so that something was left out or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitHit {
    /// More arguments than [`BodyLimits::arguments`].
    Arguments,
    /// Deeper than [`BodyLimits::json_depth`] or [`BodyLimits::xml_depth`].
    Depth,
    /// More bytes than [`BodyLimits::buffer`].
    Buffer,
    /// More parts than [`BodyLimits::parts`].
    Parts,
    /// More files than [`BodyLimits::files`].
    Files,
    /// Longer than [`BodyLimits::part_header_bytes`].
    PartHeader,
    /// More nodes than [`BodyLimits::xml_nodes`].
    Nodes,
}

impl LimitHit {
    /// A stable name in snake_case.
    pub fn name(self) -> &'static str {
        match self {
            LimitHit::Arguments => "arguments",
            LimitHit::Depth => "depth",
            LimitHit::Buffer => "buffer",
            LimitHit::Parts => "parts",
            LimitHit::Files => "files",
            LimitHit::PartHeader => "part_header",
            LimitHit::Nodes => "nodes",
        }
    }
}
