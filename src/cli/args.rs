//! What can be said on the command line. The help texts here are the documentation: `docs/cli.md` repeats them.

use crate::config::Overrides;
use crate::dialect::Engine;
use crate::ruleset::Mode;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A reverse proxy and web application firewall that runs OWASP CRS.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, max_term_width = 100, after_help = TOP_HELP, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: inspect requests and responses, pass on what is clean.
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Check rule files or a configuration without serving.
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Run rule tests: go-ftw YAML files, on the engine alone or against a running instance.
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
    /// Send a labelled set of requests and tell how many attacks are blocked, and how many legitimate requests.
    #[command(after_help = super::score::HELP)]
    Score(super::ScoreArgs),
    /// Run recorded traffic through another ruleset, and tell what it would treat otherwise.
    #[command(after_help = super::replay::HELP)]
    Replay(super::ReplayArgs),
    /// Make a site's candidate ruleset the one that decides, in a running instance.
    #[command(after_help = super::promote::HELP)]
    Promote(super::PromoteArgs),
    /// Show the rules of a running instance that take most time.
    #[command(after_help = super::top::HELP)]
    Top(super::TopArgs),
    /// Tell why a request was blocked, or would be, and the narrowest exclusion that lets it pass.
    #[command(after_help = super::explain::HELP)]
    Explain(super::ExplainArgs),
    /// Find false alarms in an audit log, and the exclusions that end them.
    #[command(after_help = super::tune::HELP)]
    Tune(super::TuneArgs),
    /// Virtual patches: write one from an exploit, list those inside.
    #[command(subcommand, disable_help_subcommand = true)]
    Patch(super::PatchCommand),
    /// Temporary bans of a running instance: list and lift them, through its admin listener.
    #[command(after_help = super::bans::HELP, subcommand, disable_help_subcommand = true)]
    Bans(super::BansCommand),
    /// Convert rule files from SecLang to YAML, or from YAML to SecLang.
    #[command(after_help = super::convert::HELP)]
    Convert(super::ConvertArgs),
    /// Print a JSON Schema for editors.
    #[command(after_help = SCHEMA_HELP)]
    Schema {
        /// Of which files.
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print the version.
    Version {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `portcullis run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to serve.
    #[command(flatten)]
    pub settings: Settings,
    /// Start the demonstration: a small vulnerable-looking application, with Portcullis before it.
    #[arg(long, conflicts_with_all = ["upstreams", "config"])]
    pub demo: bool,
}

/// Settings that may also stand in the environment or in the configuration file. A flag wins over its environment
/// variable, which wins over the file.
#[derive(Debug, Default, Args)]
pub struct Settings {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", env = "PORTCULLIS_CONFIG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Address to serve on, in cleartext [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", env = "PORTCULLIS_LISTEN", hide_env_values = true, value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Address of the admin listener: metrics, health, reload [default: 127.0.0.1:9180].
    #[arg(long, value_name = "ADDR", env = "PORTCULLIS_ADMIN", hide_env_values = true, value_parser = address)]
    pub admin: Option<SocketAddr>,
    /// Application to protect, e.g. http://127.0.0.1:3000; may be repeated.
    #[arg(long = "upstream", value_name = "URL", env = "PORTCULLIS_UPSTREAM", hide_env_values = true, value_delimiter = ',', value_hint = ValueHint::Url)]
    pub upstreams: Vec<String>,
    /// Rule file or glob, SecLang or YAML, in order; may be repeated. Replaces the embedded ruleset.
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_RULES", hide_env_values = true, value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub rules: Vec<String>,
    /// What rules may do, whatever SecRuleEngine says.
    #[arg(long, value_enum, ignore_case = true, env = "PORTCULLIS_MODE", hide_env_values = true)]
    pub mode: Option<ModeArg>,
    /// Audit log file, or - for standard output.
    #[arg(long, value_name = "FILE|-", env = "PORTCULLIS_AUDIT_LOG", hide_env_values = true, value_hint = ValueHint::FilePath)]
    pub audit_log: Option<String>,
    /// Worker threads [default: one a core].
    #[arg(long, value_name = "N", env = "PORTCULLIS_WORKERS", hide_env_values = true)]
    pub workers: Option<NonZeroUsize>,
}

impl Settings {
    /// What flags and environment say, to win over the configuration file.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            listen: self.listen,
            admin: self.admin,
            upstreams: self.upstreams.clone(),
            rules: self.rules.clone(),
            mode: self.mode.map(Mode::from),
            audit_log: self.audit_log.clone(),
            workers: self.workers,
        }
    }
}

/// `--mode`: `SecRuleEngine`'s values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Rules may block.
    #[value(name = "On")]
    On,
    /// Rules are evaluated and logged, and nothing is blocked.
    #[value(name = "DetectionOnly")]
    DetectionOnly,
    /// Rules are not evaluated.
    #[value(name = "Off")]
    Off,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Mode {
        match mode {
            ModeArg::On => Mode::On,
            ModeArg::DetectionOnly => Mode::DetectionOnly,
            ModeArg::Off => Mode::Off,
        }
    }
}

/// `portcullis check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Rule files or globs, in the order in which they would be loaded [default: the embedded ruleset].
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<String>,
    /// Check this configuration with all rules that it names.
    #[arg(short, long, value_name = "FILE", env = "PORTCULLIS_CONFIG", hide_env_values = true, conflicts_with = "files", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Warnings are faults too, and so is a ruleset that cannot block, and a rule in YAML without both kinds of tests.
    #[arg(long)]
    pub strict: bool,
    /// Tell what the rules use, name by name, and what means something else here than in ModSecurity or Coraza.
    #[arg(long, conflicts_with = "config")]
    pub compat: bool,
    /// Tell only differences from this engine, the one that the rules come from.
    #[arg(long, value_enum, value_name = "ENGINE", requires = "compat")]
    pub from: Option<EngineArg>,
    /// As one JSON object, for machines.
    #[arg(long)]
    pub json: bool,
}

/// `--from`: an engine that runs SecLang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// ModSecurity 2, on Apache.
    #[value(name = "modsecurity2")]
    ModSecurity2,
    /// ModSecurity 3, the library.
    #[value(name = "modsecurity3")]
    ModSecurity3,
    /// Coraza 3.
    #[value(name = "coraza")]
    Coraza,
}

