//! Texts as SQL Server keeps them. Not every server of this kind keeps U+0000 (and names in Drive may
//! hold it), so a character that stands for nothing anywhere takes its place.

use std::borrow::Cow;

/// Never a character of a text: Unicode reserves it for programs' own use.
const ESCAPE: char = '\u{FDD0}';

/// `text` without U+0000.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => kept.extend([ESCAPE, '0']),
            ESCAPE => kept.extend([ESCAPE, '1']),
            c => kept.push(c),
        }
    }
    Cow::Owned(kept)
}

/// The reverse of [`kept`].
pub(super) fn original(kept: &str) -> String {
    let mut text = String::with_capacity(kept.len());
    let mut chars = kept.chars();
    while let Some(c) = chars.next() {
        match c {
            ESCAPE => text.push(match chars.next() {
                Some('0') => '\0',
                _ => ESCAPE,
            }),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[a\u{0}\u{FDD0}01📷]{0,12}") {
            prop_assert!(!kept(&text).contains('\0'));
            prop_assert_eq!(original(&kept(&text)), text);
        }
    }
}
