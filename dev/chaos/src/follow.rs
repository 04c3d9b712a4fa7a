//! What people do during a run: submit imports, watch them, pause, cancel and re-drive some.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::journal::{Broken, Journal};
use crate::plan::{Course, Import};
use crate::world::World;

/// Between two looks at a status.
const LOOK: Duration = Duration::from_millis(400);
/// For an answer; a gateway may be frozen meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// An import as its requester saw it.
#[derive(Debug, Clone)]
pub struct Followed {
    /// What was asked for.
    pub import: Import,
    /// Its id; none if it was never accepted.
    pub job: Option<String>,
    /// The last status seen.
    pub last: Value,
    /// Commands that were accepted.
    pub commanded: Vec<&'static str>,
}

/// How far one import was seen to be. Judges each look by the ones before.
#[derive(Debug, Default)]
pub struct Progress {
    settled: u64,
    imported: u64,
    total: u64,
    ended: Option<(String, u64)>,
    /// Whether failures are re-driven: counters may go back then, and completion is undone.
    pub redriven: bool,
}

impl Progress {
    /// What is wrong with the next status.
    pub fn look(&mut self, status: &Value) -> Vec<String> {
        let count = |name: &str| status[name].as_u64().unwrap_or(0);
        let (processed, failed, total) = (count("processed"), count("failed"), count("total"));
        let (imported, settled) = (count("imported_count"), processed + failed);
        let state = status["status"].as_str().unwrap_or_default();
        let mut wrong = Vec::new();
        if settled > total {
            wrong.push(format!("{settled} settled of {total}"));
        }
        if settled < self.settled && !self.redriven {
            wrong.push(format!(
                "settled went back from {} to {settled}",
                self.settled
            ));
        }
        if imported < self.imported {
            wrong.push(format!(
                "imported went back from {} to {imported}",
                self.imported
            ));
        }
        if total < self.total {
            wrong.push(format!(
                "the total went back from {} to {total}",
                self.total
            ));
        }
        if state == "completed" && settled != total {
            wrong.push(format!("completed with {settled} settled of {total}"));
        }
        if let Some((ended, at)) = &self.ended {
            let reopened = self.redriven && ended == "completed";
            if !reopened && (ended != state || *at != settled) {
                wrong.push(format!(
                    "{ended} with {at} settled became {state} with {settled}"
                ));
            }
        }
        (self.settled, self.imported, self.total) = (settled, imported, total);
        self.ended = is_final(state).then(|| (state.to_owned(), settled));
        wrong
    }
}

fn is_final(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "cancelled")
}

/// What one follower needs.
pub struct Follower {
    /// Everything that runs.
    pub world: Arc<World>,
    /// Where what is wrong is noted.
    pub journal: Arc<Journal>,
    /// Begun when the run began.
    pub begun: Instant,
    /// Told to give up.
    pub stop: CancellationToken,
}

impl Follower {
    /// Submit one import and follow it to its end, or until told to stop.
    pub async fn follow(&self, number: usize, import: Import) -> Followed {
        let mut followed = Followed {
            import,
            job: None,
            last: Value::Null,
            commanded: Vec::new(),
        };
        tokio::select! {
            () = self.live(number, &mut followed) => {}
            () = self.stop.cancelled() => {}
        }
        followed
    }

