//! A picture in characters: a line for each credential, time from left to right. No I/O.

use crate::api::AppSecretStatus;
use crate::plugin::output::{Tone, milliseconds};
use crate::plugin::safe;
use crate::plugin::timeline::axis::Axis;
use crate::plugin::timeline::event::{Event, State};
use crate::plugin::timeline::row::Row;
use crate::plugin::timeline::words::Summary;

/// The columns where there is no terminal.
pub const IN_A_PIPE: usize = 80;
/// Between two parts of a line.
const GAP: usize = 2;
/// The least room for the time, and for the name before it.
const LEAST: usize = 20;
/// A word of a status is cut after so many characters.
const WORD: usize = 20;
/// Between two names of points in time.
const TICK: usize = 9;
const NOW: &str = "now";

/// Text of one tone.
pub type Run = (String, Tone);
/// A line: text of several tones.
pub type Line = Vec<Run>;

/// How a picture looks.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
    /// Whether there is more to say of each credential than one word.
    pub wide: bool,
    /// Whether objects of several namespaces are shown.
    pub with_namespace: bool,
}

impl Look {
    const fn event(self, event: Event) -> char {
        let (character, ascii) = match event {
            Event::Next => ('○', 'o'),
            Event::Retire => ('▽', 'v'),
            Event::FirstIssue => ('◆', 'F'),
            Event::Adopted => ('◇', 'A'),
            Event::Due => ('●', 'D'),
            Event::Trigger => ('▲', 'T'),
            Event::Other => ('■', 'C'),
            Event::Unstored => ('□', 'N'),
            Event::Foreign => ('✕', 'X'),
            Event::Repair => ('✚', 'R'),
        };
        if self.unicode { character } else { ascii }
    }

    const fn state(self, state: State) -> char {
        let (character, ascii) = match state {
            State::Unknown => ('?', '?'),
            State::Unstated => ('·', '.'),
            State::Usable => ('─', '-'),
            State::Late => ('~', '~'),
            State::Stale => ('░', '='),
            State::Outage => ('█', '#'),
        };
        if self.unicode { character } else { ascii }
    }

    const fn now(self) -> char {
        if self.unicode { '│' } else { '|' }
    }
}

/// Where each part of a line is.
struct Layout<'a> {
    look: Look,
    axis: &'a Axis,
    /// Columns of the name; none: it has a line of its own.
    label: Option<usize>,
    /// Columns of what was.
    past: usize,
    /// Columns of what is to come.
    future: usize,
    /// Columns of each word behind it.
    words: Vec<usize>,
}

/// The lines of a picture.
pub fn lines(rows: &[Row], axis: &Axis, look: Look) -> Vec<Line> {
    if rows.is_empty() {
        return Vec::new();
    }
    let summary = Summary::of(rows);
    let label = |row: &Row| row.label(look.with_namespace, summary.both_kinds);
    let longest = rows.iter().map(|row| label(row).chars().count()).max();
    let layout = Layout::new(look, axis, longest.unwrap_or(0), &words(rows, look));
    let mut lines = vec![layout.heading()];
    for row in rows {
        layout.row(row, &label(row), &mut lines);
    }
    lines.push(Vec::new());
    lines.extend(legend(&summary, look));
    lines
}

/// The headings of what is said of a row besides the picture.
fn titles(look: Look) -> &'static [&'static str] {
    const TITLES: [&str; 4] = ["STATUS", "ROTATIONS", "DARK", "NEXT"];
    let (narrow, _) = TITLES.split_at(1);
    if look.wide { &TITLES } else { narrow }
}

/// What is said of a row besides the picture.
fn said(row: &Row, look: Look) -> Vec<Run> {
    let mut said = vec![(safe::text(&row.status).into_owned(), row.level.tone())];
    if look.wide {
        let next = row.next_rotation_time;
        said.extend([
            (row.count(Event::is_rotation).to_string(), Tone::Plain),
            (milliseconds(row.dark()), Tone::Plain),
            (
                next.map_or_else(|| "-".to_owned(), |next| next.to_string()),
                Tone::Plain,
            ),
        ]);
    }
    said
}

/// How wide that is, over all rows.
fn words(rows: &[Row], look: Look) -> Vec<usize> {
    let mut widths: Vec<usize> = titles(look).iter().map(|title| title.len()).collect();
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(&said(row, look)) {
            *width = text.chars().count().min(WORD).max(*width);
        }
    }
    widths
}

impl<'a> Layout<'a> {
    fn new(look: Look, axis: &'a Axis, longest: usize, words: &[usize]) -> Self {
        let mut words = words.to_vec();
        let longest = longest.min((look.width / 3).max(LEAST));
        let room = loop {
            let behind: usize = words.iter().map(|width| width + GAP).sum();
            let room = look.width.saturating_sub(longest + GAP + behind);
            if room >= LEAST || words.pop().is_none() {
                break room;
            }
        };
        let (label, room) = if room >= LEAST {
            (Some(longest), room)
        } else {
            (None, look.width.max(4))
        };
        let share = axis.share(axis.now);
        let future = if axis.now < axis.until {
            share_of(room - 1, 1.0 - share).max(1)
        } else {
            0
        };
        let past = room - future - usize::from(future > 0);
        Self {
            look,
            axis,
            label,
            past,
            future,
            words,
        }
    }

    /// The column of an instant.
    fn column(&self, at: jiff::Timestamp) -> usize {
        let now = self.axis.share(self.axis.now);
        let share = self.axis.share(at);
        if at <= self.axis.now {
            let part = if now > 0.0 { share / now } else { 1.0 };
            share_of(self.past, part).min(self.past.saturating_sub(1))
        } else {
            let part = (share - now) / (1.0 - now);
            let column = share_of(self.future, part).min(self.future.saturating_sub(1));
            self.past + 1 + column
        }
    }

