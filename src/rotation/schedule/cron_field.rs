//! The spelling of one field of cron. croner judges what it means, and is too lenient to judge how it is spelled: it reads `1,,2` as `1,2`,
//! and `JANFEB` as 12, December. No I/O.

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field of cron.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    Day,
    /// 1 to 12, or a name.
    Month,
    /// 0 to 7, or a name.
    Weekday,
}

impl CronField {
    pub(super) const ALL: [Self; 5] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Weekday,
    ];

    /// What can stand in the field.
    pub(super) const fn accepts(self) -> &'static str {
        match self {
            Self::Minute => "write 0-59 and * , - /, such as 0 or */15",
            Self::Hour => "write 0-23 and * , - /, such as 3 or 1-5",
            Self::Day => {
                "write 1-31 and * , - /, L for the last day, or 15W for the working day nearest the 15th"
            }
            Self::Month => {
                "write 1-12 or JAN-DEC and * , - /, ranges from the smaller to the larger"
            }
            Self::Weekday => {
                "write 0-7 or SUN-SAT and * , - /, ranges from the smaller to the larger, 5#2 for the second Friday or 5#L for the last"
            }
        }
    }

    /// Whether letters have a meaning in the field, between what stands before and after them.
    ///
    /// NB: croner replaces names wherever they stand and would read `JANFEB` as 12, December.
    fn knows(self, before: Option<char>, letters: &str, after: Option<char>) -> bool {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let alone = !digit(before) && !digit(after);
        match self {
            Self::Minute | Self::Hour => false,
            Self::Day => match letters {
                "L" => alone,
                "W" => digit(before),
                _ => false,
            },
            Self::Month => alone && MONTHS.contains(&letters),
            Self::Weekday => match letters {
                "L" => before == Some('#'),
                _ => alone && WEEKDAYS.contains(&letters),
            },
        }
    }

    /// Whether the field is spelled with what has a meaning in it; croner judges the rest.
    pub(super) fn is_spelled(self, text: &str) -> bool {
        let text = match text.strip_prefix('+') {
            Some(rest) if self == Self::Weekday => rest,
            _ => text,
        };
        let sign = |c: char| matches!(c, '*' | '-' | '/') || (c == '#' && self == Self::Weekday);
        text.split(',').all(|item| {
            let mut before = None;
            let mut rest = item;
            while let Some(first) = rest.chars().next() {
                let length = if first.is_ascii_alphabetic() {
                    rest.find(|c: char| !c.is_ascii_alphabetic())
                        .unwrap_or(rest.len())
                } else {
                    first.len_utf8()
                };
                let (head, tail) = rest.split_at(length);
                let known = sign(first)
                    || first.is_ascii_digit()
                    || self.knows(before, head, tail.chars().next());
                if !known {
                    return false;
                }
                before = head.chars().next_back();
                rest = tail;
            }
            !item.is_empty()
        })
    }
}

impl std::fmt::Display for CronField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minute => "first field (minute)",
            Self::Hour => "second field (hour)",
            Self::Day => "third field (day of the month)",
            Self::Month => "fourth field (month)",
            Self::Weekday => "fifth field (weekday)",
        })
    }
}
