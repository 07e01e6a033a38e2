//! Rule files → statements, `Include`s spliced in. Goes on after a fault, so that all faults of all files are
//! told at once.

use super::directives::{self, DIRECTIVES, DirectiveRow, Status};
use super::lexer::{self, Argument, Lines, is_blank};
use super::loader::{Loader, has_wildcard, resolve};
use super::mapped::Mapped;
use super::rules;
use crate::limits;
use crate::source::{FileId, SourceMap, Span, Spanned};
use crate::syntax::ast::{ActionStatement, Directive, Document, Operator, Rule, Statement};
use crate::syntax::diagnostic::{Diagnostic, Diagnostics, Severity, nearest, shorten};

/// Reads the SecLang file `path` and all that it includes; appends the statements to `document` and the faults
/// to `diagnostics`.
pub fn parse_file(
    path: &str,
    loader: &dyn Loader,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
    document: &mut Document,
) {
    let mut parser = Parser::new(loader, sources, diagnostics, document);
    parser.file(path, None);
}

/// Reads SecLang from `text`; `Include`s in it are relative to the directory of `name`.
pub fn parse_text(
    name: &str,
    text: &str,
    loader: &dyn Loader,
    sources: &mut SourceMap,
    diagnostics: &mut Diagnostics,
    document: &mut Document,
) {
    let mut parser = Parser::new(loader, sources, diagnostics, document);
    let file = parser.sources.add(name, text);
    parser.text(name, file, text, &[]);
}

struct Parser<'a> {
    loader: &'a dyn Loader,
    sources: &'a mut SourceMap,
    diagnostics: &'a mut Diagnostics,
    document: &'a mut Document,
    /// The files that are being read, outermost first: identity, and where it was included.
    open: Vec<(String, Option<Span>)>,
    files: usize,
}

impl<'a> Parser<'a> {
    fn new(
        loader: &'a dyn Loader,
        sources: &'a mut SourceMap,
        diagnostics: &'a mut Diagnostics,
        document: &'a mut Document,
    ) -> Self {
        Self { loader, sources, diagnostics, document, open: Vec::new(), files: 0 }
    }

