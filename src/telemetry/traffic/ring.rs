//! The last transactions, as many as fit.

use std::collections::VecDeque;
use std::sync::Arc;

/// A queue that forgets its oldest entries: bounded in their number and in the bytes that they say they hold.
pub(super) struct Ring<T> {
    entries: VecDeque<(usize, Arc<T>)>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl<T> Ring<T> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    /// The bytes that one entry may have at most, so that it does not push out all others.
    pub(super) fn share(&self) -> usize {
        self.most_bytes / 8
    }

    /// Adds the newest entry, and gives what had to go.
    pub(super) fn push(&mut self, entry: Arc<T>, bytes: usize) -> Vec<Arc<T>> {
        let mut gone = Vec::new();
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push_back((bytes, entry));
        while self.entries.len() > self.most || self.bytes > self.most_bytes {
            let Some((bytes, entry)) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(bytes);
            gone.push(entry);
        }
        gone
    }

    /// From the newest to the oldest.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Arc<T>> {
        self.entries.iter().rev().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(ring: &Ring<u32>) -> Vec<u32> {
        ring.newest_first().map(|n| **n).collect()
    }

    #[test]
    fn the_oldest_go_by_number_and_by_bytes() {
        let mut ring = Ring::new(3, 100);
        for n in 1..=4 {
            ring.push(Arc::new(n), 10);
        }
        assert_eq!(held(&ring), [4, 3, 2]);
        let gone = ring.push(Arc::new(5), 85);
        assert_eq!((held(&ring), gone.len()), (vec![5, 4], 2));
        ring.push(Arc::new(6), 101);
        assert_eq!((held(&ring), ring.bytes), (vec![], 0));
    }
}
