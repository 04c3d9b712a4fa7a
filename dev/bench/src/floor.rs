//! The least that any import must do: list, download, put.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use drive::{Drive, DriveConfig, Entry, parse_folder};
use runtime::Env;
use storage::{Key, ObjectInfo, Store, StoreConfig};
use testkit::Process;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::measure::usage;
use crate::report::Run;
use crate::{Bed, ours};

/// As many as a worker holds by default.
const CONCURRENCY: usize = 64;

/// The floor itself, in a process of its own. Prints the seconds it took, and waits to be measured.
pub(crate) async fn run(folder: &str) -> anyhow::Result<()> {
    let env = Env::from_process();
    let drive = Drive::new(DriveConfig::from_env(&env)?)?;
    let store = Store::open(StoreConfig::from_env(&env)?).await?;
    let begun = Instant::now();
    let folder = drive.folder(&parse_folder(folder)?).await?;
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let mut transfers = JoinSet::new();
    let mut token = None;
    loop {
        let page = drive.list(&folder, token.as_deref()).await?;
        for entry in page.entries {
            let Entry::File(file) = entry else { continue };
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let (drive, store) = (drive.clone(), store.clone());
            transfers.spawn(async move {
                let mut body = drive.download(&file.id, None).await?;
                let mut bytes = BytesMut::with_capacity(body.length.unwrap_or(0) as usize);
                while let Some(chunk) = body.chunk().await? {
                    bytes.extend_from_slice(&chunk);
                }
                let info = ObjectInfo {
                    content_type: file.mime_type,
                    ..ObjectInfo::default()
                };
                store
                    .put(&Key::new(file.id.as_str())?, bytes.freeze(), &info)
                    .await?;
                drop(slot);
                anyhow::Ok(())
            });
        }
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    while let Some(done) = transfers.join_next().await {
        done??;
    }
    println!("{}", begun.elapsed().as_secs_f64());
    // Held until it is killed, so that its books can be read.
    std::future::pending().await
}

/// Run the floor once and read its books.
pub(crate) async fn measure(
    bed: &Bed,
    env: &[(&'static str, String)],
    folder: &str,
    images: u64,
) -> anyhow::Result<Run> {
    let env: Vec<(String, String)> = env
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.clone()))
        .collect();
    let before = bed.shared()?;
    let mut process = Process::start(
        "floor",
        &ours("bench")?,
        &["floor", folder],
        &env,
        bed.folder.path(),
    )?;
    let begun = Instant::now();
    let seconds = loop {
        if let Ok(seconds) = process.out().trim().parse::<f64>() {
            break seconds;
        }
        anyhow::ensure!(process.is_running(), "the floor failed:\n{}", process.log());
        anyhow::ensure!(
            begun.elapsed() < Duration::from_secs(600),
            "the floor does not end"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let floor = usage("floor", process.pid().unwrap_or(0))?;
    process.kill().await?;
    let others = bed.shared_since(before)?;
    Ok(Run::new(images, seconds, vec![floor], others))
}
