//! A picture as a page: one file without scripts and without anything from elsewhere. No I/O.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;

use crate::api::AppSecretStatus;
use crate::plugin::output::milliseconds;
use crate::plugin::standing::Level;
use crate::plugin::timeline::axis::Axis;
use crate::plugin::timeline::event::{Event, State};
use crate::plugin::timeline::lane;
use crate::plugin::timeline::markup::{Markup, grouped};
use crate::plugin::timeline::row::Row;
use crate::plugin::timeline::words::Summary;

/// So many credentials are drawn, the worst first. A browser shows them at once, and the file stays below a few megabytes.
pub const DRAWN: usize = 2_000;
/// So many of those that need attention are listed.
const LISTED: usize = 10;
/// Names of points in time above the picture.
const TICKS: usize = 10;
const STYLE: &str = include_str!("page.css");

/// What a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// All credentials, the worst first.
    pub rows: &'a [Row],
    /// The time that it shows.
    pub axis: &'a Axis,
    /// Which objects are meant, such as `in namespace orders`.
    pub place: &'a str,
    /// Whether objects of several namespaces are shown.
    pub with_namespace: bool,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let summary = Summary::of(self.rows);
        let mut page = Markup::default();
        self.head(&mut page);
        page.raw("<body>\n");
        lane::defs(self.axis, TICKS, &mut page);
        page.raw("<header><h1>Client secrets ").text(self.place);
        page.raw("</h1>\n<p class=\"time\">")
            .text(&self.time())
            .raw("</p>\n");
        self.tiles(&summary, &mut page);
        page.raw("</header>\n<main>\n");
        self.attention(&summary, &mut page);
        page.raw("<section aria-labelledby=\"picture\"><h2 id=\"picture\">Timeline</h2>\n");
        legend(&summary, &mut page);
        lane::heading(self.axis, TICKS, &mut page);
        page.raw("<ol>\n");
        for row in self.rows.iter().take(DRAWN) {
            self.row(row, &summary, &mut page);
        }
        page.raw("</ol></section>\n</main>\n");
        self.footer(&mut page);
        page.raw("</body>\n</html>\n");
        page.into_string()
    }

    fn head(&self, page: &mut Markup) {
        page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        // NB: nothing is loaded, and no style but that of this program applies, whatever an object says.
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-");
        let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
        page.text(&STANDARD.encode(hash)).raw("'\">\n");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
        page.raw("<title>Client secrets ")
            .text(self.place)
            .raw("</title>\n<style>");
        page.raw(STYLE).raw("</style>\n</head>\n");
    }

    /// Such as `Nov 23, 2026, 22:10 to Nov 30, 2026, 22:10 UTC, and ahead to Dec 2, 2026, 22:10`.
    fn time(&self) -> String {
        let Axis { from, now, until } = *self.axis;
        let name = |at: jiff::Timestamp| at.strftime("%b %-d, %Y, %H:%M").to_string();
        let ahead = (until > now).then(|| format!(", and ahead to {}", name(until)));
        format!(
            "{} to {} UTC{}",
            name(from),
            name(now),
            ahead.unwrap_or_default()
        )
    }

    fn tiles(&self, summary: &Summary, page: &mut Markup) {
        let repairs = summary.count(|event| event == Event::Repair);
        let ahead = summary.count(|event| event == Event::Next);
        let rotations = summary.count(Event::is_rotation);
        let outages = summary.states.get(&State::Outage).copied().unwrap_or(0);
        let all = self.rows.len();
        let (attention, dark) = (summary.attention, milliseconds(summary.darkest));
        page.raw("<dl class=\"tiles\">\n");
        for (is_bad, number, name) in [
            (false, grouped(all), "credentials"),
            (attention > 0, grouped(attention), "need attention"),
            (outages > 0, grouped(outages), "not usable now"),
            (false, grouped(rotations), "rotations"),
            (repairs > 0, grouped(repairs), "of them repairs"),
            (false, dark, "longest dark window"),
            (false, grouped(ahead), "rotations ahead"),
        ] {
            page.raw(if is_bad {
                "<div class=\"bad\">"
            } else {
                "<div>"
            });
            page.raw("<dt>").text(name).raw("</dt><dd>").text(&number);
            page.raw("</dd></div>\n");
        }
        page.raw("</dl>\n");
    }

    /// Those that need attention, with what is wrong.
    fn attention(&self, summary: &Summary, page: &mut Markup) {
        if summary.attention == 0 {
            return;
        }
        page.raw("<section aria-labelledby=\"attention\"><h2 id=\"attention\">Need attention</h2>\n<ul class=\"attention\">\n");
        let rows = self.rows.iter().filter(|row| row.level.needs_attention());
        for row in rows.take(LISTED) {
            page.raw("<li class=\"").raw(class(row.level)).raw("\"><b>");
            page.text(&self.label(row, summary));
            page.raw("</b><span class=\"word\">")
                .text(&row.status)
                .raw("</span>");
            page.text(&row.message).raw("</li>\n");
        }
        let more = summary.attention.saturating_sub(LISTED);
        if more > 0 {
            page.raw("<li>and ")
                .text(&grouped(more))
                .raw(" more</li>\n");
        }
        page.raw("</ul></section>\n");
    }

    fn row(&self, row: &Row, summary: &Summary, page: &mut Markup) {
        let label = self.label(row, summary);
        page.raw("<li class=\"row ")
            .raw(class(row.level))
            .raw("\"><span class=\"name\" title=\"");
        page.text(&label).raw("\">");
        let (before, name) = label.rsplit_once('/').unwrap_or(("", &label));
        if !before.is_empty() {
            page.text(before).raw("/");
        }
        page.raw("<b>").text(name).raw("</b></span>");
        lane::draw(row, &spoken(row, &label), self.axis, page);
        page.raw("<span class=\"side\" title=\"").text(&row.message);
        page.raw("\"><span class=\"word\">")
            .text(&row.status)
            .raw("</span>");
        if let Some(next) = row.next_rotation_time.filter(|next| *next > self.axis.now) {
            let is_soon = next.duration_since(self.axis.now) < SignedDuration::from_hours(24 * 300);
            let format = if is_soon { "%b %-d" } else { "%b %-d, %Y" };
            page.raw(" · next ")
                .text(&next.strftime(format).to_string());
        }
        page.raw("</span></li>\n");
    }

    fn label(&self, row: &Row, summary: &Summary) -> String {
        row.label(self.with_namespace, summary.both_kinds)
    }

    fn footer(&self, page: &mut Markup) {
        page.raw("<footer>\n");
        let left = self.rows.len().saturating_sub(DRAWN);
        if left > 0 {
            page.raw("<p><b>")
                .text(&grouped(left))
                .raw(" of ")
                .text(&grouped(self.rows.len()));
            page.raw(" credentials are not drawn.</b> Those that are drawn are the worst; the numbers count all.</p>\n");
        }
        page.raw("<p>Only what the objects have recorded is drawn. An object keeps its last ");
        page.text(&grouped(AppSecretStatus::HISTORY));
        page.raw(" rotations and the present state: what was before is hatched, or a thin line where only rotations are known. What an object says of itself is as of its last report. Rotations ahead are those of the schedule.</p>\n");
        page.raw("<p>kubectl zitadel-secret ")
            .text(env!("CARGO_PKG_VERSION"));
        page.raw("</p>\n</footer>\n");
    }
}

