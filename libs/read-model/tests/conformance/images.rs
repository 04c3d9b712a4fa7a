//! Queries on images, on a small model whose content is known.

use std::collections::HashSet;

use crate::bed::Bed;
use crate::common::{
    PROJECTOR, event, file_id, fold, import_id, imported, imported_as, listing_completed, object,
    seconds, source,
};
use contracts::EventBody;
use read_model::{ImageRow, ImagesQuery, Paged, ReadModel};
use time::macros::datetime;

fn names(rows: &[ImageRow]) -> Vec<&str> {
    rows.iter().map(|row| row.image.name.as_str()).collect()
}

async fn images(model: &ReadModel, query: ImagesQuery) -> Paged<ImageRow> {
    model.images(query).await.unwrap()
}

fn named(item: &str, name: &str, provider: &str) -> EventBody {
    let mut file = source(item);
    file.name = name.to_owned();
    let mut object = object(item, 10);
    object.provider = provider.to_owned();
    imported_as(file, object, 1)
}

pub async fn images_are_listed_by_page_and_by_cursor(bed: &Bed) {
    let model = bed.model().await;
    let all: Vec<EventBody> = (1..=7).map(|n| imported(&format!("i{n}"), 1)).collect();
    fold(&model, &import_id("one"), all).await;

    let three = ImagesQuery {
        per_page: 3,
        ..ImagesQuery::default()
    };
    let page = images(&model, three.clone()).await;
    assert_eq!(
        (names(&page.items), page.total),
        (vec!["i7.jpg", "i6.jpg", "i5.jpg"], 7)
    );
    let by_page = images(
        &model,
        ImagesQuery {
            page: 3,
            ..three.clone()
        },
    )
    .await;
    assert_eq!(
        (names(&by_page.items), by_page.has_more),
        (vec!["i1.jpg"], false)
    );
    let after = Some(page.items[2].id);
    let by_cursor = images(
        &model,
        ImagesQuery {
            after,
            page: 9,
            ..three.clone()
        },
    )
    .await;
    assert_eq!(names(&by_cursor.items), ["i4.jpg", "i3.jpg", "i2.jpg"]);
    assert_eq!((by_cursor.total, by_cursor.has_more), (7, true));
    let beyond = images(
        &model,
        ImagesQuery {
            page: u32::MAX,
            ..three.clone()
        },
    )
    .await;
    assert_eq!((beyond.items.len(), beyond.total), (0, 7));
    let odd = images(
        &model,
        ImagesQuery {
            page: 0,
            per_page: 0,
            ..three
        },
    )
    .await;
    assert_eq!(names(&odd.items), ["i7.jpg"]);

    let row = model.image(page.items[0].id).await.unwrap().unwrap();
    assert_eq!(row, page.items[0]);
    assert_eq!(model.image(-1).await.unwrap(), None);
}

pub async fn images_are_filtered_and_counted_by_every_combination(bed: &Bed) {
    let model = bed.model().await;
    let (one, two) = (import_id("one"), import_id("two"));
    fold(
        &model,
        &one,
        vec![named("a", "Cat.jpg", "aws"), named("b", "Dog.jpg", "azure")],
    )
    .await;
    fold(
        &model,
        &two,
        vec![
            named("c", "catfish.png", "azure"),
            named("d", "Cat 2.jpg", "aws"),
        ],
    )
    .await;

    let some = |value: &str| Some(value.to_owned());
    let any = ImagesQuery::default;
    for (query, expected) in [
        (
            any(),
            vec!["Cat 2.jpg", "catfish.png", "Dog.jpg", "Cat.jpg"],
        ),
        (
            ImagesQuery {
                q: some("cAT"),
                ..any()
            },
            vec!["Cat 2.jpg", "catfish.png", "Cat.jpg"],
        ),
        (
            ImagesQuery {
                provider: some("azure"),
                ..any()
            },
            vec!["catfish.png", "Dog.jpg"],
        ),
        (
            ImagesQuery {
                provider: some("local"),
                ..any()
            },
            vec![],
        ),
        (
            ImagesQuery {
                import: Some(one.clone()),
                ..any()
            },
            vec!["Dog.jpg", "Cat.jpg"],
        ),
        (
            ImagesQuery {
                q: some("cat"),
                provider: some("aws"),
                ..any()
            },
            vec!["Cat 2.jpg", "Cat.jpg"],
        ),
        (
            ImagesQuery {
                q: some("cat"),
                import: Some(two.clone()),
                ..any()
            },
            vec!["Cat 2.jpg", "catfish.png"],
        ),
        (
            ImagesQuery {
                provider: some("aws"),
                import: Some(one),
                ..any()
            },
            vec!["Cat.jpg"],
        ),
        (
            ImagesQuery {
                q: some("cat"),
                provider: some("aws"),
                import: Some(two),
                ..any()
            },
            vec!["Cat 2.jpg"],
        ),
    ] {
        let page = images(&model, query.clone()).await;
        assert_eq!(names(&page.items), expected, "{query:?}");
        assert_eq!(page.total, expected.len() as u64, "{query:?}");
        assert!(!page.has_more);
    }
}

