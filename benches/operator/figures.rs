//! Prints figures, one line each, and remembers which are off target.

/// What is printed.
#[derive(Default)]
pub struct Figures {
    off: Vec<String>,
}

impl Figures {
    /// Prints a figure that has no target here, such as a time that says something only beside another one.
    pub fn show(&mut self, name: &str, value: f64, unit: &str) {
        println!("figure {name} {} {unit}", rounded(value));
    }

    /// Prints a figure, which is off target above `most`.
    pub fn at_most(&mut self, name: &str, value: f64, most: f64, unit: &str) {
        self.judge(name, value, unit, "at most", most, value <= most);
    }

    /// Prints a figure, which is off target below `least`.
    pub fn at_least(&mut self, name: &str, value: f64, least: f64, unit: &str) {
        self.judge(name, value, unit, "at least", least, value >= least);
    }

    /// Prints a count, which is off target when it is anything else than `wanted`.
    pub fn exactly(&mut self, name: &str, value: f64, wanted: f64, unit: &str) {
        let met = (value - wanted).abs() <= 1e-9;
        self.judge(name, value, unit, "exactly", wanted, met);
    }

    /// NB: what is not a number meets no target.
    fn judge(&mut self, name: &str, value: f64, unit: &str, word: &str, target: f64, met: bool) {
        let (value, target) = (rounded(value), rounded(target));
        let verdict = if met { "" } else { ", MISSED" };
        println!("figure {name} {value} {unit} (target: {word} {target}{verdict})");
        if !met {
            self.off
                .push(format!("{name} is {value}, wanted {word} {target}"));
        }
    }

    /// Says which figures are off target; whether there is none.
    pub fn all_on_target(&self) -> bool {
        for off in &self.off {
            eprintln!("off target: {off}");
        }
        self.off.is_empty()
    }
}

/// Three digits are more than any of these times deserves; counts are kept whole.
fn rounded(value: f64) -> String {
    if (value - value.round()).abs() < 1e-9 {
        return format!("{value:.0}");
    }
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        middle if middle >= 1.0 => 2,
        middle if middle >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

/// The value below which this part of all lies; not a number if there is none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand values"
    )]
    let index = (last as f64 * part).ceil() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// A count as a number to calculate with.
#[allow(clippy::cast_precision_loss, reason = "counts of a few thousand")]
pub fn number(count: usize) -> f64 {
    count as f64
}
