//! `timeline`: a picture of each credential over time, in the terminal or as a page.
//!
//! * [`row`] is what was recorded of a credential, as [`event`]s; [`axis`] the time that is shown, [`words`] what they are called
//! * [`terminal`] draws with characters; [`html`] makes a page, of [`lane`]s and [`markup`], for a [`mod@file`]

mod axis;
mod event;
mod file;
mod html;
mod lane;
mod markup;
mod row;
mod terminal;
mod words;

use std::cell::OnceCell;
use std::path::Path;
use std::time::Duration;

use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Listed};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::output::{Format, Output, note, note_missing};
use crate::plugin::timeline::axis::Axis;
use crate::plugin::timeline::file::Target;
use crate::plugin::timeline::html::{DRAWN, Page};
use crate::plugin::timeline::row::{Observed, Row};
use crate::plugin::timeline::terminal::Look;

const DAY: Duration = Duration::from_hours(24);

/// Where a page goes.
enum Destination {
    Stdout,
    File(Target),
}

/// Draws each credential over time.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Timeline,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let names = arguments.names.as_slice();
    global.names_or_many(names)?;
    let page = arguments
        .html
        .as_deref()
        .map(|file| destination(file, output));
    let page = page.transpose()?;
    let scope = cluster.scope(global);
    let ahead = arguments.days.map(|days| DAY * u32::from(days));
    let ahead = ahead.unwrap_or_else(|| quarter(arguments.since));
    // NB: the time is that of the API server, which is known after its first answer.
    let axis = OnceCell::new();
    let around_now = || Axis::around(cluster.now(), arguments.since, ahead);
    let mut rows = Vec::new();
    let keep = |kind, object: Listed<Observed>| {
        rows.push(Row::of(kind, object, axis.get_or_init(around_now)));
    };
    let missing = cluster.chosen(&scope, names, keep).await?;
    let axis = axis.get_or_init(around_now);
    rows.sort_by_cached_key(Row::rank);
    rows.dedup_by(|one, other| one.rank().eq(&other.rank()));
    if rows.is_empty() {
        note(&format!(
            "no ApiAppSecret or OidcAppSecret {}",
            scope.in_words()
        ));
    }
    let with_namespace = scope.namespace.is_none();
    match page {
        Some(destination) => {
            let place = match scope.namespace {
                Some(_) => scope.in_words(),
                None => scope
                    .in_words()
                    .replacen("any namespace", "all namespaces", 1),
            };
            let page = Page {
                rows: &rows,
                axis,
                place: &place,
                with_namespace,
            };
            write(&page.html(), &destination, output)?;
            if rows.len() > DRAWN {
                note(&format!(
                    "the page has the {DRAWN} worst of {} credentials",
                    rows.len()
                ));
            }
        }
        None if output.is_for_program() => output.records(&[], &rows, axis.now)?,
        None => {
            let look = Look {
                width: output.width().unwrap_or(terminal::IN_A_PIPE),
                unicode: is_unicode(),
                wide: output.format() == Format::Wide,
                with_namespace,
            };
            for line in terminal::lines(&rows, axis, look) {
                output.painted(&line)?;
            }
            output.flush()?;
        }
    }
    note_missing(&missing);
    Ok(Exit::of(false, !missing.is_empty()))
}

/// A quarter of a time, in whole days where it is more than one.
fn quarter(since: Duration) -> Duration {
    let quarter = since / 4;
    if quarter < DAY {
        return quarter;
    }
    let days = quarter.as_secs().div_ceil(DAY.as_secs());
    Duration::from_secs(days * DAY.as_secs())
}

/// Where a page is to go, as far as that is possible.
fn destination(file: &Path, output: &Output) -> Result<Destination, Failure> {
    if output.is_for_program() {
        let text = "--html makes a page: -o json, yaml and name cannot be given with it";
        return Err(Failure::Usage(text.to_owned()));
    }
    if file == Path::new("-") {
        return Ok(Destination::Stdout);
    }
    Target::of(file).map(Destination::File)
}

fn write(page: &str, to: &Destination, output: &mut Output) -> Result<(), Failure> {
    match to {
        Destination::Stdout => {
            output.line(page.trim_end())?;
            output.flush()
        }
        Destination::File(target) => target.write(page),
    }
}

/// Whether the locale has more characters than ASCII.
fn is_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(set);
    let locale = locale.next().unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
