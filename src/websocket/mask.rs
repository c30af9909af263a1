//! Unmasking client payloads, eight bytes at a time.

/// Applies a mask in place.
pub(super) fn apply(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (at, byte) in rest.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_its_own_inverse_at_any_length() {
        for length in 0..40_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked = plain.clone();
            apply(&mut masked, [1, 2, 3, 4]);
            for (at, byte) in masked.iter().enumerate() {
                assert_eq!(*byte, plain[at] ^ [1, 2, 3, 4][at % 4]);
            }
            apply(&mut masked, [1, 2, 3, 4]);
            assert_eq!(masked, plain);
        }
    }
}
