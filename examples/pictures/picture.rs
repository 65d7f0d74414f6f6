//! An animated SVG with the look of a terminal, drawn from a recorded demo. Does no I/O.

use std::fmt::Write as _;

use anyhow::Context as _;

/// What is shown of a step: its number, and how each line begins. Further lines of the same beginning are shown once for each time that
/// it is named.
const SCENES: [(usize, &[&str]); 5] = [
    (
        4,
        &[
            "$ kubectl apply -f orders-api.yaml",
            "apiappsecret.zitadel-secrets.dev/orders-api created",
            "$ kubectl get aas",
            "NAME",
            "orders-api",
            "$ kubectl get secret orders-api-oauth",
            "  CLIENT_ID:",
            "  CLIENT_SECRET:",
            "$ curl -u \"$CLIENT_ID:$NEW\"",
            "HTTP 200",
            "$ curl -u \"$CLIENT_ID:$OLD\"",
            "HTTP 400",
        ],
    ),
    (
        5,
        &[
            "status.nextRotationTime is",
            "$ kubectl get aas orders-api -o jsonpath",
            "6 ",
            "$ kubectl get secret orders-api-oauth",
            "  CLIENT_ID:",
            "  CLIENT_SECRET:",
            "   ok: the new client secret is accepted",
        ],
    ),
    (
        6,
        &[
            "$ kubectl patch aas orders-api",
            "apiappsecret.zitadel-secrets.dev/orders-api patched",
            "$ kubectl get secret orders-api-oauth",
            "  CLIENT_ID:",
            "  CLIENT_SECRET:",
            "   ok: the new client secret is accepted",
        ],
    ),
    (
        7,
        &[
            "$ curl -H 'Content-Type: application/json'",
            "$ kubectl patch aas orders-api",
            "apiappsecret.zitadel-secrets.dev/orders-api patched",
            "$ kubectl get aas orders-api -o jsonpath",
            "9 ",
            "   ok: ZITADEL's change log shows",
            "$ kubectl get secret orders-api-oauth",
            "  CLIENT_ID:",
            "  CLIENT_SECRET:",
            "   ok: the new client secret is accepted",
        ],
    ),
    (
        8,
        &[
            "$ kubectl label aas orders-api",
            "$ kubectl patch aas orders-api",
            "   ok: the operator stopped",
            "$ zitadel-secret-operator run",
            "   ok: the restarted operator moved",
            "   ok: the client secret is unchanged",
            "   ok: the operator's audit log",
        ],
    ),
];

/// The step whose end is shown where nothing may move.
const STILL: usize = 7;

const COLUMNS: usize = 104;
const ROWS: usize = 14;
const COLUMN: f64 = 7.8;
const ROW: f64 = 20.0;
const MARGIN: f64 = 20.0;
const TITLE: f64 = 34.0;

/// Seconds from one line to the next, and after the last one of a scene.
const LINE: f64 = 0.4;
const REST: f64 = 2.0;

const STYLE: &str = "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d0d7de;white-space:pre}\
.t{font-weight:bold;fill:#79c0ff}.c{fill:#f0f6fc}.g{fill:#7ee787}.r{fill:#ff7b72}.n{fill:#8b949e}\
.s{opacity:0}.k{opacity:1}";

/// One line and when it is there, in seconds.
struct Line {
    text: String,
    row: usize,
    step: usize,
    from: f64,
    until: f64,
}

