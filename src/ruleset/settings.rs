//! What directives set for a whole ruleset.

use crate::body::XmlIntoArgs;
use crate::operator::{Found, NoLookup, Operator, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// `SecRuleEngine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Rules are evaluated and may disrupt.
    On,
    /// Rules are evaluated; disruptive actions are reported and not carried out.
    DetectionOnly,
    /// Rules are not evaluated.
    Off,
}

impl Mode {
    /// The name in SecLang.
    pub fn name(self) -> &'static str {
        match self {
            Mode::On => "On",
            Mode::DetectionOnly => "DetectionOnly",
            Mode::Off => "Off",
        }
    }

    /// The mode called `name`, in any case.
    pub fn find(name: &str) -> Option<Mode> {
        [Mode::On, Mode::DetectionOnly, Mode::Off].into_iter().find(|m| m.name().eq_ignore_ascii_case(name))
    }
}

/// `SecRequestBodyLimitAction`, `SecResponseBodyLimitAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyLimitAction {
    /// Refuse what is larger.
    Reject,
    /// Inspect what fits; pass the rest on uninspected.
    ProcessPartial,
}

/// `SecAuditLogRelevantStatus`.
#[derive(Clone, Debug)]
pub struct RelevantStatus(pub Arc<dyn Operator>);

impl RelevantStatus {
    /// Whether `status` is one of those.
    pub fn matches(&self, status: u16) -> bool {
        let text = status.to_string();
        self.0.evaluate(text.as_bytes(), b"", &NoLookup, &mut Found::default()) == Outcome::Match
    }
}

/// What directives set, with ModSecurity v3's defaults where it has any.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SecRuleEngine`. On unless the rule text says otherwise: the default of a firewall is to be one.
    pub mode: Mode,
    /// `SecRequestBodyAccess`. On unless the rule text says otherwise, as in ModSecurity 3.
    pub request_body_access: bool,
    /// `SecRequestBodyLimit`, bytes.
    pub request_body_limit: u64,
    /// `SecRequestBodyNoFilesLimit`, bytes.
    pub request_body_no_files_limit: u64,
    /// `SecRequestBodyLimitAction`
    pub request_body_limit_action: BodyLimitAction,
    /// `SecRequestBodyJsonDepthLimit`
    pub json_depth_limit: usize,
    /// `SecArgumentsLimit`
    pub arguments_limit: usize,
    /// `SecUploadFileLimit`
    pub upload_file_limit: usize,
    /// `SecResponseBodyAccess`
    pub response_body_access: bool,
    /// `SecResponseBodyLimit`, bytes.
    pub response_body_limit: u64,
    /// `SecResponseBodyLimitAction`
    pub response_body_limit_action: BodyLimitAction,
    /// `SecResponseBodyMimeType`, in lower case.
    pub response_body_types: Vec<String>,
    /// `SecAuditEngine`
    pub audit_engine: super::action::AuditMode,
    /// `SecAuditLogParts`
    pub audit_parts: Vec<u8>,
    /// `SecAuditLogRelevantStatus`
    pub relevant_status: Option<RelevantStatus>,
    /// `SecArgumentSeparator`
    pub argument_separator: u8,
    /// `SecCookieFormat`: 0 or 1.
    pub cookie_format: u8,
    /// `SecCookieV0Separator`
    pub cookie_separator: u8,
    /// `SecCollectionTimeout`
    pub collection_timeout: Duration,
    /// `SecWebAppId`
    pub web_app_id: String,
    /// `SecComponentSignature`s.
    pub components: Vec<String>,
    /// `SecParseXmlIntoArgs`
    pub xml_args: XmlIntoArgs,
    /// `SecUnicodeMapFile`
    pub unicode_map: Option<Arc<crate::transform::UnicodeMap>>,
    /// Whether any rule looks at `FILES_TMP_CONTENT`; otherwise no content of files is kept.
    pub inspects_file_content: bool,
    /// `SecInterceptOnError`: an operator that gave up counts as a match of a disruptive rule.
    pub intercept_on_error: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::On,
            request_body_access: true,
            request_body_limit: 134_217_728,
            request_body_no_files_limit: 1_048_576,
            request_body_limit_action: BodyLimitAction::Reject,
            json_depth_limit: 10_000,
            arguments_limit: 1_000,
            upload_file_limit: 100,
            response_body_access: false,
            response_body_limit: 524_288,
            response_body_limit_action: BodyLimitAction::Reject,
            response_body_types: vec!["text/plain".into(), "text/html".into()],
            audit_engine: super::action::AuditMode::RelevantOnly,
            audit_parts: b"ABHZ".to_vec(),
            relevant_status: None,
            argument_separator: b'&',
            cookie_format: 0,
            cookie_separator: b';',
            collection_timeout: Duration::from_secs(3_600),
            web_app_id: String::new(),
            components: Vec::new(),
            xml_args: XmlIntoArgs::Off,
            unicode_map: None,
            inspects_file_content: false,
            intercept_on_error: false,
        }
    }
}
