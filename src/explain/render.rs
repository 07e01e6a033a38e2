//! An explanation as text for people.

use super::explanation::{Explanation, MatchedValue, Near, Proposal, Rule, Score};
use super::quote::escaped;
use super::subject::operator_means;
use crate::audit::Piece;
use std::fmt::Write;

/// The text, with colours for a terminal if `colour` says so. Nothing in it that came from a client reaches the
/// terminal unescaped.
pub fn render(explanation: &Explanation, colour: bool) -> String {
    let mut out = Page { text: String::new(), colour };
    out.head(explanation);
    out.rules(explanation);
    if let Some(proposal) = &explanation.proposal {
        out.proposal(proposal);
    }
    if let Some(near) = &explanation.near {
        out.near(near);
    }
    out.text
}

/// ANSI's codes.
#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    /// What matched.
    Marked,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "1;31",
            Style::Green => "1;32",
            Style::Yellow => "33",
            Style::Marked => "1;30;43",
        }
    }
}

struct Page {
    text: String,
    colour: bool,
}

/// Columns before the text of a rule.
const INDENT: &str = "    ";

impl Page {
    fn styled(&self, style: Style, text: &str) -> String {
        if self.colour { format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()) } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn title(&mut self, text: &str) {
        let text = self.styled(Style::Bold, text);
        self.line("");
        self.line(&text);
    }

