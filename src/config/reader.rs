//! Values read by their kinds; whatever is wrong with one is noted, and reading goes on.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::given::Given;

pub struct Reader<'a> {
    given: &'a Given,
    pub faults: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(given: &'a Given) -> Self {
        Self { given, faults: given.faults.clone() }
    }

    pub fn fault(&mut self, why: impl Into<String>) {
        self.faults.push(why.into());
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.given.get(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.given.get(name).map(str::to_owned)
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.given.get(name).map(PathBuf::from)
    }

    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.given.get(name).map(SecretString::from)
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        let items = self.given.get(name).into_iter().flat_map(|text| text.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    pub fn switch(&mut self, name: &str) -> bool {
        match self.given.get(name) {
            None => false,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(other) => {
                self.fault(format!("--{name} {other:?} is neither true nor false"));
                false
            }
        }
    }

    pub fn number<N: FromStr + PartialOrd + Display>(&mut self, name: &str, least: N, most: N) -> Option<N> {
        let text = self.given.get(name)?;
        let number = text.trim().parse().ok().filter(|number| (&least..=&most).contains(&number));
        if number.is_none() {
            self.fault(format!("--{name} {text} is not a number from {least} to {most}"));
        }
        number
    }

    pub fn seconds(&mut self, name: &str, least: u64, most: u64) -> Option<Duration> {
        self.number(name, least, most).map(Duration::from_secs)
    }

    pub fn size(&mut self, name: &str) -> Option<usize> {
        let text = self.given.get(name)?;
        let size = bytes(text);
        if size.is_none() {
            self.fault(format!("--{name} {text:?} is not a size, as 256MiB or 1GiB"));
        }
        size
    }

    /// A value that a type of its own can read.
    pub fn parsed<T: FromStr<Err = String>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.given.get(name)?.parse();
        parsed.map_err(|why| self.fault(format!("--{name}: {why}"))).ok()
    }

    pub fn http_url(&mut self, name: &str) -> Option<String> {
        let url = self.text(name)?;
        if url.starts_with("http://") || url.starts_with("https://") {
            return Some(url);
        }
        self.fault(format!("--{name} {url:?} starts neither with http:// nor with https://"));
        None
    }
}

/// A size: `1048576`, `256MiB`, `1 GiB`.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("1048576", Some(1 << 20)),
            ("256MiB", Some(256 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("64KiB", Some(64 << 10)),
            ("1GB", None),
            ("", None),
            ("99999999999999GiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
