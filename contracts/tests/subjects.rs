//! What publishers publish to is what consumers and streams are subscribed to.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use contracts::{FileId, ImportId, subjects};
use proptest::prelude::*;

proptest! {
    #[test]
    fn publishers_subjects_match_consumers_filters(import in "[a-z0-9-]{1,40}", file in "[A-Za-z0-9_-]{1,60}") {
        let import: ImportId = import.parse().unwrap();
        let file: FileId = file.parse().unwrap();
        let task = subjects::task(&import);
        let retry = subjects::retry(&import, &file);
        let checkpoint = subjects::checkpoint(&import);
        let parked = subjects::parked(&import, &file);
        prop_assert!(subjects::matches(subjects::TASKS, &task));
        prop_assert!(subjects::matches(subjects::RETRIES, &retry));
        prop_assert!(subjects::matches(&subjects::retries_of(&import), &retry));
        prop_assert!(subjects::matches(subjects::CHECKPOINTS, &checkpoint));
        // Workers must never be handed what waits or what is bookkeeping.
        prop_assert!(!subjects::matches(subjects::TASKS, &retry));
        prop_assert!(!subjects::matches(subjects::TASKS, &checkpoint));
        prop_assert!(!subjects::matches(subjects::TASKS, &parked));
        prop_assert!(subjects::matches(subjects::PARKED, &parked));
        prop_assert!(subjects::matches(&subjects::parked_of(&import), &parked));
        let event = subjects::event(&import, "image.imported");
        prop_assert!(subjects::matches(subjects::EVENTS, &event));
        prop_assert!(subjects::matches(&subjects::events_of(&import), &event));
    }
}

#[test]
fn matching_follows_nats() {
    for (filter, subject, expected) in [
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.*", "a.b.c", false),
        ("a.>", "a.b.c", true),
        ("a.>", "a", false),
        ("a.b", "a.b", true),
        ("a.b", "a.c", false),
    ] {
        assert_eq!(
            subjects::matches(filter, subject),
            expected,
            "{filter} {subject}"
        );
    }
}