    fn file(&mut self, path: &str, included: Option<Span>) {
        let at = |message: String| Diagnostic {
            severity: Severity::Error,
            code: "unreadable-file",
            message,
            span: included,
            help: None,
            related: Vec::new(),
        };
        self.files += 1;
        if self.files == limits::INCLUDE_FILES + 1 {
            let message = format!("more than {} files are included", limits::INCLUDE_FILES);
            self.diagnostics.push(at(message).help("the pattern of an Include may be wider than meant"));
        }
        if self.files > limits::INCLUDE_FILES {
            return;
        }
        let identity = self.loader.identity(path).unwrap_or_else(|| path.to_owned());
        if let Some((_, first)) = self.open.iter().find(|(open, _)| *open == identity) {
            let mut fault = at(format!("`{}` includes itself", shorten(path)));
            fault.code = "include-cycle";
            if let Some(first) = *first {
                fault = fault.related(first, "it is included here already");
            }
            self.diagnostics.push(fault.help("remove one of the two Includes"));
            return;
        }
        if self.open.len() >= limits::INCLUDE_DEPTH {
            let message = format!("files are included more than {} levels deep", limits::INCLUDE_DEPTH);
            self.diagnostics.push(at(message));
            return;
        }
        let bytes = match self.loader.read(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.diagnostics.push(at(format!("`{}` cannot be read: {why}", shorten(path))));
                return;
            }
        };
        let (text, replaced) = decode(bytes);
        let file = self.sources.add(path, text.as_str());
        self.open.push((identity, included));
        self.text(path, file, &text, &replaced);
        self.open.pop();
    }

    fn text(&mut self, name: &str, file: FileId, text: &str, replaced: &[usize]) {
        let before = self.diagnostics.len();
        let mut lines = Lines::new(file, text);
        while let Some(line) = lines.next(self.diagnostics) {
            let fault = replaced.partition_point(|at| *at < line.full_span().range().start);
            if let Some(at) = replaced.get(fault).filter(|at| **at < line.full_span().range().end) {
                self.diagnostics.push(
                    Diagnostic::error(
                        "not-utf8",
                        Span::new(file, *at, *at + '\u{fffd}'.len_utf8()),
                        "this byte is not UTF-8",
                    )
                    .help("write bytes beyond ASCII as \\xHH in a regular expression, and save the file as UTF-8"),
                );
            }
            self.statement(name, line, &mut lines);
            if self.diagnostics.len() - before > limits::DIAGNOSTICS {
                let here = Span::new(file, 0, 0);
                self.diagnostics.push(Diagnostic::error(
                    "too-many-faults",
                    here,
                    format!(
                        "this file has more than {} faults; the rest of it was not read",
                        limits::DIAGNOSTICS
                    ),
                ));
                return;
            }
        }
    }

    fn statement(&mut self, file_name: &str, mut line: Mapped, lines: &mut Lines<'_>) {
        let mut end = 0;
        while line.byte(end).is_some_and(|b| !is_blank(b)) {
            end += 1;
        }
        let name = line.get(0..end).to_owned();
        let name_span = line.span(0..end);
        let Some(row) = directives::find(&name) else {
            self.unknown(&name, name_span);
            return;
        };
        if row.name == "SecDataset" && line.as_str().bytes().filter(|b| *b == b'`').count() == 1 {
            // Without a second backtick anywhere, the missing quote is told below.
            lines.read_to_backtick(&mut line);
        }
        let span = line.full_span();
        let Some(arguments) = lexer::arguments(&line, end, self.diagnostics) else { return };
        if !self.arity(row, name_span, &arguments) {
            return;
        }
        match row.status {
            Status::Implemented => {}
            Status::Accepted(why) => self.diagnostics.push(
                Diagnostic::warning("no-effect", name_span, format!("{} has no effect: {why}", row.name))
                    .help("the line can be removed"),
            ),
            Status::Refused(why) => {
                self.diagnostics.push(
                    Diagnostic::error("refused", name_span, format!("{} is not supported", row.name))
                        .help(why),
                );
                return;
            }
        }
        let statement = match row.name {
            "Include" | "IncludeOptional" => {
                self.include(file_name, row.name == "IncludeOptional", &arguments);
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
        self.document.statements.extend(statement);
    }

    /// A rule with a fault in it is left out: the load has failed anyway, and what is left of the rule would
    /// only bring further complaints.
    fn rule(&mut self, arguments: &[Argument], span: Span) -> Option<Statement> {
        let [targets, operator, rest @ ..] = arguments else { return None };
        let before = self.diagnostics.errors();
        let targets = rules::targets(&targets.text, self.diagnostics);
        let operator: Operator = rules::operator(&operator.text);
        if operator.name.is_empty() {
            self.diagnostics.push(
                Diagnostic::error("no-operator", operator.span, "an operator's name is missing after the @")
                    .help(
                        "for example @rx, @pm or @streq; a pattern that begins with @ is written \"@rx @…\"",
                    ),
            );
        }
        let actions = rest.first().map(|argument| rules::actions(&argument.text, self.diagnostics));
        (self.diagnostics.errors() == before)
            .then(|| Statement::Rule(Rule { targets, operator, actions: actions.unwrap_or_default(), span }))
    }

    fn actions(&mut self, argument: Option<&Argument>) -> Option<Vec<crate::syntax::ast::Action>> {
        let before = self.diagnostics.errors();
        let actions = rules::actions(&argument?.text, self.diagnostics);
        (self.diagnostics.errors() == before).then_some(actions)
    }

    fn arity(&mut self, row: &DirectiveRow, name: Span, arguments: &[Argument]) -> bool {
        let (least, most) = (usize::from(row.arity.0), usize::from(row.arity.1));
        let wants = match (least, most) {
            (0, 0) => "no argument".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, 255) => format!("at least {a} argument{}", if a == 1 { "" } else { "s" }),
            (a, b) if a + 1 == b => format!("{a} or {b} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        };
        if arguments.len() < least {
            let message = format!("{} takes {wants}, and here {}", row.name, counted(arguments.len()));
            self.diagnostics.push(Diagnostic::error("missing-argument", name, message).help(row.doc));
            return false;
        }
        let Some(extra) = arguments.get(most) else { return true };
        let message = format!("{} takes {wants}, and here {}", row.name, counted(arguments.len()));
        let comment = arguments.iter().find(|argument| argument.text.as_str().starts_with('#'));
        let (extra, help) = match comment {
            Some(comment) => {
                (comment, "a comment needs a line of its own, and cannot stand inside a continued directive")
            }
            None => (
                extra,
                "put double quotes round an argument with white space in it, and write \\\" for a quote inside",
            ),
        };
        self.diagnostics.push(Diagnostic::error("extra-argument", extra.span, message).help(help));
        false
    }

    fn unknown(&mut self, name: &str, span: Span) {
        let fault = Diagnostic::error(
            "unknown-directive",
            span,
            format!("there is no directive `{}`", shorten(name)),
        );
        let fault = if name.starts_with('<') {
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
        };
        self.diagnostics.push(fault);
    }

    fn include(&mut self, from: &str, optional: bool, arguments: &[Argument]) {
        let Some(argument) = arguments.first() else { return };
        let pattern = resolve(from, argument.text.as_str());
        let fault = |message: String| Diagnostic::error("include", argument.span, message);
        match self.loader.expand(&pattern) {
            Err(why) => self.diagnostics.push(fault(format!("`{}`: {why}", shorten(&pattern)))),
            Ok(files) if files.is_empty() && !optional => {
                let message = if has_wildcard(&pattern) {
                    format!("no file matches `{}`", shorten(&pattern))
                } else {
                    format!("there is no file `{}`", shorten(&pattern))
                };
                let help = "the name is relative to the file that includes it; \
                            IncludeOptional accepts that there is none";
                self.diagnostics.push(fault(message).help(help));
            }
            Ok(files) => {
                for file in &files {
                    self.file(file, Some(argument.span));
                }
            }
        }
    }
}

fn whole(text: &Mapped) -> Spanned<String> {
    text.spanned(0..text.len())
}

fn counted(number: usize) -> String {
    match number {
        0 => "there is none".to_owned(),
        1 => "there is one".to_owned(),
        n => format!("there are {n}"),
    }
}

/// `bytes` as text, and where a byte that is not UTF-8 was replaced, in ascending order.
fn decode(bytes: Vec<u8>) -> (String, Vec<usize>) {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            replaced.push(text.len());
            text.push('\u{fffd}');
        }
    }
    (text, replaced)
}
