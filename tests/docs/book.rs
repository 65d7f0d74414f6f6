//! The site that `make book` builds: every link leads somewhere, with its anchor, and diagrams are drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::markdown::{blocks, pages, root};

/// The files of the site, each with its anchors; none for what is no page.
type Site = BTreeMap<PathBuf, BTreeSet<String>>;

/// The values of an attribute in a page.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!(" {name}=\"");
    let parts: Vec<_> = html.split(&begin).skip(1).collect();
    parts.into_iter().filter_map(|part| part.split('"').next())
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => _ = plain.pop(),
            std::path::Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// Why a link of a page leads nowhere.
fn broken(site: &Site, page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("data:") || link.starts_with("javascript:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => plain(&page.parent().unwrap().join(file)),
    };
    let Some(anchors) = site.get(&target) else {
        return Some(format!("{}: there is no {link}", page.display()));
    };
    let missing = !anchor.is_empty() && !anchors.contains(anchor);
    missing.then(|| format!("{}: {link} has no such anchor", page.display()))
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let site = Site::from([
        ("a.html".into(), BTreeSet::from(["one".to_owned()])),
        ("how/b.html".into(), BTreeSet::new()),
    ]);
    let of_b = |link| broken(&site, Path::new("how/b.html"), link);
    assert_eq!(of_b("../a.html#one"), None);
    assert_eq!(of_b("https://example.com/x"), None);
    for link in ["../a.html#two", "a.html", "../../README.md", "#one"] {
        assert!(of_b(link).is_some(), "{link}");
    }
}

#[test]
#[ignore = "of the site that `make book` has built"]
fn every_link_of_the_site_leads_somewhere() {
    let book = root().join("target/book");
    let mut found = Vec::new();
    files(&book, &mut found);
    let (mut site, mut pages) = (Site::new(), Vec::new());
    for path in found {
        let name = path.strip_prefix(&book).unwrap().to_owned();
        let mut anchors = BTreeSet::new();
        if path.extension().is_some_and(|e| e == "html") {
            let html = std::fs::read_to_string(&path).unwrap();
            anchors.extend(attributes(&html, "id").map(ToOwned::to_owned));
            // What is not there is answered from any place; the page for printing has all pages in one.
            if !["404.html", "print.html"].map(Path::new).contains(&&*name) {
                pages.push((name.clone(), html));
            }
        }
        site.insert(name, anchors);
    }
    let (mut links, mut wrong) = (0, Vec::new());
    for (page, html) in &pages {
        for link in attributes(html, "href").chain(attributes(html, "src")) {
            wrong.extend(broken(&site, page, link));
            links += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let sources = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let sources = sources.matches(".md)").count();
    assert!(
        pages.len() > sources && links > 1000,
        "{}: {links}",
        pages.len()
    );
}

#[test]
#[ignore = "of the site that `make book` has built"]
fn every_diagram_of_the_site_is_drawn_and_by_scripts_of_its_own() {
    let book = root().join("target/book");
    let mut diagrams = 0;
    for (path, page) in pages() {
        let Ok(source) = path.strip_prefix(root().join("docs")) else {
            continue;
        };
        let html = book.join(source.with_extension("html"));
        let Ok(html) = std::fs::read_to_string(html) else {
            continue;
        };
        let of_page = blocks(&page)
            .iter()
            .filter(|block| block.language == "mermaid")
            .count();
        let drawn = html.matches("<pre class=\"mermaid\">").count();
        assert_eq!(drawn, of_page, "{}", source.display());
        diagrams += drawn;
        let scripts = attributes(&html, "src").filter(|src| src.contains("/mermaid"));
        let own = scripts.filter(|src| !src.contains("//"));
        assert_eq!(own.count(), 2, "{}", source.display());
    }
    assert!(diagrams >= 3, "{diagrams}");
}
