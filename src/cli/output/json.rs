//! JSON of any value: arrow-json's encoders, and others where those fail or lose something. Maps may have keys of any type,
//! and floating-point numbers that JSON has not are texts.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};

/// Makes the encoders that differ from arrow-json's.
pub fn factory() -> Arc<dyn EncoderFactory> {
    Arc::new(Factory)
}

/// The encoder of one column.
pub fn encoder<'a>(field: &'a FieldRef, array: &'a dyn Array) -> Result<NullableEncoder<'a>, ArrowError> {
    static OPTIONS: LazyLock<EncoderOptions> =
        LazyLock::new(|| EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(factory()));
    make_encoder(field, array, &OPTIONS)
}

/// The name of a number that is none; Java's, which Athena writes too.
pub fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        value if value.is_nan() => Some("NaN"),
        _ => None,
    }
}

/// A floating-point number as a double; `None` of another type.
pub fn float(array: &dyn Array, row: usize) -> Option<f64> {
    match array.data_type() {
        DataType::Float16 => Some(array.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => Some(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().value(row)),
        _ => None,
    }
}

#[derive(Debug)]
struct Factory;

impl EncoderFactory for Factory {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Box::new(Floats { array, finite: make_encoder(field, array, &PLAIN)? })
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Box::new(Maps {
                    offsets: map.offsets(),
                    keys: make_encoder(field, map.keys(), options)?,
                    values: make_encoder(field, map.values(), options)?,
                })
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Floats<'a> {
    array: &'a dyn Array,
    finite: NullableEncoder<'a>,
}

impl Encoder for Floats<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match float(self.array, row).and_then(not_finite) {
            Some(name) => text(name, out),
            None => self.finite.encode(row, out),
        }
    }
}

struct Maps<'a> {
    offsets: &'a OffsetBuffer<i32>,
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
}

impl Encoder for Maps<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let entries = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        for entry in entries.clone() {
            if entry > entries.start {
                out.push(b',');
            }
            // The name of a member is a text: of a key that is none, its JSON.
            let mut key = Vec::new();
            self.keys.encode(entry, &mut key);
            match key.first() {
                Some(b'"') => out.append(&mut key),
                _ => text(&String::from_utf8_lossy(&key), out),
            }
            out.push(b':');
            if self.values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(entry, out);
            }
        }
        out.push(b'}');
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text is JSON, and a Vec takes all that is written");
}
