//! Athena's types: how they are spelled, what they are in Arrow, and how their text is read.
//!
//! | module | says |
//! | --- | --- |
//! | [`parse`] | the spellings of Hive (`struct<a:int>`) and Trino (`row(a integer)`) → [`AthenaType`] |
//! | [`spell`] | [`AthenaType`] → either spelling |
//! | [`arrow`] | [`AthenaType`] → Arrow type and field, with Flight SQL's column metadata |
//! | [`value`] | the text of one value → what Arrow holds for it |
//! | [`nested`] | the text of arrays, maps and rows, where it can be read back |
//! | [`cell`] | a text inside of a larger one, read whole words at a time |
//! | [`block`] | many such texts, read several to an instruction |
//! | [`digits`] | digits and days, whole words at a time |
//! | [`literal`] | Arrow values → SQL literals |
//! | [`builder`] | many values' texts → an Arrow array |
//! | [`mod@column`] | a result's columns, and their schema |

pub mod arrow;
pub mod block;
pub mod builder;
pub mod cell;
pub mod column;
pub mod digits;
pub mod literal;
pub mod nested;
pub mod parse;
pub mod spell;
pub mod value;

/// A type as Athena knows it, whichever way it was spelled.
///
/// `None` in a length or precision means "not said": an unbounded `varchar`, or a `timestamp` out of a
/// `GetQueryResults` page, where the precision is never right (athena-behaviour, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AthenaType {
    Boolean,
    Tinyint,
    Smallint,
    Integer,
    Bigint,
    /// `real` in Trino, `float` in Hive and in result metadata.
    Real,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Varchar(Option<u32>),
    Char(Option<u32>),
    Varbinary,
    Date,
    Time(Option<u8>),
    TimeWithTimeZone(Option<u8>),
    Timestamp(Option<u8>),
    TimestampWithTimeZone(Option<u8>),
    IntervalYearToMonth,
    IntervalDayToSecond,
    Json,
    Uuid,
    Ipaddress,
    /// `None` where only the base name `array` is known, as in a result page; the same for the next two.
    Array(Option<Box<AthenaType>>),
    Map(Option<Box<(AthenaType, AthenaType)>>),
    Row(Option<Vec<RowField>>),
    /// The type of a bare NULL.
    Unknown,
    /// A type with a name we do not know; its values are passed on as text.
    Other(String),
}

/// One field of a row; Trino's rows may have fields without a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowField {
    pub name: Option<String>,
    pub data_type: AthenaType,
}

impl AthenaType {
    /// Whether values are arrays, maps or rows.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(_) | Self::Row(_))
    }

    /// Whether it is the type of a bare NULL, or has one inside.
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Array(Some(element)) => element.has_unknown(),
            Self::Map(Some(entry)) => entry.0.has_unknown() || entry.1.has_unknown(),
            Self::Row(Some(fields)) => fields.iter().any(|field| field.data_type.has_unknown()),
            _ => false,
        }
    }
}