pub async fn images_of_a_type_are_listed_and_counted(bed: &Bed) {
    let model = bed.model().await;
    let typed = |item: &str, mime: &str, provider: &str| {
        let mut object = object(item, 10);
        object.content_type = mime.to_owned();
        object.provider = provider.to_owned();
        imported_as(source(item), object, 1)
    };
    let (one, two) = (import_id("one"), import_id("two"));
    let jpegs = vec![
        typed("a", "image/jpeg", "aws"),
        typed("b", "image/png", "aws"),
        typed("c", "image/jpeg", "azure"),
    ];
    fold(&model, &one, jpegs).await;
    fold(&model, &two, vec![typed("d", "image/jpeg", "aws")]).await;
    let jpeg = ImagesQuery {
        mime_type: Some("image/jpeg".to_owned()),
        ..ImagesQuery::default()
    };
    let some = |value: &str| Some(value.to_owned());
    for (query, expected) in [
        (jpeg.clone(), vec!["d.jpg", "c.jpg", "a.jpg"]),
        (
            ImagesQuery {
                provider: some("aws"),
                ..jpeg.clone()
            },
            vec!["d.jpg", "a.jpg"],
        ),
        (
            ImagesQuery {
                import: Some(one.clone()),
                ..jpeg.clone()
            },
            vec!["c.jpg", "a.jpg"],
        ),
        (
            ImagesQuery {
                q: some("c."),
                provider: some("azure"),
                import: Some(one),
                ..jpeg.clone()
            },
            vec!["c.jpg"],
        ),
        (
            ImagesQuery {
                mime_type: some("image/jp"),
                ..jpeg.clone()
            },
            vec![],
        ),
    ] {
        let page = images(&model, query.clone()).await;
        assert_eq!(names(&page.items), expected, "{query:?}");
        assert_eq!(page.total, expected.len() as u64, "{query:?}");
        assert_eq!(model.count_images(query.clone()).await.unwrap(), page.total);
        let (mut all, mut exported) = (model.all_images(query.clone()), Vec::new());
        while let Some(row) = all.next().await.unwrap() {
            exported.push(row);
        }
        assert_eq!(names(&exported), expected, "{query:?}");
        let walk = ImagesQuery {
            per_page: 1,
            after: page.items.first().map(|row| row.id),
            ..query
        };
        let next = model.page_of_images(walk).await.unwrap();
        assert_eq!(
            names(&next),
            expected[..expected.len().min(2)]
                .get(1..)
                .unwrap_or_default()
        );
    }
    assert_eq!(model.count_images(ImagesQuery::default()).await.unwrap(), 4);
    // A file that changes its type changes lists.
    fold(&model, &two, vec![typed("d", "image/webp", "aws")]).await;
    assert_eq!(model.count_images(jpeg).await.unwrap(), 2);
}

pub async fn images_are_found_by_their_ids(bed: &Bed) {
    let model = bed.model().await;
    let all: Vec<EventBody> = (1..=5).map(|n| imported(&format!("i{n}"), 1)).collect();
    fold(&model, &import_id("one"), all).await;
    let mut found = model.images_with(&[4, 2, 99, -1, 4]).await.unwrap();
    found.sort_by_key(|row| row.id);
    found.dedup();
    assert_eq!(names(&found), ["i2.jpg", "i4.jpg"]);
    assert_eq!(model.images_with(&[]).await.unwrap(), []);
}

