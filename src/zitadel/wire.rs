//! ZITADEL's JSON encoding of numbers, times and lists. No I/O.

use jiff::Timestamp;
use serde_json::Value;

use crate::ids::Sequence;

/// A sequence: protobuf JSON writes 64-bit numbers as strings and allows plain ones. The first event has number 1.
pub(super) fn sequence(value: &Value) -> Option<Sequence> {
    let number = match value {
        // NB: `u64::from_str` accepts a leading `+`.
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        Value::Number(number) => number.as_u64()?,
        _ => return None,
    };
    (number > 0).then_some(Sequence(number))
}

/// A time, RFC 3339 with an offset.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The items of a list answer; protobuf JSON leaves an empty list out.
pub(super) fn result_items(body: &[u8]) -> Option<Vec<Value>> {
    let Value::Object(mut answer) = serde_json::from_slice(body).ok()? else {
        return None;
    };
    match answer.remove("result") {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sequence_is_a_positive_64_bit_number_or_its_digits() {
        assert_eq!(sequence(&json!("12")), Some(Sequence(12)));
        assert_eq!(sequence(&json!(12)), Some(Sequence(12)));
        assert_eq!(
            sequence(&json!("18446744073709551615")),
            Some(Sequence(u64::MAX))
        );
        let bad = [
            json!("18446744073709551616"),
            json!("-1"),
            json!(-1),
            json!("+1"),
            json!(" 1"),
            json!("0"),
            json!(0),
            json!(1.5),
            json!(""),
            json!(null),
            json!(["1"]),
        ];
        for bad in bad {
            assert_eq!(sequence(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_has_an_offset() {
        assert!(timestamp(&json!("2026-07-10T09:52:56.123456Z")).is_some());
        for bad in [
            json!("2026-07-10T09:52:56"),
            json!("soon"),
            json!(0),
            json!(null),
        ] {
            assert_eq!(timestamp(&bad), None, "{bad}");
        }
    }
}
