//! Every process of the fleet, each started again when it ends, as an orchestrator would.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use testkit::Process;
use tokio::sync::Mutex;

use crate::journal::{Broken, Journal};
use crate::plan::{Member, Role};

/// A process younger than this may not have come to listening for SIGTERM.
const CHILDHOOD: Duration = Duration::from_secs(5);

/// Settings, as name and value.
pub type Settings = Vec<(String, String)>;

/// How to start processes.
#[derive(Debug, Clone)]
struct Launch {
    program: PathBuf,
    logs: PathBuf,
}

/// One member and its present process.
struct Post {
    member: Member,
    settings: Settings,
    launch: Launch,
    generation: u32,
    started: Instant,
    process: Option<Process>,
}

impl Post {
    fn start(&mut self) -> anyhow::Result<()> {
        self.generation += 1;
        let name = self.name();
        let command = [self.member.role.command()];
        let Launch { program, logs } = &self.launch;
        self.process = Some(Process::start(
            &name,
            program,
            &command,
            &self.settings,
            logs,
        )?);
        self.started = Instant::now();
        Ok(())
    }

    fn name(&self) -> String {
        format!("{}.{}", self.member, self.generation)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.process.as_ref().and_then(Process::pid);
        let pid = i32::try_from(pid.context("the process has ended")?)?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }
}

/// Every process of the fleet. All end with it.
pub struct Crew {
    posts: BTreeMap<Member, Mutex<Post>>,
    gateway: StdMutex<Option<String>>,
    journal: Arc<Journal>,
}

impl Crew {
    /// Start all of them; what they say goes to files in `logs`.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start(
        program: &Path,
        members: &[Member],
        settings: impl Fn(Role) -> Settings,
        logs: &Path,
        journal: Arc<Journal>,
    ) -> anyhow::Result<Self> {
        let launch = Launch {
            program: program.to_path_buf(),
            logs: logs.to_path_buf(),
        };
        let mut posts = BTreeMap::new();
        for member in members {
            let mut post = Post {
                member: *member,
                settings: settings(member.role),
                launch: launch.clone(),
                generation: 0,
                started: Instant::now(),
                process: None,
            };
            post.start()?;
            posts.insert(*member, Mutex::new(post));
        }
        Ok(Self {
            posts,
            gateway: StdMutex::default(),
            journal,
        })
    }

    /// Where the gateway listens, if it does.
    #[must_use]
    pub fn gateway(&self) -> Option<String> {
        self.gateway
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// SIGKILL, and a new process after `down`.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub async fn kill(&self, member: Member, down: Duration) -> anyhow::Result<()> {
        let mut post = self.post(member)?.lock().await;
        if let Some(mut process) = post.process.take() {
            process.kill().await?;
        }
        tokio::time::sleep(down).await;
        post.start()
    }

    /// SIGTERM, and a new process `down` after it has ended.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub async fn terminate(&self, member: Member, down: Duration) -> anyhow::Result<()> {
        let mut post = self.post(member)?.lock().await;
        self.drain(&mut post).await;
        tokio::time::sleep(down).await;
        post.start()
    }

    /// SIGSTOP, and SIGCONT after `length`.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn freeze(&self, member: Member, length: Duration) -> anyhow::Result<()> {
        let post = self.post(member)?.lock().await;
        // One that just ended by itself is for `watch` to see.
        if post.signal(Signal::SIGSTOP).is_ok() {
            tokio::time::sleep(length).await;
            post.signal(Signal::SIGCONT)?;
        }
        Ok(())
    }

    /// Start again what ended by itself, which nothing should do, and learn where the gateway
    /// listens. Never ends.
    pub async fn watch(&self) {
        loop {
            for (member, post) in &self.posts {
                // Held by a fault, which starts it again itself.
                let Ok(mut post) = post.try_lock() else {
                    continue;
                };
                let running = post.process.as_mut().is_some_and(Process::is_running);
                if !running {
                    self.ended_by_itself(&mut post).await;
                }
                if member.role == Role::Gateway {
                    let address = post
                        .process
                        .as_ref()
                        .and_then(|process| address(&process.log()));
                    let url = address.map(|address| format!("http://{address}"));
                    *self.gateway.lock().unwrap_or_else(PoisonError::into_inner) = url;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// SIGTERM to all at once.
    pub async fn stop(&self) {
        let each = self.posts.values().map(|post| async {
            let mut post = post.lock().await;
            self.drain(&mut post).await;
        });
        futures::future::join_all(each).await;
    }

    fn post(&self, member: Member) -> anyhow::Result<&Mutex<Post>> {
        self.posts.get(&member).context("no such member")
    }

    async fn drain(&self, post: &mut Post) {
        let Some(process) = post.process.take() else {
            return;
        };
        let young = post.started.elapsed() < CHILDHOOD;
        let name = post.name();
        match process.stop().await {
            Ok(status) if status.success() => {}
            Ok(status) if young && status.signal() == Some(Signal::SIGTERM as i32) => {}
            Ok(status) => self.journal.violated(
                Broken::Process,
                format!("{name} ended with {status} after SIGTERM"),
            ),
            Err(error) => self.journal.violated(
                Broken::Process,
                format!("{name} does not end after SIGTERM: {}", first_line(&error)),
            ),
        }
    }

    async fn ended_by_itself(&self, post: &mut Post) {
        let name = post.name();
        let Some(process) = post.process.take() else {
            return;
        };
        let log = process.log();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        let status = process.stop().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        self.journal.violated(
            Broken::Process,
            format!("{name} ended by itself with {status}:\n{tail}"),
        );
        if let Err(error) = post.start() {
            self.journal.violated(Broken::Process, format!("{error:#}"));
        }
    }
}

fn first_line(error: &anyhow::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Where a gateway listens, by its log.
fn address(log: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "gateway listens")
            .then(|| line["address"].as_str().map(str::to_owned))?
    })
}