pub async fn a_search_takes_every_character_literally_and_ignores_case(bed: &Bed) {
    let model = bed.model().await;
    let all = [
        "100%.jpg",
        "a_b.jpg",
        r"back\slash.jpg",
        "ÄRGER.jpg",
        "it's \"x\".jpg",
        "ÉTÉ 📷.png",
        "[a-z]^.jpg",
        "ẞ 𐐀.jpg",
        "nul\u{0}L.gif",
    ];
    let bodies = (0..)
        .zip(all)
        .map(|(n, name)| named(&format!("i{n}"), name, "aws"))
        .collect();
    fold(&model, &import_id("one"), bodies).await;
    for (q, expected) in [
        ("%", vec!["100%.jpg"]),
        ("_", vec!["a_b.jpg"]),
        (r"\", vec![r"back\slash.jpg"]),
        ("ärger", vec!["ÄRGER.jpg"]),
        ("'s \"", vec!["it's \"x\".jpg"]),
        ("été 📷", vec!["ÉTÉ 📷.png"]),
        ("[", vec!["[a-z]^.jpg"]),
        ("[b-y]", vec![]),
        ("]^", vec!["[a-z]^.jpg"]),
        ("ß 𐐨", vec!["ẞ 𐐀.jpg"]),
        ("arger", vec![]),
        ("\u{0}", vec!["nul\u{0}L.gif"]),
        ("L\u{0}l", vec!["nul\u{0}L.gif"]),
        ("a\u{0}", vec![]),
        ("; DROP TABLE images", vec![]),
    ] {
        let page = images(
            &model,
            ImagesQuery {
                q: Some(q.to_owned()),
                ..ImagesQuery::default()
            },
        )
        .await;
        assert_eq!(names(&page.items), expected, "{q}");
        assert_eq!(page.total, expected.len() as u64, "{q}");
    }
    let q = Some("%".repeat(1_000_000));
    assert_eq!(
        images(
            &model,
            ImagesQuery {
                q,
                ..ImagesQuery::default()
            }
        )
        .await
        .total,
        0
    );
}

pub async fn names_and_sizes_of_any_kind_come_back_as_they_were(bed: &Bed) {
    let model = bed.model().await;
    let long = "x".repeat(255);
    let strange = [
        "",
        "a/b\n\u{0}\t.jpg",
        "𝄞 musique 📷👩‍👩‍👧.jpg",
        "رسم.png",
        "\u{202e}gpj.exe",
        &long,
    ];
    let big = (1u64 << 31) + 7;
    let bodies = (0..).zip(strange).map(|(n, name)| {
        let mut file = source(&format!("i{n}"));
        file.name = name.to_owned();
        file.path = format!("höhe/{name}");
        file.modified_time = None;
        let mut object = object(&format!("k{n}"), big << (4 * n));
        object.width = Some(u32::MAX);
        object.orientation = None;
        imported_as(file, object, 1)
    });
    fold(&model, &import_id("one"), bodies.collect()).await;

    let mut rows = images(&model, ImagesQuery::default()).await.items;
    rows.reverse();
    for (n, (row, name)) in rows.iter().zip(strange).enumerate() {
        assert_eq!(row.image.name, name);
        assert_eq!(row.image.path, format!("höhe/{name}"));
        assert_eq!(row.image.size, big << (4 * n));
        assert_eq!((row.image.width, row.image.height), (Some(u32::MAX), None));
        let taken_at = row.image.taken_at.as_deref();
        assert_eq!(taken_at, Some("2024-05-01T12:00:00"));
        assert_eq!(row.image.orientation, None);
        assert_eq!(row.image.modified_time, None);
    }
    let bytes = (0..strange.len()).map(|n| big << (4 * n)).sum::<u64>();
    assert_eq!(model.statistics().await.unwrap()[0].bytes, bytes);
    assert_eq!(
        model
            .import(&import_id("one"))
            .await
            .unwrap()
            .unwrap()
            .bytes,
        bytes
    );
}

pub async fn the_latest_images_of_an_import_are_those_it_stored_last(bed: &Bed) {
    let model = bed.model().await;
    let (one, two) = (import_id("one"), import_id("two"));
    fold(
        &model,
        &one,
        ["a", "b", "c"].map(|item| imported(item, 1)).into(),
    )
    .await;
    let ids: Vec<i64> = images(&model, ImagesQuery::default())
        .await
        .items
        .iter()
        .map(|row| row.id)
        .collect();
    fold(&model, &two, vec![imported("b", 1), imported("a", 1)]).await;

    assert_eq!(
        names(&model.latest_images(&two, 100).await.unwrap()),
        ["a.jpg", "b.jpg"]
    );
    assert_eq!(
        names(&model.latest_images(&two, 1).await.unwrap()),
        ["a.jpg"]
    );
    assert_eq!(
        names(&model.latest_images(&one, 100).await.unwrap()),
        ["c.jpg"]
    );
    let again = images(&model, ImagesQuery::default()).await.items;
    assert_eq!(
        again.iter().map(|row| row.id).collect::<Vec<_>>(),
        ids,
        "ids stay"
    );
    assert_eq!(again[2].image.created_at, seconds(1));
}

pub async fn unchanged_files_are_those_stored_with_the_same_content(bed: &Bed) {
    let model = bed.model().await;
    fold(
        &model,
        &import_id("one"),
        vec![imported("a", 1), imported("b", 1), listing_completed(1)],
    )
    .await;
    let listed = [
        (file_id("a"), source("a").content_tag()),
        (file_id("b"), "md5:changed".to_owned()),
        (file_id("c"), source("c").content_tag()),
        (file_id("a"), "quote\"d".to_owned()),
    ];
    let unchanged = model.imported_unchanged(&listed).await.unwrap();
    assert_eq!(unchanged, HashSet::from([file_id("a")]));
    assert!(model.imported_unchanged(&[]).await.unwrap().is_empty());
    let many: Vec<_> = (0..999)
        .map(|n| (file_id(&format!("f{n}")), "md5:x".to_owned()))
        .collect();
    assert!(model.imported_unchanged(&many).await.unwrap().is_empty());
}

pub async fn ids_that_differ_in_nothing_but_case_are_different_files(bed: &Bed) {
    let model = bed.model().await;
    let ids = ["1aBc_-", "1ABc_-", "1abc_-", "1ABC_-"];
    let bodies = ids.map(|id| imported(id, 1)).into();
    fold(&model, &import_id("one"), bodies).await;
    let rows = images(&model, ImagesQuery::default()).await.items;
    let stored: HashSet<_> = rows
        .iter()
        .map(|row| row.image.google_drive_id.as_str())
        .collect();
    assert_eq!(stored, HashSet::from(ids));
    let items = model.items(&import_id("one"), None, 100).await.unwrap();
    let order: Vec<_> = items.iter().map(|item| item.item_id.as_str()).collect();
    assert_eq!(order, ["1ABC_-", "1ABc_-", "1aBc_-", "1abc_-"]);
    let listed = [(file_id("1AbC_-"), source("1aBc_-").content_tag())];
    assert!(model.imported_unchanged(&listed).await.unwrap().is_empty());
}

pub async fn times_are_the_same_instant_whatever_their_zone(bed: &Bed) {
    let model = bed.model().await;
    let one = import_id("one");
    let kathmandu = datetime!(2026-05-01 05:44:59.123456789 +05:45);
    let early = datetime!(1969-12-31 23:59:59.999 UTC);
    let mut file = source("a");
    file.modified_time = Some(early);
    let body = imported_as(file, object("a", 1), 1);
    let events = vec![(1, event(&one, kathmandu, body))];
    model.fold(PROJECTOR, 0, events, 1).await.unwrap();
    let row = model.image(1).await.unwrap().unwrap().image;
    assert_eq!(row.created_at, datetime!(2026-04-30 23:59:59.123 UTC));
    assert_eq!(row.modified_time, Some(early));
}
