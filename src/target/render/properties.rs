//! What must hold of every template.

use super::{ErrorKind, MAX_OUTPUT, MAX_TEMPLATE, Template, Values};

/// Values for a template, with this client secret.
pub(crate) const fn values(client_secret: &str) -> Values<'_> {
    Values {
        client_id: "312345678901234570@orders",
        client_secret,
        issuer: "https://iam.example.com",
        introspection_endpoint: "https://iam.example.com/oauth/v2/introspect",
        token_endpoint: "https://iam.example.com/oauth/v2/token",
        project_id: "312345678901234568",
        app_id: "312345678901234569",
    }
}

/// Client secrets of the length of a rehearsal: ZITADEL's default alphabet, its symbols, and what nothing but a rehearsal has.
const LENGTH: usize = 64;
const ALPHABETS: [&str; 4] = [
    "Zy9",
    "~!@#$^&*()_+`-={}|[]:<>?,./",
    " '\"\\%",
    "\u{ffff}😀é a",
];

/// A template ends within its bounds, its errors name a line of it and no value, and what a rehearsal accepts is rendered afterward.
///
/// # Panics
///
/// If it does not hold.
pub(crate) fn template(data: &[u8]) {
    const SECRET: &str = "Qx7NotInAnyError";
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = text.split('\n').count();
    let template = Template::parse(text);
    assert!(template.is_err() || text.len() <= MAX_TEMPLATE);
    let rendered = template
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|template| template.render(values(SECRET)));
    match rendered {
        Ok(output) => assert!(!output.is_empty() && output.len() <= MAX_OUTPUT),
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(error.kind != ErrorKind::Failed, "{error}");
            let written = text.contains(SECRET);
            assert!(written || !error.to_string().contains(SECRET), "{error}");
        }
    }
    let Ok(template) = template else { return };
    let Ok(longest) = template.rehearse(values(SECRET), LENGTH) else {
        return;
    };
    for alphabet in ALPHABETS {
        let secret = super::worst_case(alphabet, LENGTH);
        match template.render(values(&secret)) {
            Ok(output) => assert!(output.len() <= longest.len() || text.contains("b64")),
            Err(error) => assert!(
                error.kind == ErrorKind::TooLarge && text.contains("b64"),
                "{error}"
            ),
        }
    }
}
