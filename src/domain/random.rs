//! Random bytes from the operating system.

use rand::{TryRng as _, rngs::SysRng};
use zeroize::Zeroizing;

/// `N` random bytes, zeroed when dropped.
///
/// # Panics
/// If the operating system's generator fails: no secret could be created.
#[must_use]
pub fn random_bytes<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    if let Err(error) = SysRng.try_fill_bytes(bytes.as_mut_slice()) {
        panic!("the operating system's random generator failed: {error}");
    }
    bytes
}
