//! The manifest of an UNLOAD: the files it wrote, one S3 location a line (athena-behaviour, section 5).

use super::super::ReadError;
use super::super::object::{Object, S3Uri};
use crate::aws::Clients;

/// Longest manifest: more than a hundred thousand files.
const MAX_BYTES: u64 = 16 << 20;

/// The files in a manifest. Those outside of the prefix that was asked for are not ours to read.
pub async fn files(clients: &Clients, manifest: &str, prefix: &str) -> Result<Vec<S3Uri>, ReadError> {
    let object = Object::find(clients, manifest).await?;
    if object.size > MAX_BYTES {
        return Err(object.error(format!("a manifest of {} bytes is too long", object.size)));
    }
    if object.size == 0 {
        return Ok(Vec::new());
    }
    let bytes = object.range(clients, 0, object.size).await?;
    parse(&bytes, prefix).map_err(|why| object.error(why))
}

fn parse(manifest: &[u8], prefix: &str) -> Result<Vec<S3Uri>, String> {
    let text = std::str::from_utf8(manifest).map_err(|_| "the manifest is not UTF-8".to_owned())?;
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let inside = line.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
        let uri = S3Uri::parse(line).filter(|_| inside);
        uri.ok_or_else(|| format!("the manifest names {line:?}, which is not below {prefix}"))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_below_the_prefix_or_are_refused() {
        let prefix = "s3://b/u/1/";
        assert_eq!(parse(b"", prefix), Ok(vec![]));
        let two = parse(b"s3://b/u/1/x\ns3://b/u/1/y z\n", prefix).expect("two files");
        assert_eq!(two.iter().map(|uri| uri.key.as_str()).collect::<Vec<_>>(), ["u/1/x", "u/1/y z"]);
        for other in ["s3://b/u/1/", "s3://b/u/2/x", "s3://c/u/1/x", "u/1/x", "\u{fffd}"] {
            assert!(parse(other.as_bytes(), prefix).is_err(), "{other}");
        }
        assert!(parse(b"\xff", prefix).is_err());
    }
}
