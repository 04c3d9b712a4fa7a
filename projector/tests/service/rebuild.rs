//! Rebuilt tables equal the live ones, and take their place while everything goes on.

use contracts::{ImportId, streams};
use projector::{CHECKPOINT, Options, Rebuilt, rebuild};
use read_model::{DifferenceKind, ReadModel, ReadModelConfig};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use crate::support::{self, Fixture, changed, import};

const CHECK: Options = Options {
    check: true,
    allow_expired: false,
};
const REPLACE: Options = Options {
    check: false,
    allow_expired: false,
};

async fn differences(it: &Fixture) -> read_model::Comparison {
    let checked = rebuild(&it.config(), CHECK).await.unwrap();
    assert_eq!(
        checked.checkpoint,
        it.tables().checkpoint(CHECKPOINT).await.unwrap()
    );
    checked.comparison.unwrap()
}

fn files(it: &Fixture) -> Vec<String> {
    let folder = it.database().parent().unwrap().to_path_buf();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("rebuild"))
        .collect();
    names.sort();
    names
}

/// Look at the counters of an import until `stop`: none may ever go back.
async fn watch(tables: ReadModel, import: ImportId, stop: CancellationToken) -> u64 {
    let (mut looks, mut before) = (0, (0, 0, 0));
    while !stop.is_cancelled() {
        let row = tables.import(&import).await.unwrap();
        let now = row.map_or((0, 0, 0), |row| (row.total, row.imported, row.failed));
        assert!(
            now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2,
            "from {before:?} back to {now:?}"
        );
        before = now;
        looks += 1;
        tokio::task::yield_now().await;
    }
    looks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_go_unnoticed_while_events_keep_coming_and_two_projectors_work() {
    let it = support::start().await;
    let projectors = [it.project(), it.project()];
    it.publish(&import("steady", 600)).await;
    it.publish(&changed("first", 100, 1)).await;
    it.assert_exact().await;

    let stop = CancellationToken::new();
    let watching = tokio::spawn(watch(it.tables(), "steady".parse().unwrap(), stop.clone()));
    let rebuilding = async {
        for _ in 0..4 {
            rebuild(&it.config(), REPLACE).await.unwrap();
            let compared = rebuild(&it.config(), CHECK).await.unwrap();
            let comparison = compared.comparison.unwrap();
            assert_eq!(comparison.first, []);
            assert!(comparison.rows > 1000);
        }
        stop.cancel();
    };
    let publishing = async {
        let mut round = 0;
        while !stop.is_cancelled() {
            it.publish(&import(&format!("round-{round}"), 40)).await;
            it.publish(&changed("second", 10, round + 2)).await;
            round += 1;
        }
    };
    tokio::join!(rebuilding, publishing);
    assert!(watching.await.unwrap() > 0);

    it.assert_exact().await;
    assert_eq!(differences(&it).await.first, []);
    assert_eq!(files(&it), ["read-model.db.rebuild.lock"]);
    for projector in projectors {
        projector.stop().await;
    }
}

#[tokio::test]
async fn a_check_names_what_was_tampered_with_and_a_rebuild_mends_it() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&import("one", 60)).await;
    it.assert_exact().await;
    let clean = differences(&it).await;
    assert_eq!((clean.differences, clean.first.len()), (0, 0));

    let sql = Connection::open(it.database()).unwrap();
    sql.execute_batch(
        "UPDATE imports SET imported = imported + 1;
         UPDATE images SET size = 5 WHERE google_drive_id = 'one-3';
         UPDATE images SET id = 100000 WHERE google_drive_id = 'one-4';
         DELETE FROM import_items WHERE item_id = 'one-8';
         INSERT INTO statistics (provider, images, bytes) VALUES ('moon', 1, 1);",
    )
    .unwrap();
    drop(sql);
    let found = differences(&it).await;
    assert_eq!(found.differences, 6);
    let named: Vec<(&str, &str, String)> = found
        .first
        .iter()
        .map(|difference| {
            let kind = match &difference.kind {
                DifferenceKind::Missing => "missing".to_owned(),
                DifferenceKind::Extra => "extra".to_owned(),
                DifferenceKind::Different {
                    column,
                    live,
                    rebuilt,
                } => {
                    format!("{column}: {live}, not {rebuilt}")
                }
            };
            (difference.table, difference.key.as_str(), kind)
        })
        .collect();
    let has = |table: &str, key: &str, kind: &str| {
        assert!(
            named
                .iter()
                .any(|(t, k, d)| *t == table && k.contains(key) && d == kind),
            "{table} {key} {kind} is not in {named:?}"
        );
    };
    has("imports", "one", "imported: 55, not 54");
    has("import_items", "one one-8", "missing");
    has("images", "", "size: 5, not 1000");
    has("images", "", "missing");
    has("images", "100000", "extra");
    has("statistics", "moon", "extra");

    let Rebuilt {
        checkpoint,
        events,
        comparison,
    } = rebuild(&it.config(), REPLACE).await.unwrap();
    assert_eq!((checkpoint, events), (it.last().await, it.last().await));
    assert_eq!(comparison, None);
    it.assert_exact().await;
    // The projector did not notice.
    it.publish(&import("two", 30)).await;
    it.assert_exact().await;
    assert_eq!(differences(&it).await.first, []);
    projector.stop().await;
}

#[tokio::test]
async fn expired_events_are_refused_unless_the_loss_is_accepted() {
    let it = support::start().await;
    let projector = it.project();
    it.publish(&changed("one", 30, 1)).await;
    it.assert_exact().await;
    let stream = it.nats.context.get_stream(streams::EVENTS).await.unwrap();
    stream.purge().sequence(11).await.unwrap();
    let refused = rebuild(&it.config(), REPLACE).await.unwrap_err();
    let text = format!("{refused:#}");
    assert!(
        text.contains("first 10 events have expired") && text.contains("--allow-expired"),
        "{text}"
    );
    let images = || async { it.tables().images(Default::default()).await.unwrap().total };
    assert_eq!(images().await, 30);

    let allowed = Options {
        allow_expired: true,
        ..REPLACE
    };
    let rebuilt = rebuild(&it.config(), allowed).await.unwrap();
    assert_eq!((rebuilt.checkpoint, rebuilt.events), (30, 20));
    assert_eq!(images().await, 20);

    // All of them.
    stream.purge().await.unwrap();
    let rebuilt = rebuild(&it.config(), allowed).await.unwrap();
    assert_eq!((rebuilt.checkpoint, rebuilt.events), (30, 0));
    assert_eq!(images().await, 0);
    it.publish(&changed("two", 5, 1)).await;
    it.folded_to(35).await;
    assert_eq!(images().await, 5);
    projector.stop().await;
}

#[tokio::test]
async fn without_tables_or_with_those_of_another_deployment_nothing_is_done() {
    let it = support::start().await;
    let nothing = rebuild(&it.config(), REPLACE).await.unwrap_err();
    assert!(
        format!("{nothing:#}").contains("nothing to rebuild"),
        "{nothing:#}"
    );
    assert!(!it.database().exists());

    it.publish(&import("here", 20)).await;
    let projector = it.project();
    it.assert_exact().await;
    projector.stop().await;
    let elsewhere = support::start().await;
    let mut config = elsewhere.config();
    config.read_model = ReadModelConfig::sqlite(it.database());
    let refused = rebuild(&config, REPLACE).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("different deployments"),
        "{refused:#}"
    );
    it.assert_exact().await;
    assert_eq!(files(&it), Vec::<String>::new());
}
