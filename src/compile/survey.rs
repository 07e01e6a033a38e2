//! What rule text uses, name by name, and what the registries say of each name. Rule text that cannot be compiled
//! is surveyed too: names are looked up, nothing is built.

use super::action::{self, ACTIONS};
use super::ctl::CTL_OPTIONS;
use crate::dialect::{Difference, Engine, Refusal, Status};
use crate::operator;
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::ast::{self, Document, LeftOut, Statement};
use crate::syntax::diagnostic::{Diagnostics, nearest};
use crate::syntax::seclang::{self, DIRECTIVES};
use crate::transform::{self, TransformId};
use crate::variable::{self, Variable};
use std::collections::BTreeMap;

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `SecRule`, …
    Directive,
    /// `ARGS`, …
    Variable,
    /// `@rx`, …
    Operator,
    /// `t:lowercase`, …
    Transformation,
    /// `deny`, …
    Action,
    /// `ctl:ruleEngine`, …
    Ctl,
}

impl Kind {
    /// All kinds, in the order of a survey.
    pub const ALL: [Kind; 6] =
        [Kind::Directive, Kind::Variable, Kind::Operator, Kind::Transformation, Kind::Action, Kind::Ctl];

    /// What one of them is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Directive => "directive",
            Kind::Variable => "variable",
            Kind::Operator => "operator",
            Kind::Transformation => "transformation",
            Kind::Action => "action",
            Kind::Ctl => "ctl",
        }
    }

    /// What stands before its name in rule text.
    pub fn prefix(self) -> &'static str {
        match self {
            Kind::Directive | Kind::Variable | Kind::Action => "",
            Kind::Operator => "@",
            Kind::Transformation => "t:",
            Kind::Ctl => "ctl:",
        }
    }
}

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is known and works.
    Supported,
    /// It is accepted, and has no effect or no value.
    NoEffect(&'static str),
    /// It is known and refused.
    Refused(Refusal),
    /// There is nothing of that name; the nearest name, if one is near.
    Unknown(Option<&'static str>),
}

/// A name that rule text uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What it names.
    pub kind: Kind,
    /// The registry's spelling, or the text's of an unknown name; without [`Kind::prefix`].
    pub name: String,
    /// How often.
    pub count: usize,
    /// Where it stands first.
    pub first: Span,
    /// What becomes of it.
    pub finding: Finding,
    /// Where it does something else than elsewhere.
    pub differs: &'static [Difference],
}

/// What rule text uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Each name once, by kind and name.
    pub uses: Vec<Use>,
    /// Directives that do not occur and whose defaults are others elsewhere.
    pub absent: Vec<(&'static str, &'static [Difference])>,
}

impl Survey {
    /// Surveys `document`, whose texts are in `sources`.
    pub fn of(document: &Document, sources: &SourceMap) -> Self {
        let mut counter = Counter { sources, uses: BTreeMap::new() };
        for statement in &document.statements {
            counter.statement(statement);
        }
        for left_out in &document.left_out {
            match left_out {
                LeftOut::Directive(name) => counter.name(Kind::Directive, name, name.span),
                LeftOut::Statement(statement) => counter.statement(statement),
            }
        }
        let uses: Vec<Use> = counter.uses.into_values().collect();
        let occurs = |name: &str| uses.iter().any(|u| u.kind == Kind::Directive && u.name == name);
        let absent = DIRECTIVES.iter().filter(|row| !row.absent.is_empty() && !occurs(row.name));
        let absent = absent.map(|row| (row.name, row.absent)).collect();
        Self { uses, absent }
    }
}

/// The differences of `all` that concern whoever comes `from` an engine; all when it is not said which.
pub fn concerning(
    all: &'static [Difference],
    from: Option<Engine>,
) -> impl Iterator<Item = &'static Difference> {
    all.iter().filter(move |d| from.is_none_or(|engine| d.from.contains(&engine)))
}

struct Counter<'a> {
    sources: &'a SourceMap,
    uses: BTreeMap<(Kind, String), Use>,
}

