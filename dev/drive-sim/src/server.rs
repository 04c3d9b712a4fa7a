//! Listens, and keeps hold of every connection so that it can be reset.

use std::{
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

use crate::{
    admin, api,
    body::{Body, Link},
    catalog::Catalog,
    faults::{FaultState, Faults},
    list::PageCache,
    local::Local,
    oauth::OAuth,
    stats::{Recorder, Stats},
    watch::{Watch, Watched},
};

/// The API key that is valid unless told otherwise.
pub const DEFAULT_API_KEY: &str = "drive-sim-key";
/// The access token that is valid unless told otherwise.
pub const DEFAULT_BEARER_TOKEN: &str = "drive-sim-token";

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The one key taken in `X-Goog-Api-Key` or `key=`.
    pub api_key: String,
    /// The one token taken in `Authorization: Bearer`.
    pub bearer_token: String,
    /// A folder of this machine to serve as [`crate::LOCAL_FOLDER`].
    pub folder: Option<PathBuf>,
    /// What goes wrong, to begin with.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: DEFAULT_API_KEY.to_owned(),
            bearer_token: DEFAULT_BEARER_TOKEN.to_owned(),
            folder: None,
            faults: Faults::default(),
        }
    }
}

/// What all connections share.
pub(crate) struct State {
    pub(crate) api_key: String,
    pub(crate) bearer_token: String,
    pub(crate) faults: FaultState,
    pub(crate) stats: Arc<Recorder>,
    pub(crate) catalog: Catalog,
    pub(crate) pages: PageCache,
    pub(crate) watched: Watched,
    pub(crate) oauth: OAuth,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
}

impl State {
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.stats.refill(&faults);
        self.faults.set(faults);
    }

    /// Statistics, counted attempts and what listings changed; the faults stay as they are.
    pub(crate) fn reset(&self) {
        self.stats.reset();
        self.stats.refill(&self.faults.current());
        self.faults.reset();
        self.catalog.reset();
    }
}

/// A running simulator. Dropping it stops it.
pub struct Server {
    state: Arc<State>,
    acceptor: JoinHandle<()>,
}

/// Starts to serve on the current Tokio runtime.
///
/// # Errors
/// If the address cannot be bound, the folder cannot be read, or a fault's rate is not from 0 to 1.
pub async fn serve(options: Options) -> anyhow::Result<Server> {
    if let Err(name) = options.faults.check() {
        anyhow::bail!("{name} must be from 0 to 1");
    }
    let local = match options.folder {
        None => None,
        Some(folder) => {
            let context = format!("cannot read {}", folder.display());
            let open = tokio::task::spawn_blocking(move || Local::open(&folder));
            Some(open.await?.context(context)?)
        }
    };
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr()?;
    let state = Arc::new(State {
        api_key: options.api_key,
        bearer_token: options.bearer_token,
        stats: Arc::new(Recorder::new(&options.faults)),
        faults: FaultState::new(options.faults),
        catalog: Catalog::new(local),
        pages: PageCache::default(),
        watched: Watched::default(),
        oauth: OAuth::default(),
        url: format!("http://{address}"),
    });
    let acceptor = tokio::spawn(accept(listener, Arc::clone(&state)));
    Ok(Server { state, acceptor })
}

impl Server {
    /// `http://127.0.0.1:PORT`; the API is beneath `/drive/v3`.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// A key of [`crate::SERVICE_ACCOUNT`], as Google's console hands it out.
    #[must_use]
    pub fn service_account_file(&self) -> String {
        self.state
            .oauth
            .service_account_file(&self.url())
            .to_string()
    }

    /// The credentials of [`crate::USER`], as `gcloud` writes them.
    #[must_use]
    pub fn user_file(&self) -> String {
        self.state.oauth.user_file(&self.url()).to_string()
    }

    /// Replace the service account's key and the user's refresh token: the files handed out so far
    /// are refused from now on. Access tokens stay good.
    pub fn rotate_credentials(&self) {
        self.state.oauth.rotate();
    }

    /// Drive refuses every access token handed out so far.
    pub fn revoke_access_tokens(&self) {
        self.state.oauth.revoke_access_tokens();
    }

    /// Share the private folders with `account`, or no longer.
    pub fn share_private_folders(&self, account: &str, shared: bool) {
        self.state.oauth.share_with(account, shared);
    }

    /// What happened since the start or the last [`Self::reset`].
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.stats.stats()
    }

    /// Quota units of the requests that were let through so far: cheaper than all statistics.
    #[must_use]
    pub fn quota_units(&self) -> u64 {
        self.state.stats.quota_units()
    }

    /// Follow what is asked and answered from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.state.watched.watch()
    }

    /// What goes wrong now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        (*self.state.faults.current()).clone()
    }

    /// What goes wrong from now on. The quota starts with a full burst.
    pub fn set_faults(&self, faults: Faults) {
        self.state.set_faults(faults);
    }

    /// Forgets statistics, attempts and what listings changed; the faults stay as they are.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Stops accepting, then closes every connection.
    pub async fn shutdown(mut self) {
        self.acceptor.abort();
        // Cancelled, as it was told.
        let _ = (&mut self.acceptor).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Accepts until aborted; connections end with it.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&state)));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others will close theirs.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves one connection until either side closes it or a fault resets it.
async fn converse(stream: TcpStream, state: Arc<State>) {
    // Small answers follow one another on a connection: do not wait to fill packets.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let reset = Arc::new(Notify::new());
    let link = Link {
        state,
        reset: Arc::clone(&reset),
    };
    let service = service_fn(move |request: Request<Incoming>| -> Answering {
        let link = link.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.uri.path().starts_with("/admin/") {
                return Ok(admin::answer(&link.state, &parts, body).await);
            }
            let reset = Arc::clone(&link.reset);
            let answer = if parts.uri.path() == "/token" {
                admin::token(&link.state, &parts, body).await
            } else {
                api::answer(link, &parts).await
            };
            match answer {
                Some(response) => Ok(response),
                None => {
                    reset.notify_one();
                    pending().await
                }
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        result = &mut connection => if let Err(error) = result {
            tracing::debug!(%error, "connection ended");
        },
        () = reset.notified() => {
            let stream = connection.into_parts().io.into_inner();
            // Closing with no time to linger sends RST rather than FIN.
            if let Err(error) = stream.set_zero_linger() {
                tracing::warn!(%error, "cannot reset a connection");
            }
        }
    }
}
