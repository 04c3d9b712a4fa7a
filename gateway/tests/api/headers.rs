//! What browsers are told about answers.

use serde_json::json;

use crate::support::{FOLDER, problem, start, start_with};

#[tokio::test]
async fn every_answer_may_run_nothing_and_be_framed_nowhere() {
    let gateway = start().await;
    for path in [
        "/api/stats",
        "/api/none",
        "/api/openapi.json",
        "/problems/not_found",
        "/livez",
        "/",
        "/api/docs/",
    ] {
        let answer = gateway.get(path).send().await.unwrap();
        let head = |name: &str| {
            let value = answer.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        };
        let policy = head("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';"),
            "{path}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(head("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(head("x-frame-options"), "DENY", "{path}");
        assert_eq!(head("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(head("strict-transport-security"), "", "{path} by http");
    }
}

#[tokio::test]
async fn https_is_for_good_where_it_is_the_public_address() {
    let public = |url: &'static str| {
        start_with(|config| {
            config.public_url = url.parse().ok();
            config.allow_anonymous = true;
        })
    };
    let gateway = public("https://images.example.org").await;
    for path in ["/", "/api/stats", "/nothing"] {
        let answer = gateway.get(path).send().await.unwrap();
        let value = &answer.headers()["strict-transport-security"];
        assert_eq!(value, "max-age=31536000", "{path}");
    }
    let plain = public("http://images.example.org").await;
    let answer = plain.get("/").send().await.unwrap();
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn behind_a_proxy_without_keys_no_name_but_the_public_one_is_answered() {
    let gateway = start_with(|config| {
        config.public_url = "https://images.example.org".parse().ok();
        config.allow_anonymous = true;
    })
    .await;
    let named = async |host: &str| {
        let request = gateway.get("/api/stats").header("host", host);
        request.send().await.unwrap()
    };
    assert_eq!(named("images.example.org").await.status(), 200);
    problem(named("evil.example").await, 421, "wrong_host").await;
}

#[tokio::test]
async fn a_page_of_a_friend_can_read_what_it_needs() {
    let friend = "https://app.example";
    let gateway = start_with(|config| config.cors_origins = vec![friend.parse().unwrap()]).await;
    let post = gateway.post_import(&json!({ "folder_url": FOLDER }));
    let answer = post.header("origin", friend).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let exposed = answer.headers()["access-control-expose-headers"]
        .to_str()
        .unwrap();
    for name in [
        "location",
        "etag",
        "retry-after",
        "x-request-id",
        "www-authenticate",
    ] {
        assert!(exposed.contains(name), "{name} is not in {exposed}");
    }
}

#[tokio::test]
async fn a_problem_is_explained_to_people_and_to_programs() {
    let gateway = start().await;
    let accepting = |accept: &'static str| {
        let request = gateway
            .get("/problems/rate_limited")
            .header("accept", accept);
        async {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["vary"], "accept");
            let kind = answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned();
            (kind, answer.text().await.unwrap())
        }
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let (kind, page) = accepting(browser).await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(
        page.contains("Too many requests") && page.contains("Retry-After"),
        "{page}"
    );
    for accept in [
        "*/*",
        "application/json",
        "application/problem+json, text/html",
    ] {
        let (kind, body) = accepting(accept).await;
        assert_eq!(kind, "application/json", "{accept}");
        assert!(body.contains("rate_limited"), "{body}");
    }
}
