//! Log4j's lookups: what `${lower:J}`, `${::-j}` and the like come to.

use smallvec::SmallVec;

/// Bytes of an expression that are kept; names of lookups are shorter.
const LONGEST: usize = 128;

/// The text of an expression, with what stands for the lookups inside of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Flat(SmallVec<[u8; 64]>);

impl Flat {
    /// Appends text, up to the bound.
    pub(super) fn push(&mut self, text: &[u8]) {
        let room = LONGEST.saturating_sub(self.0.len());
        self.0.extend_from_slice(text.get(..text.len().min(room)).unwrap_or_default());
    }

    /// Whether it asks a directory for an object.
    pub(super) fn is_jndi(&self) -> bool {
        starts(self.0.trim_ascii_start(), b"jndi:")
    }

    /// Whether it tells something about the machine or the process.
    pub(super) fn tells(&self) -> bool {
        let text = self.0.trim_ascii_start();
        [
            &b"env:"[..],
            b"sys:",
            b"java:",
            b"ctx:",
            b"main:",
            b"docker:",
            b"k8s:",
            b"bundle:",
            b"log4j:",
            b"web:",
        ]
        .iter()
        .any(|prefix| starts(text, prefix))
    }

    /// What the lookup comes to, when that is written in it: a letter as a rule, which nobody writes so without a reason.
    pub(super) fn resolved(&self) -> Option<SmallVec<[u8; 64]>> {
        let text = self.0.as_slice();
        let colon = memchr::memchr(b':', text)?;
        let (prefix, key) = (text.get(..colon)?.trim_ascii(), text.get(colon + 1..)?);
        // A default value: `${::-j}`, `${env:NONE:-j}`.
        if let Some(at) = memchr::memmem::find(text, b":-") {
            return text.get(at + 2..).map(SmallVec::from_slice);
        }
        if prefix.eq_ignore_ascii_case(b"lower") || prefix.eq_ignore_ascii_case(b"upper") {
            return Some(ascii(key));
        }
        if prefix.eq_ignore_ascii_case(b"date") {
            return Some(key.iter().copied().filter(|b| *b != b'\'').collect());
        }
        None
    }
}

/// Letters beyond ASCII whose other case is an ASCII letter.
fn ascii(key: &[u8]) -> SmallVec<[u8; 64]> {
    let mut out = SmallVec::new();
    let mut rest = key;
    while let [first, after @ ..] = rest {
        rest = match rest {
            // ı and İ.
            [0xc4, 0xb0 | 0xb1, after @ ..] => {
                out.push(b'i');
                after
            }
            // ſ, and the sign of Kelvin.
            [0xc5, 0xbf, after @ ..] => {
                out.push(b's');
                after
            }
            [0xe2, 0x84, 0xaa, after @ ..] => {
                out.push(b'k');
                after
            }
            _ => {
                out.push(first.to_ascii_lowercase());
                after
            }
        };
    }
    out
}

fn starts(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|text| text.eq_ignore_ascii_case(prefix))
}