    fn row(&self, row: &Row, label: &str, lines: &mut Vec<Line>) {
        let mut line = Line::new();
        let label = safe::text(label);
        match self.label {
            Some(width) => line.push((padded(&shortened(&label, width), width + GAP), Tone::Plain)),
            None => lines.push(vec![(shortened(&label, self.look.width), Tone::Plain)]),
        }
        line.extend(runs(&self.cells(row)));
        let said = said(row, self.look);
        for ((text, tone), width) in said.into_iter().zip(&self.words) {
            line.push((" ".repeat(GAP), Tone::Plain));
            line.push((padded(&shortened(&text, *width), *width), tone));
        }
        if let Some((last, _)) = line.last_mut() {
            last.truncate(last.trim_end().len());
        }
        lines.push(line);
    }

    fn cells(&self, row: &Row) -> Vec<(char, Tone)> {
        let mut cells = vec![(' ', Tone::Plain); self.past];
        // NB: the most serious ones are last.
        for span in &row.states {
            let columns = self.column(span.from)..=self.column(span.until);
            let cell = (self.look.state(span.state), span.state.tone());
            if let Some(cells) = cells.get_mut(columns) {
                cells.fill(cell);
            }
        }
        if self.future > 0 {
            cells.push((self.look.now(), Tone::Faint));
            cells.extend(std::iter::repeat_n((' ', Tone::Plain), self.future));
        }
        let mut marks: Vec<_> = row.events.iter().collect();
        marks.sort_by_key(|mark| mark.event);
        for mark in marks {
            if let Some(cell) = cells.get_mut(self.column(mark.time)) {
                *cell = (self.look.event(mark.event), mark.event.tone());
            }
        }
        cells
    }

    /// What stands above the picture: names of points in time, and of what is behind it.
    fn heading(&self) -> Line {
        let mut line = String::new();
        if let Some(width) = self.label {
            line.push_str(&padded("NAME", width + GAP));
        }
        line.push_str(&self.times());
        for (title, width) in titles(self.look).iter().zip(&self.words) {
            line.push_str(&" ".repeat(GAP));
            line.push_str(&padded(title, *width));
        }
        vec![(line.trim_end().to_owned(), Tone::Faint)]
    }

    /// Now, and as many other points in time as there is room for.
    fn times(&self) -> String {
        let all = self.past + self.future + usize::from(self.future > 0);
        let mut text = vec![' '; all];
        let mut write = |at: usize, label: &str| {
            let label: Vec<char> = std::iter::once(self.look.now())
                .chain(label.chars())
                .collect();
            let end = at + label.len();
            // NB: two names may touch, since each begins with a line.
            if let Some(place) = text.get_mut(at..end)
                && place.iter().all(|c| *c == ' ')
            {
                place.copy_from_slice(&label);
            }
        };
        let is_last = self.future < NOW.len();
        let at = if is_last {
            all.saturating_sub(NOW.len() + 1)
        } else {
            self.past
        };
        write(at, NOW);
        for tick in self.axis.ticks(all / TICK) {
            write(self.column(tick.at), &tick.label);
        }
        write(0, &self.axis.begin());
        text.into_iter().collect()
    }
}

/// Cells of the same tone in one piece.
fn runs(cells: &[(char, Tone)]) -> impl Iterator<Item = Run> {
    let runs = cells.chunk_by(|(_, one), (_, other)| one == other);
    runs.filter_map(|run| {
        let (_, tone) = run.first()?;
        Some((run.iter().map(|(character, _)| *character).collect(), *tone))
    })
}

/// What the characters of the picture mean, in as many lines as that needs.
fn legend(summary: &Summary, look: Look) -> Vec<Line> {
    let states = State::ALL.into_iter();
    let states = states.filter(|state| summary.states.contains_key(state));
    let states = states.map(|state| (look.state(state), state.words(), state.tone()));
    let events = Event::ALL.into_iter();
    let events = events.filter(|event| summary.events.contains_key(event));
    let events = events.map(|event| (look.event(event), event.words(), event.tone()));
    let mut lines: Vec<Line> = Vec::new();
    let mut width = usize::MAX;
    for (character, words, tone) in events.chain(states) {
        let words = if words == State::Unknown.words() {
            format!(
                " {words} (an object keeps its last {} rotations)",
                AppSecretStatus::HISTORY
            )
        } else {
            format!(" {words}")
        };
        let needed = 1 + words.chars().count();
        let fits = width.saturating_add(3 + needed) <= look.width;
        if !fits {
            lines.push(Line::new());
            width = 0;
        }
        if let Some(line) = lines.last_mut() {
            if fits {
                line.push(("   ".to_owned(), Tone::Plain));
                width += 3;
            }
            line.push((character.to_string(), tone));
            line.push((words, Tone::Plain));
            width += needed;
        }
    }
    lines
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // Columns of a terminal.
fn share_of(columns: usize, share: f64) -> usize {
    (columns as f64 * share.clamp(0.0, 1.0)) as usize
}

fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    text.to_owned() + &" ".repeat(missing)
}

/// A text of at most so many characters; in the middle of a longer one stands `~`.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let head = width / 2;
    let tail = width.saturating_sub(head + 1);
    let start = text.chars().take(head);
    let end = text.chars().skip(count - tail);
    start.chain(std::iter::once('~')).chain(end).collect()
}

#[cfg(test)]
mod tests;
