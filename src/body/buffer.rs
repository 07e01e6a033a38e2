//! A body that can be parsed as a whole only: its beginning, up to a limit.

/// The beginning of a body, and how long the body is.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    most: usize,
    length: u64,
}

impl Buffer {
    /// Holds `most` bytes at the most.
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, length: 0 }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.length += chunk.len() as u64;
        let room = self.most.saturating_sub(self.bytes.len()).min(chunk.len());
        self.bytes.extend_from_slice(chunk.get(..room).unwrap_or_default());
    }

    /// What of the body is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the body.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the body went on.
    pub(super) fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }
}
