//! Collects one column's values from their text into an Arrow array.
//!
//! The type is looked at once for many values. [`ColumnBuilder::append_block`] is the hot path: texts that lie in one are
//! read several to an instruction.

mod numbers;
mod texts;

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;

use super::AthenaType;
use super::block::{Block, Lanes};
use super::cell::Cell;
use super::nested::NestedBuilder;
use super::value::{self, ValueFault};
use numbers::Numbers;
use texts::Texts;

/// Collects one column's values from their text. After a value that does not fit, what was appended with it is undefined.
pub enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int8(Numbers<Int8Type>),
    Int16(Numbers<Int16Type>),
    Int32(Numbers<Int32Type>),
    Int64(Numbers<Int64Type>),
    Float32(Numbers<Float32Type>),
    Float64(Numbers<Float64Type>),
    Decimal(Numbers<Decimal128Type>, u8, i8),
    Text(Texts),
    Binary(BinaryBuilder),
    Date(Numbers<Date32Type>),
    Time(Numbers<Time64MicrosecondType>),
    Timestamp(Numbers<TimestampMicrosecondType>),
    Instant(Numbers<TimestampMicrosecondType>),
    Months(Numbers<IntervalYearMonthType>),
    Duration(Numbers<DurationMillisecondType>),
    Nested(Box<NestedBuilder>),
}

/// A value that does not fit, by its place among those that were appended together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub index: usize,
    pub fault: ValueFault,
}

/// Room for so many values or bytes as were foreseen, and somewhat more: growing for the last few would cost a copy of all
/// before them.
fn more(foreseen: usize) -> usize {
    foreseen + foreseen / 16
}

/// The same for every kind of builder.
macro_rules! each {
    ($self:expr, $b:ident => $call:expr) => {
        match $self {
            Self::Boolean($b) => $call,
            Self::Int8($b) => $call,
            Self::Int16($b) => $call,
            Self::Int32($b) => $call,
            Self::Int64($b) => $call,
            Self::Float32($b) => $call,
            Self::Float64($b) => $call,
            Self::Decimal($b, ..) => $call,
            Self::Text($b) => $call,
            Self::Binary($b) => $call,
            Self::Date($b) => $call,
            Self::Time($b) => $call,
            Self::Timestamp($b) | Self::Instant($b) => $call,
            Self::Months($b) => $call,
            Self::Duration($b) => $call,
            Self::Nested($b) => $call,
        }
    };
}

impl ColumnBuilder {
    /// For values whose Arrow type is [`AthenaType::arrow`]'s.
    pub fn new(data_type: &AthenaType) -> Self {
        if let Some(nested) = NestedBuilder::new(data_type) {
            return Self::Nested(Box::new(nested));
        }
        match data_type {
            AthenaType::Boolean => Self::Boolean(BooleanBuilder::new()),
            AthenaType::Tinyint => Self::Int8(Numbers::new(data_type)),
            AthenaType::Smallint => Self::Int16(Numbers::new(data_type)),
            AthenaType::Integer => Self::Int32(Numbers::new(data_type)),
            AthenaType::Bigint => Self::Int64(Numbers::new(data_type)),
            AthenaType::Real => Self::Float32(Numbers::new(data_type)),
            AthenaType::Double => Self::Float64(Numbers::new(data_type)),
            AthenaType::Decimal { precision, scale } => {
                Self::Decimal(Numbers::new(data_type), *precision, *scale as i8)
            }
            AthenaType::Varbinary => Self::Binary(BinaryBuilder::new()),
            AthenaType::Date => Self::Date(Numbers::new(data_type)),
            AthenaType::Time(_) => Self::Time(Numbers::new(data_type)),
            AthenaType::Timestamp(_) => Self::Timestamp(Numbers::new(data_type)),
            AthenaType::TimestampWithTimeZone(_) => Self::Instant(Numbers::new(data_type)),
            AthenaType::IntervalYearToMonth => Self::Months(Numbers::new(data_type)),
            AthenaType::IntervalDayToSecond => Self::Duration(Numbers::new(data_type)),
            _ => Self::text(),
        }
    }

