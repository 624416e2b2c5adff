//! The text of arrays, maps and rows → nested Arrow arrays, where it can be read back exactly (athena-behaviour, section 4).
//!
//! `[1, null]`, `{k=1}`, `{id=1, day=2026-01-02}`, and `{1, 2}` for a row whose fields have no names. Texts inside are
//! neither quoted nor escaped, so a type with one of them anywhere is not read: [`AthenaType::reads_back`].

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::arrow::{element_field, entries_field, row_fields};
use super::builder::{ColumnBuilder, Misfit};
use super::value::ValueFault;
use super::{AthenaType, RowField};

impl AthenaType {
    /// Whether the text of a value says all that the value is, also inside arrays, maps and rows.
    pub fn reads_back(&self) -> bool {
        match self {
            Self::Array(Some(element)) => element.reads_back_inside(),
            Self::Map(Some(entry)) => entry.0.reads_back_inside() && entry.1.reads_back_inside(),
            Self::Row(Some(fields)) => fields.iter().all(|field| field.data_type.reads_back_inside()),
            Self::Array(None) | Self::Map(None) | Self::Row(None) => false,
            _ => true,
        }
    }

    fn reads_back_inside(&self) -> bool {
        match self {
            // Unquoted; and nobody has seen how bytes look inside of something.
            Self::Varchar(_) | Self::Char(_) | Self::Json | Self::Varbinary | Self::Other(_) => false,
            other => other.reads_back(),
        }
    }
}

/// Collects arrays, maps or rows from their text.
pub struct NestedBuilder {
    shape: Shape,
    nulls: NullBufferBuilder,
}

enum Shape {
    List { field: FieldRef, offsets: Vec<i32>, element: ColumnBuilder },
    Map { field: FieldRef, offsets: Vec<i32>, key: ColumnBuilder, value: ColumnBuilder },
    Row { fields: Fields, names: Vec<Option<String>>, values: Vec<ColumnBuilder> },
}

impl NestedBuilder {
    /// `None` for a type that is not nested, or whose inner types are not known.
    pub fn new(data_type: &AthenaType) -> Option<Self> {
        let shape = match data_type {
            AthenaType::Array(Some(element)) => {
                Shape::List { field: element_field(element), offsets: vec![0], element: ColumnBuilder::new(element) }
            }
            AthenaType::Map(Some(entry)) => Shape::Map {
                field: entries_field(&entry.0, &entry.1),
                offsets: vec![0],
                key: ColumnBuilder::new(&entry.0),
                value: ColumnBuilder::new(&entry.1),
            },
            AthenaType::Row(Some(fields)) => Shape::Row {
                fields: row_fields(fields),
                names: fields.iter().map(|RowField { name, .. }| name.clone()).collect(),
                values: fields.iter().map(|field| ColumnBuilder::new(&field.data_type)).collect(),
            },
            _ => return None,
        };
        Some(Self { shape, nulls: NullBufferBuilder::new(0) })
    }

    /// Appends one value; `None` is NULL.
    pub fn append(&mut self, text: Option<&[u8]>) -> Result<(), ValueFault> {
        let Some(text) = text else { return self.append_null() };
        // Once for all texts inside.
        let text = std::str::from_utf8(text).map_err(|_| ValueFault::NotUtf8)?;
        let mut rest = Rest(text.as_bytes());
        self.read(&mut rest)?;
        if rest.0.is_empty() { Ok(()) } else { Err(self.fault()) }
    }

    fn append_null(&mut self) -> Result<(), ValueFault> {
        self.nulls.append_null();
        match &mut self.shape {
            Shape::List { offsets, element, .. } => end_of(offsets, element),
            Shape::Map { offsets, key, .. } => end_of(offsets, key),
            Shape::Row { values, .. } => values.iter_mut().try_for_each(|value| value.append(None)),
        }
    }

    fn read(&mut self, rest: &mut Rest<'_>) -> Result<(), ValueFault> {
        let fault = self.fault();
        let needed = |found: bool| if found { Ok(()) } else { Err(fault.clone()) };
        self.nulls.append_non_null();
        match &mut self.shape {
            Shape::List { offsets, element, .. } => {
                needed(rest.take(b"["))?;
                if !rest.take(b"]") {
                    loop {
                        read_value(element, rest, &ENDS)?;
                        if rest.take(b"]") {
                            break;
                        }
                        needed(rest.take(b", "))?;
                    }
                }
                end_of(offsets, element)
            }
            Shape::Map { offsets, key, value, .. } => {
                needed(rest.take(b"{"))?;
                if !rest.take(b"}") {
                    loop {
                        read_value(key, rest, b"=")?;
                        needed(rest.take(b"="))?;
                        read_value(value, rest, &ENDS)?;
                        if rest.take(b"}") {
                            break;
                        }
                        needed(rest.take(b", "))?;
                    }
                }
                end_of(offsets, key)
            }
            Shape::Row { names, values, .. } => {
                needed(rest.take(b"{"))?;
                for (i, (name, value)) in names.iter().zip(values).enumerate() {
                    needed(i == 0 || rest.take(b", "))?;
                    if let Some(name) = name {
                        needed(rest.take(name.as_bytes()) && rest.take(b"="))?;
                    }
                    read_value(value, rest, &ENDS)?;
                }
                needed(rest.take(b"}"))
            }
        }
    }

    fn fault(&self) -> ValueFault {
        ValueFault::NotA(match self.shape {
            Shape::List { .. } => "array of its element type",
            Shape::Map { .. } => "map of its key and value types",
            Shape::Row { .. } => "row of its fields",
        })
    }

