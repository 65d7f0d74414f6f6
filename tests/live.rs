//! Qualifies a ZITADEL: rotations, lost answers and kills against it, and its journal compared with the operator's audit records.
//!
//! `make live` runs it against any ZITADEL, in an organization of its own; the ordinary tests run it against the simulator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

#[path = "live/client.rs"]
mod client;
#[path = "live/compare.rs"]
mod compare;
#[path = "live/cutter.rs"]
mod cutter;
#[path = "live/suite.rs"]
mod suite;
#[path = "live/table.rs"]
mod table;

use std::env;
use std::time::Duration;

use client::Zitadel;
use suite::{Plan, in_an_organization, qualify};
use zitadel_simulator::{Availability, Config, Role, Scope, Simulator};

/// A simulator, as a user of it: an owner of the instance or a user without any role.
fn simulated(role: Option<Role>) -> (Simulator, Zitadel) {
    let simulator = Simulator::start(Config::default()).unwrap();
    let organization = simulator.create_org("administrators");
    let user = simulator.create_user(&organization, "administrator");
    if let Some(role) = role {
        simulator.grant(&user, role, Scope::Instance);
    }
    let token = simulator.create_pat(&user).unwrap();
    let zitadel = Zitadel::new(&simulator.url(), token.into());
    (simulator, zitadel)
}

/// Runs the suite, and returns which API it used.
async fn qualify_simulator(api: &'static str) -> Option<String> {
    let (simulator, zitadel) = simulated(Some(Role::IamOwner));
    let plan = Plan {
        rotations: 5,
        standby: 2,
        oidc: 2,
        api,
        speed: "20",
        patience: Duration::from_mins(2),
    };
    let table = qualify(&zitadel, plan).await;
    println!("{table}");
    assert!(table.holds(), "{table}");
    drop(simulator);
    table.api
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulator_qualifies() {
    let api = qualify_simulator("Auto").await;
    assert_eq!(api.as_deref(), Some("V1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulator_qualifies_over_api_v2() {
    let api = qualify_simulator("V2").await;
    assert_eq!(api.as_deref(), Some("V2"));
}

#[tokio::test]
async fn the_organization_is_removed_after_a_failure_and_what_cannot_be_removed_is_reported() {
    let (simulator, zitadel) = simulated(Some(Role::IamOwner));
    let mut made = String::new();
    let fails = async |id: &str| {
        id.clone_into(&mut made);
        panic!("the suite failed");
    };
    let (ended, removed): (std::thread::Result<()>, _) = in_an_organization(&zitadel, fails).await;
    assert!(ended.is_err() && removed);
    zitadel.remove_organization(&made).await.unwrap_err();

    let stops = async |_: &str| simulator.set_availability(Availability::Refusing);
    let (ended, removed) = in_an_organization(&zitadel, stops).await;
    assert!(ended.is_ok() && !removed);
}

#[tokio::test]
async fn a_token_that_may_not_make_an_organization_is_refused_in_one_line() {
    let (_simulator, zitadel) = simulated(None);
    let error = zitadel.make_organization("none").await.unwrap_err();
    let advice = error.advice();
    assert!(advice.contains("IAM_OWNER"), "{advice}");
    assert_eq!(advice.lines().count(), 1, "{advice}");

    let (simulator, _) = simulated(None);
    let zitadel = Zitadel::new(&simulator.url(), "canary".to_owned().into());
    let error = zitadel.make_organization("none").await.unwrap_err();
    let advice = error.advice();
    assert!(advice.contains("rejects the token"), "{advice}");
    assert!(!advice.contains("canary"), "{advice}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a ZITADEL: make live"]
async fn the_zitadel_of_the_environment_qualifies() {
    let variable = |name| env::var(name).unwrap_or_else(|_| panic!("set {name}, see make live"));
    let (url, path) = (variable("ZITADEL_URL"), variable("ZITADEL_TOKEN_FILE"));
    let token = std::fs::read_to_string(&path);
    let token = token.unwrap_or_else(|error| panic!("ZITADEL_TOKEN_FILE {path}: {error}"));
    let api = match env::var("API").unwrap_or_default().as_str() {
        "" | "Auto" => "Auto",
        "V1" => "V1",
        "V2" => "V2",
        _ => panic!("API is none of Auto, V1 and V2"),
    };
    let plan = Plan {
        rotations: 50,
        standby: 10,
        oidc: 4,
        api,
        speed: "1",
        // Over API v2 a lost client secret is known after minutes.
        patience: Duration::from_mins(20),
    };
    let zitadel = Zitadel::new(&url, token.trim().to_owned().into());
    let table = qualify(&zitadel, plan).await;
    println!("{table}");
    assert!(table.holds(), "what differs is marked in the table");
}
