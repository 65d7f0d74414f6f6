//! What the recording's placeholders stand for in this run.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Placeholder names and their values; recorded times are placeholders too.
#[derive(Debug, Default)]
pub struct Values(HashMap<String, String>);

impl Values {
    pub fn bind(&mut self, name: &str, value: &str) {
        let former = self.0.insert(name.to_owned(), value.to_owned());
        assert_eq!(former, None, "{name} is bound twice");
    }

    pub fn rebind(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub fn get(&self, name: &str) -> String {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not known yet"))
            .clone()
    }

    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a text that is one placeholder; any other text as it is.
    pub fn resolve(&self, text: &str) -> String {
        placeholder(text)
            .and_then(|name| self.find(name))
            .unwrap_or(text)
            .to_owned()
    }

    /// Puts in every placeholder that is known; others stay, among them `{assertion …}`.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let (before, from) = rest.split_at(start);
            filled.push_str(before);
            let known = from
                .find('}')
                .and_then(|end| Some((self.find(&from[1..end])?, end)));
            if let Some((value, end)) = known {
                filled.push_str(value);
                rest = &from[end + 1..];
            } else {
                filled.push('{');
                rest = &from[1..];
            }
        }
        filled + rest
    }

    /// A request header: Basic credentials and tokens are named in words.
    pub fn header(&self, exchange: &str, value: &str) -> String {
        if let Some(pair) = value
            .strip_prefix("Basic base64({")
            .and_then(|rest| rest.strip_suffix("})"))
        {
            let (client, secret) = pair.split_once(':').unwrap_or((pair, "any"));
            let client_id = self.find(client).unwrap_or(client);
            let app = client.trim_end_matches(".clientId");
            return format!(
                "Basic {}",
                STANDARD.encode(format!("{client_id}:{}", self.secret(app, secret)))
            );
        }
        let token_of = |exchange| self.get(&format!("token:{exchange}"));
        match exchange {
            "generate with service token, management audience" if value.starts_with("Bearer ") => {
                format!(
                    "Bearer {}",
                    token_of("token by JWT profile, management and project audience")
                )
            }
            "generate with service token, openid only" if value.starts_with("Bearer ") => {
                format!("Bearer {}", token_of("token by JWT profile, openid only"))
            }
            "generate with service token, project audience only"
                if value.starts_with("Bearer ") =>
            {
                format!(
                    "Bearer {}",
                    token_of("token by JWT profile, project audience only")
                )
            }
            _ => self.fill(value),
        }
    }

    fn secret(&self, app: &str, words: &str) -> String {
        if let Some(bound) = self.find(&format!("{app}.{words}")) {
            return bound.to_owned();
        }
        match words {
            "current" => self.get(&format!("{app}.current")),
            // When these were sent, the fourth value was in force.
            "current secret" => self.get(&format!("{app}.secret4")),
            "replaced secret" => self.get(&format!("{app}.secret3")),
            "" => String::new(),
            _ => self.find(words).unwrap_or(words).to_owned(),
        }
    }
}

/// The name in `{name}`.
pub fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}
