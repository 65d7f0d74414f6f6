use serde_json::json;

use super::*;
use crate::plugin::timeline::row::tests::{condition, past, row, week};

fn look(width: usize) -> Look {
    Look {
        width,
        unicode: true,
        wide: false,
        with_namespace: false,
    }
}

fn text(rows: &[Row], look: Look) -> Vec<String> {
    let lines = lines(rows, &week(), look).into_iter();
    lines
        .map(|line| line.into_iter().map(|(text, _)| text).collect())
        .collect()
}

fn fleet() -> Vec<Row> {
    let broken = row(|object| {
        object["metadata"]["name"] = json!("a-name-that-is-too-long-for-a-terminal");
        object["status"]["conditions"][0] =
            condition("Ready", "False", "SecretInvalid", "2026-11-30T00:00:00Z");
    });
    let repaired = row(|object| {
        object["metadata"]["name"] = json!("web");
        object["status"]["history"] = json!([past("2026-11-29T00:00:00Z", "LostAttempt")]);
    });
    vec![broken, repaired, row(|_| {})]
}

#[test]
fn a_credential_is_a_line_and_the_legend_has_what_is_drawn() {
    assert_eq!(
        text(&fleet(), look(80)),
        [
            "NAME                              │Nov 25 │Nov 27       │now       STATUS",
            "a-name-that-i~r-a-terminal              ◆·········●··███│  ○       SecretInvalid",
            "web                                     ??????????✚─────│  ○       UpToDate",
            "api                                     ◆─────────●─────│  ○       UpToDate",
            "",
            "● rotated when due   ✚ repaired   ◆ first issue   ○ next rotation",
            "─ accepted by ZITADEL   █ no usable credential   · only rotations recorded",
            "? not recorded (an object keeps its last 10 rotations)",
        ]
    );
    assert!(text(&[], look(80)).is_empty());
}

#[test]
fn no_line_is_longer_than_the_terminal_is_wide() {
    for width in 24..200 {
        for wide in [false, true] {
            let lines = text(
                &fleet(),
                Look {
                    wide,
                    ..look(width)
                },
            );
            let picture = lines.iter().take_while(|line| !line.is_empty());
            for line in picture {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
    for width in 0..24 {
        assert!(!text(&fleet(), look(width)).is_empty());
    }
    let wide = text(
        &fleet(),
        Look {
            wide: true,
            ..look(120)
        },
    );
    assert!(
        wide[0].ends_with("STATUS         ROTATIONS  DARK   NEXT"),
        "{wide:#?}"
    );
    assert!(
        wide[3].ends_with("UpToDate       2          700ms  2026-12-01T00:00:00Z"),
        "{wide:#?}"
    );
}

#[test]
fn a_locale_without_more_characters_gets_ascii() {
    let lines = text(
        &fleet(),
        Look {
            unicode: false,
            ..look(80)
        },
    );
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
    assert!(lines[3].contains("F---------D-----|"), "{lines:#?}");
    let mut seen = std::collections::BTreeSet::new();
    let states = State::ALL.map(|state| {
        Look {
            unicode: false,
            ..look(80)
        }
        .state(state)
    });
    let events = Event::ALL.map(|event| {
        Look {
            unicode: false,
            ..look(80)
        }
        .event(event)
    });
    assert!(
        states
            .into_iter()
            .chain(events)
            .all(|character| seen.insert(character))
    );
}

#[test]
fn text_of_an_object_does_nothing_to_a_terminal() {
    let hostile = row(|object| {
        object["metadata"]["name"] = json!("\u{1b}[2Ja");
        object["status"]["conditions"][0]["reason"] = json!("\u{9b}31m\u{202e}\n");
    });
    for width in [30, 80] {
        for line in text(std::slice::from_ref(&hostile), look(width)) {
            assert!(
                !line.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\n']),
                "{line:?}"
            );
        }
    }
}
