//! Transactions that end before their time are begun again, and count once.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use contracts::Event;
use read_model::{Address, ReadModel, ReadModelConfig, Trust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::field::{Field, Visit};
use tracing::{Instrument as _, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::bed::{Bed, batch};
use crate::common::{PROJECTOR, event, fold, import_id, imported, seconds};
use crate::server::{hold_image, until_checkpoint_is_locked};

/// The span under which retries are noticed.
const SPAN: &str = "noticed";
/// Server errors after which something was done again under [`SPAN`].
static NOTICED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Notices what the read model says about doing things again.
pub struct Noticed;

impl Noticed {
    pub fn subscriber() -> impl Subscriber + Send + Sync {
        tracing_subscriber::registry().with(Self)
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Noticed {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        struct Code(Option<u64>);
        impl Visit for Code {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "code" {
                    self.0 = Some(value);
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        let mut spans = context.event_scope(event).into_iter().flatten();
        if event.metadata().target().starts_with("read_model") && spans.any(|s| s.name() == SPAN) {
            let mut code = Code(None);
            event.record(&mut code);
            NOTICED.lock().unwrap().extend(code.0);
        }
    }
}

pub async fn the_victim_of_a_deadlock_folds_again(bed: &Bed) {
    const ROUNDS: u64 = 20;
    let model = bed.model().await;
    let one = import_id("one");
    fold(&model, &one, vec![imported("a", 1)]).await;
    let touch = format!("UPDATE {} SET seq = seq", bed.table("checkpoints"));
    for round in 1..=ROUNDS {
        let mut other = bed.raw().await;
        // Not every server knows it; then whoever waits longer is the victim.
        let _ = batch(&mut other, "SET DEADLOCK_PRIORITY HIGH").await;
        hold_image(bed, &mut other).await;
        let run = u32::try_from(round).unwrap() + 1;
        let events = vec![(round + 1, event(&one, seconds(round), imported("a", run)))];
        let folding = tokio::spawn({
            let model = model.clone();
            async move { model.fold(PROJECTOR, round, events, round + 1).await }
                .instrument(tracing::info_span!(SPAN))
        });
        until_checkpoint_is_locked(bed, true).await;
        // The fold waits for the image, and this for the checkpoint: one of both has to go.
        if batch(&mut other, &touch).await.is_ok() {
            batch(&mut other, "ROLLBACK TRANSACTION").await.unwrap();
        }
        drop(other);
        folding.await.unwrap().unwrap();
        assert_eq!(model.checkpoint(PROJECTOR).await.unwrap(), round + 1);
        let import = model.import(&one).await.unwrap().unwrap();
        assert_eq!((import.total, import.imported, import.bytes), (1, 1, 1000));
        if NOTICED.lock().unwrap().contains(&1205) {
            return;
        }
    }
    panic!("the fold was not the victim in {ROUNDS} rounds");
}

/// The batch that follows `from`: `size` images of their own.
fn images(from: u64, size: u64) -> Vec<(u64, Event)> {
    (from + 1..=from + size)
        .map(|n| {
            let image = imported(&format!("1aB_{n}"), 1);
            (n, event(&import_id("one"), seconds(n), image))
        })
        .collect()
}

pub async fn a_connection_that_is_cut_in_a_transaction_is_made_anew(bed: &Bed) {
    let proxy = Proxy::to(&bed.server().server).await;
    let mut config = bed.server();
    config.server = proxy.address();
    config.trust = Trust::Anyone;
    let config = ReadModelConfig::SqlServer(Box::new(config));
    let model = ReadModel::open(&config).await.unwrap();
    let one = import_id("one");

    // In the middle of a large parameter, long after the checkpoint was moved.
    proxy.cut_after(Way::There, 100_000);
    let folded = model.fold(PROJECTOR, 0, images(0, 500), 500).await.unwrap();
    assert_eq!((folded.events, proxy.cuts()), (500, 1));

    // And at any other place: in what is asked and in what is answered, commits included.
    let mut at = 500;
    for round in 0..48 {
        let way = [Way::There, Way::Back][round % 2];
        proxy.cut_after(way, 120 * i64::try_from(round).unwrap());
        let to = at + 3;
        while at < to {
            match model.fold(PROJECTOR, at, images(at, 3), to).await {
                Ok(folded) => {
                    assert_eq!(folded.events, 3);
                    at = to;
                }
                Err(error) => {
                    assert!(error.is_outage(), "{error}");
                    let now = model.checkpoint(PROJECTOR).await.unwrap();
                    assert!(now == at || now == to, "{now}");
                    at = now;
                }
            }
        }
        let import = model.import(&one).await.unwrap().unwrap();
        assert_eq!((import.total, import.imported), (at, at));
    }
    assert!(proxy.cuts() > 20, "{}", proxy.cuts());
    let statistics = model.statistics().await.unwrap();
    assert_eq!((statistics[0].images, statistics[0].bytes), (at, at * 1000));
}

/// Which of a connection's two directions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
}

/// Stands between us and the server, and cuts connections when told to.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// Bytes until the next cut, in each direction.
    there: AtomicI64,
    back: AtomicI64,
    cuts: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Proxy {
    pub async fn to(server: &Address) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        shared.there.store(i64::MAX, Ordering::SeqCst);
        shared.back.store(i64::MAX, Ordering::SeqCst);
        let target = (server.host.clone(), server.port);
        let mut tasks = JoinSet::new();
        let accepting = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                connections.spawn(pass(client, server, Arc::clone(&accepting)));
            }
        });
        Self {
            port,
            shared,
            _tasks: tasks,
        }
    }

    pub fn address(&self) -> Address {
        Address {
            host: "127.0.0.1".to_owned(),
            port: self.port,
        }
    }

    /// Cut the connection that takes the next `bytes` over.
    pub fn cut_after(&self, way: Way, bytes: i64) {
        let (there, back) = match way {
            Way::There => (bytes, i64::MAX),
            Way::Back => (i64::MAX, bytes),
        };
        self.shared.there.store(there, Ordering::SeqCst);
        self.shared.back.store(back, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }

    /// Wait until so many connections are open, or fewer.
    pub async fn until_open(&self, connections: usize) {
        let closed = async {
            while self.shared.open.load(Ordering::SeqCst) > connections {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let closed = tokio::time::timeout(Duration::from_secs(10), closed).await;
        closed.expect("connections are closed after use");
    }
}

async fn pass(client: TcpStream, server: TcpStream, shared: Arc<Shared>) {
    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_open.fetch_max(open, Ordering::SeqCst);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, &shared.there, &shared.cuts) => {}
        () = copy(from_server, to_client, &shared.back, &shared.cuts) => {}
    }
    shared.open.fetch_sub(1, Ordering::SeqCst);
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    budget: &AtomicI64,
    cuts: &AtomicUsize,
) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let cost = i64::try_from(read).unwrap();
        if budget.load(Ordering::SeqCst) != i64::MAX
            && budget.fetch_sub(cost, Ordering::SeqCst) < cost
        {
            budget.store(i64::MAX, Ordering::SeqCst);
            cuts.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
