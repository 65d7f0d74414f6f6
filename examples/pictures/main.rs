//! `make pictures`: runs the demo, records what it prints in `docs/pictures/demo.txt`, and draws `docs/pictures/demo.svg` from that.
//! With the argument `draw` it draws what is recorded already.

mod picture;
mod record;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

fn main() -> anyhow::Result<()> {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    let recorded = pictures.join("demo.txt");
    if std::env::args().nth(1).as_deref() != Some("draw") {
        let demo = std::env::current_exe()?.with_file_name("demo");
        let output = Command::new(demo)
            .env_remove("KUBECONFIG")
            .env_remove("KEEP")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("the demo is not built: cargo build --example demo")?;
        ensure!(output.status.success(), "the demo failed");
        let output = String::from_utf8(output.stdout)?;
        std::fs::write(&recorded, record::normalized(&output))?;
    }
    let picture = picture::svg(&std::fs::read_to_string(recorded)?)?;
    std::fs::write(pictures.join("demo.svg"), picture)?;
    Ok(())
}
