//! Bytes: their texts, their digests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use datafusion::arrow::array::{Array as _, ArrayRef};
use hmac::{KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    Checked, Class, Native, binary_array, bytes, double_array, doubles, each, long_array, longs, strings, text_array,
    value, varchar,
};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, *};

const BYTES: &[&[Class]] = &[&[Class::Binary]];
const TEXT: &[&[Class]] = &[&[Class::Text]];
const TWO: &[&[Class]] = &[&[Class::Binary, Class::Binary]];

pub const FUNCTIONS: &[Native] = &[
    Native::takes(
        "athena_to_utf8",
        TEXT,
        || Varbinary,
        |args, _, _| bytes_of_text(args, |text| Ok(text.as_bytes().to_vec())),
    ),
    Native::takes(
        "athena_from_utf8",
        &[&[Class::Binary], &[Class::Binary, Class::Text], &[Class::Binary, Class::Int]],
        varchar,
        from_utf8,
    ),
    Native::takes("athena_to_hex", BYTES, varchar, |args, _, _| text_of_bytes(args, |bytes| hex(bytes, true))),
    Native::takes("athena_from_hex", TEXT, || Varbinary, |args, _, _| bytes_of_text(args, from_hex)),
    Native::takes("athena_to_base64", BYTES, varchar, |args, _, _| text_of_bytes(args, |bytes| STANDARD.encode(bytes))),
    Native::takes(
        "athena_from_base64",
        TEXT,
        || Varbinary,
        |args, _, _| bytes_of_text(args, |text| decoded(&STANDARD, text)),
    ),
    Native::takes("athena_to_base64url", BYTES, varchar, |args, _, _| {
        text_of_bytes(args, |bytes| URL_SAFE.encode(bytes))
    }),
    Native::takes(
        "athena_from_base64url",
        TEXT,
        || Varbinary,
        |args, _, _| bytes_of_text(args, |text| decoded(&URL_SAFE, text)),
    ),
    Native::takes("athena_md5", BYTES, || Varbinary, |args, _, _| map_bytes(args, |bytes| Md5::digest(bytes).to_vec())),
    Native::takes(
        "athena_sha1",
        BYTES,
        || Varbinary,
        |args, _, _| map_bytes(args, |bytes| Sha1::digest(bytes).to_vec()),
    ),
    Native::takes(
        "athena_sha256",
        BYTES,
        || Varbinary,
        |args, _, _| map_bytes(args, |bytes| Sha256::digest(bytes).to_vec()),
    ),
    Native::takes(
        "athena_sha512",
        BYTES,
        || Varbinary,
        |args, _, _| map_bytes(args, |bytes| Sha512::digest(bytes).to_vec()),
    ),
    Native::takes(
        "athena_xxhash64",
        BYTES,
        || Varbinary,
        |args, _, _| map_bytes(args, |bytes| twox_hash::XxHash64::oneshot(0, bytes).to_be_bytes().to_vec()),
    ),
    Native::takes(
        "athena_crc32",
        BYTES,
        || Bigint,
        |args, _, _| {
            let values = bytes(&args[0])?;
            long_array(each(values.len(), |row| Ok(value!(values, row).map(|bytes| crc32fast::hash(bytes).into())))?)
        },
    ),
    Native::takes(
        "athena_hmac_sha256",
        TWO,
        || Varbinary,
        |args, _, _| {
            keyed(args, |bytes, key| {
                let mut mac = hmac::Hmac::<Sha256>::new_from_slice(key).ok()?;
                mac.update(bytes);
                Some(mac.finalize().into_bytes().to_vec())
            })
        },
    ),
    Native::takes(
        "athena_hmac_sha512",
        TWO,
        || Varbinary,
        |args, _, _| {
            keyed(args, |bytes, key| {
                let mut mac = hmac::Hmac::<Sha512>::new_from_slice(key).ok()?;
                mac.update(bytes);
                Some(mac.finalize().into_bytes().to_vec())
            })
        },
    ),
    Native::takes(
        "athena_to_big_endian_64",
        &[&[Class::Int]],
        || Varbinary,
        |args, _, _| {
            let values = longs(&args[0])?;
            binary_array(each(values.len(), |row| Ok(value!(values, row).map(|value| value.to_be_bytes().to_vec())))?)
        },
    ),
    Native::takes(
        "athena_from_big_endian_64",
        BYTES,
        || Bigint,
        |args, _, _| {
            let values = bytes(&args[0])?;
            long_array(each(values.len(), |row| match value!(values, row) {
                Some(bytes) => Ok(Some(i64::from_be_bytes(eight(bytes)?))),
                None => Ok(None),
            })?)
        },
    ),
    Native::takes(
        "athena_to_ieee754_64",
        &[&[Class::Number]],
        || Varbinary,
        |args, _, _| {
            let values = doubles(&args[0])?;
            binary_array(each(values.len(), |row| Ok(value!(values, row).map(|value| value.to_be_bytes().to_vec())))?)
        },
    ),
    Native::takes(
        "athena_from_ieee754_64",
        BYTES,
        || Double,
        |args, _, _| {
            let values = bytes(&args[0])?;
            double_array(each(values.len(), |row| match value!(values, row) {
                Some(bytes) => Ok(Some(f64::from_be_bytes(eight(bytes)?))),
                None => Ok(None),
            })?)
        },
    ),
];

