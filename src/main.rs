//! The operator.
fn main() {
    if let Ok(files) = zitadel_secret_operator::api::definitions() {
        for (name, yaml) in files {
            println!("---\n# {name}\n{yaml}");
        }
    }
}
