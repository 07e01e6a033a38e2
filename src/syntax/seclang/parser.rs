//! Logical lines → statements. Goes on after a fault, so that all faults are told at once.

use super::directives::{self, DIRECTIVES, DirectiveRow};
use super::lexer::{self, Argument, Lines, is_blank};
use super::mapped::Mapped;
use super::rules;
use crate::dialect::Status;
use crate::limits;
use crate::source::{FileId, Span, Spanned};
use crate::syntax::ast::{Action, ActionStatement, Directive, LeftOut, Rule, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, nearest, shorten};
use crate::syntax::load::Load;

/// Reads all of `text`, which is the text of `file`, called `name`. A byte that was not UTF-8 has been replaced
/// at each of `replaced`.
pub(crate) fn read(load: &mut Load<'_>, name: &str, file: FileId, text: &str, replaced: &[usize]) {
    Parser { load, name }.lines(Lines::new(file, text), file, replaced);
}

/// Reads the part of a file which ends with `text` and begins at byte `start` of it, each line indented by
/// `indent` spaces that mean nothing.
pub(crate) fn read_block(
    load: &mut Load<'_>,
    name: &str,
    file: FileId,
    text: &str,
    start: usize,
    indent: usize,
) {
    Parser { load, name }.lines(Lines::block(file, text, start, indent), file, &[]);
}

/// Checks that `row` takes `given` arguments and is something that is done here; complaints stand at `name`.
/// `false` when it must be left out.
pub(crate) fn check(row: &DirectiveRow, name: Span, given: usize, diagnostics: &mut Diagnostics) -> bool {
    if given < usize::from(row.arity.0) || given > usize::from(row.arity.1) {
        let code = if given < usize::from(row.arity.0) { "missing-argument" } else { "extra-argument" };
        diagnostics.push(Diagnostic::error(code, name, arity_message(row, given)).help(row.doc));
        return false;
    }
    match row.status {
        Status::Implemented => true,
        Status::Accepted(why) => {
            diagnostics.push(
                Diagnostic::warning("no-effect", name, format!("{} has no effect: {why}", row.name))
                    .help("the line can be removed"),
            );
            true
        }
        Status::Refused(refusal) => {
            let message = format!("{} is not supported: {}", row.name, refusal.why);
            diagnostics.push(Diagnostic::error("refused", name, message).help(refusal.instead));
            false
        }
    }
}

/// The complaint about a directive `name` that does not exist.
pub(crate) fn unknown(name: &str, span: Span) -> Diagnostic {
    let fault =
        Diagnostic::error("unknown-directive", span, format!("there is no directive `{}`", shorten(name)));
    if name.starts_with('<') {
        fault.help(
            "sections of Apache's configuration have no meaning in rule text; \
             the configuration file gives each site its rules",
        )
    } else if let Some(near) = nearest(name, DIRECTIVES.iter().map(|row| row.name)) {
        fault.help(format!("did you mean {near}?"))
    } else if name.starts_with(['"', '\'']) {
        fault.help("the line before may lack the backslash which continues it")
    } else {
        fault
    }
}

struct Parser<'a, 'b> {
    load: &'a mut Load<'b>,
    /// The file's name.
    name: &'a str,
}

impl Parser<'_, '_> {
    fn lines(&mut self, mut lines: Lines<'_>, file: FileId, replaced: &[usize]) {
        let before = self.load.diagnostics.len();
        while let Some(line) = lines.next(self.load.diagnostics) {
            let range = line.full_span().range();
            let first = replaced.partition_point(|at| *at < range.start);
            if let Some(at) = replaced.get(first).filter(|at| **at < range.end) {
                let span = Span::new(file, *at, *at + char::REPLACEMENT_CHARACTER.len_utf8());
                self.load
                    .diagnostics
                    .push(Diagnostic::error("not-utf8", span, "this byte is not UTF-8").help(
                    "write bytes beyond ASCII as \\xHH in a regular expression, and save the file as UTF-8",
                ));
            }
            self.statement(line, &mut lines);
            if self.load.diagnostics.len() - before > limits::DIAGNOSTICS {
                let message =
                    format!("this file has more than {} faults; the rest was not read", limits::DIAGNOSTICS);
                let here = Span::new(file, range.start, range.start);
                self.load.diagnostics.push(Diagnostic::error("too-many-faults", here, message));
                return;
            }
        }
    }

