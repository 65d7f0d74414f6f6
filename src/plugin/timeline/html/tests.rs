use serde_json::json;

use super::*;
use crate::plugin::timeline::row::tests::{condition, row, week};

const HOSTILE: &str = "</style></title></svg>--><script>alert(1)</script><img src=x onerror=\"alert(2)\" style='x'>&lt;`]]>\u{1b}\u{202e}\0";
const TAGS: [&str; 32] = [
    "html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer", "h1",
    "h2", "p", "dl", "div", "dt", "dd", "ul", "ol", "li", "b", "span", "svg", "defs", "g",
    "circle", "path", "pattern", "rect", "line", "text", "use",
];
const ATTRIBUTES: [&str; 25] = [
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "width",
    "height",
    "aria-hidden",
    "aria-label",
    "aria-labelledby",
    "id",
    "r",
    "d",
    "patternUnits",
    "x",
    "y",
    "x1",
    "x2",
    "y2",
    "href",
    "role",
    "title",
    "text-anchor",
    "",
];

fn page(rows: &[Row]) -> String {
    let axis = week();
    Page {
        rows,
        axis: &axis,
        place: HOSTILE,
        with_namespace: true,
    }
    .html()
}

/// Reads a page as strictly as XML is read, and returns its text. Fails on whatever this program does not write.
fn read(page: &str) -> String {
    let style = page.find("<style>").unwrap() + "<style>".len();
    let end = style + page[style..].find("</style>").unwrap();
    assert_eq!(&page[style..end], STYLE);
    let (mut rest, mut text, mut open) = (
        page[..style].to_owned() + &page[end..],
        String::new(),
        Vec::new(),
    );
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        let close = at + rest[at..].find('>').unwrap();
        let tag = rest[at + 1..close].to_owned();
        rest = rest[close + 1..].to_owned();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        if tag == "!doctype html" {
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((&tag, ""));
        let name = name.trim_end_matches('/');
        assert!(TAGS.contains(&name), "{tag}");
        if !tag.ends_with('/') && name != "meta" {
            open.push(name.to_owned());
        }
        let parts: Vec<&str> = attributes.trim_end_matches('/').split('"').collect();
        assert!(parts.len() % 2 == 1, "{tag}");
        for name in parts.iter().step_by(2).map(|part| part.trim()) {
            let name = name.trim_end_matches('=');
            assert!(ATTRIBUTES.contains(&name), "{name} of {tag}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
    text.push_str(&rest);
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;", "#96;"];
        assert!(known.iter().any(|known| part.starts_with(known)), "{part}");
    }
    text
}

fn hostile() -> Row {
    row(|object| {
        object["metadata"]["name"] = json!(HOSTILE);
        object["metadata"]["namespace"] = json!(HOSTILE);
        let status = &mut object["status"];
        status["conditions"][0] = condition("Ready", "False", HOSTILE, "2026-11-30T00:00:00Z");
        status["conditions"][0]["message"] = json!(HOSTILE);
        status["history"][0] = json!({
            "time": "2026-11-29T00:00:00Z", "reason": HOSTILE, "outcome": HOSTILE, "darkWindowMilliseconds": i64::MAX,
            "replaced": {"userId": HOSTILE, "time": "2026-11-28T00:00:00Z"},
        });
    })
}

#[test]
fn text_of_an_object_is_text_whatever_it_is() {
    let page = page(&[hostile(), row(|_| {})]);
    let text = read(&page);
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{text}"
    );
    assert!(!page.contains(['\u{1b}', '\u{202e}', '\0']), "{text}");
    for forbidden in [
        "<script",
        "javascript:",
        "http://",
        "https://",
        "src=x onerror=\"",
        "@import",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let locals = page.matches("url(#").count();
    assert_eq!(page.matches("url(").count(), locals);
}

#[test]
fn a_browser_applies_the_style_of_this_program_and_loads_nothing() {
    let page = page(&[]);
    read(&page);
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{hash}'\""
    );
    assert!(page.contains(&policy), "{page}");
    assert!(!STYLE.contains(['<', '&']));
}

#[test]
fn a_page_has_what_is_drawn_in_words_too() {
    let page = page(&[row(|_| {})]);
    let text = read(&page);
    for part in [
        "need attention",
        "rotated when due",
        "longest dark window",
        "350ms",
        "next rotation",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(page.contains(
        "<title>2026-11-29T00:00:00Z: rotated when due (Due, Published), dark for 350ms</title>"
    ));
    assert!(
        page.contains("orders/api: UpToDate. 1 rotated when due, 1 first issue, 1 next rotation, ")
    );
    assert!(
        !text.contains("no usable credential"),
        "the legend has only what is there"
    );
}

#[test]
fn a_large_fleet_is_bounded_and_that_is_said() {
    let one = row(|_| {});
    let rows = vec![one; 10_000];
    let page = page(&rows);
    assert_eq!(page.matches("<li class=\"row ").count(), DRAWN);
    assert!(page.contains("<b>8\u{202f}000 of 10\u{202f}000 credentials are not drawn.</b>"));
    assert!(page.len() < 5 << 20, "{}", page.len());
}