impl From<EngineArg> for Engine {
    fn from(engine: EngineArg) -> Engine {
        match engine {
            EngineArg::ModSecurity2 => Engine::ModSecurity2,
            EngineArg::ModSecurity3 => Engine::ModSecurity3,
            EngineArg::Coraza => Engine::Coraza,
        }
    }
}

/// `portcullis test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Test files, rule files in YAML with tests in them, or directories to search for .yaml and .yml.
    #[arg(value_name = "PATH", required_unless_present = "rules", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Run on the engine alone with these rule files or globs, in order; may be repeated [default: the embedded
    /// ruleset].
    #[arg(long, value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::FilePath)]
    pub rules: Vec<String>,
    /// Overrides SecRuleEngine when running on the engine alone.
    #[arg(long, value_enum, ignore_case = true)]
    pub mode: Option<ModeArg>,
    /// Give bodies to the engine byte by byte; no result may depend on it.
    #[arg(long, conflicts_with = "url")]
    pub bytewise: bool,
    /// Send the requests to a running instance instead.
    #[arg(long, value_name = "http://HOST:PORT", requires = "audit_log", conflicts_with_all = ["rules", "mode"], value_hint = ValueHint::Url)]
    pub url: Option<String>,
    /// The running instance's audit log, a file with one JSON object a line.
    #[arg(long, value_name = "FILE", requires = "url", value_hint = ValueHint::FilePath)]
    pub audit_log: Option<PathBuf>,
    /// Serve the answers there meanwhile that CRS's tests expect of the instance's upstream.
    #[arg(long, value_name = "ADDR", requires = "url", value_parser = address)]
    pub backend: Option<SocketAddr>,
    /// Only tests whose RULE-TEST number matches this regular expression, e.g. '^942100-'.
    #[arg(long, value_name = "REGEX")]
    pub filter: Option<regex::Regex>,
    /// Write results for CI servers.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Results as one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What `portcullis schema` can describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Rule files and virtual patches in YAML.
    Rules,
}

