use crate::access::with_keys;
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
    let files: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        assert!(file.starts_with('/'), "another site: {file}");
        let response = gateway.get(file).send().await.unwrap();
        assert_eq!(response.status(), 200, "{file}");
        let caching = response.headers()["cache-control"].to_str().unwrap();
        let kept = if file.starts_with("/assets/") {
            "public, max-age=31536000, immutable"
        } else if file.ends_with(".svg") {
            "public, max-age=3600"
        } else {
            "no-cache"
        };
        assert_eq!(caching, kept, "{file}");
    }
}

/// Whether this gateway was compiled with the built page (`bin/just page`), or with the plain one.
fn is_built(html: &str) -> bool {
    html.contains("/assets/")
}

#[tokio::test]
async fn the_built_page_comes_compressed_to_those_who_can_read_it() {
    let gateway = start().await;
    let plain = gateway.get("/").send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    let tag = plain.headers()["etag"].clone();
    let html = plain.text().await.unwrap();
    let built = is_built(&html);
    assert!(built || html.contains("bin/just page"), "{html}");
    for (accepted, expected) in [("gzip, deflate, br", "br"), ("gzip", "gzip")] {
        let response = gateway
            .get("/")
            .header("accept-encoding", accepted)
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "text/html; charset=utf-8"
        );
        if built {
            assert_eq!(response.headers()["content-encoding"], expected);
            assert_ne!(response.headers()["etag"], tag, "another representation");
            let bytes = response.bytes().await.unwrap();
            assert!(bytes.len() < html.len(), "{} bytes", bytes.len());
        } else {
            assert!(!response.headers().contains_key("content-encoding"));
        }
    }
}

#[tokio::test]
async fn what_a_screen_needs_is_named_with_the_page() {
    let open = start().await;
    let keyed = with_keys().await;
    let page = open.get("/").send().await.unwrap();
    let built = is_built(&page.text().await.unwrap());
    for (gateway, screen, scripts, question) in [
        (&open, "/", 0, Some("</api/imports?per_page=50>")),
        (
            &open,
            "/imports/0199f0c3",
            3,
            Some("</api/imports/0199f0c3>"),
        ),
        (&open, "/gallery?q=a", 2, None),
        (&open, "/overview", 2, Some("</api/overview>")),
        (&keyed, "/overview", 2, None),
        (&open, "/no/such/screen", 0, None),
    ] {
        let asked = gateway.get(screen).header("accept", "text/html");
        let response = asked.send().await.unwrap();
        let link = response.headers().get("link");
        let link = link.map_or("", |link| link.to_str().unwrap());
        let named = link.split(", ").filter(|link| !link.is_empty());
        let (questions, files): (Vec<&str>, Vec<&str>) =
            named.partition(|link| link.contains("rel=preload"));
        let question = question.map(|it| format!("{it}; rel=preload; as=fetch; crossorigin"));
        let (scripts, question) = if built {
            (scripts, question)
        } else {
            (0, None)
        };
        assert_eq!(questions, question.as_slice(), "{screen}: {link}");
        assert_eq!(files.len(), scripts, "{screen}: {link}");
        for script in files {
            let (file, how) = script.split_once("; ").unwrap();
            assert_eq!(how, "rel=modulepreload");
            let file = file.trim_start_matches('<').trim_end_matches('>');
            let script = gateway.get(file).send().await.unwrap();
            assert_eq!(script.status(), 200, "{file}");
            assert_eq!(
                script.headers()["content-type"],
                "text/javascript; charset=utf-8"
            );
        }
    }
}

#[tokio::test]
async fn addresses_of_screens_lead_to_the_page() {
    let gateway = start().await;
    let html = gateway.get("/").send().await.unwrap().text().await.unwrap();
    for screen in ["/imports/0199f0c3", "/gallery?q=a", "/overview"] {
        let response = gateway.get(screen).send().await.unwrap();
        assert_eq!(response.status(), 200, "{screen}");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert_eq!(response.text().await.unwrap(), html, "{screen}");
    }
    let lost = gateway
        .get("/no/such/screen")
        .header("accept", "text/html,*/*;q=0.8");
    let lost = lost.send().await.unwrap();
    assert_eq!(lost.status(), 404);
    assert_eq!(lost.text().await.unwrap(), html);
    for missing in ["/assets/gone.js", "/api/no/such", "/.gitignore"] {
        let response = gateway.get(missing).send().await.unwrap();
        assert_eq!(response.status(), 404, "{missing}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json",
            "{missing}"
        );
    }
}
