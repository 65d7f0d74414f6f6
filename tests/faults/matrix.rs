//! Runs the cells, several lanes at a time, and prints the table.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::audit;
use super::cell::{self, Boundary, Cell, Outcome, Setting};
use super::lane::Lane;
use crate::support::controlplane::ControlPlane;
use crate::support::world::install_definitions;

/// Runs cells in so many lanes at once.
pub async fn run(cells: Vec<Cell>, lanes: usize) -> Vec<Outcome> {
    audit::collect();
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    install_definitions(&client).await;
    let mut queues: BTreeMap<(usize, bool, Setting), VecDeque<Cell>> = BTreeMap::new();
    for cell in cells {
        let election = cell.boundary == Boundary::Renew;
        queues
            .entry((cell.replicas, election, cell.setting))
            .or_default()
            .push_back(cell);
    }
    let total: usize = queues.values().map(VecDeque::len).sum();
    let mut tasks = Vec::new();
    for ((replicas, election, setting), mut queue) in queues {
        // The longest first, so that none of them is left over at the end.
        queue
            .make_contiguous()
            .sort_by_key(|cell| std::cmp::Reverse(weight(cell)));
        let share = (lanes * queue.len()).div_ceil(total.max(1)).max(1);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..share {
            let (queue, client) = (Arc::clone(&queue), client.clone());
            tasks.push(tokio::spawn(async move {
                let new = async || {
                    let mut lane = Lane::new(cluster, &client, replicas, election).await;
                    lane.set(setting).await;
                    lane
                };
                let mut lane = new().await;
                let mut outcomes = Vec::new();
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(next) = next else { return outcomes };
                    let mut outcome = cell::run(&mut lane, &next).await;
                    // Where replicas race, the boundary may not be on the way: then nothing was tested.
                    for _ in 0..3 {
                        if !outcome.problems.iter().any(|p| p.contains("never reached")) {
                            break;
                        }
                        lane = new().await;
                        outcome = cell::run(&mut lane, &next).await;
                    }
                    if !outcome.problems.is_empty() {
                        println!("{next}: {:#?}", outcome.problems);
                        // What went wrong must not spread to the next cell.
                        lane = new().await;
                    }
                    outcomes.push(outcome);
                }
            }));
        }
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.extend(task.await.unwrap());
    }
    outcomes
}

fn weight(cell: &Cell) -> u8 {
    match (cell.boundary, cell.strike) {
        (Boundary::Journal, 3 | 5) => 9,
        (boundary, 3 | 5) if boundary.operation().is_some() => 8,
        (_, 12 | 13) => 7,
        (_, 9) => 6,
        _ => 0,
    }
}

/// The settings, each with one and with two replicas.
pub fn kinds() -> impl Iterator<Item = (usize, Setting)> {
    let settings = Setting::ALL.into_iter();
    settings.flat_map(|setting| [(1, setting), (2, setting)])
}

/// The table: generates carried out, for one and for two replicas.
pub fn print(outcomes: &[Outcome], took: std::time::Duration) {
    let mut table: BTreeMap<(Boundary, u8, usize, Setting), Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let Cell {
            boundary,
            strike,
            replicas,
            setting,
            ..
        } = outcome.cell;
        table
            .entry((boundary, strike, replicas, setting))
            .or_default()
            .push(outcome);
    }
    for (replicas, setting) in kinds() {
        let is_of_kind = |row: Boundary| {
            let mut all = table.keys();
            all.any(|(boundary, _, of, in_)| (*boundary, *of, *in_) == (row, replicas, setting))
        };
        let rows: Vec<_> = Boundary::ALL
            .into_iter()
            .filter(|it| is_of_kind(*it))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let with = match setting.words() {
            "" => String::new(),
            words => format!(" and {words}"),
        };
        println!(
            "\n{replicas} replica(s){with}: generates carried out, one being due; several ways of a cell are separated by a comma"
        );
        let head: String = (1..=14)
            .map(|strike| format!("{:>9}", format!("F{strike}")))
            .collect();
        println!("{:16}{head}", "");
        for boundary in rows {
            let row: String = (1..=14)
                .map(|strike| {
                    let text = table
                        .get(&(boundary, strike, replicas, setting))
                        .map_or_else(
                            || "–".to_owned(),
                            |ways| {
                                let words: Vec<String> = ways
                                    .iter()
                                    .map(|outcome| {
                                        format!(
                                            "{}{}",
                                            outcome.generates,
                                            if outcome.problems.is_empty() { "" } else { "!" }
                                        )
                                    })
                                    .collect();
                                words.join(",")
                            },
                        );
                    format!("{text:>9}")
                })
                .collect();
            println!("{:16}{row}", boundary.to_string());
        }
    }
    let mut slowest: Vec<_> = outcomes.iter().collect();
    slowest.sort_by_key(|outcome| std::cmp::Reverse(outcome.time));
    for outcome in slowest.iter().take(5) {
        println!("slow: {} took {:?}", outcome.cell, outcome.time);
    }
    let good = table
        .values()
        .filter(|ways| ways.iter().all(|outcome| outcome.problems.is_empty()))
        .count();
    println!(
        "cells: {} run ({} runs), {good} as expected, in {took:.0?}",
        table.len(),
        outcomes.len(),
    );
}

/// Whether a problem only says that something was not there yet.
fn is_late(problem: &str) -> bool {
    [
        "not at rest",
        "before the fault",
        "I10: status.sequence",
        "0 generates",
    ]
    .iter()
    .any(|late| problem.starts_with(late))
}

/// Runs cells and prints what came of them; fails if one is not as expected.
pub async fn prove(cells: Vec<Cell>, lanes: usize) {
    let begun = Instant::now();
    let mut outcomes = run(cells, lanes).await;
    // On a machine that is busy with something else a cell may not come to rest in its time. Such a cell, and only such a one, is
    // tried once more, by itself, and said so. A generate too many, or a broken invariant, is never tried again.
    let late: Vec<Cell> = outcomes
        .iter()
        .filter(|outcome| {
            !outcome.problems.is_empty() && outcome.problems.iter().all(|problem| is_late(problem))
        })
        .map(|outcome| outcome.cell.clone())
        .collect();
    outcomes.retain(|outcome| {
        let again = late.contains(&outcome.cell);
        if again {
            println!(
                "late, tried again: {}: {:?}",
                outcome.cell, outcome.problems
            );
        }
        !again
    });
    for cell in late {
        outcomes.extend(run(vec![cell], 1).await);
    }
    outcomes.sort_by_key(|outcome| {
        (
            outcome.cell.boundary,
            outcome.cell.strike,
            outcome.cell.replicas,
            outcome.cell.setting,
            outcome.cell.way,
        )
    });
    print(&outcomes, begun.elapsed());
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.problems.is_empty())
        .map(|outcome| format!("{}: {:?}", outcome.cell, outcome.problems))
        .collect();
    assert!(
        bad.is_empty(),
        "{} cells are not as expected:\n{}",
        bad.len(),
        bad.join("\n")
    );
}
