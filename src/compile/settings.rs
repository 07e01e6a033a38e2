//! Directives → [`Settings`].

use super::operator::Files;
use crate::body::XmlIntoArgs;
use crate::ruleset::{AuditMode, BodyLimitAction, Mode, RelevantStatus, Settings};
use crate::source::{SourceMap, Spanned};
use crate::syntax::ast::Directive;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use crate::syntax::seclang::resolve;
use std::sync::Arc;
use std::time::Duration;

/// Settings in the making.
pub(super) struct SettingsBuilder {
    pub(super) settings: Settings,
    code_page: Option<u32>,
    unicode_file: Option<(String, Spanned<String>)>,
    types_given: bool,
}

impl SettingsBuilder {
    pub(super) fn new() -> Self {
        Self { settings: Settings::default(), code_page: None, unicode_file: None, types_given: false }
    }

    /// Takes a directive; false when it is none that sets something.
    pub(super) fn apply(
        &mut self,
        directive: &Directive,
        files: &mut Files<'_>,
        sources: &SourceMap,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let s = &mut self.settings;
        let Some(first) = directive.arguments.first() else {
            if directive.name.node == "SecResponseBodyMimeTypesClear" {
                s.response_body_types.clear();
                return true;
            }
            return false;
        };
        let mut read = Reader { directive, argument: first, diagnostics };
        match directive.name.node {
            "SecRuleEngine" => read.set(&mut s.mode, Mode::find, "On, Off or DetectionOnly"),
            "SecRequestBodyAccess" => read.set(&mut s.request_body_access, switch, "On or Off"),
            "SecRequestBodyLimit" => read.set(&mut s.request_body_limit, bytes, "a number of bytes"),
            "SecRequestBodyNoFilesLimit" => {
                read.set(&mut s.request_body_no_files_limit, bytes, "a number of bytes");
            }
            "SecRequestBodyLimitAction" => {
                read.set(&mut s.request_body_limit_action, limit_action, "Reject or ProcessPartial");
            }
            "SecRequestBodyJsonDepthLimit" => read.set(&mut s.json_depth_limit, count, "a number from 1"),
            "SecArgumentsLimit" => read.set(&mut s.arguments_limit, count, "a number from 1"),
            "SecUploadFileLimit" => read.set(&mut s.upload_file_limit, count, "a number from 1"),
            "SecResponseBodyAccess" => read.set(&mut s.response_body_access, switch, "On or Off"),
            "SecResponseBodyLimit" => read.set(&mut s.response_body_limit, bytes, "a number of bytes"),
            "SecResponseBodyLimitAction" => {
                read.set(&mut s.response_body_limit_action, limit_action, "Reject or ProcessPartial");
            }
            "SecResponseBodyMimeType" => {
                // The first such directive replaces the defaults, later ones add, as in ModSecurity.
                if !std::mem::replace(&mut self.types_given, true) {
                    s.response_body_types.clear();
                }
                for argument in &directive.arguments {
                    let names = argument.node.split_whitespace();
                    s.response_body_types.extend(names.map(|t| t.trim_matches(',').to_ascii_lowercase()));
                }
            }
            "SecAuditEngine" => read.set(&mut s.audit_engine, audit_mode, "On, Off or RelevantOnly"),
            "SecAuditLogParts" => {
                read.set(&mut s.audit_parts, parts, "letters from A to K and Z, e.g. ABIJDEFHZ");
            }
            "SecAuditLogRelevantStatus" => {
                let pattern =
                    |text: &str| super::operator::pattern(text).ok().map(|p| Some(RelevantStatus(p)));
                read.set(&mut s.relevant_status, pattern, "a regular expression");
            }
            "SecArgumentSeparator" => read.set(&mut s.argument_separator, one_byte, "one character"),
            "SecCookieFormat" => {
                let format = |text: &str| text.parse().ok().filter(|n| *n <= 1_u8);
                read.set(&mut s.cookie_format, format, "0 or 1");
            }
            "SecCookieV0Separator" => read.set(&mut s.cookie_separator, one_byte, "one character"),
            "SecCollectionTimeout" => {
                let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
                read.set(&mut s.collection_timeout, seconds, "a number of seconds");
            }
            "SecWebAppId" => s.web_app_id.clone_from(&first.node),
            "SecComponentSignature" => s.components.push(first.node.clone()),
            "SecInterceptOnError" => read.set(&mut s.intercept_on_error, switch, "On or Off"),
            "SecParseXmlIntoArgs" => read.set(&mut s.xml_args, xml_args, "On, Off or OnlyArgs"),
            "SecUnicodeCodePage" => {
                let number = |text: &str| text.parse().ok().map(Some);
                read.set(&mut self.code_page, number, "the number of a code page, e.g. 20127");
            }
            "SecUnicodeMapFile" | "SecUnicodeMap" => {
                let from = sources.file(directive.span.file).name();
                self.unicode_file = Some((resolve(from, &first.node), first.clone()));
                if let Some(second) = directive.arguments.get(1) {
                    let mut read = Reader { directive, argument: second, diagnostics };
                    let number = |text: &str| text.parse().ok().map(Some);
                    read.set(&mut self.code_page, number, "the number of a code page, e.g. 20127");
                }
            }
            "SecHttpBlKey" => files.http_bl_key = Some(first.node.clone()),
            "SecDataset" => {
                let entries = directive.arguments.get(1).map_or("", |a| a.node.as_str());
                let entries: Vec<String> = entries
                    .lines()
                    .map(str::trim)
                    .filter(|l| !l.is_empty() && !l.starts_with('#'))
                    .map(Into::into)
                    .collect();
                files.datasets.insert(first.node.clone(), entries.into());
            }
            "SecGeoLookupDb" => {
                let from = sources.file(directive.span.file).name();
                match files.read(&resolve(from, &first.node)) {
                    Ok(content) => files.geo_database = Some(content),
                    Err(error) => read.fault(error),
                }
            }
            _ => return false,
        }
        true
    }

