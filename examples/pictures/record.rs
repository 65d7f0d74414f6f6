//! What the demo prints, with a fixed text for everything that is another one in each run. Does no I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The beginning of each client secret that is shown.
const SECRETS: [&str; 6] = ["3pf0", "wvys", "w3wX", "d0mX", "k7Qe", "Zt4b"];

/// What was seen so far, each with its number.
#[derive(Default)]
struct Seen(BTreeMap<String, usize>);

impl Seen {
    fn number(&mut self, text: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(text.to_owned()).or_insert(next)
    }
}

/// The output of one run from its first title on: ids, times, ports, durations and secrets are replaced.
pub fn normalized(output: &str) -> String {
    let from = output.find("\n== 1.").map_or(0, |at| at + 1);
    let output = output.get(from..).unwrap_or(output);
    let (mut ids, mut dates, mut times) = (Seen::default(), Seen::default(), Seen::default());
    let (mut secrets, mut ports) = (Seen::default(), Seen::default());
    let text = replaced(
        output,
        |c| c.is_ascii_alphanumeric() || "*.:-".contains(c),
        |run| {
            let digits = run.bytes().all(|byte| byte.is_ascii_digit());
            if digits && run.len() == 18 {
                return Some((312_345_678_901_234_567 + ids.number(run)).to_string());
            }
            if let Some(cut) = run.strip_suffix("...").filter(|cut| cut.len() >= 12) {
                // An id that is cut off. All of them begin alike.
                return Some(format!("{}...", "312345678901234567".get(..cut.len())?));
            }
            if run.ends_with("************") {
                let secret = SECRETS.get(secrets.number(run))?;
                return Some(format!("{secret}************"));
            }
            if let Some(port) = run.strip_prefix("127.0.0.1:").filter(|port| *port != "0") {
                return Some(format!("127.0.0.1:{}", 38080 + ports.number(port)));
            }
            if run.len() >= 20 && run.ends_with('Z') && run.contains('T') {
                // ZITADEL's times have fractions; the API's are the ends of intervals.
                return Some(if run.contains('.') {
                    time(dates.number(run)) + ".000000Z"
                } else {
                    time(times.number(run)) + "Z"
                });
            }
            None
        },
    );
    let mut table = false;
    let mut lines = String::new();
    for line in text.lines() {
        let row = table && !line.starts_with('$');
        table = line.starts_with("NAME ") || row;
        let line = if row {
            without_ages(line)
        } else {
            without_durations(line)
        };
        let _ = writeln!(lines, "{}", line.trim_end());
    }
    lines
}

/// Intervals of 15 seconds after noon.
fn time(number: usize) -> String {
    format!("2026-11-30T12:{:02}:{:02}", number / 4, number % 4 * 15)
}

/// Every run of characters of a kind goes through a function, which may replace it.
fn replaced(
    text: &str,
    kind: impl Fn(char) -> bool,
    mut replace: impl FnMut(&str) -> Option<String>,
) -> String {
    let mut result = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let other = rest.find(&kind).unwrap_or(rest.len());
        let (before, from) = rest.split_at(other);
        let end = from.find(|c| !kind(c)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        result.push_str(before);
        result.push_str(&replace(run).unwrap_or_else(|| run.to_owned()));
        rest = after;
    }
    result
}

/// A row of a table, with every age zero and the columns where they were.
fn without_ages(row: &str) -> String {
    let seconds = |run: &str| {
        let digits = run.strip_suffix('s')?;
        let age = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        age.then(|| format!("0s{}", " ".repeat(digits.len() - 1)))
    };
    replaced(row, |c| c != ' ', seconds)
}

/// The durations that the demo measures.
fn without_durations(line: &str) -> String {
    let causes = ["FirstIssue", "Due", "Trigger", "LostAttempt"];
    let words: Vec<&str> = line.split(' ').collect();
    if let [sequence, date, cause, _] = words.as_slice()
        && causes.contains(cause)
    {
        return format!("{sequence} {date} {cause} …");
    }
    for (before, after) in [
        ("when it was ", " seconds old"),
        ("succeeded: ", " seconds."),
    ] {
        if let Some((start, _)) = line.split_once(before)
            && line.ends_with(after)
        {
            return format!("{start}{before}…{after}");
        }
    }
    line.to_owned()
}
