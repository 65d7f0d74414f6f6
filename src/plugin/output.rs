//! How data is printed: columns as kubectl has them, JSON, YAML or names. On stdout goes data and nothing else.

mod stream;

use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::plugin::exit::Failure;
use crate::plugin::safe;

/// Between two columns.
const GAP: usize = 3;
/// The last column of a table has at least this much room on a terminal; with less, each record is printed as a list.
const LEAST_LAST: usize = 24;

/// The format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Columns
    #[default]
    Table,
    /// More columns
    Wide,
    /// One JSON object, with `items`
    Json,
    /// The same as YAML
    Yaml,
    /// KIND/NAME, one a line, as kubectl takes them
    Name,
}

/// How urgent a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Not at all.
    #[default]
    Plain,
    /// It is as it should be.
    Good,
    /// Someone should look at it.
    Warning,
    /// Someone must act.
    Bad,
    /// It does not matter.
    Faint,
}

impl Tone {
    const fn style(self) -> Style {
        let color = match self {
            Self::Plain => return Style::new(),
            Self::Faint => return Style::new().dimmed(),
            Self::Good => AnsiColor::Green,
            Self::Warning => AnsiColor::Yellow,
            Self::Bad => AnsiColor::Red,
        };
        color.on_default()
    }
}

/// One value of a record as it is shown. Its text is harmless to a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell; `-` where there is nothing.
    pub fn new(text: &str, tone: Tone) -> Self {
        let text = if text.is_empty() { "-" } else { text };
        Self {
            text: safe::text(text).into_owned(),
            tone,
        }
    }

    /// A cell without color.
    pub fn plain(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }

    /// A cell without color, of something that may not be there.
    pub fn maybe(text: Option<&str>) -> Self {
        Self::plain(text.unwrap_or_default())
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// A column of a table of such records.
pub struct Column<R> {
    /// Its heading.
    pub title: &'static str,
    /// Whether only `-o wide` has it.
    pub wide: bool,
    /// What it shows of a record at that time.
    pub cell: fn(&R, Timestamp) -> Cell,
}

// NB: derived, they would ask that the records can be copied.
impl<R> Clone for Column<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Column<R> {}

impl<R> Column<R> {
    /// A column that is always shown.
    pub const fn new(title: &'static str, cell: fn(&R, Timestamp) -> Cell) -> Self {
        Self {
            title,
            wide: false,
            cell,
        }
    }

    /// A column of `-o wide`.
    pub const fn wide(title: &'static str, cell: fn(&R, Timestamp) -> Cell) -> Self {
        Self {
            title,
            wide: true,
            cell,
        }
    }
}

/// What is printed: serialized for `-o json` and `-o yaml`.
pub trait Record: Serialize {
    /// `KIND/NAME`, as kubectl takes it.
    fn reference(&self) -> String;
}

/// A table whose records come one after another, in columns of the same width.
pub struct Lines<R> {
    columns: Vec<Column<R>>,
    widths: Vec<usize>,
    now: Timestamp,
}

/// Where the data goes, and how it looks there.
pub struct Output {
    format: Format,
    color: bool,
    /// The columns of the terminal, if it is one.
    width: Option<usize>,
    to: Box<dyn Write>,
}

impl Output {
    /// To stdout. Colors are used on a terminal only, if it has any and the caller has nothing against them.
    pub fn to_stdout(format: Format, no_color: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            format,
            color: is_terminal && !no_color && !set("NO_COLOR") && !is_dumb,
            width: is_terminal.then(terminal_width).flatten(),
            to: Box::new(BufWriter::new(stdout)),
        }
    }

    /// The format that was asked for.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether data is for a program.
    pub const fn is_for_program(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml | Format::Name)
    }

    /// The columns of the terminal, if it is one.
    pub const fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints records, and that is all.
    pub fn records<R: Record>(
        &mut self,
        columns: &[Column<R>],
        records: &[R],
        now: Timestamp,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&json!({ "items": records }))?,
            Format::Name => {
                for record in records {
                    self.line(&record.reference())?;
                }
            }
            Format::Table | Format::Wide if records.is_empty() => {}
            Format::Table | Format::Wide => {
                let lines = self.heading(columns, records, now)?;
                for record in records {
                    self.row(&lines, record)?;
                }
            }
        }
        Ok(self.to.flush()?)
    }

    /// Begins a table whose records come one after another; `first` are those that are there already, for the width of the columns.
    pub fn begin<R: Record>(
        &mut self,
        columns: &[Column<R>],
        first: &[R],
        now: Timestamp,
    ) -> Result<Lines<R>, Failure> {
        if self.is_for_program() {
            return Ok(Lines {
                columns: Vec::new(),
                widths: Vec::new(),
                now,
            });
        }
        self.heading(columns, first, now)
    }

    /// One more record of it. It is written at once: someone waits for it.
    pub fn more<R: Record>(
        &mut self,
        lines: &mut Lines<R>,
        record: &R,
        now: Timestamp,
    ) -> Result<(), Failure> {
        lines.now = now;
        match self.format {
            Format::Json => {
                let text = serde_json::to_string(record).map_err(io::Error::from)?;
                self.line(&safe::json(&text))?;
            }
            Format::Yaml => {
                self.line("---")?;
                self.document(record)?;
            }
            Format::Name => self.line(&record.reference())?,
            Format::Table | Format::Wide => self.row(lines, record)?,
        }
        Ok(self.to.flush()?)
    }

    /// One line as it is. For what was made of cells, or is harmless otherwise.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{text}")?)
    }

    /// One line of parts, each in its tone. For text that is harmless.
    pub fn painted(&mut self, parts: &[(String, Tone)]) -> Result<(), Failure> {
        let mut line = String::new();
        for (text, tone) in parts {
            self.paint(&mut line, text, *tone);
        }
        self.line(&line)
    }

    /// Writes what is held back.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }

    /// A document of its own.
    pub fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Yaml {
            // NB: by way of JSON, whose strings can be made harmless one by one.
            let value = serde_json::to_value(value).map_err(io::Error::from)?;
            let text = serde_saphyr::to_string(&harmless(value)).map_err(io::Error::other)?;
            write!(self.to, "{text}")?;
        } else {
            let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
            writeln!(self.to, "{}", safe::json(&text))?;
        }
        Ok(self.to.flush()?)
    }

    /// A manifest: YAML, or JSON where that was asked for.
    pub fn manifest(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        if self.format != Format::Json {
            self.format = Format::Yaml;
        }
        self.document(object)
    }

    fn heading<R>(
        &mut self,
        columns: &[Column<R>],
        records: &[R],
        now: Timestamp,
    ) -> Result<Lines<R>, Failure> {
        let shown = columns
            .iter()
            .filter(|column| !column.wide || self.format == Format::Wide);
        let columns: Vec<Column<R>> = shown.copied().collect();
        let widths = columns.iter().map(|column| {
            let cells = records
                .iter()
                .map(|record| (column.cell)(record, now).width());
            cells.max().unwrap_or(0).max(column.title.len())
        });
        let widths = widths.collect();
        let lines = Lines {
            columns,
            widths,
            now,
        };
        if !self.is_narrow(&lines.widths) {
            let titles = lines.columns.iter().map(|column| Cell::plain(column.title));
            let titles: Vec<Cell> = titles.collect();
            self.cells(&titles, &lines.widths)?;
        }
        Ok(lines)
    }

    fn row<R>(&mut self, lines: &Lines<R>, record: &R) -> Result<(), Failure> {
        let cells = lines.columns.iter();
        let cells: Vec<Cell> = cells
            .map(|column| (column.cell)(record, lines.now))
            .collect();
        if !self.is_narrow(&lines.widths) {
            return self.cells(&cells, &lines.widths);
        }
        // A terminal with less room than a table needs: each record as a list.
        let widest = lines.columns.iter().map(|column| column.title.len()).max();
        let widths = [widest.unwrap_or(0), 0];
        for (column, cell) in lines.columns.iter().zip(cells) {
            self.cells(&[Cell::new(column.title, Tone::Faint), cell], &widths)?;
        }
        self.line("")
    }

    /// Whether the terminal has too little room for a table with such columns.
    fn is_narrow(&self, widths: &[usize]) -> bool {
        let last = widths.last().copied().unwrap_or(0).min(LEAST_LAST);
        let others = widths.iter().rev().skip(1);
        let needed = others.map(|width| width + GAP).sum::<usize>() + last;
        self.width.is_some_and(|width| needed > width)
    }

    /// Cells in columns. On a terminal the last one is wrapped in its column; elsewhere it is as long as it is.
    fn cells(&mut self, cells: &[Cell], widths: &[usize]) -> Result<(), Failure> {
        let Some((last, others)) = cells.split_last() else {
            return Ok(());
        };
        let mut text = String::new();
        let mut indent = 0;
        for (cell, width) in others.iter().zip(widths) {
            self.paint(&mut text, &cell.text, cell.tone);
            let padding = (width + GAP).saturating_sub(cell.width());
            text.extend(std::iter::repeat_n(' ', padding));
            indent += width + GAP;
        }
        let room = self.width.map(|width| width.saturating_sub(indent).max(8));
        for (number, part) in wrapped(&last.text, room).enumerate() {
            if number > 0 {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
            }
            self.paint(&mut text, part, last.tone);
        }
        self.line(&text)
    }

    fn paint(&self, to: &mut String, text: &str, tone: Tone) {
        let style = tone.style();
        if self.color && style != Style::new() {
            // NB: writing to a String cannot fail.
            let _ = write!(to, "{style}{text}{style:#}");
        } else {
            to.push_str(text);
        }
    }
}

