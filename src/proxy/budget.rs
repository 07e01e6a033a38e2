//! How many bytes of bodies, and of what is made of them, are held for inspection, over all transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A process-wide allowance. A share of it is taken with [`Hold::grow`] and given back when the [`Hold`] goes.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: AtomicU64,
}

impl Budget {
    /// A share of nothing, to be grown.
    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        Hold { budget: Arc::clone(self), bytes: 0 }
    }
}

/// A share of a [`Budget`].
#[derive(Debug)]
pub(super) struct Hold {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Hold {
    /// Takes `bytes` more; `false`, and nothing taken, when that would exceed `limit` in all.
    pub(super) fn grow(&mut self, bytes: usize, limit: u64) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let grown = self.budget.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= limit)
        });
        if grown.is_ok() {
            self.bytes += bytes;
        }
        grown.is_ok()
    }

    /// Makes this share `bytes` large; `false`, and nothing changed, when that would exceed `limit` in all.
    pub(super) fn resize(&mut self, bytes: u64, limit: u64) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.grow(usize::try_from(more).unwrap_or(usize::MAX), limit),
            None => {
                self.budget.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
                self.bytes = bytes;
                true
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_taken_and_given_back() {
        let budget = Arc::new(Budget::default());
        let (mut a, mut b) = (budget.hold(), budget.hold());
        assert!(a.grow(60, 100) && !b.grow(50, 100) && b.grow(40, 100));
        assert_eq!((budget.used.load(Ordering::Relaxed), a.bytes), (100, 60));
        assert!(!a.resize(61, 100) && a.resize(50, 100) && a.resize(60, 100));
        drop(a);
        assert!(b.grow(60, 100) && !b.grow(usize::MAX, 100));
        drop(b);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
