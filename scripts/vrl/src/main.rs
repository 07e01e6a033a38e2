//! Compiles a program in Vector's remap language, and runs it on each line of standard input as Vector's file source would
//! hand it over: as `message`. Writes what becomes of each as a line of JSON; ends with 1 at the first fault.

use std::io::{BufRead, stdin};
use std::process::ExitCode;
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{Context, TargetValue, TimeZone, compile};
use vrl::diagnostic::Formatter;
use vrl::value::{ObjectMap, Secrets, Value};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let path = std::env::args().nth(1).ok_or("usage: vector-program PROGRAM < RECORDS")?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let compiled = compile(&text, &vrl::stdlib::all())
        .map_err(|faults| Formatter::new(&text, faults).to_string())?;
    if !compiled.warnings.is_empty() {
        return Err(Formatter::new(&text, compiled.warnings).to_string());
    }
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let event = ObjectMap::from([("message".into(), Value::from(line))]);
        let mut target = TargetValue {
            value: Value::Object(event),
            metadata: Value::Object(ObjectMap::new()),
            secrets: Secrets::default(),
        };
        let (mut state, zone) = (RuntimeState::default(), TimeZone::default());
        let mut context = Context::new(&mut target, &mut state, &zone);
        compiled.program.resolve(&mut context).map_err(|error| error.to_string())?;
        println!("{}", serde_json::to_string(&target.value).map_err(|error| error.to_string())?);
    }
    Ok(())
}
