//! Queries on imports and their entries, on a small model whose content is known.

use crate::bed::Bed;
use crate::common::{
    accepted, failed, file_id, fold, import_failed, import_id, imported, listed, retrying, seconds,
    skipped, source,
};
use contracts::{Cause, EventBody};
use read_model::{ImportStatus, ImportsQuery, ItemState, Paged, Reason};

pub async fn an_import_carries_what_its_page_shows(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    assert_eq!(model.import(&one).await.unwrap(), None);
    let begun = vec![
        accepted(),
        listed(1, &["a", "b", "c"], &["t"]),
        retrying("b", 1, 1),
    ];
    fold(&model, &one, begun).await;
    fold(
        &model,
        &one,
        vec![imported("a", 1), EventBody::ImportPaused {}],
    )
    .await;

    let row = model.import(&one).await.unwrap().unwrap();
    assert_eq!(row.status, ImportStatus::Paused);
    assert_eq!(
        row.folder.as_deref(),
        Some("https://drive.google.com/drive/folders/F")
    );
    assert_eq!(row.folder_name.as_deref(), Some("Holiday"));
    assert_eq!(row.requested_by.as_deref(), Some("tests"));
    assert_eq!(
        (row.prefix.as_str(), row.recursive, row.skip_unchanged),
        ("a/b", false, true)
    );
    assert_eq!(
        (
            row.total,
            row.imported,
            row.skipped,
            row.failed,
            row.retrying
        ),
        (4, 1, 1, 0, 1)
    );
    assert_eq!(
        (row.bytes, row.pages, row.listing_completed),
        (1000, 1, false)
    );
    assert_eq!(
        (row.created_at, row.started_at),
        (seconds(1), Some(seconds(1)))
    );
    assert_eq!((row.last_event_at, row.finished_at), (seconds(5), None));

    let items = model.items(&one, None, 10).await.unwrap();
    let states: Vec<_> = items
        .iter()
        .map(|item| (item.item_id.as_str(), item.state))
        .collect();
    assert_eq!(
        states,
        [
            ("a", ItemState::Imported),
            ("b", ItemState::Retrying),
            ("c", ItemState::Queued),
            ("t", ItemState::Skipped)
        ]
    );
    assert_eq!(items[1].reason, Some(Reason::Cause(Cause::NetworkError)));
    assert_eq!(
        items[3].reason,
        Some(Reason::Skip(contracts::SkipReason::NotAnImage))
    );
    let after = model.items(&one, Some(&file_id("b")), 1).await.unwrap();
    assert_eq!(after, items[2..3]);
}

pub async fn imports_are_listed_newest_first_by_page_cursor_and_status(bed: &Bed) {
    let model = bed.model().await;
    for n in 1..=5 {
        let body = if n % 2 == 0 {
            import_failed(Cause::NotAFolder)
        } else {
            accepted()
        };
        fold(&model, &import_id(&format!("import-{n}")), vec![body]).await;
    }
    let ids = |page: &Paged<read_model::ImportRow>| -> Vec<String> {
        page.items.iter().map(|row| row.id.to_string()).collect()
    };
    let two = ImportsQuery {
        per_page: 2,
        ..ImportsQuery::default()
    };
    let first = model.imports(two.clone()).await.unwrap();
    assert_eq!((first.total, first.has_more), (5, true));
    assert_eq!(ids(&first), ["import-5", "import-4"]);
    let last = model
        .imports(ImportsQuery {
            page: 3,
            ..two.clone()
        })
        .await
        .unwrap();
    assert_eq!(
        (ids(&last), last.has_more),
        (vec!["import-1".to_owned()], false)
    );

    let after = Some(first.items[1].id.clone());
    let second = model
        .imports(ImportsQuery {
            after,
            ..two.clone()
        })
        .await
        .unwrap();
    assert_eq!(ids(&second), ["import-3", "import-2"]);
    let after = Some(import_id("unknown"));
    let nothing = model.imports(ImportsQuery { after, ..two }).await.unwrap();
    assert_eq!((nothing.items.len(), nothing.total), (0, 5));

    let status = Some(ImportStatus::Failed);
    let failed = model
        .imports(ImportsQuery {
            status,
            ..ImportsQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(
        (ids(&failed).as_slice(), failed.total),
        (["import-4", "import-2"].map(String::from).as_slice(), 2)
    );
}

pub async fn failures_are_grouped_and_their_tasks_kept(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let mut bodies: Vec<EventBody> = (0..7)
        .map(|n| failed(&format!("n{n}"), 1, Cause::NotAnImage))
        .collect();
    bodies.push(failed("x", 1, Cause::SourceGone));
    bodies.extend([imported("fine", 1), skipped("also-fine", 1)]);
    fold(&model, &one, bodies).await;
    fold(
        &model,
        &import_id("two"),
        vec![failed("other", 1, Cause::TooLarge)],
    )
    .await;

    let groups = model.failures(&one).await.unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!((groups[0].cause, groups[0].count), (Cause::NotAnImage, 7));
    assert_eq!(
        (groups[0].first_seen, groups[0].last_seen),
        (seconds(1), seconds(7))
    );
    assert_eq!(groups[0].samples.len(), 5);
    assert_eq!(groups[0].samples[0].name, "n0.jpg");
    assert_eq!(groups[1].samples[0].message, "source_gone: x");

    let first = model.failed_items(&one, None, None, 3).await.unwrap();
    let after = model
        .failed_items(&one, None, Some(&first[2].item_id), 100)
        .await
        .unwrap();
    assert_eq!((first.len(), after.len()), (3, 5));
    assert_eq!((after[4].item_id.as_str(), after[4].attempts), ("x", 8));
    assert_eq!(after[4].task.file, source("x"));
    let gone = model
        .failed_items(&one, Some(Cause::SourceGone), None, 100)
        .await
        .unwrap();
    assert_eq!(gone, after[4..]);
    let after_x = Some(file_id("x"));
    assert!(
        model
            .failed_items(&one, Some(Cause::SourceGone), after_x.as_ref(), 9)
            .await
            .unwrap()
            .is_empty()
    );

    fold(&model, &one, vec![imported("x", 2), retrying("n0", 2, 1)]).await;
    let groups = model.failures(&one).await.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].count, 6);
}
