//! As much of PromQL as it takes to see which series a query asks for.

use std::collections::BTreeSet;

/// The metrics, and for each what its labels are compared with: `(metric, [(label, value)])`. A regular
/// expression gives each of its alternatives.
pub(crate) fn selectors(expr: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').unwrap().1;
            continue;
        }
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if !["imagefleet", "process_"]
            .iter()
            .any(|own| word.starts_with(own))
        {
            continue;
        }
        let mut labels = Vec::new();
        if let Some(matchers) = after.strip_prefix('{') {
            let (matchers, after) = matchers.split_once('}').unwrap();
            rest = after;
            // No value holds a comma.
            for matcher in matchers
                .split(',')
                .map(str::trim)
                .filter(|one| !one.is_empty())
            {
                let (label, value) = matcher.split_once(['=', '!']).unwrap();
                let value = value.trim_matches(['=', '~', '"']);
                labels.extend(
                    value
                        .split('|')
                        .map(|one| (label.trim().to_owned(), one.to_owned())),
                );
            }
        }
        found.push((word.to_owned(), labels));
    }
    found
}

/// The name that docs/metrics.md has for a series.
pub(crate) fn base(series: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|part| series.strip_suffix(part))
        .unwrap_or(series)
}

/// The metrics that `expr` reads by the names that docs/metrics.md has for them, without what rules record.
pub(crate) fn metrics(expr: &str) -> BTreeSet<String> {
    let own = |series: &str| !series.contains(':');
    selectors(expr)
        .iter()
        .filter(|(series, _)| own(series))
        .map(|(series, _)| base(series).to_owned())
        .collect()
}

#[test]
fn selectors_are_found_wherever_they_are() {
    let expr = r#"sum by (le, imagefleet) (rate(imagefleet_a_bucket{x="1|2", y!~"process_z",z=""}[5m]))
        / on (job) process_b or imagefleet:c:total{job=~"imagefleet.*"} unless vector(0)"#;
    let found = selectors(expr);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "imagefleet",
            "imagefleet_a_bucket",
            "process_b",
            "imagefleet:c:total"
        ]
    );
    let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    let a = [
        pair("x", "1"),
        pair("x", "2"),
        pair("y", "process_z"),
        pair("z", ""),
    ];
    assert_eq!(found[1].1, a);
    assert!(metrics(r#"process_b / imagefleet_a_sum"#).contains("imagefleet_a"));
}
