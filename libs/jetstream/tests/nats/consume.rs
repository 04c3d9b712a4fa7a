//! The consume loop never holds more than its slots, settles, redelivers, and drains.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::pull;
use bytes::Bytes;
use contracts::{ImportId, streams, subjects};
use jetstream::Nats;
use jetstream::consume::{self, Options};
use runtime::Health;
use testkit::{NatsServer, until};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(30);
const TASKS: (&str, &str) = (streams::TASKS, streams::WORKERS);

async fn publish(nats: &Nats, count: usize) {
    let import = ImportId::generate();
    for n in 0..count {
        nats.publish(
            subjects::task(&import),
            &format!("{import}.{n}"),
            Bytes::from(n.to_string()),
        )
        .await
        .unwrap();
    }
}

async fn outstanding(nats: &Nats) -> (u64, usize) {
    let stream = nats.context.get_stream(TASKS.0).await.unwrap();
    let info = stream.consumer_info(TASKS.1).await.unwrap();
    (info.num_pending, info.num_ack_pending)
}

#[tokio::test]
async fn no_more_is_fetched_than_there_are_slots() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    publish(&nats, 40).await;
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let release = CancellationToken::new();
    let (held, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let run = tokio::spawn({
        let (nats, stop, release, held, done) = (
            nats.clone(),
            stop.clone(),
            release.clone(),
            Arc::clone(&held),
            Arc::clone(&done),
        );
        async move {
            let options = Options {
                concurrency: 8,
                grace: DEADLINE,
            };
            consume::run(
                &nats,
                TASKS,
                options,
                &health,
                &stop,
                || async {},
                |delivery, _| {
                    let (release, held, done) =
                        (release.clone(), Arc::clone(&held), Arc::clone(&done));
                    async move {
                        held.fetch_add(1, Ordering::SeqCst);
                        release.cancelled().await;
                        delivery.ack().await.unwrap();
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                },
            )
            .await;
        }
    });
    until("eight are held", DEADLINE, || async {
        (held.load(Ordering::SeqCst) == 8).then_some(())
    })
    .await;
    assert_eq!(
        outstanding(&nats).await,
        (32, 8),
        "the rest stays at the server for others"
    );
    release.cancel();
    until("all are settled", DEADLINE, || async {
        (outstanding(&nats).await == (0, 0)).then_some(())
    })
    .await;
    stop.cancel();
    run.await.unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 40);
}

