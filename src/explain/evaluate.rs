//! Passing an exchange through rules, with tracing.

use super::exchange::{Exchange, Reply};
use crate::engine::{
    BodyStep, Decision, Interruption, Options, Report, Trace, TraceOptions, Transaction, World,
};
use crate::ruleset::{Mode, Ruleset};
use std::sync::Arc;

/// What became of it.
#[derive(Debug)]
pub struct Evaluation {
    /// The report; request and bodies are in it, whether or not the rules would record them.
    pub report: Report,
    /// What happened rule by rule.
    pub trace: Trace,
}

impl Evaluation {
    /// What stopped the request, or would have but for the mode.
    pub fn stopped_by(&self) -> Option<&Interruption> {
        self.report.decision.interruption().or(self.report.suppressed.as_ref())
    }
}

/// Passes `exchange` through `ruleset`. Persistent collections and the time are those of `world`.
pub fn evaluate(
    exchange: &Exchange,
    ruleset: &Arc<Ruleset>,
    mode: Option<Mode>,
    id: &str,
    world: &Arc<dyn World>,
    trace: &TraceOptions,
) -> Evaluation {
    let options = Options { id: id.to_owned(), mode, world: Arc::clone(world) };
    let mut transaction = Transaction::new(Arc::clone(ruleset), options);
    transaction.set_trace(trace);
    // What is asked about now says nothing about the traffic.
    transaction.set_verdicts(false);
    let mut stopped = request(&mut transaction, exchange).err();
    if let (None, Some(reply)) = (&stopped, &exchange.reply) {
        stopped = response(&mut transaction, reply, &exchange.protocol).err();
    }
    let status = match (&stopped, &exchange.reply) {
        (Some(interruption), _) => interruption.status,
        (None, Some(reply)) => reply.status,
        (None, None) => 200,
    };
    let (report, trace) = transaction.process_logging_traced(status);
    Evaluation { report, trace }
}

fn request(transaction: &mut Transaction, exchange: &Exchange) -> Result<(), Interruption> {
    transaction.process_connection(exchange.client, exchange.server);
    transaction.process_uri(&exchange.method, &exchange.target, &exchange.protocol);
    for (name, value) in &exchange.headers {
        transaction.add_request_header(name, value);
    }
    go_on(transaction.process_request_headers())?;
    if transaction.request_body_wanted()
        && !exchange.body.is_empty()
        && let BodyStep::Interrupt(interruption) = transaction.append_request_body(&exchange.body)
    {
        return Err(interruption);
    }
    go_on(transaction.process_request_body())
}

fn response(transaction: &mut Transaction, reply: &Reply, protocol: &[u8]) -> Result<(), Interruption> {
    for (name, value) in &reply.headers {
        transaction.add_response_header(name, value);
    }
    go_on(transaction.process_response_headers(reply.status, protocol))?;
    if transaction.response_body_wanted()
        && let BodyStep::Interrupt(interruption) = transaction.append_response_body(&reply.body)
    {
        return Err(interruption);
    }
    go_on(transaction.process_response_body())
}

fn go_on(decision: Decision) -> Result<(), Interruption> {
    match decision {
        Decision::Pass => Ok(()),
        Decision::Interrupt(interruption) => Err(interruption),
    }
}
