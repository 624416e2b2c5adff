//! Regions: what is none gets a message with the likely one.

use super::options::nearest;

/// Regions as of 2026, for hints only: a newer one of the usual shape is taken as it is.
const KNOWN: [&str; 39] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];
const DIRECTIONS: [&str; 9] =
    ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

/// What is wrong with a region's name, if anything is.
pub fn fault(region: &str) -> Option<String> {
    if KNOWN.contains(&region) || has_shape(region) {
        return None;
    }
    let zone = region.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|region| has_shape(region));
    if let Some(of_zone) = zone {
        return Some(format!("{region} is an availability zone: its region is {of_zone}"));
    }
    let hint = nearest(&region.to_lowercase(), KNOWN.into_iter());
    let hint = hint.map_or_else(String::new, |hint| format!(": did you mean {hint}?"));
    Some(format!("there is no region {region:?}{hint}"))
}

/// `eu-west-3`, `us-gov-west-1`: areas, a direction, a number.
fn has_shape(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let [areas @ .., direction, number] = parts.as_slice() else { return false };
    let area = |area: &&str| (2..=5).contains(&area.len()) && area.bytes().all(|b| b.is_ascii_lowercase());
    !areas.is_empty()
        && areas.len() <= 2
        && areas.iter().all(area)
        && DIRECTIONS.contains(direction)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_typos_get_the_likely_region() {
        for sound in KNOWN.iter().chain(&["ap-southeast-9", "us-iso-east-1"]) {
            assert_eq!(fault(sound), None);
        }
        for (wrong, hint) in [
            ("us-east-1a", "its region is us-east-1"),
            ("us-eats-1", "did you mean us-east-1?"),
            ("eu-central1", "did you mean eu-central-1?"),
            ("EU-WEST-1", "did you mean eu-west-1?"),
            ("Frankfurt", "there is no region"),
        ] {
            let said = fault(wrong).expect("no region");
            assert!(said.contains(hint), "{wrong}: {said}");
        }
    }
}
