//! Records that are made while they are printed, so that none but one is held.

use std::io::{self, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use crate::plugin::exit::Failure;
use crate::plugin::output::{Column, Format, Output, Record, harmless};
use crate::plugin::safe;

impl Output {
    /// Prints records as [`Output::records`] does. `first` are enough of them for the width of the columns.
    pub fn stream<R: Record>(
        &mut self,
        columns: &[Column<R>],
        first: &[R],
        mut records: impl Iterator<Item = R>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.json_items(records)?,
            Format::Yaml => self.yaml_items(records)?,
            Format::Name => records.try_for_each(|record| self.line(&record.reference()))?,
            Format::Table | Format::Wide if first.is_empty() => {}
            Format::Table | Format::Wide => {
                let lines = self.heading(columns, first, now)?;
                records.try_for_each(|record| self.row(&lines, &record))?;
            }
        }
        self.flush()
    }

    fn json_items<R: Serialize>(
        &mut self,
        records: impl Iterator<Item = R>,
    ) -> Result<(), Failure> {
        let mut before = "";
        write!(self.to, "{{\n  \"items\": [")?;
        for record in records {
            let text = serde_json::to_string_pretty(&record).map_err(io::Error::from)?;
            let text = safe::json(&text).replace('\n', "\n    ");
            write!(self.to, "{before}\n    {text}")?;
            before = ",";
        }
        let end = if before.is_empty() { "" } else { "\n  " };
        Ok(writeln!(self.to, "{end}]\n}}")?)
    }

    fn yaml_items<R: Serialize>(
        &mut self,
        records: impl Iterator<Item = R>,
    ) -> Result<(), Failure> {
        let mut records = records.peekable();
        let empty = if records.peek().is_none() { " []" } else { "" };
        writeln!(self.to, "items:{empty}")?;
        for record in records {
            let value = serde_json::to_value(record).map_err(io::Error::from)?;
            let text = serde_saphyr::to_string(&[harmless(value)]).map_err(io::Error::other)?;
            write!(self.to, "{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::output::tests::{PAIRS, Pair, Written, columns};

    fn printed(format: Format, stream: bool, pairs: &[Pair]) -> String {
        let written = Written::default();
        let mut output = Output {
            format,
            color: false,
            width: None,
            to: Box::new(written.clone()),
        };
        let now = Timestamp::UNIX_EPOCH;
        if stream {
            let records = pairs.iter().copied();
            output.stream(&columns(), pairs, records, now).unwrap();
        } else {
            output.records(&columns(), pairs, now).unwrap();
        }
        written.text()
    }

    #[test]
    fn it_looks_as_if_all_had_been_there_at_once() {
        for format in [Format::Table, Format::Wide, Format::Json, Format::Name] {
            for pairs in [&PAIRS[..], &PAIRS[..1], &[]] {
                let whole = printed(format, false, pairs);
                assert_eq!(printed(format, true, pairs), whole, "{format:?}");
            }
        }
        for pairs in [&PAIRS[..], &[]] {
            let read = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
            let whole = read(&printed(Format::Yaml, false, pairs));
            let text = printed(Format::Yaml, true, pairs);
            assert_eq!(read(&text), whole);
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
