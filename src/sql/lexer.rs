//! The tokens of a text by Trino's grammar, `SqlBase.g4`.
//!
//! Its lexer takes the longest match, and of two as long the rule that stands first. Where other lexers differ:
//!
//! - `--` ends at a carriage return as well as at a line feed, and `/*` does not nest: it ends at the first `*/`.
//! - Blanks are the space, the tab, CR and LF. Every other blank (no-break spaces, U+3000, a byte order mark, form feeds) is a
//!   character that no rule knows, and so is every letter outside of ASCII that is not quoted.
//! - `{-` and `-}` are symbols of row patterns, so `{--` is `{-` and a minus, not a comment.
//! - `1abc` is one token. So is `1e5`, a number; `1e` is a name, and `1.e5x` a number and a name.
//! - A backslash escapes nothing.
//!
//! It never fails: what no rule knows is a token of its own kind ([`Kind::is_error`]), and one that nothing can follow: no rule
//! of the grammar has it. `tests/clients/test_lexer.py` holds this file's answers against those of the grammar itself.

use memchr::{memchr, memchr2, memmem};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A keyword or a name without quotes: ASCII letters, digits and `_`.
    Word,
    /// A name that begins with a digit. Trino's grammar has it to refuse it, Hive's takes it.
    DigitWord,
    /// `"a ""name"""`
    QuotedName,
    /// The same in backquotes. Trino's grammar has it to refuse it, Hive's takes it.
    BackquotedName,
    /// `'it''s'`
    String,
    /// `U&'\00e9'`
    UnicodeString,
    /// `X'00ff'`. What stands in it is not looked at.
    Binary,
    /// `1`, `1_000`, `0xff`, `1.`, `.5`, `1e-5`
    Number,
    /// A parameter, `?`.
    Placeholder,
    Open,
    Close,
    Semicolon,
    /// Any other symbol of one or two characters, the `?` of a row pattern among them.
    Symbol,
    /// A string, a quoted name or a `/*` comment without an end: the rest of the text.
    Unterminated,
    /// A character that begins no token.
    Unrecognized,
}

impl Kind {
    /// Whether there is no statement with such a token in it.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Unterminated | Self::Unrecognized)
    }
}

/// A token and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    /// In bytes from the beginning of the text.
    pub start: usize,
    pub text: &'a str,
}

impl Token<'_> {
    /// Where it ends.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this word, in any case and without quotes.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is one of these words.
    pub fn is_any_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }
}

/// The tokens of a text in order, without blanks and comments. Takes time as the text is long, whatever is in it.
pub fn tokens(sql: &str) -> Tokens<'_> {
    Tokens { sql, at: 0, pattern: Pattern::None, separates: false }
}

/// See [`tokens`].
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    sql: &'a str,
    at: usize,
    pattern: Pattern,
    /// Whether the token before was `(` or `,`.
    separates: bool,
}

/// Where we are in MATCH_RECOGNIZE's `PATTERN (a b? c)`, whose `?` are no parameters.
#[derive(Debug, Clone, Copy)]
enum Pattern {
    None,
    /// Behind the word.
    Named,
    /// Inside of so many brackets.
    Inside(usize),
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.sql.as_bytes();
        self.at += hidden(&bytes[self.at..]);
        let (kind, length) = first(&bytes[self.at..])?;
        let token = Token { kind, start: self.at, text: &self.sql[self.at..self.at + length] };
        self.at += length;
        Some(self.told_from_quantifiers(token))
    }
}

impl<'a> Tokens<'a> {
    /// In a row pattern a `?` stands behind what it makes optional; a parameter there would be a function's that happens to
    /// be called `pattern`, and stands behind a bracket or a comma.
    fn told_from_quantifiers(&mut self, token: Token<'a>) -> Token<'a> {
        use Pattern::{Inside, Named, None};
        self.pattern = match (self.pattern, token.kind) {
            (None | Named, Kind::Word) if token.is_word("pattern") => Named,
            (Named, Kind::Open) => Inside(1),
            (None | Named, _) => None,
            (Inside(depth), Kind::Open) => Inside(depth + 1),
            (Inside(1), Kind::Close) => None,
            (Inside(depth), Kind::Close) => Inside(depth - 1),
            (Inside(depth), _) => Inside(depth),
        };
        let begins = std::mem::replace(&mut self.separates, token.kind == Kind::Open || token.text == ",");
        match (token.kind, self.pattern) {
            (Kind::Placeholder, Inside(_)) if !begins => Token { kind: Kind::Symbol, ..token },
            _ => token,
        }
    }
}

/// The length of the blanks and comments that a text begins with.
fn hidden(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += match &text[at..] {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
            [b'-', b'-', comment @ ..] => 2 + memchr2(b'\r', b'\n', comment).unwrap_or(comment.len()),
            [b'/', b'*', comment @ ..] => match memmem::find(comment, b"*/") {
                Some(end) => end + 4,
                None => return at,
            },
            _ => return at,
        };
    }
}

