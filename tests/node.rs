//! The product on a real node: kubelet, scheduler and containerd. Run by `make node-test`, because it needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "pods/consumers.rs"]
mod consumers;
#[path = "pods/installed.rs"]
mod installed;
#[path = "pods/node.rs"]
mod node;
#[path = "pods/outage.rs"]
mod outage;
#[path = "pods/product.rs"]
mod product;
mod support;
#[path = "pods/workloads.rs"]
mod workloads;
