//! `parityEven7bit`, `parityOdd7bit`, `parityZero7bit`.
//!
//! The parity is that of all eight bits of the byte as it arrives, as in ModSecurity, though only seven carry
//! data: a byte which already has a parity bit may lose it.

use super::byte_set::ByteSet;
use super::patch::find_in_range;

/// The bytes that `parityEven7bit` changes.
pub(super) const NOT_EVEN: ByteSet = {
    let mut set = ByteSet::EMPTY;
    let mut byte = 0_u8;
    loop {
        // An odd number of ones asks for the bit, an even number for none.
        let has_bit = byte >= 0x80;
        let wants_bit = byte.count_ones() % 2 == 1;
        if has_bit != wants_bit {
            set = set.union(ByteSet::range(byte, byte));
        }
        if byte == u8::MAX {
            break set;
        }
        byte += 1;
    }
};

/// The bytes that `parityOdd7bit` changes: exactly the others.
pub(super) const NOT_ODD: ByteSet = NOT_EVEN.complement();

pub(super) fn parity_even(input: &[u8], out: &mut Vec<u8>) -> bool {
    flip(input, &NOT_EVEN, out)
}

pub(super) fn parity_odd(input: &[u8], out: &mut Vec<u8>) -> bool {
    flip(input, &NOT_ODD, out)
}

pub(super) fn parity_zero(input: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(first) = find_in_range(input, 0, 0x80, 0xff) else { return false };
    out.extend_from_slice(input);
    out[first..].iter_mut().for_each(|b| *b &= 0x7f);
    true
}

/// Setting the parity bit of a byte that lacks it and clearing that of a byte that should not have it are both
/// one flip.
fn flip(input: &[u8], wrong: &ByteSet, out: &mut Vec<u8>) -> bool {
    let Some(first) = wrong.find(input, 0) else { return false };
    out.extend_from_slice(input);
    // Half of all bytes are wrong: no branch depends on which.
    for byte in out.iter_mut().skip(first) {
        *byte ^= u8::from(wrong.contains(*byte)) << 7;
    }
    true
}