    /// The settings; reads what needs several directives.
    pub(super) fn finish(mut self, files: &Files<'_>, diagnostics: &mut Diagnostics) -> Settings {
        if let Some((path, written)) = self.unicode_file {
            let map = files.read(&path).and_then(|content| {
                crate::transform::UnicodeMap::parse(&content, self.code_page.unwrap_or(20_127))
                    .map_err(|e| e.to_string())
            });
            match map {
                Ok(map) => self.settings.unicode_map = Some(Arc::new(map)),
                Err(error) => diagnostics.push(Diagnostic::error("invalid-unicode-map", written.span, error)),
            }
        }
        self.settings
    }
}

struct Reader<'a> {
    directive: &'a Directive,
    argument: &'a Spanned<String>,
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn set<T>(&mut self, place: &mut T, read: impl Fn(&str) -> Option<T>, expected: &str) {
        match read(self.argument.node.trim()) {
            Some(value) => *place = value,
            None => {
                let message =
                    format!("{} takes {expected}, not {:?}", self.directive.name.node, self.argument.node);
                self.fault(message);
            }
        }
    }

    fn fault(&mut self, message: String) {
        self.diagnostics.push(Diagnostic::error("invalid-argument", self.argument.span, message));
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| *n > 0)
}

fn limit_action(text: &str) -> Option<BodyLimitAction> {
    match text.to_ascii_lowercase().as_str() {
        "reject" => Some(BodyLimitAction::Reject),
        "processpartial" => Some(BodyLimitAction::ProcessPartial),
        _ => None,
    }
}

fn audit_mode(text: &str) -> Option<AuditMode> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(AuditMode::On),
        "off" => Some(AuditMode::Off),
        "relevantonly" => Some(AuditMode::RelevantOnly),
        _ => None,
    }
}

fn parts(text: &str) -> Option<Vec<u8>> {
    let upper = text.to_ascii_uppercase().into_bytes();
    let valid = |b: &u8| matches!(b, b'A'..=b'K' | b'Z');
    (!upper.is_empty() && upper.iter().all(valid)).then_some(upper)
}

fn one_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    }
}

fn xml_args(text: &str) -> Option<XmlIntoArgs> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Some(XmlIntoArgs::On),
        "off" => Some(XmlIntoArgs::Off),
        "onlyargs" => Some(XmlIntoArgs::OnlyArgs),
        _ => None,
    }
}
