use crate::support::{problem, start};

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let gateway = start().await;
    for path in [
        "/api/nothing",
        "/api",
        "/api/images/1/2/3",
        "/nothing.html",
        "/../Cargo.toml",
    ] {
        problem(gateway.get(path).send().await.unwrap(), 404, "not_found").await;
    }
    let put = gateway
        .client
        .put(gateway.url("/api/images"))
        .send()
        .await
        .unwrap();
    assert_eq!(put.headers()["allow"], "GET,HEAD");
    problem(put, 405, "method_not_allowed").await;
    let get = gateway
        .get("/api/import/google-drive")
        .send()
        .await
        .unwrap();
    assert_eq!(get.headers()["allow"], "POST");
    problem(get, 405, "method_not_allowed").await;
    let post = gateway
        .client
        .post(gateway.url("/livez"))
        .send()
        .await
        .unwrap();
    problem(post, 405, "method_not_allowed").await;
    let page = gateway.client.post(gateway.url("/")).send().await.unwrap();
    assert_eq!(page.headers()["allow"], "GET,HEAD");
    problem(page, 405, "method_not_allowed").await;
}

#[tokio::test]
async fn a_problems_type_leads_to_its_documentation() {
    let gateway = start().await;
    let answer = problem(
        gateway.get("/api/images/0").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
    let document = gateway.json(answer["type"].as_str().unwrap()).await;
    assert_eq!(document["title"], answer["title"]);
    assert_eq!(document["status"], 404);
    problem(
        gateway.get("/problems/none").send().await.unwrap(),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn a_request_id_is_kept_if_harmless_and_made_if_not() {
    let gateway = start().await;
    let id_for = |given: Option<&'static str>| {
        let mut request = gateway.get("/api/stats");
        if let Some(given) = given {
            request = request.header("x-request-id", given);
        }
        async {
            request.send().await.unwrap().headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned()
        }
    };
    assert_eq!(id_for(Some("trace-7.a:b_c")).await, "trace-7.a:b_c");
    for odd in [None, Some(""), Some("a b"), Some("<script>")] {
        let made = id_for(odd).await;
        assert_eq!(made.len(), 36, "{odd:?} gave {made}");
        assert_ne!(made, id_for(odd).await);
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_not_by_path() {
    let gateway = start().await;
    for path in [
        "/api/images/1",
        "/api/images/2",
        "/api/stats",
        "/no/such/path",
    ] {
        gateway.get(path).send().await.unwrap();
    }
    let metrics = gateway
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for line in [
        "imagefleet_http_requests_total{method=\"GET\",route=\"/api/images/{id}\",status=\"4xx\"} 2",
        "imagefleet_http_requests_total{method=\"GET\",route=\"/api/stats\",status=\"2xx\"} 1",
        "imagefleet_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"4xx\"} 1",
        "imagefleet_http_request_duration_seconds_count{method=\"GET\",route=\"/api/stats\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("/no/such/path"));
}
