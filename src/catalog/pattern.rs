//! Flight SQL's name patterns: `%` any text, `_` any character, `\` takes the next one as it is.
//!
//! Names in Glue are lower case and Athena does not tell case apart, so patterns do not either.

/// A pattern over one kind of name; no pattern matches all.
#[derive(Debug, Clone)]
pub struct Pattern(Option<Vec<Part>>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    AnyText,
    AnyChar,
    Char(char),
}

impl Pattern {
    pub fn new(text: Option<&str>) -> Self {
        Self(text.map(|text| {
            let mut parts = Vec::new();
            let mut chars = text.chars().flat_map(char::to_lowercase);
            while let Some(c) = chars.next() {
                let part = match c {
                    '%' => Part::AnyText,
                    '_' => Part::AnyChar,
                    '\\' => Part::Char(chars.next().unwrap_or('\\')),
                    c => Part::Char(c),
                };
                if part != Part::AnyText || parts.last() != Some(&Part::AnyText) {
                    parts.push(part);
                }
            }
            parts
        }))
    }

    /// Whether it is one name, spelt out.
    pub fn is_exact(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.iter().all(|part| matches!(part, Part::Char(_))))
    }

    /// Whether the whole name matches. Takes at most the product of the two lengths in steps.
    pub fn matches(&self, name: &str) -> bool {
        let Some(parts) = &self.0 else { return true };
        let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on if the text after the last `%` does not fit where it was tried.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match parts.get(part) {
                Some(Part::AnyText) => {
                    part += 1;
                    retry = Some((part, at));
                }
                Some(Part::AnyChar) => {
                    part += 1;
                    at += 1;
                }
                Some(Part::Char(c)) if *c == name[at] => {
                    part += 1;
                    at += 1;
                }
                _ => match retry {
                    Some((after, tried)) => {
                        part = after;
                        at = tried + 1;
                        retry = Some((after, at));
                    }
                    None => return false,
                },
            }
        }
        parts[part..].iter().all(|rest| *rest == Part::AnyText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("line%", "lineitem", true),
            ("%item", "lineitem", true),
            ("l%e_t%m", "lineitem", true),
            ("l%e__t%m", "lineitem", false),
            ("LINEITEM", "lineitem", true),
            ("line_item", "lineitem", false),
            ("a\\_b", "a_b", true),
            ("a\\_b", "axb", false),
            ("a_b", "axb", true),
            ("100\\%", "100%", true),
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("SELECT * FROM t WHERE a = '%'", "t", false),
            ("%a%a%a%a%a%a%a%b", &"a".repeat(200), false),
        ] {
            assert_eq!(Pattern::new(Some(pattern)).matches(name), expected, "{pattern} {name}");
        }
        assert!(Pattern::new(None).matches("anything"));
    }
}