impl Counter<'_> {
    fn statement(&mut self, statement: &Statement) {
        let named = |c: &mut Self, name: &str| c.name(Kind::Directive, name, statement.span());
        match statement {
            Statement::Rule(rule) => {
                named(self, "SecRule");
                self.targets(&rule.targets);
                let operator = &rule.operator;
                if !operator.name.is_empty() {
                    self.name(Kind::Operator, &operator.name, operator.name.span);
                }
                if operator::find(&operator.name).is_some_and(|o| o.argument == operator::Argument::Macro) {
                    self.macros(&operator.argument);
                }
                self.actions(&rule.actions);
            }
            Statement::Action(list) => {
                named(self, "SecAction");
                self.actions(&list.actions);
            }
            Statement::DefaultAction(list) => {
                named(self, "SecDefaultAction");
                self.actions(&list.actions);
            }
            Statement::Marker(..) => named(self, "SecMarker"),
            Statement::Directive(directive) => {
                named(self, directive.name.node);
                // Faults in these texts are told by the compiler.
                let mut faults = Diagnostics::new();
                match directive.name.node {
                    "SecRuleUpdateTargetById" | "SecRuleUpdateTargetByTag" | "SecRuleUpdateTargetByMsg" => {
                        for text in directive.arguments.iter().skip(1) {
                            self.targets(&seclang::parse_targets(text, self.sources, &mut faults));
                        }
                    }
                    "SecRuleUpdateActionById" => {
                        for text in directive.arguments.iter().skip(1) {
                            self.actions(&seclang::parse_actions(text, self.sources, &mut faults));
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn targets(&mut self, targets: &[ast::Target]) {
        for target in targets {
            let name = target.name.split_once('.').map_or(target.name.as_str(), |(name, _)| name);
            self.name(Kind::Variable, name, target.name.span);
        }
    }

    fn actions(&mut self, actions: &[ast::Action]) {
        for action in actions {
            self.name(Kind::Action, &action.name, action.name.span);
            let Some(value) = &action.value else { continue };
            if action.name.eq_ignore_ascii_case("t") {
                self.name(Kind::Transformation, value.trim(), value.span);
            } else if action.name.eq_ignore_ascii_case("ctl") {
                self.ctl(value);
            } else {
                self.macros(value);
            }
        }
    }

    fn ctl(&mut self, text: &Spanned<String>) {
        let (option, value) = text.split_once('=').unwrap_or((text, ""));
        self.name(Kind::Ctl, option.trim(), text.span);
        let removes = option.trim().to_ascii_lowercase().starts_with("ruleremovetarget");
        if let Some((_, target)) = value.split_once(';').filter(|_| removes) {
            let target = target.trim().trim_start_matches('!');
            let name = target.split([':', '.']).next().unwrap_or_default();
            self.name(Kind::Variable, name, text.span);
        }
    }

    /// The variables of `%{…}`. A name that is no variable stays text, so that it is no use of anything.
    fn macros(&mut self, text: &Spanned<String>) {
        let mut rest = text.as_str();
        while let Some((_, inside)) = rest.split_once("%{") {
            rest = inside;
            let name = inside.split(['}', '.', ':']).next().unwrap_or_default();
            if variable::find(name).is_some() && inside.contains('}') {
                self.name(Kind::Variable, name, text.span);
            }
        }
    }

    fn name(&mut self, kind: Kind, written: &str, at: Span) {
        let (name, finding, differs) = look_up(kind, written);
        let used = self.uses.entry((kind, name.to_ascii_lowercase())).or_insert_with(|| Use {
            kind,
            name: name.to_owned(),
            count: 0,
            first: at,
            finding,
            differs,
        });
        used.count += 1;
        used.first = used.first.min(at);
    }
}

/// What the registries say of `name`: its spelling, what becomes of it, and where it differs.
fn look_up(kind: Kind, name: &str) -> (&str, Finding, &'static [Difference]) {
    fn of(status: Status) -> Finding {
        match status {
            Status::Implemented => Finding::Supported,
            Status::Accepted(why) => Finding::NoEffect(why),
            Status::Refused(refusal) => Finding::Refused(refusal),
        }
    }
    let known = match kind {
        Kind::Directive => seclang::find_directive(name).map(|r| (r.name, of(r.status), r.differs)),
        Kind::Variable => variable::find(name).map(Variable::row).map(|r| (r.name, of(r.status), r.differs)),
        Kind::Operator => operator::find(name).map(|r| (r.name, of(r.status), r.differs)),
        // `none` is an instruction and no transformation.
        Kind::Transformation if name.eq_ignore_ascii_case("none") => {
            Some(("none", Finding::Supported, &[][..]))
        }
        Kind::Transformation => {
            transform::find(name).map(TransformId::row).map(|r| (r.name, Finding::Supported, r.differs))
        }
        Kind::Action => action::find(name).map(|r| (r.name, of(r.status), r.differs)),
        Kind::Ctl => {
            let row = CTL_OPTIONS.iter().find(|r| r.name.eq_ignore_ascii_case(name));
            row.map(|r| (r.name, of(r.status), r.differs))
        }
    };
    known.unwrap_or_else(|| {
        let near = match kind {
            Kind::Directive => nearest(name, DIRECTIVES.iter().map(|r| r.name)),
            Kind::Variable => nearest(name, variable::all().iter().map(|r| r.name)),
            Kind::Operator => nearest(name, operator::all().iter().map(|r| r.name)),
            Kind::Transformation => nearest(name, transform::all().iter().map(|r| r.name)),
            Kind::Action => nearest(name, ACTIONS.iter().map(|r| r.name)),
            Kind::Ctl => nearest(name, CTL_OPTIONS.iter().map(|r| r.name)),
        };
        (name, Finding::Unknown(near), &[])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::seclang::{FileLoader, parse_text};

    fn survey(text: &str) -> Vec<(Kind, String, usize, Finding)> {
        let (mut sources, mut faults) = (SourceMap::new(), Diagnostics::new());
        let mut document = Document::default();
        parse_text("a.conf", text, &FileLoader, &mut sources, &mut faults, &mut document);
        let uses = Survey::of(&document, &sources).uses;
        uses.into_iter().map(|u| (u.kind, u.name, u.count, u.finding)).collect()
    }

    fn count(uses: &[(Kind, String, usize, Finding)], kind: Kind, name: &str) -> usize {
        uses.iter().find(|u| u.0 == kind && u.1 == name).map_or(0, |u| u.2)
    }

    #[test]
    fn names_are_counted_wherever_they_stand() {
        let uses = survey(
            "SecRule args|!ARGS:x|TX.a \"@STREQ %{REMOTE_ADDR}\" \"id:1,t:none,t:LOWERCASE,pass,\\\n\
             ctl:ruleRemoveTargetById=2;REQUEST_COOKIES:a,setvar:'tx.b=%{unique_id} %{nothing}'\"\n\
             SecRuleUpdateTargetById 1 \"!FILES\"\nSecRuleUpdateActionById 1 \"t:trim\"\nsecmarker x\n",
        );
        for (kind, name, times) in [
            (Kind::Directive, "SecRule", 1),
            (Kind::Directive, "SecMarker", 1),
            (Kind::Variable, "ARGS", 2),
            (Kind::Variable, "TX", 1),
            (Kind::Variable, "REMOTE_ADDR", 1),
            (Kind::Variable, "UNIQUE_ID", 1),
            (Kind::Variable, "REQUEST_COOKIES", 1),
            (Kind::Variable, "FILES", 1),
            (Kind::Operator, "streq", 1),
            (Kind::Transformation, "none", 1),
            (Kind::Transformation, "lowercase", 1),
            (Kind::Transformation, "trim", 1),
            (Kind::Action, "t", 3),
            (Kind::Ctl, "ruleRemoveTargetById", 1),
        ] {
            assert_eq!(count(&uses, kind, name), times, "{name}");
        }
        assert!(uses.iter().all(|u| u.3 == Finding::Supported), "{uses:?}");
    }

    #[test]
    fn faulty_text_is_surveyed_too() {
        let uses = survey(
            "SecRuleEngin On\nSecRuleScript a.lua\nSecAction\nSecRule ARGZ|ARGS:/x \"@rxx a\" \"id:1,t:lowercas,denny,deny\"\n",
        );
        let finding = |name: &str| uses.iter().find(|u| u.1 == name).map(|u| u.3);
        assert_eq!(finding("SecRuleEngin"), Some(Finding::Unknown(Some("SecRuleEngine"))));
        assert!(matches!(finding("SecRuleScript"), Some(Finding::Refused(_))));
        assert_eq!(count(&uses, Kind::Directive, "SecAction"), 1);
        assert_eq!(finding("ARGZ"), Some(Finding::Unknown(Some("ARGS"))));
        assert_eq!(finding("rxx"), Some(Finding::Unknown(Some("rx"))));
        assert_eq!(finding("lowercas"), Some(Finding::Unknown(Some("lowercase"))));
        assert_eq!(finding("denny"), Some(Finding::Unknown(Some("deny"))));
        assert_eq!(finding("deny"), Some(Finding::Supported));
    }

    #[test]
    fn rows_say_how_they_differ_in_sentences() {
        let all = DIRECTIVES.iter().flat_map(|r| [r.differs, r.absent]);
        let all = all.chain(variable::all().iter().map(|r| r.differs));
        let all = all.chain(operator::all().iter().map(|r| r.differs));
        let all = all.chain(transform::all().iter().map(|r| r.differs));
        let all = all.chain(ACTIONS.iter().map(|r| r.differs)).chain(CTL_OPTIONS.iter().map(|r| r.differs));
        let mut seen = 0;
        for difference in all.flatten() {
            seen += 1;
            assert!(difference.how.ends_with('.'), "{}", difference.how);
            assert!(!difference.from.is_empty() && difference.from.is_sorted(), "{}", difference.how);
        }
        assert!(seen > 50, "only {seen} differences are known");
    }
}
