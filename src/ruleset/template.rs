//! Text with macros (`%{…}`), and the interned names of `TX`.

use super::target::Target;
use std::collections::HashMap;

/// A member of `TX` whose name is known when rules are compiled. Slots 0 to 9 are the captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot of capture `n`, 0 to 9.
    pub const fn capture(n: u8) -> Self {
        Slot(n as u16)
    }
}

/// Names of slots, in lower case; the names of `TX` are case-insensitive.
#[derive(Clone, Debug)]
pub struct SlotNames {
    names: Vec<Box<str>>,
    index: HashMap<Box<str>, Slot>,
}

impl Default for SlotNames {
    fn default() -> Self {
        let mut names = Self { names: Vec::new(), index: HashMap::new() };
        for n in 0..10 {
            names.intern(&n.to_string());
        }
        names
    }
}

impl SlotNames {
    /// The slot of `name`, made if need be. `None` when there are more than 65,535.
    pub fn intern(&mut self, name: &str) -> Option<Slot> {
        let name = name.to_ascii_lowercase().into_boxed_str();
        if let Some(&slot) = self.index.get(&name) {
            return Some(slot);
        }
        let slot = Slot(u16::try_from(self.names.len()).ok()?);
        self.names.push(name.clone());
        self.index.insert(name, slot);
        Some(slot)
    }

    /// The slot of `name`, if there is one. Any case.
    pub fn find(&self, name: &str) -> Option<Slot> {
        if let Some(&slot) = self.index.get(name) {
            return Some(slot);
        }
        // Names are in lower case already as a rule.
        let other = name.bytes().any(|b| b.is_ascii_uppercase());
        other.then(|| self.index.get(name.to_ascii_lowercase().as_str()).copied())?
    }

    /// The name of `slot`, in lower case.
    pub fn name(&self, slot: Slot) -> &str {
        &self.names[usize::from(slot.0)]
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: the captures are always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// A part of a [`Template`].
#[derive(Clone, Debug)]
pub enum Piece {
    /// Plain text.
    Text(Box<[u8]>),
    /// A member of `TX`.
    Slot(Slot),
    /// The first value of this target, or nothing.
    Target(Box<Target>),
}

/// Text with macros, split when rules are compiled.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The parts in order. Two texts never stand side by side.
    pub pieces: Box<[Piece]>,
    /// The number that it is, when it is a text written the way numbers print, so that storing the number loses
    /// nothing.
    pub number: Option<i64>,
}

impl Template {
    /// A template without macros.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        let text: Vec<u8> = text.into();
        if text.is_empty() {
            return Self::default();
        }
        Self::new(vec![Piece::Text(text.into_boxed_slice())])
    }

    /// A template of these parts.
    pub fn new(pieces: Vec<Piece>) -> Self {
        let number = match &*pieces {
            [Piece::Text(text)] => std::str::from_utf8(text)
                .ok()
                .and_then(|text| Some((text, text.parse::<i64>().ok()?)))
                .filter(|(text, number)| number.to_string() == *text)
                .map(|(_, number)| number),
            _ => None,
        };
        Self { pieces: pieces.into(), number }
    }

    /// The text, when there are no macros in it.
    pub fn as_text(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
