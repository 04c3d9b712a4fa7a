use contracts::{Task, streams, subjects};
use serde_json::{Value, json};

use crate::seed::{deleted, file, import_id, imported, imported_as, object};
use crate::support::{Fixture, PATIENCE, problem, start, start_with};

/// 45 images of two imports, three of them at another provider.
async fn seeded() -> Fixture {
    let mut gateway = start().await;
    let (one, two) = (import_id("one"), import_id("two"));
    let mut events: Vec<_> = (1..=40).map(|n| imported(&one, n)).collect();
    events.extend((41..=42).map(|n| imported(&two, n)));
    events.extend((43..=45).map(|n| {
        let mut object = object(n);
        object.provider = "aws".into();
        imported_as(&two, n, file(n, &format!("DOG-{n}.jpg")), object)
    }));
    gateway.fold(events).await;
    gateway
}

fn names(answer: &Value) -> Vec<&str> {
    answer["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_are_as_in_the_old_system() {
    let gateway = seeded().await;
    let first = gateway.json("/api/images").await;
    assert_eq!((&first["total"], &first["page"]), (&json!(45), &json!(1)));
    assert_eq!(
        (&first["per_page"], &first["total_pages"]),
        (&json!(20), &json!(3))
    );
    assert_eq!(names(&first).len(), 20);
    assert_eq!(names(&first)[0], "DOG-45.jpg");
    let last = gateway.json("/api/images?page=3&per_page=20").await;
    assert_eq!(
        names(&last),
        [
            "cat-5.jpg",
            "cat-4.jpg",
            "cat-3.jpg",
            "cat-2.jpg",
            "cat-1.jpg"
        ]
    );
    assert_eq!(last["next_cursor"], Value::Null);
    let beyond = gateway.json("/api/images?page=9").await;
    assert_eq!(beyond["images"], json!([]));
    assert_eq!(beyond["total"], 45);
}

#[tokio::test]
async fn json_comes_compressed_to_those_who_can_read_it() {
    let gateway = seeded().await;
    let ask = async |path: &str, accept: &str| {
        let request = gateway.get(path).header("accept-encoding", "gzip");
        let answer = request.header("accept", accept).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer
    };
    let plain = gateway.get("/api/images?per_page=45").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    let plain = plain.bytes().await.unwrap();
    for path in ["/api/images?per_page=45", "/api/images/all"] {
        let small = ask(path, "application/json").await;
        assert_eq!(small.headers()["content-encoding"], "gzip", "{path}");
        let vary = small.headers().get_all("vary").iter();
        let vary: Vec<&str> = vary.map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").contains("accept-encoding"), "{vary:?}");
        let small = small.bytes().await.unwrap();
        assert!(small.starts_with(&[0x1f, 0x8b]) && small.len() * 3 < plain.len());
    }
    // What is short, what is read line by line, and what comes as it happens.
    for (path, accept) in [
        ("/api/stats", "application/json"),
        ("/api/images/all", "text/csv"),
        ("/api/images/all", "application/x-ndjson"),
        ("/api/events", "text/event-stream"),
    ] {
        let whole = ask(path, accept).await;
        assert!(!whole.headers().contains_key("content-encoding"), "{path}");
    }
}

#[tokio::test]
async fn a_cursor_walks_over_every_image_once() {
    let gateway = seeded().await;
    let mut seen = Vec::new();
    let mut path = "/api/images?per_page=7".to_owned();
    loop {
        let answer = gateway.json(&path).await;
        seen.extend(names(&answer).into_iter().map(str::to_owned));
        let Some(cursor) = answer["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/images?per_page=7&cursor={cursor}");
    }
    assert_eq!(seen.len(), 45);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 45);
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let gateway = seeded().await;
    for (query, total) in [
        ("storage_provider=aws", 3),
        ("storage_provider=AWS", 3),
        ("storage_provider=azure", 0),
        ("import=two", 5),
        ("import=two&storage_provider=local", 2),
        ("q=dog", 3),
        ("q=cat-4", 4),
        ("q=%25", 0),
        ("q=&page=&unknown=1", 45),
    ] {
        let answer = gateway.json(&format!("/api/images?{query}")).await;
        assert_eq!(answer["total"], total, "{query}");
    }
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let gateway = start().await;
    let long = format!("q={}", "x".repeat(201));
    for (query, name) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=one", "page"),
        ("page=99999999999", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("storage_provider=gcs", "storage_provider"),
        ("import=No!", "import"),
        ("cursor=x", "cursor"),
        (&long, "q"),
    ] {
        let response = gateway
            .get(&format!("/api/images?{query}"))
            .send()
            .await
            .unwrap();
        let answer = problem(response, 400, "invalid_parameter").await;
        assert!(
            answer["detail"]
                .as_str()
                .unwrap()
                .contains(&format!("'{name}'")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn one_image_has_every_field() {
    let mut gateway = start().await;
    gateway.fold(vec![imported(&import_id("one"), 7)]).await;
    let list = gateway.json("/api/images").await;
    let id = list["images"][0]["id"].as_i64().unwrap();
    let image = gateway.json(&format!("/api/images/{id}")).await;
    assert_eq!(image, list["images"][0]);
    let expected = json!({
        "id": id,
        "name": "cat-7.jpg",
        "google_drive_id": "file-7",
        "size": 1007,
        "mime_type": "image/jpeg",
        "storage_path": gateway.url(&format!("/api/images/{id}/content")),
        "storage_provider": "local",
        "created_at": "2024-10-04T00:00:10Z",
        "updated_at": "2024-10-04T00:00:10Z",
        "modified_time": null,
        "width": 640,
        "height": 480,
        "taken_at": "2024-05-01T12:00:00+02:00",
        "orientation": 6,
        "md5": format!("{:032x}", 7),
        "sha256": format!("{:064x}", 7),
        "bucket": "bucket",
        "key": "photos/7.jpg",
        "path": "2024/summer",
        "import_id": "one",
    });
    assert_eq!(image, expected);
    for unknown in ["999999", "abc", "-1", "1.5", "99999999999999999999"] {
        problem(
            gateway
                .get(&format!("/api/images/{unknown}"))
                .send()
                .await
                .unwrap(),
            404,
            "not_found",
        )
        .await;
    }
}

#[tokio::test]
async fn storage_paths_are_addresses_that_the_client_can_reach() {
    let path_of = |gateway: &Fixture, forwarded: Option<&'static str>| {
        let mut request = gateway.get("/api/images");
        if let Some(scheme) = forwarded {
            request = request
                .header("host", "localhost")
                .header("x-forwarded-proto", scheme);
        }
        async move {
            let answer: Value = request.send().await.unwrap().json().await.unwrap();
            answer["images"][0]["storage_path"]
                .as_str()
                .unwrap()
                .to_owned()
        }
    };
    let image = || vec![imported(&import_id("one"), 1)];

    let mut plain = start().await;
    plain.fold(image()).await;
    assert_eq!(
        path_of(&plain, Some("https")).await,
        "https://localhost/api/images/1/content"
    );
    assert_eq!(
        path_of(&plain, Some("javascript")).await,
        "http://localhost/api/images/1/content"
    );

    let mut public = start_with(|config| {
        config.public_url = "https://img.example/fleet/".parse().ok();
        config.allow_anonymous = true;
    })
    .await;
    public.fold(image()).await;
    assert_eq!(
        path_of(&public, None).await,
        "https://img.example/fleet/api/images/1/content"
    );

    let mut cdn = start_with(|config| {
        config.public_url = "https://img.example".parse().ok();
        config.allow_anonymous = true;
        config.storage_public_url = "https://cdn.example/bucket/".parse().ok();
    })
    .await;
    cdn.fold(image()).await;
    assert_eq!(
        path_of(&cdn, None).await,
        "https://cdn.example/bucket/photos/1.jpg"
    );
}

#[tokio::test]
async fn a_deletion_is_queued_once_and_answers_as_of_old() {
    let mut gateway = start().await;
    gateway.fold(vec![imported(&import_id("one"), 1)]).await;
    for _ in 0..2 {
        let response = gateway
            .client
            .delete(gateway.url("/api/images/1"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["success"], true);
        assert!(answer["message"].is_string());
    }
    let queued = gateway.messages(streams::TASKS).await;
    let [(subject, message_id, payload)] = &queued[..] else {
        panic!("{queued:?}")
    };
    assert_eq!(*subject, subjects::task(&import_id("one")));
    assert_eq!(message_id, "delete.1.photos/1.jpg");
    let Task::DeleteObject(task) = contracts::decode(payload).unwrap() else {
        panic!("no deletion")
    };
    assert_eq!(
        (task.file_id.as_str(), task.bucket.as_str()),
        ("file-1", "bucket")
    );
    assert_eq!(task.key, "photos/1.jpg");

    let unknown = gateway
        .client
        .delete(gateway.url("/api/images/77"))
        .send()
        .await
        .unwrap();
    problem(unknown, 404, "not_found").await;
}

#[tokio::test]
async fn a_deletion_outlives_the_broker_and_ends_in_a_404() {
    let mut gateway = start().await;
    let import = import_id("one");
    gateway.fold(vec![imported(&import, 1)]).await;
    let first = gateway.client.delete(gateway.url("/api/images/1"));
    assert_eq!(first.send().await.unwrap().status(), 200);
    let queued = gateway.messages(streams::TASKS).await;
    assert_eq!(queued.len(), 1);

    let mut server = gateway.server.take().unwrap();
    let pid = nix::unistd::Pid::from_raw(server.pid().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    server.restart().await.unwrap();
    testkit::until("the gateway takes deletions again", PATIENCE, || async {
        let again = gateway.client.delete(gateway.url("/api/images/1"));
        (again.send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    assert_eq!(
        gateway.messages(streams::TASKS).await,
        queued,
        "still there, and still once"
    );

    // The worker has removed the object and said so.
    gateway.fold(vec![deleted(&import, 1)]).await;
    let gone = gateway.client.delete(gateway.url("/api/images/1"));
    problem(gone.send().await.unwrap(), 404, "not_found").await;
}

#[tokio::test]
async fn statistics_keep_their_old_names() {
    let gateway = start().await;
    let empty = gateway.json("/api/stats").await;
    assert_eq!(empty["total_images"], 0);
    assert_eq!(empty["azure_images"], 0);

    let gateway = seeded().await;
    let stats = gateway.json("/api/stats").await;
    let bytes: u64 = (1..=45).map(|n| 1000 + n).sum();
    assert_eq!(stats["total_images"], 45);
    assert_eq!(stats["total_size_bytes"], bytes);
    assert_eq!(stats["total_size_mb"], 0.04);
    assert_eq!(
        (&stats["aws_images"], &stats["local_images"]),
        (&json!(3), &json!(42))
    );
    assert_eq!(stats["azure_images"], 0);
    assert_eq!(stats["aws_size_bytes"], 3 * 1000 + 43 + 44 + 45);
}
