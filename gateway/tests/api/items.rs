use contracts::{Cause, Event, EventBody, event::RedrivenItem};
use serde_json::{Value, json};

use crate::seed::{
    accepted, failed, file_id, import_id, imported, listed, retrying, skipped_unchanged,
};
use crate::support::{Fixture, problem, start};

fn redriven(n: u32) -> Event {
    let items = vec![RedrivenItem {
        item_id: file_id(n),
        run: 2,
    }];
    Event {
        body: EventBody::ImportRedriven { items },
        ..accepted(&import_id("one"))
    }
}

async fn seeded() -> Fixture {
    let mut gateway = start().await;
    let one = import_id("one");
    let mut events = vec![accepted(&one), listed(&one, 1..=30, &[31])];
    events.extend((1..=3).map(|n| imported(&one, n)));
    events.push(retrying(&one, 4, 1));
    events.extend((5..=29).map(|n| {
        failed(
            &one,
            n,
            [Cause::NotAnImage, Cause::SourceGone][n as usize % 2],
        )
    }));
    gateway.fold(events).await;
    gateway
}

async fn walk(gateway: &Fixture, path: &str, per_page: u32) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let join = if path.contains('?') { '&' } else { '?' };
        let page = gateway
            .json(&format!("{path}{join}per_page={per_page}&cursor={cursor}"))
            .await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= per_page as usize);
        all.extend(items.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn entries_are_walked_through_by_state() {
    let gateway = seeded().await;
    for (query, expected) in [
        ("", 31),
        ("?state=imported", 3),
        ("?state=queued", 1),
        ("?state=retrying", 1),
        ("?state=skipped", 1),
        ("?state=failed", 25),
    ] {
        let path = format!("/api/imports/one/items{query}");
        for per_page in [1, 7, 100] {
            let all = walk(&gateway, &path, per_page).await;
            assert_eq!(all.len(), expected, "{query}");
            let ids: Vec<_> = all
                .iter()
                .map(|item| item["item_id"].as_str().unwrap())
                .collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        }
    }
    let skipped = walk(&gateway, "/api/imports/one/items?state=skipped", 9).await;
    let expected = json!([{
        "item_id": "file-31", "name": "notes-31.txt", "size": null, "state": "skipped",
        "cause": "not_an_image", "updated_at": "2024-10-04T00:00:01Z",
    }]);
    assert_eq!(json!(skipped), expected);
}

#[tokio::test]
async fn an_entry_tells_what_became_of_it() {
    let mut gateway = seeded().await;
    let one = import_id("one");
    let plain = gateway.json("/api/imports/one/items/file-1").await;
    assert_eq!(
        (&plain["state"], &plain["cause"]),
        (&json!("imported"), &Value::Null)
    );
    assert_eq!(
        plain["image_id"],
        gateway.json("/api/images?q=cat-1.jpg").await["images"][0]["id"]
    );
    assert_eq!(plain["history"].as_array().unwrap().len(), 1);
    let queued = gateway.json("/api/imports/one/items/file-30").await;
    assert_eq!(
        (&queued["state"], &queued["history"], &queued["attempt"]),
        (&json!("queued"), &json!([]), &json!(0))
    );
    assert_eq!(queued["name"], Value::Null);

    gateway
        .fold(vec![
            retrying(&one, 4, 2),
            failed(&one, 4, Cause::SourceGone),
        ])
        .await;
    let broken = gateway.json("/api/imports/one/items/file-4").await;
    assert_eq!(broken["advice"], Cause::SourceGone.advice());
    assert_eq!(
        (&broken["image_id"], &broken["attempt"]),
        (&Value::Null, &json!(8))
    );
    gateway
        .fold(vec![redriven(4), skipped_unchanged(&one, 4, 2)])
        .await;
    let entry = gateway.json("/api/imports/one/items/file-4").await;
    let steps: Vec<_> = entry["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (
                step["state"].as_str().unwrap(),
                step["run"].as_u64().unwrap(),
                step["attempt"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("retrying", 1, 1),
        ("retrying", 1, 2),
        ("failed", 1, 8),
        ("requeued", 2, 0),
        ("skipped", 2, 0),
    ];
    assert_eq!(steps, expected);
    assert_eq!(entry["history"][2]["cause"], "source_gone");
    assert_eq!(entry["history"][2]["message"], "message 4");
    assert_eq!(
        (&entry["run"], &entry["cause"]),
        (&json!(2), &json!("unchanged"))
    );
}

#[tokio::test]
async fn failed_entries_are_paged_and_exported() {
    let gateway = seeded().await;
    let path = "/api/imports/one/failures/items";
    let all = walk(&gateway, path, 4).await;
    assert_eq!(all.len(), 25);
    let gone = walk(&gateway, &format!("{path}?cause=source_gone"), 5).await;
    assert_eq!(gone.len(), 13);
    let expected = json!({
        "item_id": "file-11", "name": "broken-11.jpg", "path": "2024/summer", "cause": "source_gone",
        "message": "message 11", "attempts": 8, "failed_at": "2024-10-04T00:00:14Z",
        "advice": Cause::SourceGone.advice(),
    });
    assert_eq!(gone[0], expected);

    let export = gateway
        .get(path)
        .header("accept", "application/x-ndjson")
        .send()
        .await
        .unwrap();
    assert_eq!(export.headers()["content-type"], "application/x-ndjson");
    let lines = export.text().await.unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, all);
    let csv = gateway
        .get(&format!("{path}?cause=source_gone"))
        .header("accept", "text/csv")
        .send()
        .await
        .unwrap();
    let attachment = csv.headers()["content-disposition"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(attachment, "attachment; filename=\"failures.csv\"");
    let text = csv.text().await.unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(
        lines.next(),
        Some("item_id,name,path,cause,message,attempts,failed_at,advice")
    );
    let first = lines.next().unwrap();
    assert!(
        first.starts_with(
            "file-11,broken-11.jpg,2024/summer,source_gone,message 11,8,2024-10-04T00:00:14Z,"
        ),
        "{first}"
    );
    assert_eq!(text.split("\r\n").count(), 15);
    let none = gateway
        .get(&format!("{path}?cause=too_large"))
        .header("accept", "text/csv")
        .send()
        .await
        .unwrap();
    assert_eq!(none.text().await.unwrap().lines().count(), 1);
}

#[tokio::test]
async fn what_is_unknown_or_misspelt_is_said() {
    let gateway = seeded().await;
    for path in [
        "/api/imports/none/items",
        "/api/imports/none/items/file-1",
        "/api/imports/one/items/none",
        "/api/imports/one/items/no%20id",
        "/api/imports/one/items/%ff",
        "/api/imports/none/failures/items",
    ] {
        problem(gateway.get(path).send().await.unwrap(), 404, "not_found").await;
    }
    let images = gateway.json("/api/images?per_page=1").await;
    let other = images["next_cursor"].as_str().unwrap();
    for (query, name) in [
        ("items?state=gone".to_owned(), "state"),
        ("items?per_page=0".to_owned(), "per_page"),
        ("items?cursor=file-1".to_owned(), "cursor"),
        (format!("items?cursor={other}"), "cursor"),
        ("failures/items?cause=nope".to_owned(), "cause"),
        ("failures/items?cursor=%00".to_owned(), "cursor"),
    ] {
        let response = gateway
            .get(&format!("/api/imports/one/{query}"))
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
