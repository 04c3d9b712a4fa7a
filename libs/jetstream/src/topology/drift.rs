//! What differs between what must hold and what does.

use async_nats::jetstream::consumer::{self, pull};
use async_nats::jetstream::stream::Config;

use super::config::LEAST_ACK_WAIT;

pub(super) fn differs<T: PartialEq + std::fmt::Debug>(
    drift: &mut Vec<String>,
    what: &str,
    field: &str,
    wanted: &T,
    found: &T,
) {
    if wanted != found {
        drift.push(format!("{what}: {field} is {found:?}, must be {wanted:?}"));
    }
}

pub(super) fn stream_drift(wanted: &Config, found: &Config, drift: &mut Vec<String>) {
    let what = format!("stream {}", wanted.name);
    let (mut subjects, mut found_subjects) = (wanted.subjects.clone(), found.subjects.clone());
    subjects.sort();
    found_subjects.sort();
    differs(drift, &what, "subjects", &subjects, &found_subjects);
    differs(
        drift,
        &what,
        "retention",
        &wanted.retention,
        &found.retention,
    );
    differs(drift, &what, "storage", &wanted.storage, &found.storage);
    differs(
        drift,
        &what,
        "duplicate_window",
        &wanted.duplicate_window,
        &found.duplicate_window,
    );
    differs(
        drift,
        &what,
        "allow_atomic",
        &wanted.allow_atomic_publish,
        &found.allow_atomic_publish,
    );
    differs(
        drift,
        &what,
        "allow_msg_schedules",
        &wanted.allow_message_schedules,
        &found.allow_message_schedules,
    );
    differs(
        drift,
        &what,
        "allow_msg_ttl",
        &wanted.allow_message_ttl,
        &found.allow_message_ttl,
    );
    differs(
        drift,
        &what,
        "allow_rollup_hdrs",
        &wanted.allow_rollup,
        &found.allow_rollup,
    );
    differs(
        drift,
        &what,
        "allow_direct",
        &wanted.allow_direct,
        &found.allow_direct,
    );
    // Limits that would drop messages instead of refusing them. Events may be kept for another
    // time than ours, but never by size or count.
    for (field, value) in [
        ("max_msgs", found.max_messages),
        ("max_bytes", found.max_bytes),
        ("max_msgs_per_subject", found.max_messages_per_subject),
    ] {
        if value > 0 {
            drift.push(format!(
                "{what}: {field} is {value}, must be unlimited (a limit drops messages)"
            ));
        }
    }
    if wanted.max_age.is_zero() {
        differs(drift, &what, "max_age", &wanted.max_age, &found.max_age);
    }
}

pub(super) fn consumer_drift(
    stream: &str,
    name: &str,
    wanted: &pull::Config,
    found: &consumer::Config,
    drift: &mut Vec<String>,
) {
    let what = format!("consumer {name} of {stream}");
    differs(
        drift,
        &what,
        "filter_subject",
        &wanted.filter_subject,
        &found.filter_subject,
    );
    differs(
        drift,
        &what,
        "ack_policy",
        &wanted.ack_policy,
        &found.ack_policy,
    );
    if found.ack_wait < LEAST_ACK_WAIT {
        drift.push(format!(
            "{what}: ack_wait is {:?}, must be at least {LEAST_ACK_WAIT:?}",
            found.ack_wait
        ));
    }
    differs(
        drift,
        &what,
        "max_deliver",
        &wanted.max_deliver,
        &found.max_deliver,
    );
}