    /// The values so far as an array; the builder starts anew.
    pub fn finish(&mut self) -> Result<ArrayRef, Misfit> {
        let nulls = self.nulls.finish();
        let taken = |offsets: &mut Vec<i32>| OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])));
        Ok(match &mut self.shape {
            Shape::List { field, offsets, element } => {
                Arc::new(ListArray::new(Arc::clone(field), taken(offsets), element.finish()?, nulls))
            }
            Shape::Map { field, offsets, key, value } => {
                let DataType::Struct(fields) = field.data_type() else { unreachable!("entries are a struct") };
                let keys = key.finish()?;
                if keys.null_count() > 0 {
                    return Err(Misfit { index: 0, fault: ValueFault::NotA("map: a key is NULL") });
                }
                let entries = StructArray::new(fields.clone(), vec![keys, value.finish()?], None);
                Arc::new(MapArray::new(Arc::clone(field), taken(offsets), entries, nulls, false))
            }
            Shape::Row { fields, values, .. } => {
                let values = values.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::new(fields.clone(), values, nulls))
            }
        })
    }

    /// The number of values so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the values so far take, about.
    pub fn bytes(&self) -> usize {
        match &self.shape {
            Shape::List { offsets, element, .. } => offsets.len() * 4 + element.bytes(),
            Shape::Map { offsets, key, value, .. } => offsets.len() * 4 + key.bytes() + value.bytes(),
            Shape::Row { values, .. } => values.iter().map(ColumnBuilder::bytes).sum(),
        }
    }
}

/// What may stand behind a value inside of another.
const ENDS: [u8; 3] = *b",]}";

/// Reads one inner value, up to one of `ends` where it is not nested itself.
fn read_value(builder: &mut ColumnBuilder, rest: &mut Rest<'_>, ends: &[u8]) -> Result<(), ValueFault> {
    let length = rest.0.iter().position(|byte| ends.contains(byte)).unwrap_or(rest.0.len());
    let text = &rest.0[..length];
    if text == b"null" {
        rest.0 = &rest.0[length..];
        return builder.append(None);
    }
    if let ColumnBuilder::Nested(nested) = builder {
        return nested.read(rest);
    }
    rest.0 = &rest.0[length..];
    builder.append(Some(text))
}

fn end_of(offsets: &mut Vec<i32>, values: &ColumnBuilder) -> Result<(), ValueFault> {
    offsets.push(i32::try_from(values.len()).map_err(|_| ValueFault::TooLarge)?);
    Ok(())
}

/// What is still to be read of a value's text.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, expected: &[u8]) -> bool {
        let found = self.0.starts_with(expected);
        if found {
            self.0 = &self.0[expected.len()..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    fn read(data_type: &str, text: &str) -> Result<String, ValueFault> {
        let data_type = AthenaType::parse(data_type).expect("a type");
        assert!(data_type.reads_back());
        let mut builder = ColumnBuilder::new(&data_type);
        builder.append(Some(text.as_bytes()))?;
        builder.append(None)?;
        let array = builder.finish().map_err(|misfit| misfit.fault)?;
        assert_eq!(array.data_type(), &data_type.arrow());
        assert!(array.is_null(1));
        Ok(array_value_to_string(&array, 0).expect("printable"))
    }

    #[test]
    fn what_can_be_read_back_is() {
        for (data_type, text, expected) in [
            ("array(integer)", "[]", "[]"),
            ("array(integer)", "[1, null, -3]", "[1, , -3]"),
            ("array(array(boolean))", "[[true], null, []]", "[[true], , []]"),
            ("map(integer, double)", "{}", "{}"),
            ("map(integer, double)", "{1=1.0E20, 2=null, 3=NaN}", "{1: 1e20, 2: , 3: NaN}"),
            ("map(array(integer), date)", "{[1, 2]=2026-01-02}", "{[1, 2]: 2026-01-02}"),
            ("row(id integer, \"a=b, c\" decimal(5,2))", "{id=1, a=b, c=1.50}", "{id: 1, a=b, c: 1.50}"),
            ("row(integer, array(date))", "{1, [9999-12-31]}", "{field0: 1, field1: [9999-12-31]}"),
            (
                "array(row(t timestamp(3) with time zone, m map(bigint, row(x tinyint))))",
                "[{t=2026-07-01 12:00:00.000 Europe/Berlin, m={7={x=1}}}, null]",
                "[{t: 2026-07-01T10:00:00Z, m: {7: {x: 1}}}, ]",
            ),
            ("array(interval day to second)", "[1 02:03:04.005]", "[PT93784.005S]"),
            ("array(ipaddress)", "[::1]", "[::1]"),
        ] {
            assert_eq!(read(data_type, text).as_deref(), Ok(expected), "{data_type} {text}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for (data_type, text) in [
            ("array(integer)", ""),
            ("array(integer)", "[1"),
            ("array(integer)", "[1,2]"),
            ("array(integer)", "[1, ]"),
            ("array(integer)", "[1]x"),
            ("array(integer)", "[x]"),
            ("map(integer, integer)", "{1}"),
            ("map(integer, integer)", "{null=1}"),
            ("row(a integer)", "{b=1}"),
            ("row(a integer)", "{a=1, b=2}"),
            ("row(a integer, b integer)", "{a=1}"),
            ("row(a array(integer))", "{a=[1}"),
        ] {
            assert!(read(data_type, text).is_err(), "{data_type} {text}");
        }
    }

    #[test]
    fn a_text_inside_cannot_be_read_back() {
        for data_type in ["array(varchar)", "map(varchar, integer)", "row(a row(b char(2)))", "array(json)", "array"] {
            assert!(!AthenaType::parse(data_type).expect("a type").reads_back(), "{data_type}");
        }
    }
}
