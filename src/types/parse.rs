//! Reads type names as Glue (Hive's spelling), views, EXPLAIN and results (Trino's spelling) write them.

use super::{AthenaType, RowField};

/// Deeper nesting than this is refused, so that a hostile type name cannot exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Why a type name could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type {text:?} cannot be read at byte {at}: {why}")]
pub struct TypeSyntax {
    pub text: String,
    pub at: usize,
    pub why: &'static str,
}

impl AthenaType {
    /// Reads one type in either spelling, in any case. A well-formed name that is not known becomes
    /// [`AthenaType::Other`].
    pub fn parse(text: &str) -> Result<Self, TypeSyntax> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let parsed = parser.data_type()?;
        parser.blanks();
        if parser.at < text.len() {
            return Err(parser.fault("text after the type"));
        }
        Ok(parsed)
    }

    /// The type of a column of a result, from the three facts that `ColumnInfo` carries (athena-behaviour, section 4).
    ///
    /// Precision is right for decimals, and the length for `varchar` and `char`, where 2147483647 means unbounded; for
    /// every other type it says nothing.
    pub fn from_column_info(name: &str, precision: i32, scale: i32) -> Result<Self, TypeSyntax> {
        let length = u32::try_from(precision).ok().filter(|length| *length > 0 && *length < i32::MAX as u32);
        Ok(match Self::parse(name)? {
            Self::Decimal { .. } => {
                let fault = |why| TypeSyntax { text: format!("{name}({precision},{scale})"), at: 0, why };
                let (precision, scale) = (u8::try_from(precision), u8::try_from(scale));
                match (precision, scale) {
                    (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => Self::Decimal { precision, scale },
                    _ => return Err(fault("a decimal has a precision of 1 to 38 and a scale up to it")),
                }
            }
            Self::Varchar(_) => Self::Varchar(length),
            Self::Char(_) => Self::Char(length),
            other => other,
        })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn data_type(&mut self) -> Result<AthenaType, TypeSyntax> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("nested too deep"));
        }
        let name = self.word()?.to_ascii_lowercase();
        let parsed = match name.as_str() {
            "boolean" => AthenaType::Boolean,
            "tinyint" => AthenaType::Tinyint,
            "smallint" => AthenaType::Smallint,
            "int" | "integer" => AthenaType::Integer,
            "bigint" => AthenaType::Bigint,
            "float" | "real" => AthenaType::Real,
            "double" => {
                self.keyword("precision");
                AthenaType::Double
            }
            "decimal" | "numeric" => self.decimal()?,
            "string" => AthenaType::Varchar(None),
            "varchar" => AthenaType::Varchar(self.length()?),
            "char" => AthenaType::Char(self.length()?),
            "binary" | "varbinary" => {
                self.length()?;
                AthenaType::Varbinary
            }
            "date" => AthenaType::Date,
            "time" | "timestamp" => self.time(&name)?,
            "interval" => self.interval()?,
            "json" => AthenaType::Json,
            "uuid" => AthenaType::Uuid,
            "ipaddress" => AthenaType::Ipaddress,
            "unknown" => AthenaType::Unknown,
            "array" => match self.open() {
                Some(close) => {
                    let element = self.data_type()?;
                    self.expect(close)?;
                    AthenaType::Array(Some(Box::new(element)))
                }
                None => AthenaType::Array(None),
            },
            "map" => match self.open() {
                Some(close) => {
                    let key = self.data_type()?;
                    self.expect(',')?;
                    let value = self.data_type()?;
                    self.expect(close)?;
                    AthenaType::Map(Some(Box::new((key, value))))
                }
                None => AthenaType::Map(None),
            },
            "row" | "struct" => match self.open() {
                Some(close) => AthenaType::Row(Some(self.row_fields(close)?)),
                None => AthenaType::Row(None),
            },
            _ => {
                let start = self.at;
                self.skip_arguments()?;
                AthenaType::Other(format!("{name}{}", &self.text[start..self.at]))
            }
        };
        self.depth -= 1;
        Ok(parsed)
    }

    fn decimal(&mut self) -> Result<AthenaType, TypeSyntax> {
        // A bare `decimal` is decimal(10,0) in Hive and decimal(38,0) in Trino; Glue is where it is met, but a result
        // page also says just `decimal` and gives the numbers apart, which `from_column_info` puts in.
        let (mut precision, mut scale) = (10, 0);
        if self.accept('(') {
            precision = self.number()?;
            if self.accept(',') {
                scale = self.number()?;
            }
            self.expect(')')?;
        }
        match (u8::try_from(precision), u8::try_from(scale)) {
            (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision => Ok(AthenaType::Decimal { precision, scale }),
            _ => Err(self.fault("a decimal has a precision of 1 to 38 and a scale up to it")),
        }
    }

    fn time(&mut self, name: &str) -> Result<AthenaType, TypeSyntax> {
        let precision = match self.length()? {
            Some(digits @ 0..=12) => Some(digits as u8),
            Some(_) => return Err(self.fault("a time has at most 12 fractional digits")),
            None => None,
        };
        let zoned = if self.keyword("with") {
            if !(self.keyword("time") && self.keyword("zone")) {
                return Err(self.fault("expected WITH TIME ZONE"));
            }
            true
        } else {
            if self.keyword("without") && !(self.keyword("time") && self.keyword("zone")) {
                return Err(self.fault("expected WITHOUT TIME ZONE"));
            }
            false
        };
        Ok(match (name, zoned) {
            ("time", false) => AthenaType::Time(precision),
            ("time", true) => AthenaType::TimeWithTimeZone(precision),
            (_, false) => AthenaType::Timestamp(precision),
            (_, true) => AthenaType::TimestampWithTimeZone(precision),
        })
    }

    fn interval(&mut self) -> Result<AthenaType, TypeSyntax> {
        let words =
            [self.word()?.to_ascii_lowercase(), self.word()?.to_ascii_lowercase(), self.word()?.to_ascii_lowercase()];
        match words.each_ref().map(String::as_str) {
            ["year", "to", "month"] => Ok(AthenaType::IntervalYearToMonth),
            ["day", "to", "second"] => Ok(AthenaType::IntervalDayToSecond),
            _ => Err(self.fault("expected YEAR TO MONTH or DAY TO SECOND")),
        }
    }

    fn row_fields(&mut self, close: char) -> Result<Vec<RowField>, TypeSyntax> {
        let mut fields = Vec::new();
        if self.accept(close) {
            return Ok(fields);
        }
        loop {
            fields.push(self.row_field(close)?);
            if self.accept(close) {
                return Ok(fields);
            }
            self.expect(',')?;
        }
    }

    /// `a:int` inside `<…>`; `a integer`, `"a b" integer` or, for a field without a name, just `integer` inside `(…)`.
    fn row_field(&mut self, close: char) -> Result<RowField, TypeSyntax> {
        self.blanks();
        if close == '>' {
            let name = self.field_name()?;
            self.expect(':')?;
            return Ok(RowField { name: Some(name), data_type: self.data_type()? });
        }
        if self.rest().starts_with(['"', '`']) {
            let name = self.field_name()?;
            return Ok(RowField { name: Some(name), data_type: self.data_type()? });
        }
        // `x integer` and `integer` start alike, and so do the field `timestamp varchar` and the type `timestamp(3) with
        // time zone`: an unnamed field is one whose type ends where the field does.
        let start = self.at;
        if let Ok(data_type) = self.data_type() {
            self.blanks();
            if self.rest().starts_with([',', close]) {
                return Ok(RowField { name: None, data_type });
            }
        }
        self.at = start;
        let name = self.field_name()?;
        Ok(RowField { name: Some(name), data_type: self.data_type()? })
    }

    fn field_name(&mut self) -> Result<String, TypeSyntax> {
        self.blanks();
        let quote = match self.rest().chars().next() {
            Some(quote @ ('"' | '`')) => quote,
            _ => {
                let rest = self.rest();
                let end = rest.find([':', ' ', ',', '<', '>', '(', ')']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(self.fault("expected a field name"));
                }
                let name = rest[..end].to_owned();
                self.at += end;
                return Ok(name);
            }
        };
        let mut name = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, c)) = chars.next() {
            if c != quote {
                name.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
                name.push(quote);
                chars.next();
            } else {
                self.at += offset + 1;
                return Ok(name);
            }
        }
        Err(self.fault("a quoted name without its end"))
    }

    fn length(&mut self) -> Result<Option<u32>, TypeSyntax> {
        if !self.accept('(') {
            return Ok(None);
        }
        let length = self.number()?;
        self.expect(')')?;
        Ok(Some(length))
    }

    fn number(&mut self) -> Result<u32, TypeSyntax> {
        self.blanks();
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest[..digits].parse().map_err(|_| self.fault("expected a number"))?;
        self.at += digits;
        Ok(number)
    }

    fn skip_arguments(&mut self) -> Result<(), TypeSyntax> {
        let Some(close) = self.open() else { return Ok(()) };
        let open = if close == ')' { '(' } else { '<' };
        let mut depth = 1;
        for (offset, c) in self.rest().char_indices() {
            depth += i32::from(c == open) - i32::from(c == close);
            if depth == 0 {
                self.at += offset + c.len_utf8();
                return Ok(());
            }
        }
        Err(self.fault("a bracket without its end"))
    }

    fn word(&mut self) -> Result<&str, TypeSyntax> {
        self.blanks();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fault("expected a type name"));
        }
        let start = self.at;
        self.at += end;
        Ok(&self.text[start..self.at])
    }

    fn keyword(&mut self, expected: &str) -> bool {
        let start = self.at;
        if self.word().is_ok_and(|word| word.eq_ignore_ascii_case(expected)) {
            return true;
        }
        self.at = start;
        false
    }

    fn open(&mut self) -> Option<char> {
        if self.accept('(') {
            Some(')')
        } else if self.accept('<') {
            Some('>')
        } else {
            None
        }
    }

    fn accept(&mut self, c: char) -> bool {
        self.blanks();
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<(), TypeSyntax> {
        if self.accept(c) {
            return Ok(());
        }
        Err(self.fault(match c {
            ',' => "expected ','",
            ':' => "expected ':'",
            '>' => "expected '>'",
            _ => "expected ')'",
        }))
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn fault(&self, why: &'static str) -> TypeSyntax {
        TypeSyntax { text: self.text.to_owned(), at: self.at, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_give_one_type() {
        for (hive, trino) in [
            ("int", "integer"),
            ("string", "varchar"),
            ("binary", "varbinary"),
            ("float", "real"),
            ("decimal(10,2)", "decimal(10, 2)"),
            ("struct<a:int,b:array<string>>", "row(a integer, b array(varchar))"),
            ("map<string,array<struct<x:double>>>", "map(varchar, array(row(x double)))"),
            ("array<timestamp>", "array(timestamp)"),
        ] {
            assert_eq!(AthenaType::parse(hive), AthenaType::parse(trino), "{hive} ~ {trino}");
        }
    }

    #[test]
    fn spelling_round_trips() {
        for text in [
            "boolean",
            "tinyint",
            "smallint",
            "integer",
            "bigint",
            "real",
            "double",
            "decimal(38,10)",
            "varchar",
            "varchar(7)",
            "char(3)",
            "varbinary",
            "date",
            "time(6)",
            "time(3) with time zone",
            "timestamp",
            "timestamp(12)",
            "timestamp(3) with time zone",
            "interval year to month",
            "interval day to second",
            "json",
            "uuid",
            "ipaddress",
            "array(row(x integer, \"a \"\"b\" varchar))",
            "row(integer, varchar(3))",
            "row(timestamp(3) with time zone, timestamp varchar)",
            "map(varchar, map(bigint, array(decimal(3,1))))",
            "array",
            "hyperloglog",
            "qdigest(bigint)",
        ] {
            assert_eq!(AthenaType::parse(text).map(|parsed| parsed.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = "array(".repeat(10_000);
        for text in [
            "",
            "(",
            "array(",
            "array(integer",
            "map(integer)",
            "row(\"a",
            "decimal(39,0)",
            "decimal(3,4)",
            "time(13)",
            "integer)",
            "struct<a>",
            "varchar(x)",
            &deep,
        ] {
            assert!(AthenaType::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn column_info_gives_lengths_and_decimals_only() {
        let of = |name, precision, scale| AthenaType::from_column_info(name, precision, scale).map(|t| t.to_string());
        assert_eq!(of("decimal", 12, 2).as_deref(), Ok("decimal(12,2)"));
        assert_eq!(of("varchar", i32::MAX, 0).as_deref(), Ok("varchar"));
        assert_eq!(of("varchar", 5, 0).as_deref(), Ok("varchar(5)"));
        assert_eq!(of("timestamp", 3, 0).as_deref(), Ok("timestamp"));
        assert_eq!(of("float", 17, 0).as_deref(), Ok("real"));
        assert!(of("decimal", 0, 0).is_err());
    }
}