#[tokio::test]
async fn stop_finishes_what_is_held_and_hands_back_what_overstays() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    publish(&nats, 2).await;
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let held = Arc::new(AtomicUsize::new(0));
    let run = tokio::spawn({
        let (nats, stop, held) = (nats.clone(), stop.clone(), Arc::clone(&held));
        async move {
            let options = Options {
                concurrency: 4,
                grace: Duration::from_millis(300),
            };
            let stop_seen = stop.clone();
            consume::run(
                &nats,
                TASKS,
                options,
                &health,
                &stop,
                || async {},
                |delivery, give_up| {
                    let (held, stop) = (Arc::clone(&held), stop_seen.clone());
                    async move {
                        held.fetch_add(1, Ordering::SeqCst);
                        if delivery.payload().as_ref() == b"0" {
                            stop.cancelled().await;
                            delivery.ack().await.unwrap();
                        } else {
                            give_up.cancelled().await;
                            delivery.nak().await.unwrap();
                        }
                    }
                },
            )
            .await;
        }
    });
    until("both are held", DEADLINE, || async {
        (held.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    stop.cancel();
    run.await.unwrap();
    // The one that was handed back is there for the next worker at once, not after the ack wait.
    let consumer: async_nats::jetstream::consumer::Consumer<pull::Config> = nats
        .context
        .get_consumer_from_stream(TASKS.1, TASKS.0)
        .await
        .unwrap();
    let mut again = consumer
        .batch()
        .max_messages(1)
        .expires(Duration::from_secs(5))
        .messages()
        .await
        .unwrap();
    let message = futures::StreamExt::next(&mut again).await.unwrap().unwrap();
    assert_eq!(message.payload.as_ref(), b"1");
    assert_eq!(message.info().unwrap().delivered, 2);
}

/// What is held while the server dies is settled with the next one, not handed out again.
#[tokio::test]
async fn a_server_killed_while_tasks_run_costs_nothing() {
    let (mut server, nats) = NatsServer::start_with_topology().await.unwrap();
    publish(&nats, 40).await;
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let release = CancellationToken::new();
    let done = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::new(AtomicUsize::new(0));
    let run = tokio::spawn({
        let (nats, stop, health) = (nats.clone(), stop.clone(), health.clone());
        let (release, held, done) = (release.clone(), Arc::clone(&held), Arc::clone(&done));
        async move {
            let options = Options {
                concurrency: 8,
                grace: DEADLINE,
            };
            consume::run(
                &nats,
                TASKS,
                options,
                &health,
                &stop,
                || async {},
                |delivery, _| {
                    let (release, held, done) =
                        (release.clone(), Arc::clone(&held), Arc::clone(&done));
                    async move {
                        let times = delivery.delivered();
                        let payload = delivery.payload().clone();
                        held.fetch_add(1, Ordering::SeqCst);
                        release.cancelled().await;
                        delivery.ack().await.unwrap();
                        done.lock().unwrap().push((payload, times));
                    }
                },
            )
            .await;
        }
    });
    until("eight are held", DEADLINE, || async {
        (held.load(Ordering::SeqCst) == 8).then_some(())
    })
    .await;
    let killed = std::process::Command::new("kill")
        .args(["-9", &server.pid().unwrap().to_string()])
        .status();
    assert!(killed.unwrap().success());
    until("the outage shows", DEADLINE, || async {
        (nats.client.connection_state() != State::Connected).then_some(())
    })
    .await;
    release.cancel();
    server.restart().await.unwrap();
    until("all are settled", DEADLINE, || async {
        (outstanding(&nats).await == (0, 0)).then_some(())
    })
    .await;
    stop.cancel();
    run.await.unwrap();
    let mut done = std::mem::take(&mut *done.lock().unwrap());
    assert!(
        done.iter().all(|(_, times)| *times == 1),
        "something was handed out again: {done:?}"
    );
    done.sort();
    done.dedup();
    assert_eq!(done.len(), 40);
}

#[tokio::test]
async fn a_stop_while_the_server_is_away_ends_the_loop() {
    let (mut server, nats) = NatsServer::start_with_topology().await.unwrap();
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let run = tokio::spawn({
        let (nats, stop, health) = (nats.clone(), stop.clone(), health.clone());
        async move {
            let options = Options {
                concurrency: 1,
                grace: DEADLINE,
            };
            let free = || std::future::ready(());
            consume::run(&nats, TASKS, options, &health, &stop, free, |_, _| async {}).await;
        }
    });
    until("it fetches", DEADLINE, || async {
        health.is_ready().then_some(())
    })
    .await;
    server.stop().await;
    until("the outage shows", DEADLINE, || async {
        (!health.is_ready()).then_some(())
    })
    .await;
    stop.cancel();
    tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
}

/// A ticket for each delivery, dropped with it or when nothing came for it.
#[tokio::test]
async fn no_more_is_fetched_than_there_are_tickets() {
    let (_server, nats) = NatsServer::start_with_topology().await.unwrap();
    publish(&nats, 10).await;
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let release = CancellationToken::new();
    let tickets = Arc::new(tokio::sync::Semaphore::new(3));
    let held = Arc::new(AtomicUsize::new(0));
    let run = tokio::spawn({
        let (nats, stop, release) = (nats.clone(), stop.clone(), release.clone());
        let (tickets, held) = (Arc::clone(&tickets), Arc::clone(&held));
        async move {
            let options = Options {
                concurrency: 8,
                grace: DEADLINE,
            };
            consume::run_with_tickets(
                &nats,
                TASKS,
                options,
                &health,
                &stop,
                |slots| {
                    let tickets = Arc::clone(&tickets);
                    async move {
                        let mut paid = vec![Arc::clone(&tickets).acquire_owned().await.unwrap()];
                        while paid.len() < slots
                            && let Ok(more) = Arc::clone(&tickets).try_acquire_owned()
                        {
                            paid.push(more);
                        }
                        paid
                    }
                },
                |delivery, ticket, _| {
                    let (release, held) = (release.clone(), Arc::clone(&held));
                    async move {
                        held.fetch_add(1, Ordering::SeqCst);
                        release.cancelled().await;
                        delivery.ack().await.unwrap();
                        drop(ticket);
                    }
                },
            )
            .await;
        }
    });
    until("three are held", DEADLINE, || async {
        (held.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    assert_eq!(
        outstanding(&nats).await,
        (7, 3),
        "there are slots for eight"
    );
    release.cancel();
    until("all are settled", DEADLINE, || async {
        (outstanding(&nats).await == (0, 0)).then_some(())
    })
    .await;
    until(
        "every ticket is back, but those to fetch with",
        DEADLINE,
        || async {
            // The loop takes them for each fetch and drops them when nothing comes.
            (tickets.available_permits() >= 2).then_some(())
        },
    )
    .await;
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn work_resumes_after_the_server_was_away() {
    let (mut server, nats) = NatsServer::start_with_topology().await.unwrap();
    let (stop, health) = (CancellationToken::new(), Health::new("test"));
    let done = Arc::new(AtomicUsize::new(0));
    let run = tokio::spawn({
        let (nats, stop, health, done) = (
            nats.clone(),
            stop.clone(),
            health.clone(),
            Arc::clone(&done),
        );
        async move {
            let options = Options {
                concurrency: 4,
                grace: DEADLINE,
            };
            consume::run(
                &nats,
                TASKS,
                options,
                &health,
                &stop,
                || async {},
                |delivery, _| {
                    let done = Arc::clone(&done);
                    async move {
                        if delivery.ack().await.is_ok() {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                },
            )
            .await;
        }
    });
    publish(&nats, 3).await;
    until("three are done", DEADLINE, || async {
        (done.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    server.stop().await;
    until("the outage shows", DEADLINE, || async {
        (!health.is_ready()).then_some(())
    })
    .await;
    server.restart().await.unwrap();
    publish(&server.connect().await.unwrap(), 3).await;
    until("six are done", DEADLINE, || async {
        (done.load(Ordering::SeqCst) >= 6).then_some(())
    })
    .await;
    until("health recovers", DEADLINE, || async {
        health.is_ready().then_some(())
    })
    .await;
    stop.cancel();
    run.await.unwrap();
}
