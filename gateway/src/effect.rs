//! Whether a command can have an effect, as far as the folded events tell.

use contracts::{Action, Cause, Command, FileId};
use read_model::{ImportRow, ImportStatus};

use crate::app::App;
use crate::problem::{Code, Problem, Result};

/// How many failed entries a retry would queue right now; `None` for other commands.
pub(crate) async fn matching(app: &App, command: &Command) -> Result<Option<u64>> {
    let Action::Retry { cause, item_id } = &command.action else {
        return Ok(None);
    };
    let (id, model) = (&command.import_id, &app.reads.model);
    let Some(item) = item_id else {
        let groups = app.reads.ask(model.failures(id)).await?;
        let wanted = |found: Cause| cause.is_none_or(|cause| cause == found);
        let counts = groups.iter().filter(|group| wanted(group.cause));
        return Ok(Some(counts.map(|group| group.count).sum()));
    };
    let before = before(item);
    let found = app
        .reads
        .ask(model.failed_items(id, *cause, before.as_ref(), 1))
        .await?;
    Ok(Some(u64::from(
        found.iter().any(|found| found.item_id == *item),
    )))
}

/// The greatest id less than `item`: failed entries come in the order of their ids, so the first one
/// after it is `item`, or `item` has not failed. `None` if there is no lesser id.
fn before(item: &FileId) -> Option<FileId> {
    // In the order of their bytes, which is SQL's.
    const ALPHABET: &str = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
    const LONGEST: usize = 128;
    let (rest, last) = item.as_str().split_at(item.as_str().len() - 1);
    let at = ALPHABET.find(last)?;
    let before = match at.checked_sub(1) {
        None => rest.to_owned(),
        Some(lesser) => {
            let lesser = format!("{rest}{}", &ALPHABET[lesser..at]);
            format!("{lesser:z<LONGEST$}")
        }
    };
    before.parse().ok()
}

/// Whether the command can have an effect, as far as the folded events tell.
pub(crate) fn check(row: &ImportRow, action: &Action, matching: Option<u64>) -> Result<()> {
    let refused = |detail: &str| Err(Problem::new(Code::NotPossible, detail));
    match (action, row.status) {
        (Action::Cancel, ImportStatus::Cancelled) => Ok(()),
        (_, ImportStatus::Cancelled) => refused(
            "This import was cancelled, which is final. Import the folder again: what is stored already is skipped.",
        ),
        (Action::Cancel, ImportStatus::Completed) => {
            refused("This import is completed: there is nothing left to cancel.")
        }
        (Action::Pause, ImportStatus::Completed) => {
            refused("This import is completed: there is nothing left to pause.")
        }
        (Action::Cancel | Action::Pause, ImportStatus::Failed) => refused(
            "This import has failed: its folder could not be listed, so there is nothing to hold. See its status for what to do.",
        ),
        (Action::Retry { .. }, _) if matching == Some(0) => {
            Err(nothing_to_retry(&why_nothing(row, action)))
        }
        _ => Ok(()),
    }
}

fn why_nothing(row: &ImportRow, action: &Action) -> String {
    let wanted = match action {
        Action::Retry {
            item_id: Some(item),
            cause: None,
        } => format!("The entry {item} of this import has not failed."),
        Action::Retry {
            item_id: Some(item),
            cause: Some(cause),
        } => format!("The entry {item} of this import has not failed with {cause}."),
        Action::Retry {
            cause: Some(cause), ..
        } if row.failed > 0 => format!("No entry of this import has failed with {cause}."),
        _ => "No entry of this import has failed.".to_owned(),
    };
    match (row.status, row.cause) {
        (ImportStatus::Failed, cause) if row.failed == 0 => {
            let advice = cause.map(Cause::advice).unwrap_or_default();
            format!(
                "{wanted} Its folder could not be listed, so there is nothing to retry: submit the folder again. {advice}"
            )
        }
        _ => wanted,
    }
}

pub(crate) fn nothing_to_retry(detail: &str) -> Problem {
    Problem::new(Code::NothingToRetry, detail.trim_end())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    #[test]
    fn nothing_lies_between_an_id_and_the_one_before() {
        let before = |id: &str| super::before(&id.parse().unwrap()).map(String::from);
        assert_eq!(
            before("ab").unwrap(),
            format!("a{}", "a".to_owned() + &"z".repeat(126))
        );
        assert_eq!(before("x-").unwrap(), "x");
        assert_eq!(before("x0").unwrap(), format!("x-{}", "z".repeat(126)));
        assert_eq!(before("x_").unwrap(), format!("xZ{}", "z".repeat(126)));
        assert_eq!(before("-"), None);
        for id in ["-", "0", "a_Z-9", "file-12", "zzz"] {
            assert!(before(id).is_none_or(|before| *before < *id), "{id}");
        }
    }
}
