//! What the engine says after a phase.

/// The answer to "may this go on?".
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Go on.
    Pass,
    /// Stop here and do what the interruption says.
    Interrupt(Interruption),
}

impl Decision {
    /// The interruption, if it is one.
    pub fn interruption(&self) -> Option<&Interruption> {
        match self {
            Decision::Pass => None,
            Decision::Interrupt(i) => Some(i),
        }
    }
}

/// A disruptive action that a rule or a limit asked for and the mode permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// What to do.
    pub disruption: Disruption,
    /// The status to answer with (100 to 599). 403 unless the rule says otherwise; 302 for a redirect.
    pub status: u16,
    /// The rule that decided; 0 when a limit or the protocol did.
    pub rule_id: u64,
    /// The phase in which it was decided, 1 to 5.
    pub phase: u8,
}

/// The kinds of disruption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// Answer with the status and an error page.
    Deny,
    /// Close the connection without an answer.
    Drop,
    /// Redirect to this location.
    Redirect(String),
}

impl Disruption {
    /// The SecLang action's name.
    pub fn name(&self) -> &'static str {
        match self {
            Disruption::Deny => "deny",
            Disruption::Drop => "drop",
            Disruption::Redirect(_) => "redirect",
        }
    }
}

/// What became of a chunk of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum BodyStep {
    /// Taken; more may follow.
    Continue,
    /// The limit has been reached and the ruleset says to inspect what there is
    /// (`SecRequestBodyLimitAction ProcessPartial`): run the phase now. What follows is not inspected, and an
    /// event says so.
    LimitReached,
    /// The limit has been reached and the ruleset says to refuse (413), or a rule stopped the transaction.
    Interrupt(Interruption),
}