/// The kind and the length of the token that a text begins with, which is no blank and no comment.
fn first(text: &[u8]) -> Option<(Kind, usize)> {
    Some(match text {
        [] => return None,
        [quote @ (b'\'' | b'"' | b'`'), ..] => {
            let kind = match quote {
                b'\'' => Kind::String,
                b'"' => Kind::QuotedName,
                _ => Kind::BackquotedName,
            };
            quoted(text).map_or((Kind::Unterminated, text.len()), |length| (kind, length))
        }
        // Comments with an end are hidden.
        [b'/', b'*', ..] => (Kind::Unterminated, text.len()),
        [b'u' | b'U', b'&', b'\'', ..] => quoted(&text[2..]).map_or((Kind::Word, 1), |n| (Kind::UnicodeString, n + 2)),
        [b'x' | b'X', b'\'', digits @ ..] => memchr(b'\'', digits).map_or((Kind::Word, 1), |n| (Kind::Binary, n + 3)),
        [b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => (Kind::Word, run(text, is_name)),
        [b'0'..=b'9', ..] => number(text),
        [b'.', digits @ ..] if decimal(digits) > 0 => {
            let double = exponent(digits, run(digits, is_digit)).unwrap_or_default();
            (Kind::Number, 1 + decimal(digits).max(double))
        }
        [b'?', ..] => (Kind::Placeholder, 1),
        [b'(', ..] => (Kind::Open, 1),
        [b')', ..] => (Kind::Close, 1),
        [b';', ..] => (Kind::Semicolon, 1),
        [b'=' | b'-', b'>', ..]
        | [b'<' | b'>' | b'!', b'=', ..]
        | [b'<', b'>', ..]
        | [b'|', b'|', ..]
        | [b'{', b'-', ..]
        | [b'-', b'}', ..] => (Kind::Symbol, 2),
        [first, ..] if b".,[]:|^${}=<>+-*/%".contains(first) => (Kind::Symbol, 1),
        // As many bytes as the first one of a character says.
        [first, ..] => (Kind::Unrecognized, (first.leading_ones() as usize).max(1)),
    })
}

/// The length of a quoted text; a doubled quote stands for itself. `None` where it does not end. Where it could end at a
/// quote that is doubled and does not end behind it, it ends there: `'a''b` is `'a'` and a string without an end.
fn quoted(text: &[u8]) -> Option<usize> {
    let quote = text[0];
    let (mut at, mut ended) = (1, None);
    while let Some(length) = memchr(quote, &text[at..]) {
        at += length + 1;
        ended = Some(at);
        if text.get(at) != Some(&quote) {
            break;
        }
        at += 1;
    }
    ended
}

/// The longest of what can begin with a digit: an integer, a decimal, a double, a name.
fn number(text: &[u8]) -> (Kind, usize) {
    let (word, whole) = (run(text, is_name), decimal(text));
    let fraction = match text.get(whole) {
        Some(b'.') => whole + 1 + decimal(&text[whole + 1..]),
        _ => 0,
    };
    let plain = run(text, is_digit);
    let plain = match text.get(plain) {
        Some(b'.') => plain + 1 + run(&text[plain + 1..], is_digit),
        _ => plain,
    };
    let longest = fraction.max(exponent(text, plain).unwrap_or_default());
    if longest >= word {
        (Kind::Number, longest)
    } else if whole == word || is_radix(&text[..word]) {
        (Kind::Number, word)
    } else {
        (Kind::DigitWord, word)
    }
}

/// The length of digits with single `_` between them: `1_000`.
fn decimal(text: &[u8]) -> usize {
    digits(text, is_digit)
}

fn digits(text: &[u8], is_digit: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    loop {
        match &text[at..] {
            [digit, ..] if is_digit(*digit) => at += 1,
            [b'_', digit, ..] if at > 0 && is_digit(*digit) => at += 2,
            _ => return at,
        }
    }
}

/// Whether this is `0x`, `0o` or `0b` and digits of that base, each after one `_` at most.
fn is_radix(word: &[u8]) -> bool {
    let (is_digit, written): (fn(u8) -> bool, _) = match word {
        [b'0', b'x' | b'X', written @ ..] => (|c| c.is_ascii_hexdigit(), written),
        [b'0', b'o' | b'O', written @ ..] => (|c| matches!(c, b'0'..=b'7'), written),
        [b'0', b'b' | b'B', written @ ..] => (|c| matches!(c, b'0' | b'1'), written),
        _ => return false,
    };
    let written = written.strip_prefix(b"_").unwrap_or(written);
    !written.is_empty() && digits(written, is_digit) == written.len()
}

/// Where the exponent at `at` ends, if there is one: `e5`, `E+05`.
fn exponent(text: &[u8], at: usize) -> Option<usize> {
    let sign = match &text[at..] {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return None,
    };
    let digits = run(&text[at + sign..], is_digit);
    (digits > 0).then_some(at + sign + digits)
}

fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len())
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tokens of a text, with a letter for each kind.
    fn shown(sql: &str) -> String {
        let letter = |kind| match kind {
            Kind::Word => 'w',
            Kind::DigitWord => 'd',
            Kind::QuotedName => 'q',
            Kind::BackquotedName => 'b',
            Kind::String => 's',
            Kind::UnicodeString => 'u',
            Kind::Binary => 'x',
            Kind::Number => 'n',
            Kind::Placeholder => '?',
            Kind::Open => '(',
            Kind::Close => ')',
            Kind::Semicolon => ';',
            Kind::Symbol => 'y',
            Kind::Unterminated => '!',
            Kind::Unrecognized => '#',
        };
        tokens(sql).map(|token| format!("{}:{}", letter(token.kind), token.text)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_end_where_trinos_do() {
        for (sql, expected) in [
            ("a -- b\rc", "w:a w:c"),
            ("a -- b\r\nc", "w:a w:c"),
            ("a -- b\nc--", "w:a w:c"),
            ("a /* /* b */ c */", "w:a w:c y:* y:/"),
            ("a /*/ b */ c", "w:a w:c"),
            ("/**/a/***/b", "w:a w:b"),
            ("a /* b", "w:a !:/* b"),
            ("a --/*\nb", "w:a w:b"),
            ("1--1\n", "n:1"),
            ("{--a", "y:{- y:- w:a"),
            ("{---a", "y:{-"),
            ("a--}", "w:a"),
            ("a -}", "w:a y:-}"),
        ] {
            assert_eq!(shown(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn what_no_rule_knows_is_said() {
        for (sql, expected) in [
            ("a\u{a0}b", "w:a #:\u{a0} w:b"),
            ("\u{feff}a", "#:\u{feff} w:a"),
            ("a\u{c}\u{b}é", "w:a #:\u{c} #:\u{b} #:é"),
            ("\u{17f}elect", "#:\u{17f} w:elect"),
            ("a & b ! c", "w:a #:& w:b #:! w:c"),
            ("'a", "!:'a"),
            ("'a''b''c", "s:'a''b' !:'c"),
            ("'a''", "s:'a' !:'"),
            ("u&'a", "w:u #:& !:'a"),
            ("x'a", "w:x !:'a"),
            ("\"a", "!:\"a"),
            ("`a", "!:`a"),
        ] {
            assert_eq!(shown(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn the_longest_match_wins() {
        for (sql, expected) in [
            ("'it''s' 'a\\'", "s:'it''s' s:'a\\'"),
            ("\"a\"\"b\" `a``b`", "q:\"a\"\"b\" b:`a``b`"),
            ("U&'a''b' x'a''b' ux'a'", "u:U&'a''b' x:x'a' s:'b' w:ux s:'a'"),
            ("1 1.5 .5 1. 1e5 1E+5 1.e5 .5e-3", "n:1 n:1.5 n:.5 n:1. n:1e5 n:1E+5 n:1.e5 n:.5e-3"),
            ("1_000 0xFf 0o17 0b1_0 0x_1", "n:1_000 n:0xFf n:0o17 n:0b1_0 n:0x_1"),
            ("1abc 1e 0xg 0b2 1__0 1_ 0x", "d:1abc d:1e d:0xg d:0b2 d:1__0 d:1_ d:0x"),
            ("1.5e5x 1.5.5 1..5 1_0e5 1_0.5e5", "n:1.5e5 w:x n:1.5 n:.5 n:1. n:.5 d:1_0e5 n:1_0.5 w:e5"),
            ("1.5_ 1e+ a.b .e5 1e5x", "n:1.5 w:_ d:1e y:+ w:a y:. w:b y:. w:e5 d:1e5x"),
            ("a<>b!=c<=d>=e||f->g=>h", "w:a y:<> w:b y:!= w:c y:<= w:d y:>= w:e y:|| w:f y:-> w:g y:=> w:h"),
            ("(a[1]);?", "(:( w:a y:[ n:1 y:] ):) ;:; ?:?"),
        ] {
            assert_eq!(shown(sql), expected, "{sql:?}");
        }
    }

    #[test]
    fn quantifiers_are_no_parameters() {
        for (sql, parameters) in [
            ("match_recognize (pattern (a b? (c d)+? e{1,}? ()?) define a as ? > 1) where ?", 2),
            ("pattern -- x\n (a?) ?", 1),
            ("pattern ? (?)", 2),
            ("pattern(?, ?)", 2),
            ("\"pattern\" (a ?)", 1),
        ] {
            let found = tokens(sql).filter(|token| token.kind == Kind::Placeholder).count();
            assert_eq!(found, parameters, "{sql}");
        }
    }

    proptest! {
        /// Tokens come in order, touch no blanks, and what is between them is blanks and comments alone.
        #[test]
        fn tokens_and_what_is_hidden_make_up_the_text(sql in "(['\"`?;()./*\r\n \u{a0}{}-]|--|/\\*|\\*/|u&'|x'|1e|a|é){0,24}") {
            let mut at = 0;
            for token in tokens(&sql) {
                prop_assert_eq!(&sql[token.start..token.end()], token.text);
                prop_assert!(!token.text.is_empty());
                prop_assert_eq!(tokens(&sql[at..token.start]).next(), None);
                at = token.end();
            }
            prop_assert_eq!(tokens(&sql[at..]).next(), None);
        }
    }
}