    fn statement(&mut self, mut line: Mapped, lines: &mut Lines<'_>) {
        let mut end = 0;
        while line.byte(end).is_some_and(|b| !is_blank(b)) {
            end += 1;
        }
        let name = line.get(0..end).to_owned();
        let name_span = line.span(0..end);
        let Some(row) = directives::find(&name) else {
            self.load.diagnostics.push(unknown(&name, name_span));
            self.leave_out(name, name_span);
            return;
        };
        if row.name == "SecDataset" && line.as_str().bytes().filter(|b| *b == b'`').count() == 1 {
            // Without a second backtick anywhere, the missing quote is told below.
            lines.read_to_backtick(&mut line);
        }
        let span = line.full_span();
        let Some(arguments) = lexer::arguments(&line, end, self.load.diagnostics) else {
            self.leave_out(name, name_span);
            return;
        };
        if let Some(extra) = arguments.get(usize::from(row.arity.1)) {
            self.extra(row, &arguments, extra);
            self.leave_out(name, name_span);
            return;
        }
        if !check(row, name_span, arguments.len(), self.load.diagnostics) {
            self.leave_out(name, name_span);
            return;
        }
        let before = self.load.diagnostics.errors();
        let statement = match row.name {
            "Include" | "IncludeOptional" => {
                self.leave_out(name, name_span);
                for argument in &arguments {
                    let optional = row.name == "IncludeOptional";
                    self.load.include(self.name, argument.text.as_str(), argument.span, optional);
                }
                return;
            }
            "SecRule" => self.rule(&arguments, span),
            "SecAction" => self
                .actions(arguments.first())
                .map(|actions| Statement::Action(ActionStatement { actions, span })),
            "SecDefaultAction" => self
                .actions(arguments.first())
                .map(|actions| Statement::DefaultAction(ActionStatement { actions, span })),
            "SecMarker" => arguments.first().map(|name| Statement::Marker(whole(&name.text), span)),
            _ => Some(Statement::Directive(Directive {
                name: Spanned::new(row.name, name_span),
                arguments: arguments.iter().map(|argument| whole(&argument.text)).collect(),
                span,
            })),
        };
        // With a fault in it, a statement is left out: the load has failed anyway, and what is left of it would
        // only bring further complaints.
        if self.load.diagnostics.errors() == before {
            self.load.document.statements.extend(statement);
        } else {
            self.load.document.left_out.extend(statement.map(LeftOut::Statement));
        }
    }

    fn leave_out(&mut self, name: String, span: Span) {
        self.load.document.left_out.push(LeftOut::Directive(Spanned::new(name, span)));
    }

    fn rule(&mut self, arguments: &[Argument], span: Span) -> Option<Statement> {
        let [targets, operator, rest @ ..] = arguments else { return None };
        let targets = rules::targets(&targets.text, self.load.diagnostics);
        let operator = rules::operator(&operator.text);
        if operator.name.is_empty() {
            self.load.diagnostics.push(
                Diagnostic::error("no-operator", operator.span, "an operator's name is missing after the @")
                    .help(
                        "for example @rx, @pm or @streq; a pattern that begins with @ is written \"@rx @…\"",
                    ),
            );
        }
        let actions = rest.first().map(|argument| rules::actions(&argument.text, self.load.diagnostics));
        Some(Statement::Rule(Rule { targets, operator, actions: actions.unwrap_or_default(), span }))
    }

    fn actions(&mut self, argument: Option<&Argument>) -> Option<Vec<Action>> {
        Some(rules::actions(&argument?.text, self.load.diagnostics))
    }

    fn extra(&mut self, row: &DirectiveRow, arguments: &[Argument], extra: &Argument) {
        let comment = arguments.iter().find(|argument| argument.text.as_str().starts_with('#'));
        let (span, help) = match comment {
            Some(comment) => (
                comment.span,
                "a comment needs a line of its own, and cannot stand inside a continued directive",
            ),
            None => (
                extra.span,
                "put double quotes round an argument with white space in it, and write \\\" for a quote inside",
            ),
        };
        let message = arity_message(row, arguments.len());
        self.load.diagnostics.push(Diagnostic::error("extra-argument", span, message).help(help));
    }
}

fn whole(text: &Mapped) -> Spanned<String> {
    text.spanned(0..text.len())
}

fn arity_message(row: &DirectiveRow, given: usize) -> String {
    let wants = match row.arity {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "one argument".to_owned(),
        (a, b) if a == b => format!("{a} arguments"),
        (a, 255) => format!("at least {a} argument{}", if a == 1 { "" } else { "s" }),
        (a, b) if a + 1 == b => format!("{a} or {b} arguments"),
        (a, b) => format!("{a} to {b} arguments"),
    };
    format!("{} takes {wants}, and here {}", row.name, counted(given))
}

fn counted(number: usize) -> String {
    match number {
        0 => "there is none".to_owned(),
        1 => "there is one".to_owned(),
        n => format!("there are {n}"),
    }
}
