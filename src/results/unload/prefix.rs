//! Where a query's files go: `<output location>/athena-flight-unload/<end>-<random>-<check>/`.
//!
//! The name itself says when the files may be removed and that this program made it up, so that any gateway can tidy up
//! after any other, and nothing else is ever touched.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The folder below the output location that is ours.
pub const FOLDER: &str = "athena-flight-unload/";

/// A prefix of our own, to be removed at `end`, in seconds since the epoch. `output` is where Athena leaves results.
pub fn new(output: &str, end: i64) -> String {
    format!("{}{FOLDER}{}/", folder(output), name(end, &Uuid::new_v4().simple().to_string()))
}

/// An output location with a slash at its end.
pub fn folder(output: &str) -> String {
    format!("{}/", output.trim_end_matches('/'))
}

/// When the files below a folder's name may be removed; `None` for a name that we did not make up.
pub fn end(folder: &str) -> Option<i64> {
    let mut parts = folder.strip_suffix('/').unwrap_or(folder).splitn(3, '-');
    let (end, random, _) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    (name(end, random) == folder.strip_suffix('/').unwrap_or(folder)).then_some(end)
}

/// The folder that results lie in, from the location of one of them.
pub fn output_of(location: &str) -> Option<&str> {
    let folder = &location[..=location.rfind('/')?];
    folder.strip_prefix("s3://").is_some_and(|rest| rest.len() > 1).then_some(folder)
}

fn name(end: i64, random: &str) -> String {
    let digest = Sha256::digest(format!("athena-flight unload {end} {random}"));
    let check: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{end}-{random}-{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_have_an_end() {
        let prefix = new("s3://bucket/results", 1_800_000_000);
        let folder = prefix.strip_prefix("s3://bucket/results/athena-flight-unload/").expect("our folder");
        assert_eq!(end(folder), Some(1_800_000_000));
        let moved = folder.replacen("18", "17", 1);
        for other in ["", "/", "2026-01-01/", "1800000000-abc-00000000/", moved.as_str()] {
            assert_eq!(end(other), None, "{other}");
        }
    }

    #[test]
    fn results_lie_in_a_folder() {
        assert_eq!(output_of("s3://bucket/a/id.csv"), Some("s3://bucket/a/"));
        assert_eq!(output_of("s3://bucket/id.csv"), Some("s3://bucket/"));
        assert_eq!(output_of("s3://bucket"), None);
        assert_eq!(output_of("id.csv"), None);
    }
}
