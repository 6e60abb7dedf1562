//! Randomness, from the operating system alone.

use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

/// So many random bytes, wiped when they go.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing sensible can go on.
#[must_use]
pub fn random_bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    if let Err(error) = SysRng.try_fill_bytes(bytes.as_mut_slice()) {
        panic!("the operating system's random generator failed: {error}");
    }
    bytes
}
