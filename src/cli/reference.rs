//! The command line's documentation, made of the same text that `--help` prints.

use super::help;
use std::fmt::Write as _;

/// `docs/cli.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "# Command line\n\nWhat `--help` prints. This page is made from it; edit `src/cli/args.rs`.\n",
    );
    let mut command = help::command().term_width(WIDTH).disable_help_subcommand(true);
    command.build();
    section(&mut command, "portcullis", &mut out);
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            section(sub, &format!("portcullis {name}"), &mut out);
            for inner in sub.get_subcommands_mut() {
                let title = format!("portcullis {name} {}", inner.get_name());
                section(inner, &title, &mut out);
            }
        }
    }
    out
}

const WIDTH: usize = 100;

fn section(command: &mut clap::Command, title: &str, out: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Infallible: the target is a string.
    let _ = write!(out, "\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
}
