//! Single entries: where they stand, what became of them, and which are in a state.

use crate::bed::Bed;
use crate::common::{
    accepted, deleted, failed, file_id, fold, import_id, imported, listed, object, redriven,
    retrying, seconds, skipped, source,
};
use contracts::{Cause, EventBody};
use read_model::{ItemState, MAX_STEPS, ReadModel, Reason};

async fn steps(model: &ReadModel, item: &str) -> Vec<(ItemState, u32, u32)> {
    let found = model.item(&import_id("one"), &file_id(item)).await.unwrap();
    let steps = found.unwrap().item.timeline();
    let short = steps
        .iter()
        .map(|step| (step.state, step.run, step.attempt));
    short.collect()
}

pub async fn an_entry_remembers_what_became_of_it(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let plain = vec![
        accepted(),
        listed(1, &["a", "b", "c"], &["t"]),
        imported("a", 1),
    ];
    fold(&model, &one, plain).await;
    assert_eq!(steps(&model, "c").await, []);
    assert_eq!(steps(&model, "a").await, [(ItemState::Imported, 1, 1)]);
    assert_eq!(steps(&model, "t").await, [(ItemState::Skipped, 1, 0)]);
    // A plain import keeps no history.
    let items = model.items(&one, None, 10).await.unwrap();
    assert!(
        items.iter().all(|item| item.history.is_empty()),
        "{items:?}"
    );

    let mut long = failed("b", 1, Cause::NetworkError);
    if let EventBody::ImageFailed { message, .. } = &mut long {
        *message = "ü\u{0}".repeat(300);
    }
    fold(
        &model,
        &one,
        vec![retrying("b", 1, 1), retrying("b", 1, 2), long],
    )
    .await;
    // Late and repeated reports add nothing.
    fold(
        &model,
        &one,
        vec![retrying("b", 1, 2), failed("b", 1, Cause::NetworkError)],
    )
    .await;
    fold(&model, &one, vec![redriven(&[("b", 2)])]).await;
    fold(
        &model,
        &one,
        vec![retrying("b", 1, 3), redriven(&[("b", 2)])],
    )
    .await;
    fold(&model, &one, vec![retrying("b", 2, 1), skipped("b", 2)]).await;
    assert_eq!(
        steps(&model, "b").await,
        [
            (ItemState::Retrying, 1, 1),
            (ItemState::Retrying, 1, 2),
            (ItemState::Failed, 1, 8),
            (ItemState::Queued, 2, 0),
            (ItemState::Retrying, 2, 1),
            (ItemState::Skipped, 2, 0),
        ]
    );
    let found = model.item(&one, &file_id("b")).await.unwrap().unwrap();
    let all = found.item.timeline();
    assert_eq!(all[0].at, seconds(4));
    assert_eq!(all[0].reason, Some(Reason::Cause(Cause::NetworkError)));
    assert_eq!(all[0].message.as_deref(), Some("connection reset"));
    assert_eq!(
        all[2].message.as_deref(),
        Some("ü\u{0}".repeat(100).as_str())
    );
    assert_eq!(all[5].reason, found.item.reason);
}

pub async fn a_history_is_bounded(bed: &Bed) {
    let model = bed.model().await;
    let retries = (1..=50).map(|attempt| retrying("a", 1, attempt));
    fold(&model, &import_id("one"), retries.collect()).await;
    let steps = steps(&model, "a").await;
    assert_eq!(steps.len(), MAX_STEPS);
    let latest: Vec<_> = (19..=50)
        .map(|attempt| (ItemState::Retrying, 1, attempt))
        .collect();
    assert_eq!(steps, latest);
}

pub async fn an_entry_leads_to_the_image_of_its_file(bed: &Bed) {
    let model = bed.model().await;
    let (one, two) = (import_id("one"), import_id("two"));
    let mut shortcut = source("shortcut");
    shortcut.id = file_id("target");
    let through = crate::common::imported_as(shortcut, object("key", 5), 1);
    fold(&model, &one, vec![through, imported("a", 1)]).await;
    fold(&model, &two, vec![listed(1, &["x"], &["a"])]).await;

    let image = |import, item| {
        let model = &model;
        async move {
            let found = model.item(import, &file_id(item)).await.unwrap();
            found.unwrap().image_id
        }
    };
    assert_eq!(image(&one, "shortcut").await, Some(1));
    assert_eq!(image(&one, "a").await, Some(2));
    assert_eq!(
        image(&two, "a").await,
        Some(2),
        "skipped, because it is there"
    );
    assert_eq!(image(&two, "x").await, None);
    assert!(
        model
            .item(&two, &file_id("shortcut"))
            .await
            .unwrap()
            .is_none()
    );
    fold(&model, &one, vec![deleted("target", "key")]).await;
    assert_eq!(image(&one, "shortcut").await, None);
}

pub async fn entries_are_listed_by_state(bed: &Bed) {
    let model = bed.model().await;
    let (one, two) = (import_id("one"), import_id("two"));
    let names: Vec<String> = (0..9).map(|n| format!("i{n}")).collect();
    let mut bodies = vec![listed(1, &names, &[])];
    bodies.extend((0..4).map(|n| imported(&format!("i{n}"), 1)));
    bodies.extend([retrying("i5", 1, 1), failed("i6", 1, Cause::NotAnImage)]);
    fold(&model, &one, bodies).await;
    fold(&model, &two, vec![imported("i0", 1)]).await;

    for (state, expected) in [
        (ItemState::Queued, vec!["i4", "i7", "i8"]),
        (ItemState::Retrying, vec!["i5"]),
        (ItemState::Imported, vec!["i0", "i1", "i2", "i3"]),
        (ItemState::Skipped, vec![]),
        (ItemState::Failed, vec!["i6"]),
    ] {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|id: &String| file_id(id));
            let page = model
                .items_in(&one, state, after.as_ref(), 2)
                .await
                .unwrap();
            assert!(page.iter().all(|item| item.state == state));
            if page.is_empty() {
                break;
            }
            found.extend(page.iter().map(|item| item.item_id.to_string()));
        }
        assert_eq!(found, expected, "{state:?}");
    }
}

pub async fn every_failed_entry_is_read_in_turn(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let bodies = (0..1_203).map(|n| {
        let cause = [Cause::NotAnImage, Cause::SourceGone][usize::from(n % 3 == 0)];
        failed(&format!("i{n:04}"), 1, cause)
    });
    fold(&model, &one, bodies.collect()).await;
    for (cause, expected) in [(None, 1_203), (Some(Cause::SourceGone), 401)] {
        let mut all = model.all_failed_items(&one, cause);
        let mut found = Vec::new();
        while let Some(item) = all.next().await.unwrap() {
            assert!(cause.is_none_or(|cause| cause == item.cause));
            assert!(item.failed_at >= seconds(1));
            found.push(item.item_id);
        }
        assert_eq!(found.len(), expected);
        assert!(found.is_sorted());
        assert!(all.next().await.unwrap().is_none());
    }
}
