//! Fresh tables beside the live ones.

use crate::bed::Bed;
use crate::common::{PROJECTOR, fold, import_id, imported, imported_as, object, source};
use read_model::{DifferenceKind, ReadModel, ReadModelError, Rebuild};

async fn fold_three(model: &ReadModel) {
    let moved = imported_as(source("a"), object("moved", 10), 1);
    let bodies = vec![imported("a", 1), imported("b", 1), moved];
    fold(model, &import_id("one"), bodies).await;
}

pub async fn fresh_tables_take_the_place_of_live_ones_at_the_same_checkpoint_only(bed: &Bed) {
    let model = bed.model().await;
    fold_three(&model).await;
    model.forget_removals(vec![3]).await.unwrap();
    let before = bed.dump().await;
    let broken = format!(
        "DELETE FROM {}; UPDATE {} SET total = 7;",
        bed.table("images"),
        bed.table("imports")
    );
    bed.execute(&broken).await;
    let broken = bed.dump().await;

    let rebuild = Rebuild::begin(bed.config()).await.unwrap();
    let busy = Rebuild::begin(bed.config()).await.unwrap_err();
    assert!(
        busy.is_outage() && busy.to_string().contains("another rebuild"),
        "{busy}"
    );
    let early = rebuild.hold(PROJECTOR).await.unwrap();
    assert_eq!(early.checkpoint(), 3);
    let refused = early.replace().await.unwrap_err();
    assert!(
        matches!(refused, ReadModelError::Fenced { expected: 3, .. }),
        "{refused}"
    );
    let refused = rebuild.look(PROJECTOR).await.unwrap().compare(9).await;
    assert!(matches!(refused, Err(ReadModelError::Fenced { .. })));
    assert_eq!(bed.dump().await, broken, "nothing was changed");

    fold_three(rebuild.fresh()).await;
    let compared = rebuild.look(PROJECTOR).await.unwrap().compare(1).await;
    let compared = compared.unwrap();
    assert_eq!((compared.differences, compared.first.len()), (3, 1));
    assert_eq!(
        compared.first[0].kind,
        DifferenceKind::Different {
            column: "total".to_owned(),
            live: "7".to_owned(),
            rebuilt: "2".to_owned(),
        }
    );
    let held = rebuild.hold(PROJECTOR).await.unwrap();
    held.replace().await.unwrap();
    assert_eq!(bed.dump().await, before, "the removal stays forgotten");
    let compared = rebuild.look(PROJECTOR).await.unwrap().compare(1).await;
    let compared = compared.unwrap();
    assert_eq!((compared.differences, compared.rows), (0, 6));
    drop(rebuild);

    // Who had it open all along goes on.
    fold(&model, &import_id("one"), vec![imported("c", 1)]).await;
    assert_eq!(model.images(Default::default()).await.unwrap().total, 3);
}

pub async fn while_the_live_tables_are_held_readers_read_and_writers_wait(bed: &Bed) {
    let model = bed.model().await;
    fold_three(&model).await;
    let rebuild = Rebuild::begin(bed.config()).await.unwrap();
    let held = rebuild.hold(PROJECTOR).await.unwrap();
    assert_eq!(model.images(Default::default()).await.unwrap().total, 2);
    let waits = model.fold(PROJECTOR, 3, Vec::new(), 4).await.unwrap_err();
    assert!(waits.is_outage(), "{waits}");
    drop(held);
    model.fold(PROJECTOR, 3, Vec::new(), 4).await.unwrap();
}

pub async fn live_tables_that_are_let_go_are_as_they_were(bed: &Bed) {
    let model = bed.model().await;
    fold_three(&model).await;
    let before = bed.dump().await;
    let rebuild = Rebuild::begin(bed.config()).await.unwrap();
    fold_three(rebuild.fresh()).await;
    let held = rebuild.hold(PROJECTOR).await.unwrap();
    drop((held, rebuild));
    assert_eq!(bed.dump().await, before);
    fold(&model, &import_id("one"), vec![imported("c", 1)]).await;
}

pub async fn there_must_be_tables_to_rebuild(bed: &Bed) {
    let absent = Rebuild::begin(bed.config()).await.unwrap_err();
    assert!(matches!(absent, ReadModelError::NotReady), "{absent}");
}
