//! What must not be shown.

/// Names to redact beside the built-in lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Arguments, JSON members and form fields.
    pub arguments: Vec<String>,
    /// Request and response headers.
    pub headers: Vec<String>,
    /// Built-in names that may be shown after all (`arguments` or headers), e.g. `token` for an application
    /// which uses it for something public.
    pub show: Vec<String>,
}