fn eight(bytes: &[u8]) -> Checked<[u8; 8]> {
    bytes
        .try_into()
        .map_err(|_| Failure::invalid_argument(format!("expected 8-byte input, but got instead: {}", bytes.len())))
}

fn text_of_bytes(args: &[ArrayRef], compute: impl Fn(&[u8]) -> String) -> Checked<ArrayRef> {
    let values = bytes(&args[0])?;
    text_array(each(values.len(), |row| Ok(value!(values, row).map(&compute)))?)
}

fn bytes_of_text(args: &[ArrayRef], compute: impl Fn(&str) -> Checked<Vec<u8>>) -> Checked<ArrayRef> {
    let values = strings(&args[0])?;
    binary_array(each(values.len(), |row| value!(values, row).map(&compute).transpose())?)
}

fn map_bytes(args: &[ArrayRef], compute: impl Fn(&[u8]) -> Vec<u8>) -> Checked<ArrayRef> {
    let values = bytes(&args[0])?;
    binary_array(each(values.len(), |row| Ok(value!(values, row).map(&compute)))?)
}

fn keyed(args: &[ArrayRef], compute: impl Fn(&[u8], &[u8]) -> Option<Vec<u8>>) -> Checked<ArrayRef> {
    let (values, keys) = (bytes(&args[0])?, bytes(&args[1])?);
    binary_array(each(values.len(), |row| {
        Ok(value!(values, row).zip(value!(keys, row)).and_then(|(bytes, key)| compute(bytes, key)))
    })?)
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

fn from_hex(text: &str) -> Checked<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
        Some(_) => Err(Failure::invalid_argument(format!("string length must be even, actual: {}", text.len()))),
        None => Err(Failure::invalid_argument(format!("invalid hex character in '{text}'"))),
    }
}

fn decoded(engine: &impl base64::Engine, text: &str) -> Checked<Vec<u8>> {
    engine.decode(text).map_err(|error| Failure::invalid_argument(format!("Illegal base64 text: {error}")))
}

/// What is not UTF-8 becomes U+FFFD, or the replacement given.
fn from_utf8(args: &[ArrayRef], given: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let values = bytes(&args[0])?;
    let replacement = |row: usize| -> Checked<String> {
        match (args.get(1), given.get(1)) {
            (Some(texts), Some(Varchar(_) | Char(_))) => Ok(strings(texts)?.value(row).to_owned()),
            (Some(points), Some(_)) => {
                let point = longs(points)?.value(row);
                let found = u32::try_from(point).ok().and_then(char::from_u32);
                found.map(String::from).ok_or_else(|| Failure::invalid_argument("Invalid replacement character"))
            }
            _ => Ok("\u{fffd}".to_owned()),
        }
    };
    text_array(each(values.len(), |row| {
        let Some(bytes) = value!(values, row) else { return Ok(None) };
        let lossy = String::from_utf8_lossy(bytes);
        Ok(Some(match lossy {
            std::borrow::Cow::Borrowed(text) => text.to_owned(),
            std::borrow::Cow::Owned(text) => text.replace('\u{fffd}', &replacement(row)?),
        }))
    })?)
}