/// Says something to the caller that is no data.
pub fn note(text: &str) {
    // NB: if even stderr is closed, there is no one to say it to.
    let _ = writeln!(io::stderr(), "{}", safe::text(text));
}

/// Says which kinds of objects are not among the data, and why.
pub fn note_missing(missing: &[impl Display]) {
    for error in missing {
        note(&format!("error: not all kinds are shown: {error}"));
    }
}

/// The same value with text that is harmless to a terminal.
fn harmless(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(safe::text(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(harmless).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields =
                fields.map(|(name, value)| (safe::text(&name).into_owned(), harmless(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// The parts of a text that fit into a column, broken between words where that is possible.
fn wrapped(text: &str, room: Option<usize>) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((end, _)) = room.and_then(|room| text.char_indices().nth(room)) else {
            return Some(text);
        };
        let head = text.get(..end).unwrap_or(text);
        let next = text.get(end..).unwrap_or_default();
        if let Some(next) = next.strip_prefix(' ') {
            rest = Some(next);
            return Some(head);
        }
        let (part, next) = match head.rfind(' ') {
            Some(space) if space > 0 => (text.get(..space), text.get(space + 1..)),
            _ => (Some(head), Some(next)),
        };
        rest = next;
        part
    })
}

/// Such as `1 of 3 rotates now`.
pub fn rotate_now(rotating: usize, objects: usize) -> String {
    let rotate = if rotating == 1 { "rotates" } else { "rotate" };
    format!("{rotating} of {objects} {rotate} now")
}

/// A length of time as kubectl writes ages, such as `45s`, `5m`, `3h20m`, `12d` or `2y30d`.
pub fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let both = |large: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => both(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => both(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => both(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => both(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// Such as `350ms` or `1.4s`.
pub fn milliseconds(milliseconds: i64) -> String {
    match milliseconds {
        ..1000 => format!("{milliseconds}ms"),
        1000..60_000 => format!("{}.{}s", milliseconds / 1000, milliseconds % 1000 / 100),
        _ => span(SignedDuration::from_millis(milliseconds)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Copy, Serialize)]
    pub(super) struct Pair(&'static str, &'static str);

    impl Record for Pair {
        fn reference(&self) -> String {
            format!("pair/{}", self.0)
        }
    }

    pub(super) fn columns() -> Vec<Column<Pair>> {
        vec![
            Column::new("NAME", |it, _| Cell::new(it.0, Tone::Bad)),
            Column::wide("EXTRA", |_, _| Cell::maybe(None)),
            Column::new("MESSAGE", |it, _| Cell::plain(it.1)),
        ]
    }

    fn printed(format: Format, color: bool, width: Option<usize>, pairs: &[Pair]) -> String {
        let written = Written::default();
        let mut output = Output {
            format,
            color,
            width,
            to: Box::new(written.clone()),
        };
        let now = Timestamp::UNIX_EPOCH;
        output.records(&columns(), pairs, now).unwrap();
        written.text()
    }

    pub(super) const PAIRS: [Pair; 2] = [
        Pair("a", "one two three four five six seven eight nine ten"),
        Pair("longer", "\u{1b}[2J"),
    ];

    #[test]
    fn a_record_is_one_line_in_a_pipe_however_long_it_is() {
        assert_eq!(
            printed(Format::Table, false, None, &PAIRS),
            "NAME     MESSAGE\n\
             a        one two three four five six seven eight nine ten\n\
             longer   \\u{1b}[2J\n"
        );
        let wide = printed(Format::Wide, false, None, &PAIRS);
        assert!(
            wide.starts_with("NAME     EXTRA   MESSAGE\na        -       one"),
            "{wide}"
        );
        assert_eq!(printed(Format::Table, false, None, &[]), "");
    }

    #[test]
    fn a_terminal_wraps_the_last_column_and_a_narrow_one_has_lists() {
        assert_eq!(
            printed(Format::Table, false, Some(40), &PAIRS[..1]),
            "NAME   MESSAGE\n\
             a      one two three four five six seven\n       eight nine ten\n"
        );
        assert_eq!(
            printed(Format::Table, false, Some(25), &PAIRS[..1]),
            "NAME      a\n\
             MESSAGE   one two three\n          four five six\n          seven eight\n          nine ten\n\n"
        );
    }

    #[test]
    fn colors_do_not_move_columns() {
        let colored = printed(Format::Table, true, None, &PAIRS);
        let plain = printed(Format::Table, false, None, &PAIRS);
        assert!(
            colored.contains("\u{1b}[31ma\u{1b}[0m        one"),
            "{colored:?}"
        );
        assert!(!plain.contains('\u{1b}'));
    }

    #[test]
    fn programs_get_the_records_without_anything_that_acts_on_a_terminal() {
        let json = printed(Format::Json, true, Some(40), &PAIRS);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["items"][1][1], "\u{1b}[2J");
        let yaml = printed(Format::Yaml, true, Some(40), &PAIRS);
        let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read["items"][1][1], "\\u{1b}[2J");
        for text in [json, yaml] {
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
        assert_eq!(
            printed(Format::Name, true, Some(40), &PAIRS),
            "pair/a\npair/longer\n"
        );
        assert_eq!(
            printed(Format::Json, true, None, &[]),
            "{\n  \"items\": []\n}\n"
        );
    }

    #[test]
    fn a_word_that_is_too_long_is_broken_and_nothing_is_lost() {
        let parts: Vec<_> = wrapped("abcdefghij kl", Some(4)).collect();
        assert_eq!(parts, ["abcd", "efgh", "ij", "kl"]);
        let parts: Vec<_> = wrapped("äöü äöü", Some(3)).collect();
        assert_eq!(parts, ["äöü", "äöü"]);
        assert_eq!(wrapped("", Some(3)).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn lengths_of_time_are_written_as_kubectl_writes_them() {
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (3600, "60m"),
            (12_000, "3h20m"),
            (86_400, "24h"),
            (180_000, "2d2h"),
            (86_400 * 30, "30d"),
            (86_400 * 760, "2y30d"),
            (86_400 * 365 * 9, "9y"),
        ] {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn dark_windows_are_short() {
        for (given, text) in [
            (0, "0ms"),
            (350, "350ms"),
            (1449, "1.4s"),
            (125_000, "2m5s"),
        ] {
            assert_eq!(milliseconds(given), text);
        }
    }
}
