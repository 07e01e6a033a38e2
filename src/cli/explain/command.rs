//! The command: find or read, evaluate, tell.

use super::ExplainArgs;
use super::log::find;
use crate::cli::console::tell;
use crate::cli::remote::Remote;
use crate::cli::source::{self, SourceRequest};
use crate::cli::subject::{SiteRules, Subject};
use crate::config::{AuditTarget, DEFAULT_ADMIN};
use crate::engine::NoWorld;
use crate::explain::{self, Exchange, Explanation, Recorded, escaped, render};
use crate::ruleset::Mode;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

/// Explains and tells. `false` when it could not be done.
pub(in crate::cli) fn explain(args: &ExplainArgs) -> bool {
    let told = match (&args.request, &args.id) {
        (Some(request), _) => unsent(args, request),
        (None, Some(id)) => recorded(args, id),
        (None, None) => Ok(String::new()),
    };
    tell(told)
}

/// Whether standard output may be coloured (<https://no-color.org>).
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn load(args: &ExplainArgs) -> Result<Subject, String> {
    Subject::load(args.config.as_deref(), &args.rules, args.mode.map(Mode::from))
}

/// A transaction that has been.
fn recorded(args: &ExplainArgs, id: &str) -> Result<String, String> {
    if let Some(address) = &args.admin {
        return ask(args, address, None, id);
    }
    let subject = load(args)?;
    let configured = subject.config.as_ref().and_then(|config| match &config.audit.target {
        AuditTarget::File(path) => Some(path.clone()),
        AuditTarget::Off | AuditTarget::Stdout => None,
    });
    let Some(path) = args.audit_log.clone().or(configured) else {
        let admin = subject.config.as_ref().and_then(|config| config.admin.as_ref());
        let address = admin.map_or(DEFAULT_ADMIN, |admin| admin.address).to_string();
        let token = admin.and_then(|admin| admin.token.as_ref()).map(|token| token.expose().to_owned());
        return ask(args, &address, token, id);
    };
    let record =
        find(&path, id)?.ok_or_else(|| format!("{} has no transaction {}", path.display(), escaped(id)))?;
    if let Some(explanation) = explain::refused(&record) {
        return Ok(told(args, &explanation));
    }
    let recorded = Some(record.site.as_str()).filter(|site| !site.is_empty());
    let site = subject.site(args.site.as_deref().or(recorded))?;
    let exchange = Exchange::of_record(&record);
    Ok(told(args, &make(args, &subject, site, &exchange, Some(&record))))
}

/// Asks the running instance.
fn ask(args: &ExplainArgs, address: &str, token: Option<String>, id: &str) -> Result<String, String> {
    let id = source::encode(id.as_bytes());
    let flag = |on: bool, name: &str| if on { format!("&{name}=1") } else { String::new() };
    let path = format!(
        "/api/explain/{id}?as={}{}{}{}",
        if args.json { "json" } else { "text" },
        flag(args.near, "near"),
        flag(args.no_exclusion, "no_exclusion"),
        flag(!args.json && colour(), "colour"),
    );
    Remote::at(address, token).text(&path)
}

/// Requests that have not been sent.
fn unsent(args: &ExplainArgs, request: &str) -> Result<String, String> {
    let is_command = request.trim_start().starts_with("curl ");
    let source = if is_command { source::read(request)? } else { source::open(Path::new(request))? };
    let subject = load(args)?;
    let site = subject.site(args.site.as_deref())?;
    let mut explanations = Vec::new();
    for one in &source.requests {
        let mut exchange = exchange(one, source.is_command);
        exchange.gaps.extend(source.guesses.iter().cloned());
        explanations.push(make(args, &subject, site, &exchange, None));
    }
    if args.json {
        return Ok(match explanations.as_slice() {
            [only] => json(only),
            all => format!("{}\n", serde_json::to_string_pretty(all).unwrap_or_default()),
        });
    }
    let count = explanations.len();
    let one = |(at, explanation): (usize, &Explanation)| {
        let title = if count > 1 { format!("== Request {} of {count}\n", at + 1) } else { String::new() };
        format!("{title}{}", render(explanation, colour()))
    };
    Ok(explanations.iter().enumerate().map(one).collect::<Vec<_>>().join("\n"))
}

fn make(
    args: &ExplainArgs,
    subject: &Subject,
    site: &SiteRules,
    exchange: &Exchange,
    record: Option<&Recorded>,
) -> Explanation {
    explain::explain(
        exchange,
        record,
        &explain::Settings {
            rules: &site.rules,
            mode: site.mode,
            auditor: &subject.auditor,
            world: Arc::new(NoWorld),
            generation: subject.generation.clone(),
            near: args.near,
            propose: !args.no_exclusion,
        },
    )
}

fn told(args: &ExplainArgs, explanation: &Explanation) -> String {
    if args.json { json(explanation) } else { render(explanation, colour()) }
}

fn json(explanation: &Explanation) -> String {
    format!("{}\n", serde_json::to_string_pretty(explanation).unwrap_or_default())
}

/// A request as its sender would send it: with the length of its body, and of a command with what curl adds.
fn exchange(request: &SourceRequest, is_command: bool) -> Exchange {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> =
        request.headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    let mut add = |name: &str, value: &str| {
        if request.header(name).is_none() {
            headers.push((bytes(name), bytes(value)));
        }
    };
    let mut gaps = Vec::new();
    if is_command {
        add("Host", request.host.as_deref().unwrap_or("localhost"));
        add("User-Agent", "curl/8.0.0");
        add("Accept", "*/*");
        gaps.push("Host, User-Agent and Accept are as curl would send them".to_owned());
    } else if let Some(host) = &request.host {
        add("Host", host);
    }
    if !request.body.is_empty() && request.header("transfer-encoding").is_none() {
        add("Content-Length", &request.body.len().to_string());
    }
    Exchange {
        method: bytes(&request.method),
        target: bytes(&request.target),
        headers,
        body: request.body.clone(),
        gaps,
        ..Exchange::default()
    }
}
