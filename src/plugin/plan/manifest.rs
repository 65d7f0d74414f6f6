//! The objects of a file: YAML documents, JSON, Lists. [`text`] reads the file, the rest does no I/O.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::api::{GROUP, Kind};
use crate::plugin::exit::Failure;
use crate::target::names::is_subdomain;

/// The kind of a connection.
const CONNECTION: &str = "ZitadelConnection";
/// A file that is longer is no manifest.
const LONGEST: u64 = 64 << 20;
/// Nodes of a YAML document at most: a List of ten thousand objects with everything in it has some millions.
const NODES: usize = 20_000_000;

/// Where something stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which document, from 1 on.
    pub document: usize,
    /// Which item of it, from 1 on, if it is a List.
    pub item: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.document)?;
        match self.item {
            Some(item) => write!(f, ", item {item}"),
            None => Ok(()),
        }
    }
}

/// An object of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// Its kind.
    pub kind: Kind,
    /// The namespace that it names.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// All of it.
    pub object: Value,
}

/// A `ZitadelConnection` of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionDocument {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// All of it.
    pub object: Value,
}

/// What a document is.
enum Read {
    Object(Document),
    Connection(ConnectionDocument),
    Other,
}

/// The objects of a file.
#[derive(Debug, Default, PartialEq)]
pub struct Manifest {
    /// Those that are planned.
    pub documents: Vec<Document>,
    /// The connections.
    pub connections: Vec<ConnectionDocument>,
    /// How many are of other kinds.
    pub others: usize,
    /// What cannot be read, and where.
    pub refused: Vec<(Place, String)>,
}

/// Reads a file; `-` is stdin.
///
/// # Errors
/// If it cannot be read, is longer than any manifest, or is no text.
pub fn text(file: &Path) -> Result<String, Failure> {
    let name = name(file);
    let refused = |why: String| Failure::Usage(format!("{name} {why}"));
    let unread = |error: io::Error| refused(format!("cannot be read: {error}"));
    if file.is_dir() {
        let why = "is a directory: give one file, or pipe all of them, such as `cat DIRECTORY/*.yaml | kubectl zitadel-secret plan -f -`";
        return Err(refused(why.to_owned()));
    }
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(file).map_err(unread)?;
        file.take(LONGEST + 1).read_to_end(&mut bytes)
    };
    let length = read.map_err(unread)?;
    if u64::try_from(length).is_ok_and(|length| length > LONGEST) {
        return Err(refused("is longer than 64 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| refused("is no text in UTF-8".to_owned()))
}

/// How a file is called in messages.
pub fn name(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    }
}

impl Manifest {
    /// Reads the text of a file.
    pub fn read(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut manifest = Self::default();
        if let Some(objects) = json(text) {
            for (index, object) in objects.into_iter().enumerate() {
                manifest.see(index + 1, object);
            }
            return manifest;
        }
        for (index, part) in parts(text).into_iter().enumerate() {
            match yaml(&part) {
                Ok(object) => manifest.see(index + 1, object),
                Err(error) => manifest.refuse(index + 1, format!("is no YAML: {error}")),
            }
        }
        manifest
    }

    fn refuse(&mut self, document: usize, why: String) {
        let item = None;
        self.refused.push((Place { document, item }, why));
    }

    fn see(&mut self, document: usize, mut object: Value) {
        let kind = object.get("kind").and_then(Value::as_str);
        let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
        if is_list && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take) {
            for (index, item) in items.into_iter().enumerate() {
                let item_number = Some(index + 1);
                self.one(
                    Place {
                        document,
                        item: item_number,
                    },
                    item,
                );
            }
        } else if !object.is_null() {
            self.one(
                Place {
                    document,
                    item: None,
                },
                object,
            );
        }
    }

    fn one(&mut self, place: Place, object: Value) {
        match Read::of(&place, object) {
            Ok(Read::Object(document)) => self.documents.push(document),
            Ok(Read::Connection(document)) => self.connections.push(document),
            Ok(Read::Other) => self.others += 1,
            Err(why) => self.refused.push((place, why)),
        }
    }
}

