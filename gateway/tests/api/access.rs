use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{FOLDER, Fixture, problem, start, start_with};

pub(crate) async fn with_keys() -> Fixture {
    start_with(|config| config.api_keys = vec!["first-key".into(), "second-key".into()]).await
}

#[tokio::test]
async fn a_key_opens_the_api_and_nothing_else_does() {
    let gateway = with_keys().await;
    let stats = || gateway.get("/api/stats");
    for request in [
        stats().bearer_auth("first-key"),
        stats().header("authorization", "bearer  second-key"),
        stats().header("x-api-key", "second-key"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    for request in [
        stats(),
        stats().bearer_auth("third-key"),
        stats().bearer_auth(""),
        stats().bearer_auth("first-key,second-key"),
        stats().header("authorization", "Basic first-key"),
        stats().header("x-api-key", "first-ke"),
        stats().query(&[("api_key", "first-key")]),
    ] {
        let response = request.send().await.unwrap();
        assert!(
            response.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Bearer")
        );
        problem(response, 401, "unauthorized").await;
    }
}

#[tokio::test]
async fn every_api_route_asks_for_the_key() {
    let gateway = with_keys().await;
    for (method, path) in [
        (Method::POST, "/api/import/google-drive"),
        (Method::GET, "/api/import/status/x"),
        (Method::GET, "/api/imports"),
        (Method::GET, "/api/imports/x"),
        (Method::GET, "/api/imports/x/failures"),
        (Method::POST, "/api/imports/x/cancel"),
        (Method::POST, "/api/imports/x/pause"),
        (Method::POST, "/api/imports/x/resume"),
        (Method::POST, "/api/imports/x/retry"),
        (Method::GET, "/api/images"),
        (Method::GET, "/api/images/all"),
        (Method::GET, "/api/images/1"),
        (Method::DELETE, "/api/images/1"),
        (Method::GET, "/api/images/1/content"),
        (Method::HEAD, "/api/images/1/content"),
        (Method::GET, "/api/stats"),
        (Method::GET, "/api/session"),
    ] {
        let response = gateway
            .client
            .request(method.clone(), gateway.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401, "{method} {path}");
    }
}

#[tokio::test]
async fn health_and_the_page_need_no_key() {
    let gateway = with_keys().await;
    for path in [
        "/",
        "/favicon.svg",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/problems/unauthorized",
    ] {
        assert_eq!(
            gateway.get(path).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_listed_origins_may_read_answers() {
    let friend = "https://app.example";
    let gateway = start_with(|config| {
        config.cors_origins = vec![friend.parse().unwrap()];
        config.api_keys = vec!["key".into()];
    })
    .await;
    let allowed = |request: RequestBuilder| async {
        let response = request.send().await.unwrap();
        response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let preflight = |origin: &str| {
        gateway
            .client
            .request(Method::OPTIONS, gateway.url("/api/import/google-drive"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,idempotency-key",
            )
    };
    let answer = preflight(friend).send().await.unwrap();
    assert_eq!(answer.status(), 200, "a preflight carries no key");
    assert_eq!(answer.headers()["access-control-allow-origin"], friend);
    let headers = answer.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(headers.contains("idempotency-key"), "{headers}");
    for other in [
        "https://app.example.evil",
        "http://app.example",
        "https://app.example:8443",
        "null",
    ] {
        assert_eq!(allowed(preflight(other)).await, None, "{other}");
        assert_eq!(
            allowed(gateway.get("/api/stats").header("origin", other)).await,
            None,
            "{other}"
        );
    }
    // Errors too: without the header a page could not read why.
    assert_eq!(
        allowed(gateway.get("/api/stats").header("origin", friend))
            .await
            .as_deref(),
        Some(friend)
    );
    assert_eq!(
        allowed(gateway.get("/api/none").header("origin", friend))
            .await
            .as_deref(),
        Some(friend)
    );
}

#[tokio::test]
async fn another_site_can_start_nothing_through_a_visitors_browser() {
    let gateway =
        start_with(|config| config.cors_origins = vec!["https://app.example".parse().unwrap()])
            .await;
    let post = |origin: &str| {
        gateway
            .post_import(&json!({ "folder_url": FOLDER }))
            .header("origin", origin)
            .send()
    };
    problem(
        post("https://evil.example").await.unwrap(),
        403,
        "cross_origin",
    )
    .await;
    problem(post("null").await.unwrap(), 403, "cross_origin").await;
    let delete = gateway
        .client
        .delete(gateway.url("/api/images/1"))
        .header("origin", "https://evil.example");
    problem(delete.send().await.unwrap(), 403, "cross_origin").await;
    assert_eq!(post("https://app.example").await.unwrap().status(), 202);
    assert_eq!(
        post(&format!("http://{}", gateway.address))
            .await
            .unwrap()
            .status(),
        202
    );
}

#[tokio::test]
async fn a_strangers_name_for_this_machine_is_refused() {
    let gateway = start().await;
    let named = |host: &'static str| gateway.get("/api/stats").header("host", host).send();
    assert_eq!(named("localhost:5000").await.unwrap().status(), 200);
    problem(named("evil.example:5000").await.unwrap(), 421, "wrong_host").await;

    let keyed = with_keys().await;
    let named = keyed
        .get("/api/stats")
        .header("host", "images.example")
        .bearer_auth("first-key");
    assert_eq!(
        named.send().await.unwrap().status(),
        200,
        "with keys any name is fine"
    );
}
