//! Programs that tests run and do not come with this repository, in every version that is installed.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The program in the PATH, and in folders of `target`, where `.ci/test-programs` installs it.
pub fn find(program: &str, ours: &[&str]) -> BTreeSet<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]).chain(ours.iter().map(|ours| target.join(ours)));
    let files = folders.filter_map(|folder| folder.join(program).canonicalize().ok());
    files.filter(|file| file.is_file()).collect()
}

/// Major and minor version: the first two numbers that the program prints.
pub fn version(program: &Path, flag: &str) -> (u32, u32) {
    let output = Command::new(program).arg(flag).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = words.filter_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    numbers.into_iter().next().unwrap_or_else(|| panic!("{}: no version in {text:?}", program.display()))
}