    async fn live(&self, number: usize, followed: &mut Followed) {
        tokio::time::sleep_until((self.begun + followed.import.at).into()).await;
        let http = client();
        let mut beginning = Some(self.world.beginnings.read().await);
        let key = format!("chaos-{number}");
        let folder = followed.import.folder.clone();
        let job = self.submit(&http, &key, &followed.import).await;
        self.journal.say(&format!(
            "import {number} of {folder} is {job} ({:?})",
            followed.import.course
        ));
        followed.job = Some(job.clone());
        let mut progress = Progress::default();
        let mut begun: Option<Instant> = None;
        let mut paused: Option<Instant> = None;
        let mut asked = Vec::new();
        loop {
            if let Some(status) = self.look(&http, &job).await {
                for wrong in progress.look(&status) {
                    self.journal
                        .violated(Broken::Progress, format!("import {job}: {wrong}"));
                }
                if status["pages"].as_u64().unwrap_or(0) > 0 {
                    begun.get_or_insert_with(Instant::now);
                    beginning = None;
                }
                followed.last = status;
            }
            let since = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
            let ended = is_final(followed.last["status"].as_str().unwrap_or_default());
            let done = |name| asked.contains(&name);
            let next = match followed.import.course {
                Course::Cancelled(after) if since >= after && !done("cancel") && !ended => {
                    Some("cancel")
                }
                Course::Paused(after, _) if since >= after && !done("pause") && !ended => {
                    Some("pause")
                }
                Course::Paused(_, length)
                    if paused.is_some_and(|at| at.elapsed() >= length) && !done("resume") =>
                {
                    Some("resume")
                }
                Course::Redriven if ended && !done("retry") => Some("retry"),
                _ => None,
            };
            if let Some(action) = next {
                // Before it is carried out: a look may see it at once.
                progress.redriven |= action == "retry";
                if let Some(accepted) = self.command(&http, &job, action).await {
                    asked.push(action);
                    if accepted {
                        followed.commanded.push(action);
                    }
                    if action == "pause" {
                        paused = Some(Instant::now());
                    }
                }
            } else if ended {
                drop(beginning);
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Submit until it is accepted; the id. The key makes sure that it is one import however often
    /// it is asked for.
    async fn submit(&self, http: &reqwest::Client, key: &str, import: &Import) -> String {
        let folder = &import.folder;
        let url = format!("https://drive.google.com/drive/folders/{folder}");
        let body = match import.moved {
            true => {
                json!({"folder_url": url, "destination_prefix": "moved", "skip_unchanged": false})
            }
            false => json!({"folder_url": url}),
        };
        loop {
            if let Some(url) = self.world.crew.gateway() {
                let request = http
                    .post(format!("{url}/api/import/google-drive"))
                    .header("idempotency-key", key)
                    .json(&body);
                match answer(request).await {
                    Some((StatusCode::ACCEPTED, body)) if body["job_id"].is_string() => {
                        return body["job_id"].as_str().unwrap_or_default().to_owned();
                    }
                    Some((StatusCode::SERVICE_UNAVAILABLE, _)) | None => {}
                    Some((status, body)) => self.journal.violated(
                        Broken::Answer,
                        format!("submitting {folder}: {status} {body}"),
                    ),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, http: &reqwest::Client, job: &str) -> Option<Value> {
        let url = self.world.crew.gateway()?;
        match answer(http.get(format!("{url}/api/import/status/{job}"))).await? {
            (StatusCode::OK, status) => Some(status),
            (StatusCode::SERVICE_UNAVAILABLE, _) => None,
            (code, body) => {
                self.journal.violated(
                    Broken::Answer,
                    format!("the status of {job}: {code} {body}"),
                );
                None
            }
        }
    }

    /// Whether the command was accepted, or refused because it came too late; none if it must be
    /// given again.
    async fn command(
        &self,
        http: &reqwest::Client,
        job: &str,
        action: &'static str,
    ) -> Option<bool> {
        let url = self.world.crew.gateway()?;
        let request = http.post(format!("{url}/api/imports/{job}/{action}"));
        match answer(request).await? {
            (status, _) if status.is_success() => {
                self.journal.say(&format!("{action} {job}"));
                Some(true)
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => None,
            (StatusCode::CONFLICT, body) => {
                self.journal
                    .say(&format!("{action} {job} is refused: {}", body["error"]));
                Some(false)
            }
            (status, body) => {
                self.journal
                    .violated(Broken::Answer, format!("{action} {job}: {status} {body}"));
                Some(false)
            }
        }
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap_or_default()
}

/// Status and JSON; none if there was no answer.
async fn answer(request: reqwest::RequestBuilder) -> Option<(StatusCode, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status();
    let body = response.bytes().await.ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, processed: u64, failed: u64, total: u64) -> Value {
        json!({"status": state, "processed": processed, "imported_count": processed, "failed": failed, "total": total})
    }

    fn looks(looks: &[Value]) -> Vec<String> {
        let mut progress = Progress::default();
        looks
            .iter()
            .flat_map(|status| progress.look(status))
            .collect()
    }

    #[test]
    fn honest_progress_is_not_complained_of() {
        let honest = [
            status("processing", 0, 0, 0),
            status("processing", 3, 0, 10),
            status("paused", 4, 1, 20),
            status("processing", 18, 1, 20),
            status("completed", 19, 1, 20),
            status("completed", 19, 1, 20),
        ];
        assert_eq!(looks(&honest), [""; 0]);
    }

    #[test]
    fn each_lie_is_seen() {
        for (first, second, complaint) in [
            (
                status("processing", 5, 0, 9),
                status("processing", 4, 0, 9),
                "settled went back",
            ),
            (
                status("processing", 5, 0, 9),
                status("processing", 4, 1, 9),
                "imported went back",
            ),
            (
                status("processing", 5, 0, 9),
                status("processing", 5, 0, 8),
                "total went back",
            ),
            (
                status("processing", 5, 0, 9),
                status("processing", 9, 1, 9),
                "settled of 9",
            ),
            (
                status("processing", 5, 0, 9),
                status("completed", 8, 0, 9),
                "completed with 8",
            ),
            (
                status("completed", 9, 0, 9),
                status("processing", 9, 0, 10),
                "became processing",
            ),
            (
                status("cancelled", 5, 0, 9),
                status("cancelled", 6, 0, 9),
                "became cancelled with 6",
            ),
        ] {
            let said = looks(&[first, second]);
            assert!(
                said.iter().any(|wrong| wrong.contains(complaint)),
                "{complaint}: {said:?}"
            );
        }
    }

    #[test]
    fn a_redrive_may_reopen_what_was_completed() {
        let mut progress = Progress::default();
        assert!(progress.look(&status("completed", 8, 2, 10)).is_empty());
        progress.redriven = true;
        assert!(progress.look(&status("processing", 8, 0, 10)).is_empty());
        assert!(
            !progress.look(&status("processing", 7, 0, 10)).is_empty(),
            "imported never goes back"
        );
    }
}
