//! Faults that are no cells of the matrix: rotations without effect, restores, and what people do by hand.
#![allow(
    clippy::pedantic,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod faults;
mod support;

use faults::further;

macro_rules! with_one_and_two_replicas {
    ($($name:ident: $test:path;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            tokio::join!($test(1), $test(2));
        }
    )*};
}

with_one_and_two_replicas! {
    a_rotation_without_effect_is_never_stored_and_costs_one_more: further::without_effect;
    a_value_that_lost_against_another_at_the_same_time_costs_one_more: further::crossed;
    an_app_that_is_deactivated_meanwhile_costs_nothing: further::deactivated;
    a_zitadel_from_a_backup_costs_at_most_one: further::zitadel_restored;
    a_deactivated_project_costs_nothing: further::project_deactivated;
    a_secret_from_a_backup_costs_one: further::secret_restored;
    a_deleted_secret_is_made_again_once: further::secret_deleted;
    an_edited_value_is_repaired_once_a_day: further::value_edited;
    a_claim_that_is_deleted_meanwhile_costs_at_most_one: further::claim_deleted;
    a_damaged_claim_costs_nothing_and_a_newer_one_stops_everything: further::claim_replaced;
}
