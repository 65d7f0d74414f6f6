//! The recipes of the page, rendered and read back by a parser of each format.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::properties::values;
use super::*;

const PAGE: &str = include_str!("../../../docs/how-to/templates.md");

/// ZITADEL's default, its symbols, and characters that one format or another escapes.
const SECRETS: [&str; 7] = [
    "8Kf0sV3mQ9zL1xT7bN5cR2wY6hJ4gD8pAeUiOoEaS0kMvXqZtBnGrCyWlHfPjdsu",
    "~!@#$^&*()_+`-={}|[]:<>?,./",
    r#""'\""'\\'%%25%"#,
    " #=: $HOME ${HOME} $(false) `false` !x ",
    "\u{feff}pässwörd 😀 \u{ffff} € \u{2028}",
    r"\u0041\n\t\",
    "{{ clientId }}{% raw %}{#",
];

#[derive(serde::Deserialize)]
struct Entry {
    key: String,
    template: String,
}

/// The recipe for a key.
fn recipe(key: &str) -> Template {
    let blocks = PAGE.split("```yaml\n- ").skip(1);
    let entries = blocks.flat_map(|block| {
        let block = block.split("```").next().unwrap();
        serde_saphyr::from_str::<Vec<Entry>>(&format!("- {block}")).unwrap()
    });
    let entries: BTreeMap<_, _> = entries.map(|entry| (entry.key, entry.template)).collect();
    assert_eq!(entries.len(), 6);
    Template::parse(&entries[key]).unwrap()
}

/// What a recipe renders to for each of the client secrets.
fn rendered(key: &str) -> impl Iterator<Item = (Values<'static>, String)> {
    let template = recipe(key);
    SECRETS.into_iter().map(values).map(move |values| {
        assert!(template.contains_secret(values).unwrap());
        let longest = template.rehearse(values, values.client_secret.len());
        let text = template.render(values).unwrap();
        assert!(
            longest.unwrap().len() >= text.len(),
            "{}",
            values.client_secret
        );
        (values, text.to_string())
    })
}

#[test]
fn a_shell_reads_the_env_file() {
    for (values, text) in rendered("oauth.env") {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("oauth.env");
        std::fs::write(&file, text).unwrap();
        let script = r#". "$0" && printf '%s\n%s\n%s' "$CLIENT_ID" "$CLIENT_SECRET" "$ISSUER""#;
        let mut shell = Command::new("/bin/sh");
        let output = shell.arg("-c").arg(script).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", values.client_secret);
        let wanted = [values.client_id, values.client_secret, values.issuer].join("\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    }
}

#[test]
fn a_json_parser_reads_the_json() {
    for (values, text) in rendered("oauth.json") {
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(json["clientId"], values.client_id);
        assert_eq!(json["clientSecret"], values.client_secret);
        assert_eq!(json["tokenEndpoint"], values.token_endpoint);
    }
}

#[test]
fn a_yaml_parser_reads_the_yaml() {
    for (values, text) in rendered("oauth.yaml") {
        let yaml: Json = serde_saphyr::from_str(&text).unwrap();
        let yaml = &yaml["zitadel"];
        assert_eq!(yaml["client-id"], values.client_id);
        assert_eq!(yaml["client-secret"], values.client_secret);
        assert_eq!(
            yaml["introspection-endpoint"],
            values.introspection_endpoint
        );
    }
}

/// The format that `java.util.Properties.load(InputStream)` documents, except for continued lines, which no recipe has.
fn java_properties(text: &str) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    for line in text.lines() {
        assert!(line.is_ascii(), "Java reads ISO 8859-1: {line}");
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        let mut characters = value.trim_start_matches([' ', '\t', '\x0c']).chars();
        let mut units = Vec::new();
        while let Some(character) = characters.next() {
            let character = match character {
                '\\' => match characters.next().expect("a continued line") {
                    'u' => {
                        let digits: String = characters.by_ref().take(4).collect();
                        units.push(u16::from_str_radix(&digits, 16).unwrap());
                        continue;
                    }
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\x0c',
                    other => other,
                },
                other => other,
            };
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        }
        entries.insert(key.to_owned(), String::from_utf16(&units).unwrap());
    }
    entries
}

#[test]
fn java_reads_the_properties() {
    for (values, text) in rendered("oauth.properties") {
        let entries = java_properties(&text);
        assert_eq!(entries["oauth.client-id"], values.client_id);
        assert_eq!(entries["oauth.client-secret"], values.client_secret);
        assert_eq!(
            entries["oauth.introspection-uri"],
            values.introspection_endpoint
        );
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

#[test]
fn zitadel_reads_the_basic_header() {
    for (values, text) in rendered("authorization") {
        let pair = STANDARD
            .decode(text.strip_prefix("Basic ").unwrap())
            .unwrap();
        let pair = String::from_utf8(pair).unwrap();
        let (id, secret) = pair.split_once(':').unwrap();
        assert_eq!(decoded(id), values.client_id);
        // Query unescaping, which the server does, takes a + for a space.
        assert!(!secret.contains('+'));
        assert_eq!(decoded(secret), values.client_secret);
    }
}

#[test]
fn a_url_parser_reads_the_url() {
    for (values, text) in rendered("url") {
        let url = reqwest::Url::parse(&text).unwrap();
        assert_eq!(decoded(url.username()), values.client_id);
        assert_eq!(decoded(url.password().unwrap()), values.client_secret);
        assert_eq!(url.host_str(), Some("proxy.example.com"));
        assert_eq!(url.path(), "/introspect");
    }
}

#[test]
fn the_page_has_every_value_and_filter_and_an_error_as_it_is() {
    for name in Values::NAMES.into_iter().chain(filter::names()) {
        assert!(PAGE.contains(&format!("\n| `{name}` | ")), "{name}");
    }
    let error = Template::parse("CLIENT_ID={{ clientId }}\nX={{ clientsecret }}").unwrap_err();
    let shown = format!("spec.secret.data, template of key oauth.env: {error}\n");
    assert!(PAGE.contains(&shown), "{error}");
}
