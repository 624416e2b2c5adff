//! URLs: their parts, and percent-encoding.

use datafusion::arrow::array::{Array as _, ArrayRef};
use url::Url;

use super::{Checked, Class, Native, each, long_array, map_text, strings, text_array, value, varchar};
use crate::emulator::model::Failure;
use crate::types::AthenaType::{self, Bigint};

const TEXT: &[&[Class]] = &[&[Class::Text]];

pub const FUNCTIONS: &[Native] = &[
    Native::takes("athena_url_encode", TEXT, varchar, |args, _, _| map_text(args, |text| Ok(Some(encoded(text))))),
    Native::takes("athena_url_decode", TEXT, varchar, |args, _, _| map_text(args, |text| decoded(text).map(Some))),
    Native::takes("athena_url_extract_host", TEXT, varchar, |args, _, _| {
        part(args, |url| url.host_str().unwrap_or_default().to_owned())
    }),
    Native::takes("athena_url_extract_path", TEXT, varchar, |args, _, _| part(args, |url| decoded_or(url.path()))),
    Native::takes("athena_url_extract_protocol", TEXT, varchar, |args, _, _| part(args, |url| url.scheme().to_owned())),
    Native::takes("athena_url_extract_query", TEXT, varchar, |args, _, _| {
        part(args, |url| decoded_or(url.query().unwrap_or_default()))
    }),
    Native::takes("athena_url_extract_fragment", TEXT, varchar, |args, _, _| {
        part(args, |url| decoded_or(url.fragment().unwrap_or_default()))
    }),
    Native::takes(
        "athena_url_extract_port",
        TEXT,
        || Bigint,
        |args, _, _| {
            let texts = strings(&args[0])?;
            long_array(each(texts.len(), |row| {
                let url = value!(texts, row).and_then(|text| Url::parse(text).ok());
                // The crate leaves out a port that is the scheme's own; Java shows what is written.
                Ok(url.and_then(|url| url.port().map(i64::from)))
            })?)
        },
    ),
    Native::takes("athena_url_extract_parameter", &[&[Class::Text, Class::Text]], varchar, parameter),
];

/// As `application/x-www-form-urlencoded` has it: letters, digits and `-_.*` stay, a blank becomes `+`.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn decoded(text: &str) -> Checked<String> {
    let broken = || Failure::invalid_argument(format!("URL cannot be decoded: '{text}'"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                bytes.push(digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(broken)?);
                rest = &after[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

fn decoded_or(text: &str) -> String {
    decoded(&text.replace('+', "%2B")).unwrap_or_else(|_| text.to_owned())
}

/// NULL for what is no URL.
fn part(args: &[ArrayRef], take: impl Fn(&Url) -> String) -> Checked<ArrayRef> {
    map_text(args, |text| Ok(Url::parse(text).ok().map(|url| take(&url))))
}

fn parameter(args: &[ArrayRef], _: &[AthenaType], _: &AthenaType) -> Checked<ArrayRef> {
    let (texts, names) = (strings(&args[0])?, strings(&args[1])?);
    text_array(each(texts.len(), |row| {
        let Some((text, name)) = value!(texts, row).zip(value!(names, row)) else { return Ok(None) };
        let Ok(url) = Url::parse(text) else { return Ok(None) };
        Ok(url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()))
    })?)
}