impl Read {
    fn of(place: &Place, object: Value) -> Result<Self, String> {
        let text = |pointer: &str| match object.pointer(pointer) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!(
                "{} is no text",
                pointer.replacen('/', "", 1).replace('/', ".")
            )),
        };
        let (Some(version), Some(kind)) = (text("/apiVersion")?, text("/kind")?) else {
            return Err("has no apiVersion and kind: it is no object of Kubernetes".to_owned());
        };
        let Some((group, version)) = version.split_once('/') else {
            return Ok(Self::Other);
        };
        let mut kinds = Kind::ALL.into_iter();
        let of_object = kinds.find(|it| it.as_str() == kind);
        if group != GROUP || (of_object.is_none() && kind != CONNECTION) {
            return Ok(Self::Other);
        }
        if version != "v1alpha1" {
            return Err(format!(
                "apiVersion is {GROUP}/{version}, and this plugin knows {GROUP}/v1alpha1: use the plugin of the operator's version"
            ));
        }
        let Some(name) = text("/metadata/name")?.filter(|name| is_subdomain(name)) else {
            return Err(
                "metadata.name is missing, or is not the name of an object: lower case letters, digits, - and single dots"
                    .to_owned(),
            );
        };
        let place = place.clone();
        let Some(kind) = of_object else {
            return Ok(Self::Connection(ConnectionDocument {
                place,
                name,
                object,
            }));
        };
        let namespace = text("/metadata/namespace")?.filter(|namespace| !namespace.is_empty());
        if namespace
            .as_ref()
            .is_some_and(|it| !is_subdomain(it) || it.contains('.'))
        {
            return Err("metadata.namespace is not the name of a namespace".to_owned());
        }
        Ok(Self::Object(Document {
            place,
            kind,
            namespace,
            name,
            object,
        }))
    }
}

/// The objects of a text that is JSON, one after the other.
fn json(text: &str) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let objects = serde_json::Deserializer::from_str(text).into_iter();
    objects.collect::<Result<_, _>>().ok()
}

/// The YAML documents of a text, as kubectl splits it. Those without anything in them are none.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        let rest = line.strip_prefix("---");
        let separates =
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '#']));
        if separates {
            parts.push(String::new());
        }
        // NB: after the mark there may be the first node of the document.
        let line = if separates {
            rest.unwrap_or_default()
        } else {
            line
        };
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    let is_something =
        |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with(['#', '%']);
    parts.retain(|part| part.lines().any(is_something));
    parts
}

fn yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES,
            max_events: 2 * NODES,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> String {
        format!("apiVersion: {GROUP}/v1alpha1\nkind: ApiAppSecret\nmetadata: {{name: {name}}}\n")
    }

    fn read(text: &str) -> (Vec<String>, usize, Vec<String>) {
        let manifest = Manifest::read(text);
        let documents = manifest.documents.iter();
        let documents = documents.map(|it| format!("{} {}", it.place, it.name));
        let refused = manifest.refused.iter();
        let refused = refused.map(|(place, why)| format!("{place} {why}"));
        (documents.collect(), manifest.others, refused.collect())
    }

    #[test]
    fn documents_lists_and_json_are_read_and_other_kinds_are_counted() {
        let text = format!(
            "\u{feff}# a comment\n---\n{}---\n# nothing\n---\r\napiVersion: v1\nkind: ConfigMap\n--- # the last\n{}---\n{}",
            object("a"),
            object("0.b-c"),
            object("default").replace("ApiAppSecret", CONNECTION)
        );
        let connections = Manifest::read(&text).connections;
        assert_eq!(
            (connections.len(), connections[0].name.as_str()),
            (1, "default")
        );
        let expected = vec!["document 1 a".to_owned(), "document 3 0.b-c".to_owned()];
        assert_eq!(read(&text), (expected, 1, Vec::new()));
        let one: Value = serde_saphyr::from_str(&object("a")).unwrap();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "apps/v1", "kind": "Deployment"}, one]});
        let expected = vec!["document 1, item 2 a".to_owned()];
        assert_eq!(read(&list.to_string()), (expected.clone(), 1, Vec::new()));
        let yaml = serde_saphyr::to_string(&list).unwrap();
        assert_eq!(read(&yaml), (expected, 1, Vec::new()));
        let expected = vec!["document 1 a".to_owned(), "document 2 a".to_owned()];
        assert_eq!(read(&format!("{one}\n{one}")), (expected, 0, Vec::new()));
        assert_eq!(read("# nothing\n---\n"), (Vec::new(), 0, Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_document_and_keeps_no_other_from_being_read() {
        let newer = object("a").replace("v1alpha1", "v9");
        let text = format!(
            "{}---\na: [\n---\n- 1\n---\n{newer}---\n{}---\n{}",
            object("a"),
            object("Wrong"),
            object("z")
        );
        let (documents, _, refused) = read(&text);
        assert_eq!(documents, ["document 1 a", "document 6 z"]);
        for (refused, part) in refused.iter().zip([
            "document 2 is no YAML",
            "document 3 has no apiVersion and kind",
            "document 4 apiVersion is zitadel-secrets.dev/v9",
            "document 5 metadata.name is missing",
        ]) {
            assert!(refused.starts_with(part), "{refused}");
        }
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn a_file_of_ten_thousand_objects_is_read() {
        let items = (0..10_000).map(|n| {
            format!("- apiVersion: {GROUP}/v1alpha1\n  kind: ApiAppSecret\n  metadata: {{name: a{n}, labels: {{a: b, c: d, e: f, g: h}}}}\n  spec: {{projectId: '1', appId: '2', rotation: {{interval: 1d}}}}\n")
        });
        let items: String = items.collect();
        let text = format!("apiVersion: v1\nkind: List\nitems:\n{items}");
        assert_eq!(Manifest::read(&text).documents.len(), 10_000);
    }
}
