//! Choices by chance that no client can foresee, and that cost nothing to make: they come out of a transaction's id.

/// A number that no client can choose, from a transaction's id: its last characters are random, or one more than those
/// of the one before it within a millisecond. `salt` is a large odd number.
pub(super) fn chance(id: &str, salt: u64) -> u64 {
    let end = id.as_bytes().last_chunk::<8>().copied().unwrap_or_default();
    // The upper half of such a product depends on all bits.
    u64::from_ne_bytes(end).wrapping_mul(salt) >> 32
}

/// Whether a transaction is the one in `n` that is chosen; none is when that is 0.
pub(super) fn is_one_in(n: u32, id: &str) -> bool {
    n > 0 && chance(id, COST_SALT).is_multiple_of(u64::from(n))
}

/// What keeps one choice from being the other.
pub(super) const SHADOW_SALT: u64 = 0x9E37_79B9_7F4A_7C15;
const COST_SALT: u64 = 0xC2B2_AE3D_27D4_EB4F;
