//! The picture of one credential within a page: what it was, and what happened. No I/O.

use crate::plugin::timeline::axis::Axis;
use crate::plugin::timeline::event::{Event, Mark, Span, State};
use crate::plugin::timeline::markup::Markup;
use crate::plugin::timeline::row::Row;

/// What is shorter than this part of the picture would not be seen: it is drawn three pixels wide.
const LEAST: f64 = 0.004;

/// Shapes and patterns, which every picture of the page uses, and the lines behind them.
const SHAPES: &str = r#"<g id="due"><circle r="5" class="solid"/></g>
<g id="trigger"><path d="M0-6.2 6 4.8H-6Z" class="solid"/></g>
<g id="repair"><path d="M-2.2-6.2H2.2V-2.2H6.2V2.2H2.2V6.2H-2.2V2.2H-6.2V-2.2H-2.2Z" class="solid"/></g>
<g id="first"><path d="M0-6.4 6.4 0 0 6.4-6.4 0Z" class="solid"/></g>
<g id="adopted"><path d="M0-5.6 5.6 0 0 5.6-5.6 0Z" class="hollow"/></g>
<g id="retire"><path d="M0 5 5-4H-5Z" class="hollow"/></g>
<g id="other"><path d="M-4.6-4.6H4.6V4.6H-4.6Z" class="solid"/></g>
<g id="unstored"><path d="M-4.2-4.2H4.2V4.2H-4.2Z" class="hollow"/></g>
<g id="foreign"><path d="M-4.2-4.2 4.2 4.2M4.2-4.2-4.2 4.2" class="cross"/></g>
<g id="next"><circle r="4.2" class="hollow"/></g>
<pattern id="p-unknown" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M-1 7 7-1M-1 1 1-1M5 7 7 5" class="p-unknown"/></pattern>
<pattern id="p-outage" width="5" height="5" patternUnits="userSpaceOnUse"><path d="M0 0H5V5H0Z" class="p-back"/><path d="M-1-1 6 6M-1 4 1 6M4-1 6 1" class="p-outage"/></pattern>
<pattern id="p-stale" width="7" height="4" patternUnits="userSpaceOnUse"><path d="M0 0H5V4H0Z" class="p-amber"/></pattern>
<pattern id="p-late" width="4" height="4" patternUnits="userSpaceOnUse"><path d="M0 0H2V4H0Z" class="p-amber"/></pattern>
"#;

impl Event {
    /// The name of its shape and of its color.
    const fn shape(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Retire => "retire",
            Self::FirstIssue => "first",
            Self::Adopted => "adopted",
            Self::Due => "due",
            Self::Trigger => "trigger",
            Self::Other => "other",
            Self::Unstored => "unstored",
            Self::Foreign => "foreign",
            Self::Repair => "repair",
        }
    }
}

impl State {
    /// How it is drawn: the color, and where from top to bottom.
    const fn bar(self) -> &'static str {
        match self {
            Self::Unknown => r#"class="unknown" y="9" height="10""#,
            Self::Unstated => r#"class="unstated" y="13.5" height="1""#,
            Self::Usable => r#"class="usable" y="12" height="4""#,
            Self::Late => r#"class="late" y="3" height="3""#,
            Self::Stale => r#"class="stale" y="22" height="4""#,
            Self::Outage => r#"class="outage" y="7" height="14""#,
        }
    }
}

/// What all pictures of a page are made of.
pub fn defs(axis: &Axis, ticks: usize, page: &mut Markup) {
    page.raw("<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n");
    page.raw(SHAPES).raw("<g id=\"grid\" class=\"grid\">");
    let now = axis.share(axis.now);
    page.raw("<rect x=\"")
        .percent(now)
        .raw("\" width=\"")
        .percent(1.0 - now);
    page.raw("\" height=\"100%\"/>");
    for tick in axis.ticks(ticks) {
        line("", axis.share(tick.at), page);
    }
    line("now", now, page);
    page.raw("</g>\n</defs></svg>\n");
}

fn line(class: &'static str, share: f64, page: &mut Markup) {
    page.raw("<line class=\"")
        .raw(class)
        .raw("\" x1=\"")
        .percent(share);
    page.raw("\" x2=\"").percent(share).raw("\" y2=\"100%\"/>");
}

