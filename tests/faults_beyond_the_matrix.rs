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

use faults::{further, gaps, judge, panics};

macro_rules! with_one_and_two_replicas {
    ($($name:ident: $test:path;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            tokio::join!($test(1), $test(2));
        }
    )*};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_is_taken_away_after_the_claim_stops_the_call() {
    // One replica: with two, it would be unknown which of them has seen that the grant is gone.
    further::grant_removed(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_cannot_be_written_is_tried_less_and_less_often() {
    // One replica: the last write of one of two makes the other reconcile again.
    further::status_refused(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_event_of_a_status_whose_answer_was_lost_is_published_once() {
    // One replica: each of two says what it has seen change.
    further::news_unanswered(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_without_an_election_cost_no_more_than_one() {
    tokio::join!(
        further::crossed(3),
        further::zombie(3),
        further::claim_deleted(3),
        further::recreated_meanwhile(3),
        further::secret_deleted(3)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_judge_that_learns_late_costs_no_good_value() {
    gaps::judge_learns_late(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_does_not_see_an_object_leaves_its_claim_alone() {
    further::blind().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_value_is_written_does_not_lose_it() {
    panics::while_a_value_is_written().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_a_value_is_held_ends_the_process_after_it_was_written() {
    panics::while_a_value_is_held().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_loses_its_lease_in_a_call_writes_the_value_that_it_gets() {
    gaps::lease_lost().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_changed_while_it_is_brought_up_to_date_is_read_again() {
    gaps::changed_while_rendered().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_with_one_service_user_stop_each_other_by_the_breaker() {
    gaps::two_clusters(1).await;
}

with_one_and_two_replicas! {
    a_journal_that_nobody_may_read_costs_no_rotation: gaps::journal_forbidden;
    a_journal_that_was_cut_costs_no_rotation: gaps::journal_cut;
    a_journal_in_no_order_with_everything_twice_costs_no_rotation: gaps::journal_unordered;
    a_judge_that_says_200_to_everybody_proves_and_repairs_nothing: gaps::judge_without_a_verdict;
    a_judge_that_hangs_ends_the_dark_window_with_the_time_to_prove: judge::hangs;
    a_judge_that_hangs_beside_a_standby_leaves_the_pair_that_works: judge::hangs_beside_a_standby;
    a_judge_that_answers_late_costs_nothing: judge::answers_late;
    a_policy_that_refuses_the_write_after_the_rehearsal_costs_nothing: gaps::policy_after_the_rehearsal;
    the_end_of_a_namespace_is_not_held_up_by_a_rotation: gaps::namespace_deleted;
    records_edited_by_hand_cost_nothing: further::records_edited;
    a_rotation_without_effect_is_never_stored_and_costs_one_more: further::without_effect;
    a_value_that_lost_against_another_at_the_same_time_costs_one_more: further::crossed;
    an_app_that_is_deactivated_meanwhile_costs_nothing: further::deactivated;
    a_zitadel_from_a_backup_costs_at_most_one: further::zitadel_restored;
    a_deactivated_project_costs_nothing: further::project_deactivated;
    an_object_that_is_made_again_over_a_good_secret_costs_nothing: further::recreated;
    an_object_that_is_made_again_during_a_rotation_costs_nothing: further::recreated_meanwhile;
    an_etcd_from_a_backup_under_a_running_operator_costs_one_or_two: further::etcd_restored;
    a_webhook_without_dry_runs_stops_rotations_unless_the_connection_allows_it: further::no_dry_run;
    a_second_object_for_an_application_waits_until_the_first_is_gone: further::second_object;
    clocks_that_jump_by_ten_years_cost_nothing: further::clocks_jump;
    a_container_that_restarts_in_its_pod_waits_for_nobody: further::same_pod;
    whatever_an_adversary_removes_the_breaker_holds: further::breaker_under_attack;
    repairs_after_fifty_triggers_are_not_held_back: further::after_fifty_triggers;
    claims_and_records_of_other_versions_are_left_alone: further::versions;
    a_call_that_is_carried_out_after_everybody_gave_up_costs_one_more: further::zombie;
    a_secret_from_a_backup_costs_one: further::secret_restored;
    a_deleted_secret_is_made_again_once: further::secret_deleted;
    a_secret_that_was_deleted_while_its_watch_was_down_is_made_again_once: further::secret_deleted_unseen;
    an_edited_value_is_repaired_once_a_day: further::value_edited;
    a_claim_that_is_deleted_meanwhile_costs_at_most_one: further::claim_deleted;
    a_damaged_claim_costs_nothing_and_a_newer_one_stops_everything: further::claim_replaced;
}
