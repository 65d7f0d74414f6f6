//! The pages in `docs/reference/plugin/`: each command of theirs prints what its page says. `UPDATE_SAMPLES=1` writes what differs.

mod manifests;
mod page;
mod past;
mod scene;
mod shell;

use std::fmt::Write as _;

use self::page::{Page, Step, is_same, pages};
use self::scene::Scene;

/// The pages, and what is wrong with them.
struct Pages {
    all: Vec<Page>,
    tried: Vec<&'static str>,
    wrong: String,
}

impl Pages {
    /// Runs the commands of a page.
    async fn run(&mut self, name: &'static str, scene: &Scene) {
        self.tried.push(name);
        let page = self.all.iter_mut().find(|page| page.name == name).unwrap();
        for Step { command, prints } in page.blocks.iter_mut().flatten() {
            let printed = scene.printed(command).await;
            if is_same(prints, &printed) {
                continue;
            }
            let [says, is] = [&*prints, &printed].map(|lines| lines.join("\n"));
            write!(
                self.wrong,
                "\n{name}.md says\n$ {command}\n{says}\nand it prints\n{is}\n"
            )
            .unwrap();
            *prints = printed;
        }
        if std::env::var_os("UPDATE_SAMPLES").is_some() {
            page.write();
        }
    }

    /// Asserts that every command was run, and printed what its page says.
    fn are_true(self) {
        let has_commands = |page: &&Page| !page.blocks.is_empty();
        for page in self.all.iter().filter(has_commands) {
            assert!(self.tried.contains(&&*page.name), "{}.md", page.name);
        }
        assert!(
            self.wrong.is_empty() || std::env::var_os("UPDATE_SAMPLES").is_some(),
            "(UPDATE_SAMPLES=1 writes it){}",
            self.wrong
        );
    }
}

#[tokio::test]
async fn every_command_prints_what_its_page_says() {
    let mut pages = Pages {
        all: pages(),
        tried: Vec::new(),
        wrong: String::new(),
    };
    let mut scene = Scene::new().await;
    pages.run("import", &scene).await;
    scene.rotate_orders().await;
    pages.run("consumers", &scene).await;
    scene.hold_operator();
    pages.run("rotate", &scene).await;
    scene.let_operator_go_on();
    scene.take_away().await;
    pages.run("doctor", &scene).await;
    scene.days_go_by().await;
    for page in ["status", "history", "timeline", "plan"] {
        pages.run(page, &scene).await;
    }
    pages.are_true();
}
