//! Finding out what the settings allow.

use read_model::ReadModel;

use crate::bed::Bed;
use crate::common::{fold, import_id, imported};

pub async fn writing_is_tried_and_taken_back(bed: &Bed) {
    let model = bed.model().await;
    fold(&model, &import_id("one"), vec![imported("a", 1)]).await;
    let before = bed.dump().await;
    // What one try left behind would fail the next.
    for _ in 0..2 {
        ReadModel::rehearse(bed.config()).await.unwrap();
    }
    assert_eq!(bed.dump().await, before);
    fold(&model, &import_id("two"), vec![imported("b", 1)]).await;
}
