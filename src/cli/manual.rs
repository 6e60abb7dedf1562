//! `rally-api-keys completions` and `rally-api-keys man`, made from the definitions of the commands.

use std::{
    io::{self, Write as _, stdout},
    path::Path,
};

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;

pub(super) fn completions(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new(); // clap_complete panics where a write fails, as on a closed pipe
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    stdout().write_all(&script)
}

/// Prints the page of the program, or writes it and the pages of all commands into a folder.
pub(super) fn man(folder: Option<&Path>) -> io::Result<()> {
    match folder {
        None => Man::new(Cli::command()).render(&mut stdout()),
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            clap_mangen::generate_to(Cli::command(), folder)
        }
    }
}
