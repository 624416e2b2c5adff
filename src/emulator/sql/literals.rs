//! What Trino's literals stand for where sqlparser's do not: numbers in other bases, strings with escaped characters.

/// A number in digits without `_`: `1_000` → `1000`, `0xff` → `255`. One that is too large for any type stays as it is.
pub fn number(text: &str) -> String {
    let digits = text.replace('_', "");
    let radix = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => return digits,
    };
    u128::from_str_radix(&digits[2..], radix).map_or(digits, |value| value.to_string())
}

/// The text of `U&'…'`: four hexadecimal digits behind the escape character, or six behind it and a plus.
pub fn unicode(text: &str, escape: &str) -> Result<String, String> {
    let mut only = escape.chars();
    let escape = match (only.next(), only.next()) {
        (Some(c), None)
            if !matches!(c, '+' | '"' | '\'' | ' ') && !c.is_ascii_hexdigit() && ('!'..='~').contains(&c) =>
        {
            c
        }
        _ => return Err("Invalid Unicode escape character".to_owned()),
    };
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        if c != escape {
            out.push(c);
            continue;
        }
        let rest = chars.as_str();
        if rest.starts_with(escape) {
            chars.next();
            out.push(escape);
            continue;
        }
        let (digits, count) = rest.strip_prefix('+').map_or((rest, 4), |digits| (digits, 6));
        let digits: String = digits.chars().take(count).collect();
        if let Some(wrong) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("Invalid hexadecimal digit: {wrong}"));
        }
        if digits.len() < count {
            return Err(format!("Incomplete escape sequence: {digits}"));
        }
        let code = u32::from_str_radix(&digits, 16).unwrap_or(u32::MAX);
        out.push(char::from_u32(code).ok_or_else(|| format!("Invalid escaped character: {digits}"))?);
        chars = rest[rest.len().min(count + count / 6)..].chars();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_characters_are_read() {
        for (text, escape, expected) in [
            ("a\\\\b\\00e9\\+01F600c", "\\", Ok("a\\b\u{e9}\u{1f600}c")),
            ("a!!b!00e9\\", "!", Ok("a!b\u{e9}\\")),
            ("\\00g9", "\\", Err("Invalid hexadecimal digit: g")),
            ("\\00", "\\", Err("Incomplete escape sequence: 00")),
            ("\\+0000e", "\\", Err("Incomplete escape sequence: 0000e")),
            ("\\", "\\", Err("Incomplete escape sequence: ")),
            ("\\d800", "\\", Err("Invalid escaped character: d800")),
            ("\\+110000", "\\", Err("Invalid escaped character: 110000")),
            ("\\00é9", "\\", Err("Invalid hexadecimal digit: é")),
            ("a", "+", Err("Invalid Unicode escape character")),
            ("a", "!!", Err("Invalid Unicode escape character")),
        ] {
            assert_eq!(unicode(text, escape).as_deref().map_err(String::as_str), expected, "{text} {escape}");
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for (text, expected) in [("1_000.5_0", "1000.50"), ("0xFF", "255"), ("0o1_7", "15"), ("1e5", "1e5"), ("0", "0")]
        {
            assert_eq!(number(text), expected);
        }
        let large = format!("0x{}", "f".repeat(40));
        assert_eq!(number(&large), large);
    }
}
