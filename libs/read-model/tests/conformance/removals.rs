//! Replaced objects are noted until their removal is asked for.

use crate::bed::Bed;
use crate::common::{deleted, file_id, fold, import_id, imported, imported_as, object, source};
use contracts::{EventBody, Task};
use read_model::{ImagesQuery, ReadModel, ReadModelError, Removal};

fn stored(key: &str) -> EventBody {
    imported_as(source("a"), object(key, 1000), 1)
}

async fn noted(model: &ReadModel) -> Vec<(u64, String)> {
    let all = model.removals(1000).await.unwrap();
    all.into_iter()
        .map(|removal| (removal.sequence, removal.key))
        .collect()
}

async fn ids(model: &ReadModel) -> Vec<i64> {
    let page = model.images(ImagesQuery::default()).await.unwrap();
    page.items.iter().map(|row| row.id).collect()
}

pub async fn a_replaced_object_is_noted_with_the_import_that_stored_it(bed: &Bed) {
    let model = bed.model().await;
    fold(&model, &import_id("one"), vec![stored("old")]).await;
    assert_eq!(noted(&model).await, []);
    fold(&model, &import_id("two"), vec![stored("new")]).await;

    let all = model.removals(1000).await.unwrap();
    let expected = Removal {
        sequence: 2,
        import_id: import_id("one"),
        file_id: file_id("a"),
        bucket: "images".to_owned(),
        key: "old".to_owned(),
    };
    assert_eq!(all, [expected]);
    let Task::DeleteObject(task) = all[0].task() else {
        panic!("no deletion")
    };
    assert_eq!(task.import_id, import_id("one"));
    assert_eq!(task.written_by, Some(import_id("one")));
    assert_eq!((task.bucket.as_str(), task.key.as_str()), ("images", "old"));
    assert_eq!(all[0].message_id(), "removal.2");

    model.forget_removals(vec![2, 77]).await.unwrap();
    assert_eq!(noted(&model).await, []);
}

pub async fn the_same_object_again_is_no_replacement(bed: &Bed) {
    let model = bed.model().await;
    fold(&model, &import_id("one"), vec![stored("old")]).await;
    fold(
        &model,
        &import_id("two"),
        vec![stored("old"), stored("old")],
    )
    .await;
    assert_eq!(noted(&model).await, []);
    // Elsewhere under the same key: a deletion would name this row's key.
    let mut elsewhere = object("old", 1000);
    elsewhere.bucket = "another".to_owned();
    fold(
        &model,
        &import_id("two"),
        vec![imported_as(source("a"), elsewhere, 1)],
    )
    .await;
    assert_eq!(noted(&model).await, []);
}

pub async fn a_file_that_changes_back_keeps_its_object(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![stored("x"), stored("y")]).await;
    assert_eq!(noted(&model).await, [(2, "x".to_owned())]);
    fold(&model, &import_id("two"), vec![stored("x")]).await;
    assert_eq!(noted(&model).await, [(3, "y".to_owned())]);
    // A note that was asked for in an earlier state does not take the later one along.
    fold(&model, &one, vec![stored("y"), stored("x"), stored("y")]).await;
    assert_eq!(noted(&model).await, [(6, "x".to_owned())]);
    model.forget_removals(vec![2, 3, 4, 5]).await.unwrap();
    assert_eq!(noted(&model).await, [(6, "x".to_owned())]);
}

pub async fn the_deletion_of_a_replaced_object_leaves_the_new_row(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![stored("old"), stored("new")]).await;
    fold(&model, &one, vec![deleted("a", "old")]).await;
    assert_eq!(noted(&model).await, [], "it is gone already");
    assert_eq!(ids(&model).await, [1]);
    assert_eq!(model.statistics().await.unwrap()[0].images, 1);
}

pub async fn an_image_that_was_deleted_is_a_new_row_when_it_returns(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![imported("a", 1), imported("b", 1)]).await;
    assert_eq!(ids(&model).await, [2, 1]);
    fold(&model, &one, vec![deleted("a", "a/b/a"), imported("a", 1)]).await;
    assert_eq!(ids(&model).await, [4, 2]);
    fold(&model, &one, vec![imported("b", 1), imported("a", 1)]).await;
    assert_eq!(ids(&model).await, [4, 2]);
    assert_eq!(noted(&model).await, [], "what was deleted is not replaced");
}

pub async fn a_reader_forgets_nothing(bed: &Bed) {
    drop(bed.model().await);
    let reader = bed.reader();
    let refused = reader.forget_removals(vec![1]).await;
    assert!(matches!(refused, Err(ReadModelError::ReadOnly)));
}
