//! The engines for which rules are written, and the words in which a row of a registry says how Portcullis departs
//! from them. One row serves the reference under `docs/reference/`, the diagnostics and `portcullis check --compat`.
//!
//! Must not know any registry: they all know this.

/// An engine that runs SecLang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// ModSecurity 2 on Apache (`mod_security2`, as of 2.9).
    ModSecurity2,
    /// ModSecurity 3 (`libmodsecurity`, as of 3.0).
    ModSecurity3,
    /// Coraza 3.
    Coraza,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 3] = [Engine::ModSecurity2, Engine::ModSecurity3, Engine::Coraza];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::ModSecurity2 => "ModSecurity 2",
            Engine::ModSecurity3 => "ModSecurity 3",
            Engine::Coraza => "Coraza",
        }
    }

    /// What programs call it.
    pub const fn key(self) -> &'static str {
        match self {
            Engine::ModSecurity2 => "modsecurity2",
            Engine::ModSecurity3 => "modsecurity3",
            Engine::Coraza => "coraza",
        }
    }
}

/// How the same text means something else here than there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The engines in which it means something else; at least one, in the order of [`Engine::ALL`]. One that is
    /// missing does as Portcullis does, or does not know the name.
    pub from: &'static [Engine],
    /// What is different: a sentence or two of Markdown, which say "there" of those engines and "here" of
    /// Portcullis.
    pub how: &'static str,
}

impl Difference {
    /// `ModSecurity 2 and 3`, `Coraza`, ….
    pub fn engines(&self) -> String {
        let versions: Vec<&str> =
            self.from.iter().filter_map(|e| e.name().strip_prefix("ModSecurity ")).collect();
        let modsecurity = (!versions.is_empty()).then(|| format!("ModSecurity {}", versions.join(" and ")));
        let coraza = self.from.contains(&Engine::Coraza).then(|| "Coraza".to_owned());
        match (modsecurity, coraza) {
            (Some(both), Some(coraza)) if versions.len() > 1 => {
                format!("{}, {coraza}", both.replace(" and", ","))
            }
            (Some(one), Some(coraza)) => format!("{one}, {coraza}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => String::new(),
        }
    }
}

/// What is done with something that rule text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does what its documentation says.
    Implemented,
    /// It is accepted and has no effect, or never a value; the text says why, in a clause without a full stop.
    Accepted(&'static str),
    /// It is an error.
    Refused(Refusal),
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why: one sentence, no full stop.
    pub why: &'static str,
    /// What to write instead: one sentence, no full stop.
    pub instead: &'static str,
}

/// Different from ModSecurity 2.
pub const V2: &[Engine] = &[Engine::ModSecurity2];
/// Different from ModSecurity 3.
pub const V3: &[Engine] = &[Engine::ModSecurity3];
/// Different from both ModSecurities.
pub const V2_V3: &[Engine] = &[Engine::ModSecurity2, Engine::ModSecurity3];
/// Different from Coraza.
pub const CORAZA: &[Engine] = &[Engine::Coraza];
/// Different from ModSecurity 2 and Coraza.
pub const V2_CORAZA: &[Engine] = &[Engine::ModSecurity2, Engine::Coraza];
/// Different from ModSecurity 3 and Coraza.
pub const V3_CORAZA: &[Engine] = &[Engine::ModSecurity3, Engine::Coraza];
/// Different from all.
pub const EVERYONE: &[Engine] = &Engine::ALL;

/// A difference, in one line of a table.
pub const fn unlike(from: &'static [Engine], how: &'static str) -> Difference {
    Difference { from, how }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_read_as_people_say_them() {
        let said =
            [V2, V3, V2_V3, CORAZA, V2_CORAZA, V3_CORAZA, EVERYONE].map(|from| unlike(from, "").engines());
        assert_eq!(
            said,
            [
                "ModSecurity 2",
                "ModSecurity 3",
                "ModSecurity 2 and 3",
                "Coraza",
                "ModSecurity 2, Coraza",
                "ModSecurity 3, Coraza",
                "ModSecurity 2, 3, Coraza",
            ]
        );
    }
}
