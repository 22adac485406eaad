//! The `pqlane` binary; see [`pqlane::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pqlane::cli::main()
}