/// The names of some points in time, above the pictures.
pub fn heading(axis: &Axis, ticks: usize, page: &mut Markup) {
    page.raw("<div class=\"row head\" aria-hidden=\"true\"><span class=\"name\"></span><svg class=\"lane\">");
    let now = axis.share(axis.now);
    // NB: at the right end, `now` is written before its line.
    let taken = if now > 0.97 { 0.08 } else { 0.045 };
    for (number, tick) in axis.ticks(ticks).into_iter().enumerate() {
        let share = axis.share(tick.at);
        // NB: a name would be written over `now`, or beyond an end.
        if (share - now).abs() > taken && (0.03..=0.97).contains(&share) {
            // NB: a narrow page has room for every other one.
            let class = if number.is_multiple_of(2) { "" } else { "odd" };
            label(class, share, &tick.label, page);
        }
    }
    label("now", now, "now", page);
    page.raw("</svg><span class=\"side\"></span></div>\n");
}

fn label(class: &'static str, share: f64, text: &str, page: &mut Markup) {
    page.raw("<text class=\"")
        .raw(class)
        .raw("\" text-anchor=\"");
    page.raw(if share > 0.97 { "end" } else { "middle" });
    page.raw("\" y=\"16\" x=\"")
        .percent(share)
        .raw("\">")
        .text(text)
        .raw("</text>");
}

/// The picture of a credential.
pub fn draw(row: &Row, name: &str, axis: &Axis, page: &mut Markup) {
    page.raw("<svg class=\"lane\" role=\"img\" aria-label=\"")
        .text(name);
    page.raw("\"><use href=\"#grid\"/>");
    for span in &row.states {
        bar(span, axis, page);
    }
    for mark in &row.events {
        dark(mark, axis, page);
    }
    let mut marks: Vec<&Mark> = row.events.iter().collect();
    // NB: the most serious ones are drawn over others.
    marks.sort_by_key(|mark| mark.event);
    for mark in marks {
        let shape = mark.event.shape();
        page.raw("<use href=\"#")
            .raw(shape)
            .raw("\" class=\"")
            .raw(shape);
        page.raw("\" y=\"14\" x=\"")
            .percent(axis.share(mark.time))
            .raw("\"><title>");
        page.text(&mark.describe()).raw("</title></use>");
    }
    page.raw("</svg>");
}

fn bar(span: &Span, axis: &Axis, page: &mut Markup) {
    page.raw("<rect ").raw(span.state.bar());
    width(axis.share(span.from), axis.share(span.until), page);
    page.raw("><title>")
        .text(&span.describe(axis))
        .raw("</title></rect>");
}

/// A dark window, below its rotation.
fn dark(mark: &Mark, axis: &Axis, page: &mut Markup) {
    if mark.dark_window_milliseconds.is_some_and(|dark| dark > 0) {
        page.raw("<rect class=\"dark\" y=\"22\" height=\"3\"");
        width(
            axis.share(mark.time),
            axis.share(mark.lit().min(axis.now)),
            page,
        );
        page.raw("/>");
    }
}

fn width(from: f64, until: f64, page: &mut Markup) {
    page.raw(" x=\"").percent(from);
    if until - from < LEAST {
        page.raw("\" width=\"3\"");
    } else {
        page.raw("\" width=\"").percent(until - from).raw("\"");
    }
}

/// An event as the legend shows it.
pub fn event_key(event: Event, page: &mut Markup) {
    let shape = event.shape();
    page.raw("<svg aria-hidden=\"true\"><use href=\"#")
        .raw(shape)
        .raw("\" class=\"");
    page.raw(shape).raw("\" x=\"13\" y=\"13\"/></svg>");
}

/// A state as the legend shows it.
pub fn state_key(state: State, page: &mut Markup) {
    page.raw("<svg aria-hidden=\"true\"><rect width=\"26\" ")
        .raw(state.bar())
        .raw("/></svg>");
}

/// A dark window as the legend shows it.
pub fn dark_key(page: &mut Markup) {
    page.raw("<svg aria-hidden=\"true\"><use href=\"#due\" class=\"due\" x=\"13\" y=\"13\"/>");
    page.raw("<rect class=\"dark\" x=\"13\" y=\"21\" width=\"8\" height=\"3\"/></svg>");
}
