//! SHOW and DESCRIBE answer one text per row even where there are two or three columns: the fields joined by tabs, and
//! padded with blanks in Hive's DESCRIBE (athena-behaviour, section 3).

/// The fields of one row's text. Missing ones are NULL; what is too much stays in the last.
pub fn fields(text: &str, columns: usize) -> Vec<Option<&str>> {
    if columns <= 1 {
        return vec![Some(text)];
    }
    let mut fields: Vec<Option<&str>> = text.splitn(columns, '\t').map(|field| Some(field.trim_end())).collect();
    fields.resize(columns, None);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_and_padding_is_dropped() {
        assert_eq!(fields("a\tb", 1), [Some("a\tb")]);
        assert_eq!(
            fields("id                  \tint                 \t                    ", 3),
            [Some("id"), Some("int"), Some("")]
        );
        assert_eq!(fields("# Partition Information\t \t ", 3), [Some("# Partition Information"), Some(""), Some("")]);
        assert_eq!(fields("only", 3), [Some("only"), None, None]);
    }
}
