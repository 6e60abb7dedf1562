//! Memory holds secrets: no core dumps, and no other process of the same user reads it (ptrace, `/proc/<pid>/mem` and
//! `environ`), unless CORE_DUMPS=allow.

/// For the very start of the process.
pub(super) fn deny() {
    set(false);
}

pub(super) fn allow() {
    set(true);
}

/// A child gets the default again when it executes its program.
#[cfg(target_os = "linux")]
fn set(allowed: bool) {
    // Fails only where a sandbox forbids prctl(2).
    let _ = nix::sys::prctl::set_dumpable(allowed);
}

#[cfg(not(target_os = "linux"))]
fn set(allowed: bool) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, if allowed { hard } else { 0 }, hard);
    }
}