/// The lines of all scenes, and how long they take.
fn lines(record: &str) -> anyhow::Result<(Vec<Line>, f64)> {
    let mut lines = Vec::new();
    let mut now = 0.0;
    for (step, shown) in SCENES {
        let title = format!("== {step}. ");
        let part = record.split("\n== ").map(|part| format!("== {part}"));
        let part = part
            .map(|part| part.replacen("== == ", "== ", 1))
            .find(|part| part.starts_with(&title))
            .with_context(|| format!("the demo has no step {step}"))?;
        let mut there = part.lines();
        let heading = there.next().unwrap_or_default().trim_start_matches("== ");
        let mut texts = vec![heading.to_owned()];
        for start in shown {
            let text = there
                .find(|line| line.starts_with(start))
                .with_context(|| format!("step {step} of the demo does not print {start}"))?;
            texts.push(cut(text));
        }
        #[allow(clippy::cast_precision_loss, reason = "a dozen lines")]
        let until = now + texts.len() as f64 * LINE + REST;
        for (row, text) in texts.into_iter().enumerate() {
            lines.push(Line {
                text,
                row,
                step,
                from: now,
                until,
            });
            now += LINE;
        }
        now = until;
    }
    Ok((lines, now))
}

/// As much of a line as the terminal has columns.
fn cut(line: &str) -> String {
    if line.chars().count() <= COLUMNS {
        return line.to_owned();
    }
    let kept: String = line.chars().take(COLUMNS - 1).collect();
    kept + "…"
}

fn class(line: &Line) -> &'static str {
    match line.text.as_str() {
        _ if line.row == 0 => "t",
        text if text.starts_with("$ ") => "c",
        text if text.starts_with("   ok: ") || text.starts_with("HTTP 200") => "g",
        text if text.starts_with("HTTP 4") => "r",
        text if text.starts_with("NAME ") => "n",
        _ => "o",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Draws a recorded demo. An error if it does not print what the picture shows.
#[allow(clippy::cast_precision_loss, reason = "a few rows and columns")]
pub fn svg(record: &str) -> anyhow::Result<String> {
    let (lines, seconds) = lines(record)?;
    let width = COLUMNS as f64 * COLUMN + 2.0 * MARGIN;
    let height = TITLE + ROWS as f64 * ROW + MARGIN;
    let mut motion = format!(".s,.k{{animation:{seconds:.2}s step-end infinite}}");
    let mut body = String::new();
    for (number, line) in lines.iter().enumerate() {
        let (from, until) = (line.from / seconds * 100.0, line.until / seconds * 100.0);
        let before = if line.from > 0.0 { "0%{opacity:0}" } else { "" };
        let after = if until < 99.99 {
            format!("{until:.2}%{{opacity:0}}100%{{opacity:0}}")
        } else {
            "100%{opacity:1}".to_owned()
        };
        let _ = write!(
            motion,
            "@keyframes a{number}{{{before}{from:.2}%{{opacity:1}}{after}}}"
        );
        let _ = write!(motion, "#a{number}{{animation-name:a{number}}}");
        let _ = writeln!(
            body,
            r#"<text id="a{number}" class="{} {}" x="{MARGIN}" y="{}" textLength="{:.1}" xml:space="preserve">{}</text>"#,
            if line.step == STILL { "k" } else { "s" },
            class(line),
            TITLE + 20.0 + line.row as f64 * ROW,
            line.text.chars().count() as f64 * COLUMN,
            escaped(&line.text),
        );
    }
    let style = format!("{STYLE}@media (prefers-reduced-motion:no-preference){{{motion}}}");
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title desc">
<title id="title">zitadel-secret-operator: make demo</title>
<desc id="desc">A terminal with five steps of the demo, as it printed them: an ApiAppSecret is created and its client secret stored; it is rotated when due and on a trigger; ZITADEL's response to a rotation is lost, which the operator detects and repairs; edits and a restart rotate nothing. IDs, times, ports and values are replaced.</desc>
<style>{style}</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="8" fill="#0d1117" stroke="#57606a"/>
<circle cx="20" cy="18" r="5.5" fill="#ff5f57"/><circle cx="38" cy="18" r="5.5" fill="#febc2e"/><circle cx="56" cy="18" r="5.5" fill="#28c840"/>
{body}</svg>
"##,
        width - 1.0,
        height - 1.0,
    ))
}
