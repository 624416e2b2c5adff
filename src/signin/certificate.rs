//! The principal that a client certificate names: its subject's common name, else the whole subject. Its organisational
//! units are the groups.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Principal;

/// Of a certificate that was verified.
pub fn principal(der: &[u8]) -> Option<Principal> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok()).filter(|name| !name.is_empty());
    let name = common_name.map_or_else(|| subject.to_string(), str::to_owned);
    let units = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).map(str::to_owned);
    (!name.is_empty()).then(|| Principal::new(name, units.collect()))
}
