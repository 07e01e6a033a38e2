//! The command line's grammar with help texts that flow: their lines are wrapped for the terminal, not as the source has
//! them.

use super::Cli;
use clap::{Command, CommandFactory};

/// The command line's grammar.
pub(super) fn command() -> Command {
    flowing(Cli::command())
}

fn flowing(mut command: Command) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(flow(&text));
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, flowing))
}

/// Joins the lines of paragraphs; lists, which are indented, stay as they are.
fn flow(text: &str) -> String {
    let mut out = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        if !out.is_empty() {
            out.push(if is_open && is_prose { ' ' } else { '\n' });
        }
        out.push_str(line);
        is_open = is_prose && !line.ends_with(':');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_flow_and_lists_stay() {
        let text = "One sentence\nover two lines.\nAnother one.\n\nExamples:\n  a b\n  c\n\nThe end";
        let expected = "One sentence over two lines. Another one.\n\nExamples:\n  a b\n  c\n\nThe end";
        assert_eq!(flow(text), expected);
    }
}
