//! The syntax tree which SecLang and native YAML share.
//!
//! It is flat, as rule text is: a chain is a run of [`Rule`]s of which all but the last carry the action
//! `chain`. Names stand as written; nothing has been resolved, defaulted or merged.

use crate::source::{Span, Spanned};
use std::collections::HashMap;
use time::Date;

/// All statements of one load, in the order in which they take effect, `Include`s already spliced in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The statements.
    pub statements: Vec<Statement>,
    /// What the authors of rules say that the rules match and pass. Only native YAML has these.
    pub tests: Vec<RuleTest>,
    /// What was read of SecLang and is no statement. Nothing is made of it; a survey of what rule text uses counts
    /// it too.
    pub left_out: Vec<LeftOut>,
    /// What the authors of rules say about them. Only native YAML has these.
    pub notes: Vec<RuleNote>,
    /// The virtual patches among what was read.
    pub patches: Vec<Patch>,
    /// The rules that are called by a text, under the numbers which that gave them.
    pub names: HashMap<u64, Spanned<String>>,
}

/// What became no statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A directive that was carried out when it was read (`Include`), that is refused, unknown, or could not be
    /// read: its name as written.
    Directive(Spanned<String>),
    /// A rule or a list of actions with a fault in it, as far as it could be read.
    Statement(Statement),
}

/// What its author says about a rule, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNote {
    /// The rule's number.
    pub rule: u64,
    /// What it is called: its id if that is a text, or its name.
    pub name: Option<String>,
    /// What it is about, for whoever sees it in a log.
    pub description: Option<String>,
    /// When it may be wrong and what to do then, for whoever tunes it.
    pub tuning: Option<String>,
    /// CVE, CWE and CAPEC numbers, and addresses.
    pub references: Vec<String>,
    /// Requests that it must match.
    pub matches: usize,
    /// Requests that it must pass.
    pub passes: usize,
    /// Where the rule was written.
    pub span: Span,
}

/// What a virtual patch says about itself. Its rules are among the statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its file's name without directory and extension.
    pub name: String,
    /// One line: the flaw.
    pub title: String,
    /// `CVE-…` numbers; none for a flaw that has not got one.
    pub cve: Vec<String>,
    /// The product that is flawed.
    pub product: String,
    /// The versions that are.
    pub affected: Option<String>,
    /// What the patch blocks.
    pub blocks: String,
    /// What it is known not to block.
    pub misses: Option<String>,
    /// Addresses, CWE and CAPEC numbers.
    pub references: Vec<String>,
    /// As of a rule, in lower case.
    pub severity: String,
    /// Who answers for it.
    pub owner: String,
    /// When it was written.
    pub created: Date,
    /// From when on somebody should look whether it is still needed. It goes on blocking.
    pub review_by: Spanned<Date>,
    /// Whether its rules only tell and do not block.
    pub detection_only: bool,
    /// Where it stands.
    pub span: Span,
}

/// A request which a rule must match, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTest {
    /// The rule's id.
    pub rule: u64,
    /// Further rules which the same text became (`only:`): the test is about all of them together.
    pub also: Vec<u64>,
    /// What is sent.
    pub request: TestRequest,
    /// What the application answers; `None` for an empty 200.
    pub response: Option<TestResponse>,
    /// Whether the rule must match.
    pub matches: bool,
    /// Where the test was written.
    pub span: Span,
}

/// The request of a [`RuleTest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRequest {
    /// The method.
    pub method: String,
    /// The target, with what cannot stand in a request line percent-encoded.
    pub uri: String,
    /// The version of HTTP; 1.1 if the test names none.
    pub protocol: Option<String>,
    /// Names and values, in order. Nothing is added to what was written but a `Content-Type` for a body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The response of a [`RuleTest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestResponse {
    /// The status.
    pub status: u16,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `SecRule VARIABLES OPERATOR [ACTIONS]`.
    Rule(Rule),
    /// `SecAction ACTIONS`.
    Action(ActionStatement),
    /// `SecDefaultAction ACTIONS`.
    DefaultAction(ActionStatement),
    /// `SecMarker NAME`.
    Marker(Spanned<String>, Span),
    /// Any other directive with its arguments, unquoted.
    Directive(Directive),
}

impl Statement {
    /// Where the whole statement stands.
    pub fn span(&self) -> Span {
        match self {
            Statement::Rule(r) => r.span,
            Statement::Action(a) | Statement::DefaultAction(a) => a.span,
            Statement::Marker(_, span) => *span,
            Statement::Directive(d) => d.span,
        }
    }
}

/// `SecRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is looked at, in order; exclusions stand among the targets.
    pub targets: Vec<Target>,
    /// What it is compared with.
    pub operator: Operator,
    /// What to do about it.
    pub actions: Vec<Action>,
    /// The whole directive.
    pub span: Span,
}

/// `SecAction` or `SecDefaultAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionStatement {
    /// The action list.
    pub actions: Vec<Action>,
    /// The whole directive.
    pub span: Span,
}

/// One member of a target list: `[!|&]NAME[:selector]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `!`: takes away instead of adding.
    pub excluded: bool,
    /// `&`: how many there are, instead of the values.
    pub count: bool,
    /// The variable's name as written, e.g. `ARGS`.
    pub name: Spanned<String>,
    /// What follows the colon.
    pub selector: Option<Spanned<Selector>>,
    /// The whole target.
    pub span: Span,
}

/// What follows the colon of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A member's name. For `XML`, an XPath expression.
    Key(String),
    /// `/regex/`: all members whose name matches; without the slashes, escaped slashes unescaped.
    Regex(String),
}

/// `[!]@name argument`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `!`: matches where the operator does not.
    pub negated: bool,
    /// The name without `@`; `rx` when none was written (then `implicit` is set).
    pub name: Spanned<String>,
    /// No `@name` was written.
    pub implicit: bool,
    /// The argument, after the quoting of the directive has been undone. May hold macros (`%{…}`).
    pub argument: Spanned<String>,
    /// The whole operator.
    pub span: Span,
}

/// One member of an action list: `name[:value]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The name as written, e.g. `setvar`, `t`, `ctl`.
    pub name: Spanned<String>,
    /// What follows the colon, without its single quotes. May hold macros.
    pub value: Option<Spanned<String>>,
    /// The whole action.
    pub span: Span,
}

/// A directive other than those that have a statement of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The name in the table's spelling (directive names are case-insensitive).
    pub name: Spanned<&'static str>,
    /// The arguments, unquoted.
    pub arguments: Vec<Spanned<String>>,
    /// The whole directive.
    pub span: Span,
}