    /// For values that are passed on as they are written.
    pub fn text() -> Self {
        Self::Text(Texts::default())
    }

    /// Appends one value; `None` is NULL. One that does not fit is not appended, unless it is nested.
    pub fn append(&mut self, text: Option<&[u8]>) -> Result<(), ValueFault> {
        self.append_all(std::iter::once(text.map(Cell::alone))).map_err(|misfit| misfit.fault)
    }

    /// Appends values; `None` is NULL.
    #[inline]
    pub fn append_all<'a>(&mut self, texts: impl Iterator<Item = Option<Cell<'a>>>) -> Result<(), Misfit> {
        macro_rules! one_by_one {
            ($put:expr) => {
                for (index, text) in texts.enumerate() {
                    $put(text).map_err(|fault| Misfit { index, fault })?;
                }
            };
        }
        match self {
            Self::Boolean(b) => one_by_one!(|text: Option<Cell<'a>>| {
                b.append_option(text.map(|text| value::boolean(text.bytes())).transpose()?);
                Ok(())
            }),
            Self::Int8(b) => b.append_all(texts, |text| value::integer(text, "tinyint"))?,
            Self::Int16(b) => b.append_all(texts, |text| value::integer(text, "smallint"))?,
            Self::Int32(b) => b.append_all(texts, |text| value::integer(text, "integer"))?,
            Self::Int64(b) => b.append_all(texts, |text| value::integer(text, "bigint"))?,
            Self::Float32(b) => b.append_all(texts, |text| value::float(text.bytes(), "real"))?,
            Self::Float64(b) => b.append_all(texts, |text| value::float(text.bytes(), "double"))?,
            Self::Decimal(b, precision, scale) => {
                b.append_all(texts, |text| value::decimal(text, *precision, *scale))?;
            }
            Self::Text(b) => b.append_all(texts)?,
            Self::Binary(b) => one_by_one!(|text: Option<Cell<'a>>| {
                b.append_option(text.map(|text| value::varbinary(text.bytes())).transpose()?);
                Ok(())
            }),
            Self::Date(b) => b.append_all(texts, |text| value::date(text.bytes()))?,
            Self::Time(b) => b.append_all(texts, |text| value::time(text.bytes()))?,
            Self::Timestamp(b) => b.append_all(texts, |text| value::timestamp(text.bytes()))?,
            Self::Instant(b) => b.append_all(texts, |text| value::instant(text.bytes()))?,
            Self::Months(b) => b.append_all(texts, |text| value::months(text.bytes()))?,
            Self::Duration(b) => b.append_all(texts, |text| value::duration(text.bytes()))?,
            Self::Nested(b) => one_by_one!(|text: Option<Cell<'a>>| b.append(text.map(Cell::bytes))),
        }
        Ok(())
    }

    /// Appends values whose texts lie in one.
    pub fn append_block(&mut self, block: Block<'_>, lanes: &mut Lanes) -> Result<(), Misfit> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            #[target_feature(enable = "avx2")]
            fn with_avx2(builder: &mut ColumnBuilder, block: Block<'_>, lanes: &mut Lanes) -> Result<(), Misfit> {
                builder.append_any_block(block, lanes)
            }
            // SAFETY: this processor has the instructions; that is all there is to be safe about.
            return unsafe { with_avx2(self, block, lanes) };
        }
        self.append_any_block(block, lanes)
    }

    #[inline(always)]
    fn append_any_block(&mut self, block: Block<'_>, lanes: &mut Lanes) -> Result<(), Misfit> {
        macro_rules! integers {
            ($builder:expr, $native:ty, $name:literal) => {{
                let fits = |value| i64::from(value as $native) == value;
                let parse = |text: Cell<'_>| value::integer(text, $name);
                $builder.append_block(block, lanes.integers(block), fits, |value| value as $native, parse)
            }};
        }
        match self {
            Self::Int8(b) => integers!(b, i8, "tinyint"),
            Self::Int16(b) => integers!(b, i16, "smallint"),
            Self::Int32(b) => integers!(b, i32, "integer"),
            Self::Int64(b) => integers!(b, i64, "bigint"),
            Self::Decimal(b, precision, scale @ 0..=7) => {
                let (precision, scale) = (*precision, *scale);
                let read = match scale {
                    0 => lanes.integers(block),
                    places => lanes.fixed_points(block, places as usize),
                };
                let limit = value::ten_to(precision);
                let parse = |text: Cell<'_>| value::decimal(text, precision, scale);
                b.append_block(block, read, |value| value.unsigned_abs() < limit, i128::from, parse)
            }
            Self::Date(b) => {
                let parse = |text: Cell<'_>| value::date(text.bytes());
                b.append_block(block, lanes.dates(block), |_| true, |days| days as i32, parse)
            }
            Self::Text(b) => b.append_block(block),
            _ => self.append_all(block.cells()),
        }
    }

    /// The values so far as an array of the promised type; the builder starts anew.
    pub fn finish(&mut self) -> Result<ArrayRef, Misfit> {
        Ok(match self {
            Self::Text(b) => Arc::new(b.finish()?),
            Self::Nested(b) => b.finish()?,
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int8(b) => Arc::new(b.finish()),
            Self::Int16(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Decimal(b, ..) => Arc::new(b.finish()),
            Self::Binary(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Timestamp(b) | Self::Instant(b) => Arc::new(b.finish()),
            Self::Months(b) => Arc::new(b.finish()),
            Self::Duration(b) => Arc::new(b.finish()),
        })
    }

    /// The number of values so far.
    pub fn len(&self) -> usize {
        each!(self, b => b.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for so many times the values so far.
    pub fn reserve(&mut self, times: usize) {
        match self {
            Self::Int8(b) => b.reserve(times),
            Self::Int16(b) => b.reserve(times),
            Self::Int32(b) => b.reserve(times),
            Self::Int64(b) => b.reserve(times),
            Self::Float32(b) => b.reserve(times),
            Self::Float64(b) => b.reserve(times),
            Self::Decimal(b, ..) => b.reserve(times),
            Self::Text(b) => b.reserve(times),
            Self::Date(b) => b.reserve(times),
            Self::Time(b) => b.reserve(times),
            Self::Timestamp(b) | Self::Instant(b) => b.reserve(times),
            Self::Months(b) => b.reserve(times),
            Self::Duration(b) => b.reserve(times),
            // Rare, or too unlike each other to foresee.
            Self::Boolean(_) | Self::Binary(_) | Self::Nested(_) => {}
        }
    }

    /// Bytes that the values so far take, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Boolean(b) => b.len() / 8,
            Self::Int8(b) => b.bytes(),
            Self::Int16(b) => b.bytes(),
            Self::Int32(b) => b.bytes(),
            Self::Int64(b) => b.bytes(),
            Self::Float32(b) => b.bytes(),
            Self::Float64(b) => b.bytes(),
            Self::Decimal(b, ..) => b.bytes(),
            Self::Text(b) => b.bytes(),
            Self::Binary(b) => b.values_slice().len() + b.len() * size_of::<i32>(),
            Self::Date(b) => b.bytes(),
            Self::Time(b) => b.bytes(),
            Self::Timestamp(b) | Self::Instant(b) => b.bytes(),
            Self::Months(b) => b.bytes(),
            Self::Duration(b) => b.bytes(),
            Self::Nested(b) => b.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;
    use proptest::prelude::*;

    use super::super::block::{MAX_VALUES, Place, Places};
    use super::*;

    fn check(data_type: &str, text: &str, expected: &str) {
        let data_type = AthenaType::parse(data_type).expect("a type");
        let mut builder = ColumnBuilder::new(&data_type);
        builder.append(Some(text.as_bytes())).unwrap_or_else(|fault| panic!("{text:?} {fault}"));
        builder.append(None).expect("NULL fits every type");
        let array = builder.finish().expect("UTF-8");
        assert_eq!(array.data_type(), &data_type.arrow());
        assert!(array.is_null(1));
        assert_eq!(array_value_to_string(&array, 0).expect("printable"), expected, "{data_type} {text:?}");
    }

    fn refused(data_type: &str, text: &str) {
        let data_type = AthenaType::parse(data_type).expect("a type");
        let mut builder = ColumnBuilder::new(&data_type);
        assert!(builder.append(Some(text.as_bytes())).is_err(), "{data_type} {text:?}");
    }

    #[test]
    fn values_are_read_exactly() {
        for (data_type, text, expected) in [
            ("boolean", "true", "true"),
            ("tinyint", "-128", "-128"),
            ("bigint", "-9223372036854775808", "-9223372036854775808"),
            ("double", "1.0E20", "1e20"),
            ("double", "-Infinity", "-inf"),
            ("double", "NaN", "NaN"),
            ("real", "1.17549435E-38", "1.1754944e-38"),
            ("decimal(10,2)", "-0.05", "-0.05"),
            ("decimal(10,2)", "7", "7.00"),
            ("decimal(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("varchar", "", ""),
            ("varbinary", "01 ff", "01ff"),
            ("date", "9999-12-31", "9999-12-31"),
            ("date", "0001-01-01", "0001-01-01"),
            ("time(6)", "23:59:59.999999", "23:59:59.999999"),
            ("timestamp", "9999-12-31 23:59:59.999999", "9999-12-31T23:59:59.999999"),
            ("timestamp", "1969-12-31 23:59:59", "1969-12-31T23:59:59"),
            ("timestamp(12)", "2026-01-02 03:04:05.123456000000", "2026-01-02T03:04:05.123456"),
            ("timestamp with time zone", "2026-01-02 03:04:05.000 UTC", "2026-01-02T03:04:05Z"),
            ("timestamp with time zone", "2026-07-01 12:00:00.000 Europe/Berlin", "2026-07-01T10:00:00Z"),
            ("timestamp with time zone", "2026-01-01 12:00:00.000 Europe/Berlin", "2026-01-01T11:00:00Z"),
            ("timestamp with time zone", "2026-01-01 12:00:00.000 -03:30", "2026-01-01T15:30:00Z"),
            ("interval year to month", "-1-2", "-2 years 10 mons"),
            ("interval day to second", "-1 00:00:00.500", "-PT86400.5S"),
            ("time with time zone", "12:34:56.789+00:00", "12:34:56.789+00:00"),
        ] {
            check(data_type, text, expected);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for (data_type, text) in [
            ("boolean", "TRUE"),
            ("boolean", ""),
            ("tinyint", "128"),
            ("integer", "1.0"),
            ("integer", ""),
            ("decimal(3,1)", "100.0"),
            ("decimal(3,1)", "1.25"),
            ("decimal(3,1)", "."),
            ("decimal(3,1)", "1e1"),
            ("decimal(38,10)", "99999999999999999999999999999999999999"),
            ("varbinary", "0"),
            ("varbinary", "01ff0"),
            ("date", "2026-02-30"),
            ("date", "2026-1-1"),
            ("date", "2026-01-01 "),
            ("time", "24:00:00"),
            ("timestamp", "2026-01-01T00:00:00"),
            ("timestamp", "2026-01-01 00:00:00."),
            ("timestamp", "2026-01-01 00:00:00.0000001"),
            ("timestamp with time zone", "2026-01-01 00:00:00 Mars/Olympus"),
            ("timestamp with time zone", "2026-10-25 02:30:00 Europe/Berlin"),
            ("timestamp with time zone", "2026-03-29 02:30:00 Europe/Berlin"),
            ("interval year to month", "1-12"),
            ("interval day to second", "1 25:00:00.000"),
        ] {
            refused(data_type, text);
        }
    }

    #[test]
    fn broken_utf8_is_an_error() {
        let mut builder = ColumnBuilder::new(&AthenaType::Varchar(None));
        builder.append(Some(b"a")).expect("ASCII");
        builder.append(Some(b"\xff")).expect("looked at later");
        assert_eq!(builder.finish().map(drop), Err(Misfit { index: 1, fault: ValueFault::NotUtf8 }));
        let halves = [0, 1].map(|at| Some(Cell::within("ü".as_bytes(), at, at + 1)));
        builder.append_all(halves.into_iter()).expect("looked at later");
        assert_eq!(builder.finish().map(drop), Err(Misfit { index: 0, fault: ValueFault::NotUtf8 }));
    }

    proptest! {
        #[test]
        fn values_that_lie_in_one_text_are_those_read_one_by_one(
            data_type in prop::sample::select(vec![
                "tinyint", "smallint", "integer", "bigint", "decimal(5,2)", "decimal(18,7)", "decimal(38,0)",
                "decimal(38,10)", "date", "varchar", "double", "boolean",
            ]),
            texts in prop::collection::vec(
                prop::option::weighted(0.9, prop_oneof![
                    8 => "-?[0-9]{1,18}|-?[0-9]{1,7}\\.[0-9]{2}|[0-9]{1,9}\\.[0-9]{7}|(19|20)[0-9]{2}-(0[1-9]|1[0-2])-[0-2][1-8]",
                    2 => "[a-zü]{0,20}",
                    1 => "[a-z]{60,70}|true|",
                ]),
                0..3 * MAX_VALUES,
            ),
            apart in any::<prop::sample::Index>(),
        ) {
            let data_type = AthenaType::parse(data_type).expect("a type");
            // Only what fits, and now and then something that does not.
            let fits = |text: &Option<String>| {
                let one = ColumnBuilder::new(&data_type).append(text.as_ref().map(|text| text.as_bytes()));
                one.is_ok() || text.as_deref().is_some_and(|text| text.starts_with('z'))
            };
            let texts: Vec<Option<String>> = texts.into_iter().filter(fits).collect();
            let mut expected = ColumnBuilder::new(&data_type);
            let (mut found, mut lanes) = (ColumnBuilder::new(&data_type), Lanes::default());
            for texts in texts.chunks(MAX_VALUES) {
                let (mut text, mut others, mut places) = (Vec::new(), Vec::new(), Vec::new());
                for (index, value) in texts.iter().enumerate() {
                    let Some(value) = value else {
                        places.push(Place::NULL);
                        continue;
                    };
                    let is_apart = index == apart.index(MAX_VALUES);
                    let (to, place): (_, fn(u32, u32) -> Place) =
                        if is_apart { (&mut others, Place::apart) } else { (&mut text, Place::new) };
                    to.push(b'"');
                    places.push(place(to.len() as u32, value.len() as u32));
                    to.extend_from_slice(value.as_bytes());
                }
                let one_by_one = texts.iter().enumerate().try_for_each(|(index, text)| {
                    let text = text.as_ref().map(|text| text.as_bytes());
                    expected.append(text).map_err(|fault| Misfit { index, fault })
                });
                let places = Places::of_column(&places, 0, 1);
                let together = found.append_block(Block { text: &text, apart: &others, places }, &mut lanes);
                prop_assert_eq!(&together, &one_by_one);
                if together.is_err() {
                    return Ok(());
                }
            }
            prop_assert_eq!(&found.finish().expect("UTF-8"), &expected.finish().expect("UTF-8"));
        }
    }
}