/// The name of the class of a level.
const fn class(level: Level) -> &'static str {
    match level {
        Level::Broken => "broken",
        Level::Attention => "attends",
        Level::Waiting | Level::Suspended | Level::Fine => "fine",
    }
}

/// What the shapes and bars mean, and how many there are.
fn legend(summary: &Summary, page: &mut Markup) {
    page.raw("<ul class=\"legend\" aria-label=\"Legend\">\n");
    for event in Event::ALL {
        if let Some(count) = summary.events.get(&event) {
            page.raw("<li>");
            lane::event_key(event, page);
            page.text(event.words())
                .raw(" <b>")
                .text(&grouped(*count))
                .raw("</b></li>\n");
        }
    }
    if summary.darkest > 0 {
        page.raw("<li>");
        lane::dark_key(page);
        page.raw("dark window, to scale from 3 pixels on</li>\n");
    }
    for state in State::ALL {
        if summary.states.contains_key(&state) {
            page.raw("<li>");
            lane::state_key(state, page);
            page.text(state.words()).raw("</li>\n");
        }
    }
    page.raw("</ul>\n");
}

/// A row for those who do not see it: where it stands, what it is now, and what happened.
fn spoken(row: &Row, label: &str) -> String {
    let states = row.states.iter().map(|span| span.state.words().to_owned());
    let events = Event::ALL.into_iter().filter_map(|event| {
        let count = row.count(|other| other == event);
        (count > 0).then(|| format!("{count} {}", event.words()))
    });
    let parts: Vec<String> = events.chain(states).collect();
    format!("{label}: {}. {}", row.status, parts.join(", "))
}

#[cfg(test)]
mod tests;
