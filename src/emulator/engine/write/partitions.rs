//! Partitions as folders: `key=value/`, escaped as Hive escapes them.

use std::collections::BTreeMap;

use datafusion::arrow::array::{ArrayRef, UInt32Array};

use crate::emulator::engine::text;
use crate::emulator::model::{ACCOUNT, Failure, Parameters, Partition, Storage, Table, now};
use crate::types::AthenaType;

/// The value of a partition whose key is NULL.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// A partition's values and its rows; all of them where there are no keys.
pub type Split = Vec<(Vec<String>, Option<UInt32Array>)>;

/// Parts a batch by the values of its partition keys.
pub fn split(keys: &[ArrayRef], types: &[(String, AthenaType)], rows: usize) -> Result<Split, Failure> {
    if keys.is_empty() {
        return Ok(vec![(Vec::new(), None)]);
    }
    let mut by_values: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
    for row in 0..rows {
        let mut values = Vec::with_capacity(keys.len());
        for (key, (_, data_type)) in keys.iter().zip(types) {
            let mut value = String::new();
            let known = text::append(&mut value, key, row, data_type)?;
            values.push(if known { value } else { NULL_PARTITION.to_owned() });
        }
        by_values.entry(values).or_default().push(row as u32);
    }
    Ok(by_values.into_iter().map(|(values, rows)| (values, Some(UInt32Array::from(rows)))).collect())
}

/// `year=2024/month=1`
pub fn folder_name<'a>(keys: impl Iterator<Item = &'a str>, values: &[String]) -> String {
    keys.zip(values).map(|(key, value)| format!("{key}={}", escaped(value))).collect::<Vec<_>>().join("/")
}

/// Characters that Hive does not leave in a folder's name.
pub fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { NULL_PARTITION.to_owned() } else { out }
}

pub fn unescaped(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A partition of a table, below the table's folder unless it lies elsewhere.
pub fn partition(table: &Table, values: Vec<String>, location: Option<String>) -> Partition {
    let keys = table.partition_keys.iter().map(|key| key.name.as_str());
    let below =
        format!("{}/{}/", table.location().unwrap_or_default().trim_end_matches('/'), folder_name(keys, &values));
    let storage = table.storage_descriptor.clone().unwrap_or_default();
    Partition {
        values,
        database_name: table.database_name.clone(),
        table_name: table.name.clone(),
        creation_time: now(),
        storage_descriptor: Some(Storage { location: Some(location.unwrap_or(below)), ..storage }),
        parameters: Parameters::new(),
        catalog_id: ACCOUNT.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_can_be_read_back() {
        for value in ["2024-01-01", "a/b=c", "12:30", "100%", "ü ß", "{[]}"] {
            let escaped = escaped(value);
            assert!(!escaped.contains('/') && !escaped.contains('='), "{escaped}");
            assert_eq!(unescaped(&escaped), value);
        }
        assert_eq!(escaped("a/b"), "a%2Fb");
    }
}
