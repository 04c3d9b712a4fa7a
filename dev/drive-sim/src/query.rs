//! The `q` parameter, as far as listing a folder needs it
//! (<https://developers.google.com/workspace/drive/api/guides/ref-search-terms>).

use crate::entry::Entry;

/// A search expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Query {
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
    /// `'ID' in parents`
    Parent(String),
    /// `trashed = true`
    Trashed(bool),
    MimeType(Operator, String),
    Name(Operator, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Is,
    IsNot,
    Contains,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

impl Query {
    /// None for what Drive would refuse, and for terms this server does not know.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let query = Self::parse_or(&mut rest)?;
        rest.is_empty().then_some(query)
    }

    /// The folder to list: the first one named. Drive, too, answers a query that names several
    /// folders with only a part of their files.
    pub(crate) fn parent(&self) -> Option<&str> {
        match self {
            Self::Parent(id) => Some(id),
            Self::And(parts) | Self::Or(parts) => parts.iter().find_map(Self::parent),
            _ => None,
        }
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(entry)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(entry)),
            Self::Not(part) => !part.matches(entry),
            Self::Parent(id) => entry.parent.as_deref() == Some(id),
            Self::Trashed(trashed) => !trashed,
            Self::MimeType(operator, value) => operator.holds(&entry.mime_type, value),
            Self::Name(operator, value) => operator.holds(&entry.name, value),
        }
    }

    fn parse_or(rest: &mut &[Token]) -> Option<Self> {
        let mut parts = vec![Self::parse_and(rest)?];
        while take_word(rest, "or") {
            parts.push(Self::parse_and(rest)?);
        }
        if parts.len() == 1 {
            parts.pop()
        } else {
            Some(Self::Or(parts))
        }
    }

    fn parse_and(rest: &mut &[Token]) -> Option<Self> {
        let mut parts = vec![Self::parse_term(rest)?];
        while take_word(rest, "and") {
            parts.push(Self::parse_term(rest)?);
        }
        if parts.len() == 1 {
            parts.pop()
        } else {
            Some(Self::And(parts))
        }
    }

    fn parse_term(rest: &mut &[Token]) -> Option<Self> {
        if take_word(rest, "not") {
            return Some(Self::Not(Box::new(Self::parse_term(rest)?)));
        }
        match take(rest)? {
            Token::Sign('(') => {
                let query = Self::parse_or(rest)?;
                (take(rest)? == &Token::Sign(')')).then_some(query)
            }
            Token::Text(id) => (take_word(rest, "in") && take_word(rest, "parents"))
                .then(|| Self::Parent(id.clone())),
            Token::Word(field) => {
                let operator = match take(rest)? {
                    Token::Sign('=') => Operator::Is,
                    Token::Sign('!') => Operator::IsNot,
                    Token::Word(word) if word == "contains" => Operator::Contains,
                    _ => return None,
                };
                match (field.as_str(), operator, take(rest)?) {
                    ("trashed", Operator::Is, Token::Word(value)) => {
                        value.parse().ok().map(Self::Trashed)
                    }
                    ("trashed", Operator::IsNot, Token::Word(value)) => {
                        value.parse().ok().map(|value: bool| Self::Trashed(!value))
                    }
                    ("mimeType", operator, Token::Text(value)) => {
                        Some(Self::MimeType(operator, value.clone()))
                    }
                    ("name", operator, Token::Text(value)) => {
                        Some(Self::Name(operator, value.clone()))
                    }
                    _ => None,
                }
            }
            Token::Sign(_) => None,
        }
    }
}

impl Operator {
    /// `contains` compares prefixes of a type, and prefixes of the words of a name; a prefix of the
    /// whole is enough here.
    fn holds(self, value: &str, wanted: &str) -> bool {
        match self {
            Self::Is => value == wanted,
            Self::IsNot => value != wanted,
            Self::Contains => value.starts_with(wanted),
        }
    }
}

fn take<'a>(rest: &mut &'a [Token]) -> Option<&'a Token> {
    let (first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

fn take_word(rest: &mut &[Token], word: &str) -> bool {
    let found = matches!(rest.first(), Some(Token::Word(first)) if first == word);
    if found {
        *rest = &rest[1..];
    }
    found
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '(' | ')' | '=' => tokens.push(Token::Sign(c)),
            '!' => {
                chars.next_if_eq(&'=')?;
                tokens.push(Token::Sign('!'));
            }
            '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        '\\' => value.push(chars.next()?),
                        other => value.push(other),
                    }
                }
                tokens.push(Token::Text(value));
            }
            c if c.is_ascii_alphabetic() => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(char::is_ascii_alphanumeric) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            _ => return None,
        }
    }
    Some(tokens)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_clients_send() {
        let query = Query::parse("'abc_-1' in parents and trashed=false").unwrap();
        assert_eq!(query.parent(), Some("abc_-1"));
        let entry = |name: &str, mime| Entry::file("x".to_owned(), name.to_owned(), "abc_-1", mime);
        assert!(query.matches(&entry("a", "image/png")));
        let images = "'abc_-1' in parents and trashed = false and (mimeType contains 'image/' or \
                      mimeType='application/vnd.google-apps.folder')";
        let query = Query::parse(images).unwrap();
        assert!(query.matches(&entry("a", "image/png")));
        assert!(query.matches(&entry("a", crate::entry::FOLDER)));
        assert!(!query.matches(&entry("a", "text/plain")));
        let query = Query::parse(r"not name = 'it\'s' and trashed != true").unwrap();
        assert!(!query.matches(&entry("it's", "text/plain")));
        assert!(query.matches(&entry("its", "text/plain")));
        assert!(
            !Query::parse("trashed=true")
                .unwrap()
                .matches(&entry("a", "image/png"))
        );
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for text in [
            "",
            "'a' in",
            "'a in parents",
            "trashed=maybe",
            "(trashed=false",
            "size > 3",
        ] {
            assert_eq!(Query::parse(text), None, "{text}");
        }
    }
}
