//! Running a nats-server of our own.

use std::path::Path;
use std::time::Duration;

use jetstream::server::{self, Server, ServerError, ServerOptions};
use jetstream::{Logins, NatsConfig, User};
use runtime::Env;
use testkit::{NatsServer, until};

#[tokio::test]
async fn a_mistake_in_the_configuration_is_quoted() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("nats.conf");
    std::fs::write(&config, "jetstream { max_file_stoer: 1GB }").unwrap();
    let options = ServerOptions {
        program: testkit::tools::find("nats-server").unwrap(),
        config,
        data: data.path().join("data"),
        port: None,
        env: Vec::new(),
    };
    match Server::start(&options).await {
        Err(ServerError::NotUp { log }) => assert!(log.contains("max_file_stoer"), "{log}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it must not start"),
    }
}

/// A server on the project's configuration, with these variables.
async fn start_with(data: &Path, env: Vec<(String, String)>) -> Result<Server, ServerError> {
    Server::start(&ServerOptions {
        program: testkit::tools::find("nats-server").unwrap(),
        config: testkit::tools::workspace().join("nats.conf"),
        data: data.to_path_buf(),
        port: None,
        env,
    })
    .await
}

#[tokio::test]
async fn without_a_password_it_does_not_run_open_but_names_the_variable() {
    let data = tempfile::tempdir().unwrap();
    let mut env = Logins::random().server_env();
    env.retain(|(name, _)| name != "NATS_GATEWAY_PASSWORD");
    match start_with(data.path(), env).await {
        Err(ServerError::NotUp { log }) => {
            assert!(log.contains("NATS_GATEWAY_PASSWORD"), "{log}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it must not start"),
    }
}

#[tokio::test]
async fn a_password_may_be_any_text() {
    for password in ["12345678", r#"a "b" \ $c # {d} é"#, "0x1F", "true", "[1]"] {
        let data = tempfile::tempdir().unwrap();
        let env = Env::from_pairs([("NATS_WORKER_PASSWORD", password)]);
        let logins = Logins::from_env(&env);
        let server = start_with(data.path(), logins.server_env()).await.unwrap();
        let env = logins.login(&env.with("NATS_URL", server.url()), User::Worker);
        let config = NatsConfig::from_env(&env, "test").unwrap();
        jetstream::connect(&config).await.unwrap();
        server.stop().await;
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart_on_the_same_port() {
    let (mut server, nats) = NatsServer::start_with_topology().await.unwrap();
    let url = server.url().to_owned();
    nats.publish("imports.requests".into(), "1", "request".into())
        .await
        .unwrap();
    server.restart().await.unwrap();
    assert_eq!(server.url(), url);
    let nats = server.connect().await.unwrap();
    let stream = nats.context.get_stream("IMPORTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

#[tokio::test]
async fn it_ends_with_its_owner() {
    let data = tempfile::tempdir().unwrap();
    let server = start_with(data.path(), Logins::random().server_env())
        .await
        .unwrap();
    let process = format!("/proc/{}", server.pid().unwrap());
    assert!(Path::new(&process).exists());
    drop(server);
    until("the process is gone", Duration::from_secs(30), || async {
        (!Path::new(&process).exists()).then_some(())
    })
    .await;
}

#[test]
fn a_missing_program_names_where_it_was_looked_for_and_the_fix() {
    let nowhere = Path::new("/nonexistent/tools");
    let Err(error) = server::find(None, Some("/nonexistent/bin"), nowhere) else {
        panic!("found where nothing is");
    };
    let text = error.to_string();
    assert!(text.contains("/nonexistent/tools"), "{text}");
    assert!(text.contains("NATS_SERVER_BIN"), "{text}");
}
