//! The commands of the pages can be pasted into bash and zsh as they are, also into an interactive one.

use std::process::Command;

use crate::markdown::{blocks, pages, root};

/// The commands of a block, or none if it is no block of commands.
fn commands(language: &str, text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut continued = false;
    for line in text.lines() {
        let begins = match language {
            "console" => line.strip_prefix("$ "),
            "sh" => Some(line),
            _ => None,
        };
        if continued {
            let last = commands.last_mut().unwrap();
            last.push('\n');
            last.push_str(line);
        } else if let Some(command) = begins.filter(|line| !line.trim().is_empty()) {
            commands.push(command.to_owned());
        } else {
            continue;
        }
        continued = line.ends_with('\\');
    }
    commands
}

/// What an interactive shell would take for something else: found outside of quotes, or `!` within double quotes.
fn misread(command: &str) -> Option<String> {
    let mut quote = None;
    let mut before = ' ';
    let mut characters = command.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let begins = before.is_whitespace();
        let wrong = match (quote, c) {
            (None | Some('"'), '\\') => {
                before = characters.next().unwrap_or(' ');
                continue;
            }
            (Some(open), _) if open == c => {
                quote = None;
                None
            }
            (None, '\'' | '"') => {
                quote = Some(c);
                None
            }
            (None | Some('"'), '!') if before != '$' => Some("history"),
            (None, '#') if begins => Some("a comment"),
            (None, '<') if next.is_ascii_alphabetic() => Some("a redirection"),
            (None, '*' | '?' | '[') if before != '$' => Some("a pattern"),
            (None, '=') if begins => Some("the path of a program"),
            (None, '…') => Some("…"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Some(format!("{c} is read as {wrong}"));
        }
        before = c;
    }
    quote.map(|open| format!("{open} is not closed"))
}

#[test]
fn what_a_shell_would_misread_is_found() {
    for command in [
        "kubectl logs <pod>",
        "kubectl get aas # all",
        "kubectl get aas -o jsonpath={.items[0]}",
        "kubectl get aas o*",
        "echo \"done!\"",
        "echo 'open",
    ] {
        assert!(misread(command).is_some(), "{command}");
    }
    for command in [
        "kubectl get aas -o jsonpath='{.items[?(@.type==\"Ready\")]}' | base64 -d",
        "operator=$!",
        "wait $?",
        "run > log 2>&1 &",
        "curl -u \"$ID:$OLD\" http://127.0.0.1/#x",
    ] {
        assert_eq!(misread(command), None, "{command}");
    }
}

#[test]
fn every_command_can_be_pasted_into_bash_and_zsh() {
    let shells = ["bash", "zsh"].map(|shell| {
        let there = Command::new(shell).arg("-c").arg(":").status().is_ok();
        there.then_some(shell)
    });
    let (mut tried, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        let path = path.strip_prefix(root()).unwrap();
        let mut found: Vec<(String, String)> = Vec::new();
        for block in blocks(&page) {
            let place = format!("{}:{}", path.display(), block.line);
            if block.language.is_empty() {
                wrong.push(format!("{place}: the block does not say its language"));
            }
            let commands = commands(&block.language, &block.text);
            found.extend(commands.into_iter().map(|command| (place.clone(), command)));
        }
        // Commands within a sentence.
        let programs = ["kubectl ", "helm ", "make ", "cargo ", "target/"];
        let code = page.split('`').skip(1).step_by(2);
        let inline = code.filter(|code| programs.iter().any(|name| code.starts_with(name)));
        let place = path.display().to_string();
        found.extend(inline.map(|command| (place.clone(), command.replace('\n', " "))));
        tried += found.len();
        for (place, command) in &found {
            wrong.extend(misread(command).map(|why| format!("{place}: {why}: {command}")));
        }
        let all = found.iter().map(|(_, command)| command.as_str());
        let all = all.collect::<Vec<_>>().join("\n");
        for shell in shells.into_iter().flatten() {
            let errors = syntax_errors(shell, &all);
            if !errors.is_empty() {
                wrong.push(format!("{}: {errors}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 80, "{tried}");
}

/// What a shell says of commands that it only reads.
fn syntax_errors(shell: &str, commands: &str) -> String {
    let output = Command::new(shell).args(["-n", "-c", commands]).output();
    String::from_utf8_lossy(&output.unwrap().stderr).into_owned()
}
