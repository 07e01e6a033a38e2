//! Variables → values: what each variable of SecLang is in a transaction.

use super::lanes::LaneValue;
use super::transaction::{Member, Transaction};
use super::tx::{TxValue, append_number};
use super::values::ValueId;
use crate::ruleset::{Ruleset, Selector, Target};
use crate::variable::{Shape, Variable};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Transaction {
    /// Appends the values of `target` to `lane_values`.
    pub(super) fn resolve(&mut self, ruleset: &Ruleset, target: &Target) {
        use Variable as V;
        let variable = target.variable;
        match variable {
            V::Args => {
                self.members(V::ArgsPath, V::Args, target, Part::Value);
                self.members(V::ArgsGet, V::Args, target, Part::Value);
                self.members(V::ArgsPost, V::Args, target, Part::Value);
            }
            V::ArgsNames => {
                self.members(V::ArgsPath, variable, target, Part::Name);
                self.members(V::ArgsGet, variable, target, Part::Name);
                self.members(V::ArgsPost, variable, target, Part::Name);
            }
            V::ArgsGetNames => self.members(V::ArgsGet, variable, target, Part::Name),
            V::ArgsPostNames => self.members(V::ArgsPost, variable, target, Part::Name),
            V::RequestHeadersNames => self.members(V::RequestHeaders, variable, target, Part::Name),
            V::ResponseHeadersNames => self.members(V::ResponseHeaders, variable, target, Part::Name),
            V::RequestCookiesNames => self.members(V::RequestCookies, variable, target, Part::Name),
            V::Json => {
                if self.request_body.is_json() {
                    self.members(V::ArgsPost, variable, target, Part::Value);
                }
            }
            V::MatchedVars | V::MatchedVarsNames => self.resolve_matched(target),
            V::Tx => self.resolve_tx(ruleset, target),
            V::Xml | V::RequestXml => self.resolve_xml(target),
            V::Ip | V::Session | V::User | V::Global | V::Resource => self.resolve_persistent(target),
            V::Geo => {
                for i in 0..self.geo.len() {
                    let (name, value) = &self.geo[i];
                    if target.selector.selects(name.as_bytes()) {
                        let (name, value) =
                            (self.values.push(name.as_bytes()), self.values.push(value.as_bytes()));
                        self.emit(variable, name, value);
                    }
                }
            }
            V::Env => self.resolve_env(target),
            V::Rule => self.resolve_rule(ruleset, target),
            V::FullRequest | V::FullRequestLength => {
                let full = self.full_request();
                let value = if variable == V::FullRequest {
                    self.values.push(&full)
                } else {
                    self.number(full.len() as i64)
                };
                self.emit(variable, ValueId::NONE, value);
            }
            _ => match variable.row().shape {
                Shape::Collection => self.members(variable, variable, target, Part::Value),
                Shape::Scalar => {
                    let value = self.scalar(variable);
                    self.emit(variable, ValueId::NONE, value);
                }
            },
        }
    }

    /// Sets a scalar.
    pub(super) fn set(&mut self, variable: Variable, value: &[u8]) {
        self.scalars[variable as usize] = self.values.push(value);
    }

    /// Sets a scalar to a number.
    pub(super) fn set_number(&mut self, variable: Variable, number: i64) {
        self.scalars[variable as usize] = self.number(number);
    }

    /// Adds a member to a collection.
    pub(super) fn add_member(&mut self, variable: Variable, name: &[u8], value: &[u8]) {
        let member = Member { name: self.values.push(name), value: self.values.push(value) };
        self.collections[variable as usize].push(member);
    }

    fn emit(&mut self, variable: Variable, name: ValueId, value: ValueId) {
        self.lane_values.push(LaneValue { variable, name, raw: value, count: false });
    }

    pub(super) fn number(&mut self, number: i64) -> ValueId {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        append_number(number, &mut text);
        let id = self.values.push(&text);
        self.scratch = text;
        id
    }

    fn members(&mut self, from: Variable, shown: Variable, target: &Target, part: Part) {
        let shown_as = |member: &Member| LaneValue {
            variable: shown,
            name: member.name,
            raw: match part {
                Part::Value => member.value,
                Part::Name => member.name,
            },
            count: false,
        };
        let (all, values) = (&self.collections[from as usize], &self.values);
        match &target.selector {
            Selector::All => self.lane_values.extend(all.iter().map(shown_as)),
            Selector::Key(key) => {
                let named = |m: &&Member| {
                    let name = values.get(m.name);
                    name.len() == key.len() && name.eq_ignore_ascii_case(key)
                };
                self.lane_values.extend(all.iter().filter(named).map(shown_as));
            }
            selector => {
                let selected = |m: &&Member| selector.selects(values.get(m.name));
                self.lane_values.extend(all.iter().filter(selected).map(shown_as));
            }
        }
    }

    fn resolve_matched(&mut self, target: &Target) {
        for i in 0..self.matched.len() {
            let name = self.matched_name(&self.matched[i].at);
            // MATCHED_VARS:ARGS:id selects by the full name.
            if !target.selector.selects(&name) {
                continue;
            }
            let name = self.values.push(&name);
            let value = match target.variable {
                Variable::MatchedVarsNames => name,
                _ => self.matched[i].value,
            };
            self.emit(target.variable, name, value);
        }
    }

    fn resolve_tx(&mut self, ruleset: &Ruleset, target: &Target) {
        if let Selector::Slot(slot) = target.selector {
            let value = self.tx.get(slot);
            if value.is_set() {
                let mut text = std::mem::take(&mut self.scratch);
                text.clear();
                value.append_to(&mut text);
                let value = self.values.push(&text);
                self.scratch = text;
                let name = self.values.push(ruleset.slots.name(slot).as_bytes());
                self.emit(Variable::Tx, name, value);
            }
            return;
        }
        let (tx, values, lane_values) = (&self.tx, &mut self.values, &mut self.lane_values);
        let mut text = std::mem::take(&mut self.scratch);
        let mut emit = |name: &[u8], value: &TxValue| {
            text.clear();
            value.append_to(&mut text);
            let (name, raw) = (values.push(name), values.push(&text));
            lane_values.push(LaneValue { variable: Variable::Tx, name, raw, count: false });
        };
        if let Selector::SlotRegex(_, slots) = &target.selector {
            for slot in slots.iter().filter(|slot| tx.get(**slot).is_set()) {
                emit(ruleset.slots.name(*slot).as_bytes(), tx.get(*slot));
            }
        }
        let known = matches!(target.selector, Selector::SlotRegex(..));
        for (name, value) in tx.iter(&ruleset.slots, known) {
            if target.selector.selects(name) {
                emit(name, value);
            }
        }
        self.scratch = text;
    }

    fn resolve_xml(&mut self, target: &Target) {
        let (path, namespaces): (&str, Vec<(&str, &str)>) = match &target.selector {
            Selector::XPath(path, namespaces) => {
                (path, namespaces.iter().map(|(p, u)| (&**p, &**u)).collect())
            }
            _ => ("/*", Vec::new()),
        };
        let Some(selected) = self.request_body.select_xml(path, &namespaces) else { return };
        match selected {
            Ok(nodes) => {
                // libxml2 gives the members of XML the expression as their name; so do exclusions expect it.
                let name = self.values.push(path.as_bytes());
                for (_, value) in nodes {
                    let value = self.values.push(&value);
                    self.emit(target.variable, name, value);
                }
            }
            Err(error) => self.note(super::EventKind::RuleError, &format!("XML:{path}: {error}")),
        }
    }

    fn resolve_persistent(&mut self, target: &Target) {
        let members: Vec<(Vec<u8>, Vec<u8>)> = self
            .persistent
            .members(target.variable)
            .filter(|(name, _)| target.selector.selects(name.as_bytes()))
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect();
        for (name, value) in members {
            let (name, value) = (self.values.push(&name), self.values.push(&value));
            self.emit(target.variable, name, value);
        }
    }

    fn resolve_env(&mut self, target: &Target) {
        let mut own: Vec<(Vec<u8>, Vec<u8>)> =
            self.env.iter().filter(|(name, _)| target.selector.selects(name)).cloned().collect();
        for (name, value) in self.environment.iter().flat_map(|all| all.iter()) {
            let name = name.as_bytes();
            if target.selector.selects(name) && self.env.iter().all(|(set, _)| set != name) {
                own.push((name.to_vec(), value.as_bytes().to_vec()));
            }
        }
        let found_own = !own.is_empty();
        for (name, value) in own {
            let (name, value) = (self.values.push(&name), self.values.push(&value));
            self.emit(Variable::Env, name, value);
        }
        // The process's environment is asked for by name only: listing it would show rules the operator's secrets.
        if !found_own
            && let Selector::Key(key) = &target.selector
            && let Some(value) = std::str::from_utf8(key).ok().and_then(|k| self.world.env(k))
        {
            let (name, value) = (self.values.push(key), self.values.push(value.as_bytes()));
            self.emit(Variable::Env, name, value);
        }
    }

    fn resolve_rule(&mut self, ruleset: &Ruleset, target: &Target) {
        let Some(rule) = self.current_rule.map(|i| ruleset.rule(i)) else { return };
        let fields: [(&str, Vec<u8>); 5] = [
            ("id", rule.id.to_string().into_bytes()),
            ("rev", rule.meta.revision.clone().into_bytes()),
            ("severity", rule.meta.severity.map(|s| s.to_string().into_bytes()).unwrap_or_default()),
            ("msg", rule.meta.message.as_text().map(<[u8]>::to_vec).unwrap_or_default()),
            ("logdata", rule.meta.data.as_text().map(<[u8]>::to_vec).unwrap_or_default()),
        ];
        for (name, value) in fields {
            if target.selector.selects(name.as_bytes()) {
                let (name, value) = (self.values.push(name.as_bytes()), self.values.push(&value));
                self.emit(Variable::Rule, name, value);
            }
        }
    }

    /// The value of a scalar. As in ModSecurity 3 it is the empty text when nothing has set it, so that `!@streq`
    /// and the like match what is absent.
    fn scalar(&mut self, variable: Variable) -> ValueId {
        use Variable as V;
        match variable {
            V::Duration => {
                let elapsed = self.world.now().duration_since(self.started).unwrap_or(Duration::ZERO);
                self.number(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
            }
            V::HighestSeverity => self.number(i64::from(self.highest_severity)),
            V::MatchedVar => self.matched.last().map_or(ValueId::EMPTY, |m| m.value),
            V::MatchedVarName => match self.matched.last().map(|m| m.at) {
                Some(at) => {
                    let name = self.matched_name(&at);
                    self.values.push(&name)
                }
                None => ValueId::EMPTY,
            },
            V::MscPcreLimitsExceeded => self.number(i64::from(self.pcre_limit_exceeded)),
            V::MscPcreError | V::SdbmDeleteError => self.number(0),
            V::PerfCombined
            | V::PerfGc
            | V::PerfLogging
            | V::PerfPhase1
            | V::PerfPhase2
            | V::PerfPhase3
            | V::PerfPhase4
            | V::PerfPhase5
            | V::PerfSread
            | V::PerfSwrite => self.number(0),
            V::Time
            | V::TimeDay
            | V::TimeEpoch
            | V::TimeHour
            | V::TimeMin
            | V::TimeMon
            | V::TimeSec
            | V::TimeWday
            | V::TimeYear => {
                let text = time_text(variable, self.world.now());
                self.values.push(text.as_bytes())
            }
            V::RemoteHost => {
                if self.scalars[variable as usize] == ValueId::EMPTY
                    && let Some(client) = self.client
                {
                    let name = self.world.reverse(client.ip()).unwrap_or_else(|| client.ip().to_string());
                    self.set(variable, name.as_bytes());
                }
                self.scalars[variable as usize]
            }
            V::Sessionid | V::Userid => match self.persistent.key(variable) {
                Some(key) => self.values.push(&key),
                None => ValueId::EMPTY,
            },
            _ => self.scalars[variable as usize],
        }
    }

    /// The name under which a matched value is known: `ARGS:id`, `REQUEST_URI`, `&ARGS`.
    pub(super) fn matched_name(&self, at: &LaneValue) -> Vec<u8> {
        let mut name = Vec::with_capacity(32);
        if at.count {
            name.push(b'&');
        }
        name.extend_from_slice(at.variable.name().as_bytes());
        if at.name.is_some() {
            name.push(b':');
            name.extend_from_slice(self.values.get(at.name));
        }
        name
    }

    /// The request as text, for `FULL_REQUEST`.
    fn full_request(&self) -> Vec<u8> {
        let mut text = self.values.get(self.scalars[Variable::RequestLine as usize]).to_vec();
        text.push(b'\n');
        for member in &self.collections[Variable::RequestHeaders as usize] {
            text.extend_from_slice(self.values.get(member.name));
            text.extend_from_slice(b": ");
            text.extend_from_slice(self.values.get(member.value));
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.request_body.bytes());
        text
    }
}

#[derive(Clone, Copy)]
enum Part {
    Name,
    Value,
}

/// `TIME…`, in UTC: the engine knows no time zone, and a firewall's hosts are best read in one.
fn time_text(variable: Variable, now: SystemTime) -> String {
    let epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let time = i64::try_from(epoch).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    let time = time.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    match variable {
        Variable::TimeDay => time.day().to_string(),
        Variable::TimeEpoch => epoch.to_string(),
        Variable::TimeHour => time.hour().to_string(),
        Variable::TimeMin => time.minute().to_string(),
        Variable::TimeMon => (u8::from(time.month()) - 1).to_string(),
        Variable::TimeSec => time.second().to_string(),
        Variable::TimeWday => time.weekday().number_days_from_sunday().to_string(),
        Variable::TimeYear => time.year().to_string(),
        _ => format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
    }
}
