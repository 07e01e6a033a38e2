//! The table of transformations.

/// Which values a transformation can change at all. The engine skips the call for every other value, so a row
/// may claim too much ([`Trigger::Always`]) but never too little; a test holds each row to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Any value may change.
    Always,
    /// Only values that contain one of these bytes may change.
    AnyOf(&'static [u8]),
    /// Only values that contain a byte in this inclusive range may change (`A..=Z`, `0x80..=0xff`).
    Range(u8, u8),
}

/// One transformation, `t:name`.
#[derive(Debug)]
pub struct Transformation {
    /// The name in ModSecurity's spelling.
    pub name: &'static str,
    /// Other accepted spellings; all names are case-insensitive.
    pub aliases: &'static [&'static str],
    /// For the reference: what it does, one paragraph of Markdown.
    pub doc: &'static str,
    /// Which values it can change.
    pub trigger: Trigger,
    /// Appends the transformed value to the empty `out` and returns true, or returns false when the value stays
    /// as it is (then what `out` holds is meaningless). Linear in `input`; `out` never exceeds a small multiple
    /// of it.
    pub apply: fn(input: &[u8], out: &mut Vec<u8>) -> bool,
}

/// Index of a transformation in [`all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransformId(pub u8);

impl TransformId {
    /// The row.
    pub fn row(self) -> &'static Transformation {
        &all()[usize::from(self.0)]
    }
}

/// All rows, sorted by name.
pub fn all() -> &'static [Transformation] {
    &[]
}

/// The transformation called `name`, in any case, under its name or an alias. `none` is not in the table: it
/// is an instruction to the compiler.
pub fn find(name: &str) -> Option<TransformId> {
    let row = all().iter().position(|t| {
        t.name.eq_ignore_ascii_case(name) || t.aliases.iter().any(|a| a.eq_ignore_ascii_case(name))
    })?;
    u8::try_from(row).ok().map(TransformId)
}