/// An address with a port. `localhost` and a lone `:port` mean loopback; other names are not looked up, since what
/// they resolve to may change under the listener.
fn address(text: &str) -> Result<SocketAddr, String> {
    let spelt = match text.strip_prefix("localhost").unwrap_or(text) {
        rest if rest.starts_with(':') && !rest.starts_with("::") => format!("127.0.0.1{rest}"),
        _ => text.to_owned(),
    };
    spelt.parse().map_err(|_| "not an address with a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

const TOP_HELP: &str = "\
Examples:
  portcullis run --demo                            # see it work: prints requests to try
  portcullis run --upstream http://127.0.0.1:3000  # protect an application
  portcullis check /etc/crs/crs-setup.conf '/etc/crs/rules/*.conf'
  portcullis test --rules setup.conf tests/regression/tests

Exit codes:
  0  done, nothing wrong
  1  something is wrong with rules, configuration or tests, or the server could not start
  2  the command line itself is wrong";

const RUN_HELP: &str = "\
Flags win over environment variables, which win over the configuration file. Lists in environment variables
are separated by commas.

Signals:
  SIGHUP          read configuration and rules again; reopen the audit log
  SIGUSR1         reopen the audit log (after rotation)
  SIGTERM, SIGINT finish what is under way, then end

Environment:
  PORTCULLIS_CONFIG, PORTCULLIS_LISTEN, PORTCULLIS_ADMIN, PORTCULLIS_UPSTREAM, PORTCULLIS_RULES,
  PORTCULLIS_MODE, PORTCULLIS_AUDIT_LOG, PORTCULLIS_WORKERS

Examples:
  portcullis run --demo
  portcullis run --upstream http://127.0.0.1:3000 --mode DetectionOnly --audit-log -
  portcullis run --upstream http://app:3000 --listen 0.0.0.0:8080 --rules crs-setup.conf --rules 'rules/*.conf'
  portcullis run -c portcullis.yaml

Exit codes:
  0  ended by a signal
  1  could not start; what is wrong is on standard error
  2  the command line itself is wrong";

const CHECK_HELP: &str = "\
Reports all faults of all files at once, each with its place, then the posture: how many rules of which
paranoia level are active, what is disabled, and whether the ruleset can block at all.

With --compat, for rules that come from another engine: every directive, variable, operator, transformation,
action and ctl that they use, how often and where first; which of them mean something else here, have no effect,
or are refused, and what to write instead; at the end a verdict. Rules that would not load are told of as well.

Examples:
  portcullis check crs-setup.conf 'rules/*.conf'
  portcullis check -c portcullis.yaml --strict
  portcullis check --json patch.yaml
  portcullis check --compat --from modsecurity2 /etc/modsecurity/modsecurity.conf 'rules/*.conf'

Exit codes:
  0  would load
  1  would not load; with --strict also: there are warnings, it could not block, or a rule in YAML has no tests, or (--compat) something
     means something else here
  2  the command line itself is wrong";

const TEST_HELP: &str = "\
Without --url, requests go to the engine alone, and answers are made up as CRS's test backend (albedo) would.
With --url, they go to a running instance, whose audit log is read to see which rules matched. That instance
should audit everything (SecAuditEngine On), and write the native format.

Tests that stand in the rules themselves (matches: and passes: of native YAML) run too, without --url: those of
--rules with all of these rules, those of a rule file among the paths with that file alone. Rules that set nothing
run with the engine's usual settings.

Examples:
  portcullis test --rules crs-setup.conf --rules 'rules/*.conf' tests/regression/tests
  portcullis test virtual-patch.yaml
  portcullis test --filter '^942' --junit results.xml --rules 'rules/*.conf' tests
  portcullis test --url http://127.0.0.1:8080 --audit-log /var/log/portcullis/audit.log tests

Exit codes:
  0  all tests passed
  1  a test failed, or tests or rules could not be loaded
  2  the command line itself is wrong";

const SCHEMA_HELP: &str = "\
Editors with a YAML language server complete and check what the schema describes. It is also docs/rules.schema.json.

Examples:
  portcullis schema rules > portcullis-rules.schema.json
  # then, at the top of a rule file:
  # yaml-language-server: $schema=portcullis-rules.schema.json";

const COMPLETIONS_HELP: &str = "\
Examples:
  portcullis completions bash > /etc/bash_completion.d/portcullis
  portcullis completions zsh > \"${fpath[1]}/_portcullis\"
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(args: &[&str]) -> RunArgs {
        let all = ["portcullis", "run"].iter().chain(args);
        match Cli::try_parse_from(all).expect("parses").command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_overrides() {
        let args = run(&[
            "--listen",
            ":81",
            "--admin",
            "[::1]:9",
            "--upstream",
            "http://a,http://b",
            "--upstream",
            "http://c",
            "--rules",
            "a.conf",
            "--rules",
            "b.yaml",
            "--mode",
            "detectiononly",
            "--audit-log",
            "-",
            "--workers",
            "3",
        ]);
        let overrides = args.settings.overrides();
        assert_eq!(overrides.listen, Some(([127, 0, 0, 1], 81).into()));
        assert_eq!(overrides.admin.map(|a| a.to_string()).as_deref(), Some("[::1]:9"));
        assert_eq!(overrides.upstreams, ["http://a", "http://b", "http://c"]);
        assert_eq!(overrides.rules, ["a.conf", "b.yaml"]);
        assert_eq!(overrides.mode, Some(Mode::DetectionOnly));
        assert_eq!((overrides.audit_log.as_deref(), overrides.workers), (Some("-"), NonZeroUsize::new(3)));
        assert_eq!(run(&[]).settings.overrides(), Overrides::default());
    }

    #[test]
    fn addresses_need_no_guessing() {
        for good in ["127.0.0.1:80", "localhost:80", ":80", "[::]:80"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "80", "example.org:80", "127.0.0.1", "::80", "localhost"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for bad in [
            &["run", "--demo", "--upstream", "http://a"][..],
            &["check", "-c", "a.yaml", "b.conf"],
            &["test"],
            &["test", "--url", "http://a", "x"],
            &["test", "--audit-log", "a", "x"],
            &["test", "--url", "http://a", "--audit-log", "a", "--rules", "r", "x"],
            &["run", "--mode", "Maybe"],
            &["run", "--workers", "0"],
        ] {
            let all = ["portcullis"].iter().chain(bad);
            assert_eq!(Cli::try_parse_from(all).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
