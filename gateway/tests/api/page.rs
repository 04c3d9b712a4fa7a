use crate::support::{start, start_with};

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy() {
    let gateway = start().await;
    let response = gateway.get("/").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=utf-8"
    );
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    let again = gateway
        .get("/")
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn images_may_come_from_the_stores_public_address() {
    let gateway =
        start_with(|config| config.storage_public_url = "https://cdn.example/bucket".parse().ok())
            .await;
    let response = gateway.get("/").send().await.unwrap();
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("img-src 'self' blob: https://cdn.example;"),
        "{policy}"
    );
}

/// The policy forbids what is inline, so a page that had it would be broken without a word.
#[tokio::test]
async fn everything_the_page_needs_is_its_own_and_is_there() {
    let gateway = start().await;
    let html = gateway.get("/").send().await.unwrap().text().await.unwrap();
    assert!(
        !html.contains(" style=") && !html.contains("<style"),
        "inline style"
    );
    assert!(
        !html.contains(" onclick=") && !html.contains("<script>"),
        "inline script"
    );
    let mut files: Vec<String> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|target| !target.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert!(
        files.iter().all(|file| file.starts_with('/')),
        "another site: {files:?}"
    );
    let mut at = 0;
    while at < files.len() {
        let response = gateway.get(&files[at]).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", files[at]);
        let text = response.text().await.unwrap();
        if files[at].ends_with(".js") {
            let imported = text
                .split(" from \"./")
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            let imported: Vec<_> = imported.map(|name| format!("/{name}")).collect();
            files.extend(
                imported
                    .into_iter()
                    .filter(|name| !files.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        at += 1;
    }
    assert!(
        files.iter().any(|file| file == "/app.js") && files.len() > 6,
        "{files:?}"
    );
}
