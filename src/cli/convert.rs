//! `portcullis convert`: rule files from SecLang to YAML and back.

use super::console::{colour, complain, say};
use crate::reload::file_loader;
use crate::syntax::convert::{Converted, to_seclang, to_yaml};
use crate::syntax::diagnostic;
use clap::{Args, ValueEnum, ValueHint};
use std::path::{Path, PathBuf};

/// `portcullis convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Rule files. Those that they include are not converted with them.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The syntax to convert to [default: the other one].
    #[arg(long, value_enum)]
    pub to: Option<Syntax>,
    /// File to write, or directory to write each file into, its extension changed [default: standard output].
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
}

/// A syntax of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Syntax {
    /// Native YAML.
    Yaml,
    /// SecLang.
    Seclang,
}

/// Below its `--help`.
pub(in crate::cli) const HELP: &str = "\
Each rule is read again after it was written and compared with the one that it came from. What YAML has no key for
stays SecLang, in a block of its own. Comments between rules are kept; tests are lost on the way to SecLang.

Examples:
  portcullis convert rules/custom.conf
  portcullis convert --output rules-yaml/ rules/*.conf
  portcullis convert patch.yaml > patch.conf

Exit codes:
  0  converted
  1  a file has faults, or could not be read or written
  2  the command line itself is wrong";

/// Converts and tells. `false` when a file could not be converted.
pub(super) fn convert(args: &ConvertArgs) -> bool {
    if args.files.len() > 1 && args.output.is_none() {
        complain("error: several files need --output with a directory to write to\n");
        return false;
    }
    let mut good = true;
    for file in &args.files {
        if let Err(message) = one(file, args) {
            complain(&message);
            good = false;
        }
    }
    good
}

fn one(file: &Path, args: &ConvertArgs) -> Result<(), String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("error: {name}: {error}\n"))?;
    let is_yaml =
        file.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
    let to = args.to.unwrap_or(if is_yaml { Syntax::Seclang } else { Syntax::Yaml });
    let converted = match (to, is_yaml) {
        (Syntax::Yaml, false) => to_yaml(&name, &text, &file_loader()),
        (Syntax::Seclang, true) => to_seclang(&name, &text, &file_loader()),
        _ => return Err(format!("error: {name} is written so already; --to says the other syntax\n")),
    };
    let converted =
        converted.map_err(|faulty| diagnostic::render(&faulty.diagnostics, &faulty.sources, colour()))?;
    write(file, to, &converted, args.output.as_deref())
}

fn write(file: &Path, to: Syntax, converted: &Converted, output: Option<&Path>) -> Result<(), String> {
    let Some(output) = output else {
        say(&converted.text);
        return Ok(());
    };
    let extension = match to {
        Syntax::Yaml => "yaml",
        Syntax::Seclang => "conf",
    };
    let path = match file.file_name() {
        Some(name) if output.is_dir() => PathBuf::from(name).with_extension(extension),
        _ => PathBuf::new(),
    };
    let path = if path.as_os_str().is_empty() { output.to_owned() } else { output.join(path) };
    std::fs::write(&path, &converted.text)
        .map_err(|error| format!("error: {}: {error}\n", path.display()))?;
    let kept = match converted.kept {
        0 => String::new(),
        kept => format!(", {kept} of them as blocks of SecLang"),
    };
    complain(&format!("{}: {} statements{kept}\n", path.display(), converted.converted));
    Ok(())
}