    fn head(&mut self, explanation: &Explanation) {
        if let Some(id) = &explanation.id {
            let mut about = format!("Transaction {}", escaped(id));
            for (word, value) in [
                (" at ", &explanation.time),
                (", site ", &explanation.site),
                (", client ", &explanation.client),
            ] {
                if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                    let _ = write!(about, "{word}{}", escaped(value));
                }
            }
            let about = self.styled(Style::Bold, &about);
            self.line(&about);
        }
        let style = match (explanation.decision.action.as_str(), explanation.decision.enforced) {
            ("pass", _) => Style::Green,
            ("fail", _) => Style::Yellow,
            (_, true) => Style::Red,
            (_, false) => Style::Yellow,
        };
        let told = self.styled(style, &escaped(&explanation.decision.told));
        self.line(&told);
        if let Some(remedy) = &explanation.remedy {
            self.line(&escaped(remedy));
        }
        self.title("What came in");
        let request = &explanation.request;
        let line = format!("{} {} {}", request.method, request.uri, request.protocol);
        self.line(&format!("{INDENT}{}", shortened(&escaped(&line))));
        for (name, value) in &request.headers {
            self.line(&format!("{INDENT}{}: {}", escaped(name), shortened(&escaped(value))));
        }
        if !request.body.is_empty() {
            self.line("");
            self.line(&format!("{INDENT}{}", shortened(&escaped(&request.body))));
        }
        for event in &explanation.events {
            self.line(&format!("{INDENT}note: {}", escaped(event)));
        }
        let basis = &explanation.basis;
        let mut notes: Vec<String> = basis.gaps.clone();
        if let (Some(served), Some(loaded)) = (&basis.served_by, &basis.evaluated_with)
            && served != loaded
        {
            notes.push(format!(
                "it was served by the configuration and rules {} and is explained with {}",
                shown_hash(served),
                shown_hash(loaded)
            ));
        }
        if !basis.missing.is_empty() {
            notes.push(format!("evaluated again, it does not match {}", ids(&basis.missing)));
        }
        if !basis.surplus.is_empty() {
            notes.push(format!("evaluated again, it also matches {}", ids(&basis.surplus)));
        }
        for note in notes {
            let note = self.styled(Style::Yellow, &format!("{INDENT}note: {}", escaped(&note)));
            self.line(&note);
        }
    }

    fn rules(&mut self, explanation: &Explanation) {
        if !explanation.rules.is_empty() {
            self.title("Rules that scored or decided");
        }
        for rule in &explanation.rules {
            self.rule(rule);
        }
        for (what, score) in
            [("request", explanation.scores.inbound), ("response", explanation.scores.outbound)]
        {
            let Some(score) = score else { continue };
            self.line("");
            let text = self.styled(Style::Bold, &sum(what, score, &explanation.rules));
            self.line(&format!("{INDENT}{text}"));
        }
        if !explanation.bookkeeping.is_empty() {
            let text = format!("{INDENT}Only keep books: {}", ids(&explanation.bookkeeping));
            let text = self.styled(Style::Dim, &text);
            self.line(&text);
        }
        if !explanation.others.is_empty() {
            self.title("Rules that only told");
            for rule in &explanation.others {
                self.rule(rule);
            }
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let score = match (rule.score, rule.disruptive) {
            (0, true) => "decides".to_owned(),
            (0, false) => String::new(),
            (score, _) => format!("+{score}"),
        };
        let style = if rule.counted || rule.disruptive { Style::Red } else { Style::Yellow };
        let head = format!("{:<10} {}", rule.id, escaped(&rule.message));
        let (score, head) = (self.styled(style, &format!("{score:>7}")), self.styled(Style::Bold, &head));
        self.line("");
        self.line(&format!("{score}  {head}"));
        let mut facts: Vec<String> = Vec::new();
        facts.extend(rule.severity.clone());
        facts.extend(rule.paranoia_level.map(|level| format!("paranoia level {level}")));
        facts.push(format!("phase {}", rule.phase));
        facts.push(format!("{}:{}", rule.file, rule.line));
        if rule.score != 0 && !rule.counted {
            facts.push("watched only, its score does not count".to_owned());
        }
        if rule.from_record {
            facts.push("from the record".to_owned());
        }
        let facts = self.styled(Style::Dim, &escaped(&facts.join(", ")));
        self.line(&format!("         {facts}"));
        if let Some(purpose) = &rule.purpose {
            self.line(&format!("         {}", escaped(purpose)));
        }
        self.operator("", &rule.operator, &rule.operator_means);
        // What a chain goes on with has been shown where it came from, unless it was decoded there.
        let is_copy = |m: &&MatchedValue| m.variable.starts_with("MATCHED_VAR");
        let is_shown = rule.matches.iter().any(|m| !is_copy(&m));
        let mut link: Option<&String> = None;
        for matched in rule.matches.iter().filter(|m| !(is_shown && is_copy(m) && m.decoded.is_empty())) {
            if let Some(operator) = &matched.operator
                && link != Some(operator)
            {
                self.operator("and ", operator, &operator_means(operator));
            }
            link = matched.operator.as_ref();
            self.matched(matched);
        }
    }

    fn operator(&mut self, and: &str, operator: &str, means: &str) {
        let means = match means.is_empty() {
            true => String::new(),
            false => format!(" ({})", escaped(means.trim_end_matches('.'))),
        };
        self.line(&format!("         {and}{}{means}", shortened_to(&escaped(operator), OPERATOR)));
    }

    fn matched(&mut self, matched: &MatchedValue) {
        let name = self.styled(Style::Bold, &escaped(&matched.variable));
        self.line(&format!("         {name}"));
        let row = |page: &mut Self, what: &str, text: &str| {
            page.line(&format!("           {what:<24} {text}"));
        };
        if let Some(received) = &matched.received {
            let text = self.pieces(received);
            row(self, "as received", &text);
        }
        let mut idle: Vec<String> = Vec::new();
        for step in &matched.steps {
            let name = format!("t:{}", step.transformation);
            let Some(value) = &step.value else {
                idle.push(name);
                continue;
            };
            self.unchanged(&mut idle);
            let text = self.pieces(value);
            row(self, &name, &text);
        }
        self.unchanged(&mut idle);
        if !matched.decoded.is_empty() {
            row(self, "shown by undoing", &matched.decoded.join(" → "));
        }
        let text = self.pieces(&matched.value);
        row(self, "matched", &text);
    }

    /// Transformations that left a value as it was.
    fn unchanged(&mut self, names: &mut Vec<String>) {
        if !names.is_empty() {
            let text = self.styled(Style::Dim, &format!("unchanged by {}", names.join(", ")));
            self.line(&format!("           {text}"));
            names.clear();
        }
    }

    /// A value with what matched marked: by colour, or where there is none by brackets.
    fn pieces(&self, pieces: &[Piece]) -> String {
        if pieces.is_empty() {
            return "(empty)".to_owned();
        }
        let has_match = pieces.iter().any(|piece| piece.matched);
        let mut out = String::new();
        for (at, piece) in pieces.iter().enumerate() {
            let text = escaped(&piece.text);
            if piece.matched {
                let text = shortened(&text);
                let marked =
                    if self.colour { self.styled(Style::Marked, &text) } else { format!("»{text}«") };
                out.push_str(&marked);
                continue;
            }
            // Of a long value what is near the match matters.
            let (before, after) = (at + 1 == pieces.len(), at == 0);
            match (has_match, after, before) {
                (true, true, false) => out.push_str(&end_of(&text)),
                _ => out.push_str(&shortened(&text)),
            }
        }
        out
    }

    fn proposal(&mut self, proposal: &Proposal) {
        self.title("The narrowest exclusion that lets it pass");
        self.line(&format!("{INDENT}Only if you know that the request is legitimate."));
        for one in &proposal.exclusions {
            let what = match &one.target {
                Some(target) => format!("rule {} no longer looks at {target}", one.rule),
                None => format!("rule {} is switched off", one.rule),
            };
            self.line(&format!("{INDENT}{what}, for {}", one.place.told()));
        }
        for warning in &proposal.warnings {
            let text = self
                .styled(Style::Yellow, &format!("{INDENT}broader than what was seen: {}", escaped(warning)));
            self.line(&text);
        }
        let (word, style) = match proposal.proof.proven {
            true => ("proven", Style::Green),
            false => ("NOT PROVEN", Style::Red),
        };
        let word = self.styled(style, word);
        self.line(&format!("{INDENT}{word}: {}", escaped(&proposal.proof.told)));
        for (what, text) in
            [("SecLang, before the rules", &proposal.seclang), ("Native YAML, the same", &proposal.yaml)]
        {
            self.line("");
            self.line(&format!("{INDENT}{what}:"));
            self.line("");
            for line in text.lines() {
                self.line(&format!("{INDENT}{INDENT}{line}"));
            }
        }
    }

    fn near(&mut self, near: &Near) {
        self.title("At higher paranoia levels it would also match");
        if near.levels.is_empty() {
            self.line(&format!("{INDENT}nothing"));
        }
        for rule in &near.levels {
            self.rule(rule);
        }
        self.title("Rules of which all conditions but the last are met");
        if near.almost.is_empty() {
            self.line(&format!("{INDENT}none"));
        }
        for one in &near.almost {
            let head = format!("{:<10} {}", one.id, escaped(&one.message));
            let head = self.styled(Style::Bold, &head);
            self.line("");
            self.line(&format!("         {head}"));
            let lacking = escaped(&one.lacking.join(", "));
            self.line(&format!(
                "         not met: the last of {} conditions, on {}",
                one.links,
                shortened(&lacking)
            ));
            for matched in &one.matches {
                self.matched(matched);
            }
        }
    }
}

