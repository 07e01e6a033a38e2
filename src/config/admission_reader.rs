//! Reads access rules, rate limits and bans.

use super::document::Node;
use super::networks::network;
use super::place::Place;
use super::reader::Section;
use super::schema;
use super::site::{name, path};
use super::{
    AccessAction, AccessRule, BanCount, Bans, Condition, Country, KeyPart, NetworkSet, RateLimit, Scope,
};
use crate::limits;
use crate::ruleset::Mode;
use crate::source::Span;
use crate::syntax::diagnostic::{Diagnostic, Diagnostics};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The access rules of a site.
pub(super) fn access(site: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Vec<AccessRule> {
    let mut all: Vec<AccessRule> = Vec::new();
    let mut names = Names::default();
    let mut last: Option<Span> = None;
    for node in site.items("access") {
        if let Some(last) = last.take() {
            let what = "no request gets to this rule: the one before it holds for all";
            out.push(Diagnostic::warning("config-unreachable", node.span, what).related(last, "this one"));
        }
        let section = Section::new(&schema::ACCESS_RULE, node, out);
        let name = names.read(&section, node, out);
        let scope = scope(&section, place, out);
        let status = status(&section, (400, 599), 403, out);
        let actions = [("allow", AccessAction::Allow), ("deny", AccessAction::Deny(status))];
        let action = section.word("action", &actions, out).unwrap_or(AccessAction::Deny(status));
        if action == AccessAction::Allow
            && let Some(node) = section.get("status")
        {
            let what = "`status` has no meaning for a rule that allows";
            out.push(Diagnostic::error("config-conflict", node.span, what));
        }
        let is_for_all = asks_nothing(&section) && section.get("except").is_none();
        if is_for_all && scope.mode != Some(Mode::DetectionOnly) {
            last = Some(node.span);
        }
        all.extend(name.map(|name| AccessRule { name, action, scope }));
    }
    all
}

/// The rate limits of a site.
pub(super) fn rate_limits(
    site: &Section<'_>,
    place: &mut Place<'_>,
    out: &mut Diagnostics,
) -> Vec<RateLimit> {
    let mut all: Vec<RateLimit> = Vec::new();
    let mut names = Names::default();
    for node in site.items("rate_limits") {
        let section = Section::new(&schema::RATE_LIMIT, node, out);
        let name = names.read(&section, node, out);
        let scope = scope(&section, place, out);
        let mut key = section.list("key", out, key_part);
        if key.is_empty() {
            key.push(KeyPart::Address);
        }
        let requests = match section.required("requests", out) {
            true => count(&section, "requests", (1, 1_000_000), out),
            false => None,
        };
        let period = section.duration("period", (0, 86_400), out).unwrap_or(Duration::from_secs(60));
        let burst = count(&section, "burst", (1, 1_000_000), out);
        let ipv4_prefix = prefix(&section, "ipv4_prefix", (8, 32), 32, out);
        let ipv6_prefix = prefix(&section, "ipv6_prefix", (16, 128), 64, out);
        let status = status(&section, (400, 599), 429, out);
        let (Some(name), Some(requests)) = (name, requests) else { continue };
        if period.as_micros() < u128::from(requests.get()) {
            let what = "more than one request a microsecond is no limit";
            out.push(Diagnostic::error("config-value", node.span, what));
        }
        let burst = burst.unwrap_or(requests);
        all.push(RateLimit { name, key, requests, period, burst, ipv4_prefix, ipv6_prefix, scope, status });
    }
    all
}

/// The bans; none unless there is a section for them.
pub(super) fn bans(top: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Option<Bans> {
    let node = top.get("bans")?;
    let section = Section::new(&schema::BANS, node, out);
    let counts = [("blocks", BanCount::Blocks), ("anomaly", BanCount::Anomaly)];
    let count = section.word("count", &counts, out).unwrap_or(BanCount::Blocks);
    let usual = match count {
        BanCount::Blocks => 10,
        BanCount::Anomaly => 100,
    };
    let threshold = self::count(&section, "threshold", (1, 1_000_000), out);
    let mut time =
        |key, default| section.duration(key, (1, 31 * 86_400), out).unwrap_or(Duration::from_secs(default));
    let (period, duration, longest) = (time("period", 600), time("duration", 900), time("longest", 86_400));
    if longest < duration {
        let what = "`longest` is shorter than `duration`, the length of the first ban";
        out.push(Diagnostic::error("config-conflict", node.span, what));
    }
    Some(Bans {
        count,
        threshold: threshold.or(NonZeroU32::new(usual)).unwrap_or(NonZeroU32::MIN),
        period,
        duration,
        escalation: self::count(&section, "escalation", (1, 100), out).map_or(2, NonZeroU32::get),
        longest,
        limited: section.boolean("limited", out).unwrap_or(false),
        status: status(&section, (400, 599), 403, out),
        ipv6_prefix: prefix(&section, "ipv6_prefix", (16, 128), 64, out),
        except: exceptions(&section, place, out),
        mode: mode(&section, out),
    })
}

/// The names of the rules of one list.
#[derive(Default)]
struct Names(Vec<(String, Span)>);

impl Names {
    fn read(&mut self, section: &Section<'_>, node: &Node, out: &mut Diagnostics) -> Option<String> {
        if !section.required("name", out) {
            return None;
        }
        let name = section.value("name", out, name)?;
        if let Some((_, first)) = self.0.iter().find(|(other, _)| *other == name) {
            let what = format!("`{name}` is there already");
            out.push(Diagnostic::error("config-conflict", node.span, what).related(*first, "the first one"));
        }
        self.0.push((name.clone(), node.span));
        Some(name)
    }
}

fn scope(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Scope {
    Scope {
        when: condition(section, place, out),
        except: exceptions(section, place, out),
        mode: mode(section, out),
    }
}

fn exceptions(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Vec<Condition> {
    let mut all = Vec::new();
    for node in section.items("except") {
        let inner = Section::new(&schema::CONDITION, node, out);
        let condition = condition(&inner, place, out);
        if asks_nothing(&inner) {
            let what = "an exception without a condition holds for everything";
            out.push(Diagnostic::error("config-value", node.span, what));
        }
        all.push(condition);
    }
    all
}

/// Whether a section names no condition.
fn asks_nothing(section: &Section<'_>) -> bool {
    schema::CONDITION.keys.iter().all(|key| section.get(key.name).is_none())
}

fn condition(section: &Section<'_>, place: &mut Place<'_>, out: &mut Diagnostics) -> Condition {
    let mut addresses = Vec::new();
    let inline: NetworkSet = section.list("addresses", out, network).into_iter().collect();
    if !inline.is_empty() {
        addresses.push(Arc::new(inline));
    }
    for (file, span) in place.all_existing(section, "address_files", out) {
        if let Some(known) = place.lists.get(&file) {
            addresses.push(Arc::clone(known));
            continue;
        }
        match read_list(&file) {
            Ok(set) => {
                if set.is_empty() {
                    let what = format!("{} names no address", file.display());
                    out.push(Diagnostic::warning("config-empty-list", span, what));
                }
                let set = Arc::new(set);
                place.lists.insert(file, Arc::clone(&set));
                addresses.push(set);
            }
            Err(faults) => {
                for fault in faults {
                    out.push(Diagnostic::error("config-list", span, fault));
                }
            }
        }
    }
    let countries = section.list("countries", out, |text| match text {
        "unknown" => Ok(None),
        code => code.parse::<Country>().map(Some),
    });
    if !countries.is_empty() && place.countries.is_none() {
        let span = section.get("countries").map_or(section.span(), |n| n.span);
        let complaint = Diagnostic::error("config-missing", span, "`countries` needs a database");
        out.push(complaint.help("name one in MaxMind's format as `geo_database` at the top level"));
    }
    Condition {
        paths: section.list("paths", out, path),
        hosts: section.list("hosts", out, str::parse),
        methods: section.list("methods", out, method),
        addresses,
        database: place.countries.clone().filter(|_| !countries.is_empty()),
        countries,
    }
}

fn read_list(file: &std::path::Path) -> Result<NetworkSet, Vec<String>> {
    let name = file.display();
    let text = super::place::read_up_to(file, limits::SOURCE_FILE_BYTES as u64)
        .map_err(|error| vec![format!("cannot read {name}: {error}")])?;
    NetworkSet::parse(&String::from_utf8_lossy(&text)).map_err(|faults| {
        let tell = |(line, text)| format!("{name}:{line}: `{text}` is no address or network");
        faults.into_iter().map(tell).collect()
    })
}

fn mode(section: &Section<'_>, out: &mut Diagnostics) -> Option<Mode> {
    section.word("mode", &[("On", Mode::On), ("DetectionOnly", Mode::DetectionOnly)], out)
}

fn status(section: &Section<'_>, bounds: (usize, usize), default: u16, out: &mut Diagnostics) -> u16 {
    section.count("status", bounds, out).and_then(|n| u16::try_from(n).ok()).unwrap_or(default)
}

fn prefix(
    section: &Section<'_>,
    key: &str,
    bounds: (usize, usize),
    default: u8,
    out: &mut Diagnostics,
) -> u8 {
    section.count(key, bounds, out).and_then(|n| u8::try_from(n).ok()).unwrap_or(default)
}

fn count(
    section: &Section<'_>,
    key: &str,
    bounds: (usize, usize),
    out: &mut Diagnostics,
) -> Option<NonZeroU32> {
    section.count(key, bounds, out).and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new)
}

fn method(text: &str) -> Result<String, String> {
    let good =
        !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if good { Ok(text.to_owned()) } else { Err("expected a method such as `GET`, in capitals".to_owned()) }
}

fn key_part(text: &str) -> Result<KeyPart, String> {
    let named = |name: &str| match name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
        true => Err("a name is missing behind the colon, as in `header:X-API-Key`".to_owned()),
        false => Ok(name.to_owned()),
    };
    match text.split_once(':') {
        Some(("header", name)) => named(name).map(|n| KeyPart::Header(n.to_ascii_lowercase())),
        Some(("cookie", name)) => named(name).map(KeyPart::Cookie),
        Some(("tx", name)) => named(name).map(|n| KeyPart::Variable(n.to_ascii_lowercase())),
        _ => match text {
            "site" => Ok(KeyPart::Site),
            "address" => Ok(KeyPart::Address),
            "host" => Ok(KeyPart::Host),
            "path" => Ok(KeyPart::Path),
            _ => Err("expected `address`, `path`, `host`, `site`, `header:NAME`, `cookie:NAME` or `tx:NAME`"
                .to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_has_a_scope_has_all_conditions() {
        for table in [&schema::ACCESS_RULE, &schema::RATE_LIMIT] {
            for key in schema::CONDITION.keys {
                assert!(table.keys.iter().any(|k| k.name == key.name), "{}: {}", table.name, key.name);
            }
        }
    }
}
