//! How much of an import its trace records.
//!
//! The trace of ten million images would be of no use to anybody, and no tracing system takes it. So the
//! first batch of tasks is recorded whole, of the second every second one, of the fourth every fourth, and
//! so on, and nothing of the batches between: about two batches in all, however large the import. What is
//! not recorded keeps the trace's id, so the logs have it all the same.

use runtime::trace::TraceContext;

/// Where in the trace under way the `batch`th batch is listed and published, counted from 1.
pub(crate) fn of_batch(batch: u64) -> TraceContext {
    let current = TraceContext::current();
    if batch.is_power_of_two() {
        current
    } else {
        current.unsampled()
    }
}

/// Whether what becomes of a task is recorded: the `index`th of the `batch`th batch.
pub(crate) fn is_recorded(batch: u64, index: usize) -> bool {
    batch.is_power_of_two() && (index as u64).is_multiple_of(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(images: usize) -> usize {
        const TASKS: usize = 999;
        (0..images)
            .filter(|image| is_recorded((image / TASKS) as u64 + 1, image % TASKS))
            .count()
    }

    #[test]
    fn a_small_import_is_recorded_whole_and_a_large_one_in_part() {
        assert_eq!(recorded(999), 999);
        assert_eq!(recorded(1_998), 999 + 500);
        assert!((1_900..2_100).contains(&recorded(1_000_000)));
        assert!((1_900..2_100).contains(&recorded(10_000_000)));
    }
}
