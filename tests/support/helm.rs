//! Helm: the chart rendered, installed, upgraded, uninstalled.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The chart.
pub const CHART: &str = "charts/zitadel-secret-operator";

/// The program, built first if need be; `ZSO_HELM` names another one.
pub fn program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    BUILT
        .get_or_init(|| {
            if let Some(path) = std::env::var_os("ZSO_HELM") {
                return path.into();
            }
            let status = Command::new(root().join("tests/helm/build.sh"))
                .stdin(Stdio::null())
                .status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "tests/helm/build.sh failed: it needs Go; or set ZSO_HELM"
            );
            root().join("target/helm/helm")
        })
        .clone()
}

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs helm in the checkout, with nothing of the caller's settings. Without a kubeconfig it knows no cluster.
pub fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> Output {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let mut command = Command::new(program());
    command.current_dir(root()).args(arguments);
    for (name, directory) in [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ] {
        command.env(name, scratch.join(directory));
    }
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    // What discovery remembers is of this cluster only: ports are used again.
    let cache = kubeconfig.and_then(Path::parent).unwrap_or(&scratch);
    command.env("KUBECACHEDIR", cache.join("helm-cache"));
    command.stdin(Stdio::null()).output().unwrap()
}

/// What helm printed, if it went well.
///
/// # Panics
/// With what it said otherwise.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// What helm said, if it refused.
#[track_caller]
pub fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it was accepted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Renders the chart with these arguments besides; the text as it is.
#[track_caller]
pub fn text(arguments: &[&str]) -> String {
    let usual = ["template", "zso", CHART, "--namespace", "operators"];
    succeeded(&helm(None, &[&usual, arguments].concat()))
}

/// Renders the chart with these arguments besides.
#[track_caller]
pub fn render(arguments: &[&str]) -> Vec<Value> {
    documents(&text(arguments))
}

/// The objects in a stream of YAML documents.
pub fn documents(text: &str) -> Vec<Value> {
    let parts = text
        .split("\n---\n")
        .map(|part| part.trim_start_matches("---\n"));
    parts
        .map(|part| serde_saphyr::from_str::<Value>(part).unwrap())
        .filter(|object| !object.is_null())
        .collect()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// The one object of a kind.
#[track_caller]
pub fn the<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}
