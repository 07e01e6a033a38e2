//! From arguments to an exit code.

use super::console::say;
use super::help::command;
use super::{Cli, Command, SchemaOf, bans, check, convert, patch, promote, replay, run, score, test, top};
use clap::FromArgMatches;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `args`, whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = command().try_get_matches_from(args);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" that succeed. A closed pipe is nobody's concern.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let good = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::Test(args) => test::test(args),
        Command::Score(args) => score::score(args),
        Command::Replay(args) => return replay::replay(args),
        Command::Promote(args) => promote::promote(args),
        Command::Top(args) => top::top(args),
        Command::Explain(args) => super::explain::explain(args),
        Command::Tune(args) => super::tune::tune(args),
        Command::Patch(command) => patch::patch(command),
        Command::Bans(command) => bans::bans(command),
        Command::Convert(args) => convert::convert(args),
        Command::Schema { of: SchemaOf::Rules } => {
            say(&crate::syntax::yaml::schema());
            true
        }
        Command::Version { json } => {
            say(&version(*json));
            true
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "portcullis", &mut script);
            say(&String::from_utf8_lossy(&script));
            true
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The exit code for a wrong command line, which is also clap's.
const USAGE: u8 = 2;

fn version(json: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        format!("{}\n", serde_json::json!({"name": "portcullis", "version": version}))
    } else {
        format!("portcullis {version}\n")
    }
}
