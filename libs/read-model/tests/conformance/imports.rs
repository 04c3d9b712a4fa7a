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

pub async fn imports_are_found_by_part_of_their_folder_or_id(bed: &Bed) {
    let model = bed.model().await;
    for (id, name) in [
        ("import-1", "Ünïcode 100%"),
        ("import-2", "Holiday_2026"),
        ("other", "holidays 2026"),
    ] {
        let mut body = accepted();
        if let EventBody::ImportAccepted {
            request,
            folder_name,
        } = &mut body
        {
            *folder_name = Some(name.to_owned());
            request.source =
                contracts::ImportRequest::google_drive(&format!("https://x/folders/F-{id}")).source;
        }
        fold(&model, &import_id(id), vec![body]).await;
    }
    fold(&model, &import_id("unnamed"), vec![imported("a", 1)]).await;
    fold(
        &model,
        &import_id("other"),
        vec![import_failed(Cause::NotAFolder)],
    )
    .await;
    for (q, status, expected) in [
        ("ÜNÏ", None, vec!["import-1"]),
        ("0%", None, vec!["import-1"]),
        ("y_2", None, vec!["import-2"]),
        ("HOLIDAY", None, vec!["other", "import-2"]),
        ("holiday", Some(ImportStatus::Failed), vec!["other"]),
        ("folders/F-imp", None, vec!["import-2", "import-1"]),
        ("nnam", None, vec!["unnamed"]),
        ("%", None, vec!["import-1"]),
        ("nothing", None, vec![]),
        ("\u{0}", None, vec![]),
    ] {
        let query = |after, per_page| ImportsQuery {
            q: Some(q.to_owned()),
            status,
            after,
            per_page,
            ..ImportsQuery::default()
        };
        let found = model.imports(query(None, 20)).await.unwrap();
        let ids: Vec<_> = found.items.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, expected, "{q}");
        assert_eq!(found.total, expected.len() as u64, "{q}");
        // The same one by one.
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = model.imports(query(after.clone(), 1)).await.unwrap();
            assert_eq!(page.has_more, walked.len() + 1 < expected.len());
            let Some(row) = page.items.first() else { break };
            walked.push(row.id.to_string());
            after = Some(row.id.clone());
        }
        assert_eq!(walked, expected, "{q}");
    }
}

pub async fn imports_that_changed_are_told_by_revision(bed: &Bed) {
    let model = bed.model().await;
    let (one, two) = (import_id("one"), import_id("two"));
    fold(&model, &one, vec![accepted(), imported("a", 1)]).await;
    fold(&model, &two, vec![accepted()]).await;
    let changed = |after| {
        let model = &model;
        async move {
            let rows = model.changed_imports(after, 10).await.unwrap();
            rows.iter()
                .map(|row| (row.id.to_string(), row.revision))
                .collect::<Vec<_>>()
        }
    };
    let (at_one, at_two) = (("one".to_owned(), 2), ("two".to_owned(), 3));
    assert_eq!(changed(0).await, [at_one, at_two.clone()]);
    assert_eq!(changed(2).await, [at_two]);
    assert_eq!(changed(3).await, []);
    // An event that says nothing new, and one about an object, are heard of as well.
    fold(&model, &one, vec![imported("a", 1)]).await;
    assert_eq!(changed(3).await, [("one".to_owned(), 4)]);
    fold(&model, &one, vec![crate::common::deleted("a", "a/b/a")]).await;
    assert_eq!(changed(4).await, [("one".to_owned(), 5)]);
    assert_eq!(model.changed_imports(0, 1).await.unwrap().len(), 1);
}

pub async fn imports_are_counted_by_status(bed: &Bed) {
    let model = bed.model().await;
    assert_eq!(model.count_imports().await.unwrap(), []);
    for (id, body) in [
        ("a", accepted()),
        ("b", accepted()),
        ("c", import_failed(Cause::NotAFolder)),
    ] {
        fold(&model, &import_id(id), vec![body]).await;
    }
    fold(&model, &import_id("b"), vec![EventBody::ImportPaused {}]).await;
    let mut counts = model.count_imports().await.unwrap();
    counts.sort_by_key(|(status, _)| status.code());
    let expected = [
        ImportStatus::Failed,
        ImportStatus::Paused,
        ImportStatus::Processing,
    ];
    assert_eq!(counts, expected.map(|status| (status, 1)));
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
