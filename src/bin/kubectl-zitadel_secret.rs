//! The kubectl plugin's binary: `kubectl zitadel-secret`.

use std::process::ExitCode;

fn main() -> ExitCode {
    zitadel_secret_operator::plugin::main()
}
