//! What only a server can do: refuse, be away, be asked by many at once.

use std::time::Duration;

use read_model::{
    Address, ReadModel, ReadModelConfig, ReadModelError, Refusal, SqlServerConfig, Trust,
};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::bed::{Bed, Raw, batch};
use crate::common::{PROJECTOR, event, fold, import_id, imported, seconds};
use crate::retries::Proxy;

fn with(bed: &Bed, change: impl FnOnce(&mut SqlServerConfig)) -> ReadModelConfig {
    let mut config = bed.server();
    change(&mut config);
    ReadModelConfig::SqlServer(Box::new(config))
}

pub async fn processes_that_start_at_once_make_the_tables_once(bed: &Bed) {
    let starts = (0..8).map(|_| ReadModel::open(bed.config()));
    for started in futures::future::join_all(starts).await {
        let model = started.unwrap();
        assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), 0);
    }
    let mut raw = bed.raw().await;
    let sql = format!(
        "SELECT version FROM {}",
        bed.table("refinery_schema_history")
    );
    let rows = raw.simple_query(sql).await.unwrap();
    let rows = rows.into_first_result().await.unwrap();
    let known = std::fs::read_dir("migrations/sqlserver").unwrap().count();
    assert_eq!(rows.len(), known);
}

pub async fn tables_of_a_newer_release_are_refused(bed: &Bed) {
    let reader = bed.reader();
    let absent = reader.statistics().await.unwrap_err();
    assert!(matches!(absent, ReadModelError::NotReady), "{absent}");
    drop(bed.model().await);
    assert_eq!(reader.statistics().await.unwrap(), []);
    let newer = format!(
        "INSERT INTO {} (version, name, applied_on, checksum) VALUES (999, N'x', N'', N'0')",
        bed.table("refinery_schema_history")
    );
    bed.execute(&newer).await;
    let opened = ReadModel::open(bed.config()).await.unwrap_err();
    assert!(
        matches!(opened, ReadModelError::Newer { found: 999, .. }),
        "{opened}"
    );
    let read = bed.reader().statistics().await.unwrap_err();
    assert!(matches!(read, ReadModelError::Newer { .. }), "{read}");
}

pub async fn a_wrong_login_or_database_is_an_outage_that_names_the_setting(bed: &Bed) {
    let wrong = with(bed, |config| config.password = SecretString::from("wrong"));
    let error = ReadModel::open(&wrong).await.unwrap_err();
    assert!(
        matches!(
            error,
            ReadModelError::Refused {
                problem: Refusal::Login,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.is_outage() && error.to_string().contains("DB_PASSWORD"),
        "{error}"
    );

    let wrong = with(bed, |config| {
        config.database = "no_such_database".to_owned()
    });
    let error = ReadModel::open(&wrong).await.unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert!(
        matches!(
            error,
            ReadModelError::Refused {
                problem: Refusal::Database | Refusal::Login,
                ..
            }
        ),
        "{error}"
    );
}

pub async fn a_certificate_is_checked_unless_told_otherwise(bed: &Bed) {
    if bed.server().trust == Trust::System {
        drop(bed.model().await);
        return;
    }
    // Whoever tests with TrustServerCertificate has a certificate that nobody vouches for.
    let checked = with(bed, |config| config.trust = Trust::System);
    let error = ReadModel::open(&checked).await.unwrap_err();
    assert!(
        matches!(
            error,
            ReadModelError::Refused {
                problem: Refusal::Certificate,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.is_outage() && error.to_string().contains("DB_CA_FILE"),
        "{error}"
    );
}

fn away(port: u16) -> ReadModelConfig {
    ReadModelConfig::SqlServer(Box::new(SqlServerConfig {
        server: Address {
            host: "127.0.0.1".to_owned(),
            port,
        },
        read_server: None,
        database: "images".to_owned(),
        schema: Default::default(),
        user: "u".to_owned(),
        password: SecretString::from("hunter2"),
        trust: Trust::System,
        pool_size: 1,
        pool_overflow: 0,
    }))
}

pub async fn a_server_that_is_away_is_an_outage(_: &Bed) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = away(listener.local_addr().unwrap().port());
    drop(listener);
    let error = ReadModel::open(&config).await.unwrap_err();
    assert!(matches!(error, ReadModelError::Unavailable(_)), "{error}");
    let error = ReadModel::open_read_only(&config)
        .statistics()
        .await
        .unwrap_err();
    assert!(error.is_outage(), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

pub async fn a_server_that_says_nothing_is_an_outage(_: &Bed) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = away(listener.local_addr().unwrap().port());
    let opened = ReadModel::open(&config);
    let opened = tokio::time::timeout(Duration::from_secs(30), opened).await;
    let error = opened.expect("it is given up").unwrap_err();
    assert!(matches!(error, ReadModelError::Unavailable(_)), "{error}");
}

pub async fn more_queries_than_connections_are_all_answered(bed: &Bed) {
    fold(
        &bed.model().await,
        &import_id("one"),
        vec![imported("a", 1)],
    )
    .await;
    let proxy = Proxy::to(&bed.server().server).await;
    let config = with(bed, |config| {
        config.server = proxy.address();
        config.trust = Trust::Anyone;
        (config.pool_size, config.pool_overflow) = (2, 3);
    });
    let reader = ReadModel::open_read_only(&config);
    let queries = (0..60).map(|_| reader.statistics());
    for statistics in futures::future::join_all(queries).await {
        assert_eq!(statistics.unwrap()[0].images, 1);
    }
    assert!(
        (3..=5).contains(&proxy.most_open()),
        "{}",
        proxy.most_open()
    );
    proxy.until_open(2).await;
    assert_eq!(reader.statistics().await.unwrap().len(), 1);
}

pub async fn a_fold_that_nobody_waits_for_any_more_holds_no_lock(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![imported("a", 1)]).await;
    let mut other = bed.raw().await;
    hold_image(bed, &mut other).await;
    let again = vec![(2, event(&one, seconds(2), imported("a", 2)))];
    let folding = tokio::spawn({
        let model = model.clone();
        async move { model.fold(PROJECTOR, 1, again, 2).await }
    });
    until_checkpoint_is_locked(bed, true).await;
    folding.abort();
    assert!(folding.await.unwrap_err().is_cancelled());
    until_checkpoint_is_locked(bed, false).await;
    batch(&mut other, "ROLLBACK TRANSACTION").await.unwrap();
    assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), 1);
    fold(&model, &one, vec![imported("a", 2)]).await;
    assert_eq!(model.import(&one).await.unwrap().unwrap().imported, 1);
}

/// Begin a transaction that keeps others from changing the image `a`.
pub async fn hold_image(bed: &Bed, raw: &mut Raw) {
    let hold = format!(
        "UPDATE {} SET size = size WHERE google_drive_id = N'a'",
        bed.table("images")
    );
    batch(raw, "BEGIN TRANSACTION").await.unwrap();
    batch(raw, &hold).await.unwrap();
}

/// Wait until somebody has moved the checkpoint and not committed, or nobody has any more.
pub async fn until_checkpoint_is_locked(bed: &Bed, locked: bool) {
    let touch = format!("UPDATE {} SET seq = seq", bed.table("checkpoints"));
    let look = async {
        loop {
            let mut raw = bed.raw().await;
            batch(&mut raw, "SET LOCK_TIMEOUT 50").await.unwrap();
            if batch(&mut raw, &touch).await.is_err() == locked {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look)
        .await
        .unwrap_or_else(|_| {
            panic!(
                "the checkpoint is still {}locked",
                if locked { "un" } else { "" }
            )
        });
}