fn sum(what: &str, score: Score, rules: &[Rule]) -> String {
    let outbound = what == "response";
    let counted = rules.iter().filter(|rule| rule.counted && rule.outbound == outbound && rule.score != 0);
    let parts: Vec<String> = counted.map(|rule| rule.score.to_string()).collect();
    let parts = if parts.len() > 1 { format!("{} = ", parts.join(" + ")) } else { String::new() };
    let threshold = match score.threshold {
        0 => "no threshold".to_owned(),
        threshold if score.total >= threshold => format!("the threshold is {threshold}: reached"),
        threshold => format!("the threshold is {threshold}: not reached"),
    };
    let watched = match score.uncounted {
        0 => String::new(),
        more => format!("; {more} more at levels that are only watched"),
    };
    format!("Score of the {what}: {parts}{}; {threshold}{watched}", score.total)
}

fn ids(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn shown_hash(hash: &str) -> String {
    escaped(hash.get(..12).unwrap_or(hash))
}

/// Characters of a text that are shown on a line.
const LINE: usize = 400;

/// Characters of an operator that are shown: patterns are for those who look them up in the rule.
const OPERATOR: usize = 80;

fn shortened(text: &str) -> String {
    shortened_to(text, LINE)
}

fn shortened_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => {
            let (shown, rest) = text.split_at(at);
            format!("{shown}…[{} more]", rest.chars().count())
        }
    }
}

/// The end of a text, as much as [`shortened`] shows of the beginning.
fn end_of(text: &str) -> String {
    let count = text.chars().count();
    match count.checked_sub(LINE / 4) {
        None | Some(0) => text.to_owned(),
        Some(left) => format!("[{left} before]…{}", text.chars().skip(left).collect::<String>()),
    }
}
