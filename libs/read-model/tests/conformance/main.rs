//! One suite for every database the read model can be kept in.
//!
//! `sqlite::…` and `away::…` always run. `sqlserver::…` run when `TEST_SQLSERVER_URL` holds the ADO string of a
//! database to test in (any empty one), and are shown as ignored when it does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod access;
mod bed;
#[path = "../common/mod.rs"]
mod common;
mod fold;
mod images;
mod imports;
mod items;
mod rebuild;
mod removals;
mod retries;
mod server;

use std::pin::Pin;
use std::process::ExitCode;

use bed::Bed;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

type Case = for<'b> fn(&'b Bed) -> Pin<Box<dyn Future<Output = ()> + 'b>>;

macro_rules! cases {
    ($($name:path),* $(,)?) => {
        &[$((stringify!($name), |bed| Box::pin($name(bed)))),*]
    };
}

/// What every database does.
const EVERYWHERE: &[(&str, Case)] = cases![
    access::writing_is_tried_and_taken_back,
    fold::folding_equals_the_pure_fold,
    fold::the_tables_are_the_same_however_events_are_cut_into_batches,
    fold::the_same_batch_again_is_refused_and_changes_nothing,
    fold::of_two_writers_one_is_fenced_for_every_batch,
    fold::a_finished_import_is_told_once,
    fold::a_deleted_and_newly_imported_image_counts_once,
    fold::fifty_thousand_images_while_readers_look_on,
    fold::a_page_of_a_listing_is_folded_whole,
    imports::an_import_carries_what_its_page_shows,
    imports::imports_are_listed_newest_first_by_page_cursor_and_status,
    imports::imports_are_found_by_part_of_their_folder_or_id,
    imports::imports_that_changed_are_told_by_revision,
    imports::imports_are_counted_by_status,
    imports::failures_are_grouped_and_their_tasks_kept,
    items::an_entry_remembers_what_became_of_it,
    items::a_history_is_bounded,
    items::an_entry_leads_to_the_image_of_its_file,
    items::entries_are_listed_by_state,
    items::every_failed_entry_is_read_in_turn,
    images::images_are_listed_by_page_and_by_cursor,
    images::images_are_filtered_and_counted_by_every_combination,
    images::images_of_a_type_are_listed_and_counted,
    images::images_are_found_by_their_ids,
    images::a_search_takes_every_character_literally_and_ignores_case,
    images::names_and_sizes_of_any_kind_come_back_as_they_were,
    images::the_latest_images_of_an_import_are_those_it_stored_last,
    images::unchanged_files_are_those_stored_with_the_same_content,
    images::ids_that_differ_in_nothing_but_case_are_different_files,
    images::times_are_the_same_instant_whatever_their_zone,
    removals::a_replaced_object_is_noted_with_the_import_that_stored_it,
    removals::the_same_object_again_is_no_replacement,
    removals::a_file_that_changes_back_keeps_its_object,
    removals::the_deletion_of_a_replaced_object_leaves_the_new_row,
    removals::an_image_that_was_deleted_is_a_new_row_when_it_returns,
    removals::a_reader_forgets_nothing,
    rebuild::fresh_tables_take_the_place_of_live_ones_at_the_same_checkpoint_only,
    rebuild::while_the_live_tables_are_held_readers_read_and_writers_wait,
    rebuild::live_tables_that_are_let_go_are_as_they_were,
    rebuild::there_must_be_tables_to_rebuild,
];

/// What only a server can do.
const ON_A_SERVER: &[(&str, Case)] = cases![
    server::processes_that_start_at_once_make_the_tables_once,
    server::tables_of_a_newer_release_are_refused,
    server::a_wrong_login_or_database_is_an_outage_that_names_the_setting,
    server::a_certificate_is_checked_unless_told_otherwise,
    server::more_queries_than_connections_are_all_answered,
    server::a_fold_that_nobody_waits_for_any_more_holds_no_lock,
    retries::the_victim_of_a_deadlock_folds_again,
    retries::a_connection_that_is_cut_in_a_transaction_is_made_anew,
];

/// What takes no server.
const AWAY: &[(&str, Case)] = cases![
    server::a_server_that_is_away_is_an_outage,
    server::a_server_that_says_nothing_is_an_outage,
];

fn main() -> ExitCode {
    tracing::subscriber::set_global_default(retries::Noticed::subscriber()).unwrap();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, case) in AWAY {
        trials.push(Trial::test(format!("away::{name}"), move || {
            run(Bed::sqlite(), *case)
        }));
    }
    for (name, case) in EVERYWHERE {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            run(Bed::sqlite(), *case)
        }));
    }
    for (name, case) in EVERYWHERE.iter().chain(ON_A_SERVER) {
        let url = std::env::var_os(bed::URL);
        trials.push(Trial::ignorable_test(
            format!("sqlserver::{name}"),
            move || {
                let Some(url) = url.filter(|url| !url.is_empty()) else {
                    return Ok(Completion::ignored_with(format!("{} is not set", bed::URL)));
                };
                let url = url.to_str().ok_or("the ADO string is not UTF-8")?;
                run(Bed::sql_server(url), *case).map(|()| Completion::Completed)
            },
        ));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(bed: Bed, case: Case) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(case(&bed));
    }));
    runtime.block_on(bed.remove());
    match ended {
        Ok(()) => Ok(()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
