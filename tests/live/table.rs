//! The table at the end. Does no I/O.

use std::fmt;

/// One thing that was tried or counted.
#[derive(Clone, Debug)]
pub struct Row {
    /// What.
    pub what: &'static str,
    count: usize,
    expected: usize,
    seen: usize,
}

impl Row {
    /// Of `count`, so many were expected, and so many seen.
    pub const fn new(what: &'static str, count: usize, expected: usize, seen: usize) -> Self {
        Self {
            what,
            count,
            expected,
            seen,
        }
    }

    /// Of `count`, all were expected.
    pub const fn all(what: &'static str, count: usize, seen: usize) -> Self {
        Self::new(what, count, count, seen)
    }

    /// Whether it is as expected.
    pub const fn holds(&self) -> bool {
        self.expected == self.seen
    }
}

/// What a run found.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    /// The version of ZITADEL's API that the operator used.
    pub api: Option<String>,
    /// The dark windows of rotations, in milliseconds.
    windows: Vec<i64>,
}

impl Table {
    /// Adds rows.
    pub fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
    }

    /// Adds the dark window of a rotation.
    pub fn window(&mut self, milliseconds: Option<i64>) {
        self.windows.extend(milliseconds);
    }

    /// Whether everything is as expected, and something was tried.
    pub fn holds(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::holds)
    }

    /// The dark window of which so many percent are at most as long.
    fn quantile(&self, percent: usize) -> Option<i64> {
        let mut sorted = self.windows.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last * percent).div_ceil(100)).copied()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["what", "how many", "expected", "seen"];
        let [what, count, expected, seen] = heads;
        writeln!(formatter, "{what:<58} {count:>8} {expected:>8} {seen:>8}")?;
        for row in &self.rows {
            let Row {
                what,
                count,
                expected,
                seen,
            } = row;
            let mark = if row.holds() { "" } else { "  <- differs" };
            writeln!(
                formatter,
                "{what:<58} {count:>8} {expected:>8} {seen:>8}{mark}"
            )?;
        }
        let of = |percent| {
            let found = self.quantile(percent);
            found.map_or_else(|| "unknown".to_owned(), |found| format!("{found} ms"))
        };
        if let Some(api) = &self.api {
            writeln!(formatter, "over ZITADEL's API {api}")?;
        }
        let count = self.windows.len();
        writeln!(
            formatter,
            "dark window of {count} rotations: p50 {}, p99 {}",
            of(50),
            of(99)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_differs_is_marked_and_fails_the_table() {
        let mut table = Table::default();
        assert!(!table.holds(), "nothing was tried");
        table.extend([Row::all("rotations", 3, 3)]);
        assert!(table.holds());
        table.extend([Row::new("surprises", 3, 0, 1)]);
        assert!(!table.holds());
        assert_eq!(table.to_string().matches("<- differs").count(), 1);
    }

    #[test]
    fn the_quantiles_are_of_the_sorted_windows() {
        let mut table = Table::default();
        for window in (1..=100).rev() {
            table.window(Some(window));
        }
        table.window(None);
        let text = table.to_string();
        assert!(
            text.contains("100 rotations: p50 51 ms, p99 100 ms"),
            "{text}"
        );
    }
}
