//! What all that undo URL encoding share. It knows no syntax but that of escapes and spaces.

/// Appends what stands before the first percent sign of `block`, each `+` as a space. Returns how many bytes that were.
///
/// In text there is a `+` for every word, so that a search for each of them costs more than to copy the words.
pub fn unplus_block(block: &[u8; BLOCK], out: &mut Vec<u8>) -> usize {
    const ONES: u128 = u128::from_le_bytes([1; BLOCK]);
    let mut copy = *block;
    for byte in &mut copy {
        *byte = unplus(*byte);
    }
    out.extend_from_slice(&copy);
    // Percent signs become zeros, and of zeros the first is told by what a subtraction borrows.
    let others = u128::from_le_bytes(*block) ^ (ONES * b'%' as u128);
    let percents = others.wrapping_sub(ONES) & !others & ONES << 7;
    let end = percents.trailing_zeros() as usize / 8;
    out.truncate(out.len() - (BLOCK - end));
    end
}

/// Bytes that are copied at once.
pub const BLOCK: usize = 16;

/// A byte of a query string, with a space for `+`.
pub fn unplus(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte }
}
