//! The principal that a client certificate names: its subject's common name, else the whole subject. Its organisational
//! units are the groups, and it is known for as long as the certificate is good.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Principal;

/// Of a certificate that was verified.
pub fn principal(der: &[u8]) -> Option<Principal> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok()).filter(|name| !name.is_empty());
    let name = common_name.map_or_else(|| subject.to_string(), str::to_owned);
    let units = subject.iter_organizational_unit().filter_map(|unit| unit.as_str().ok()).map(str::to_owned);
    let expires_at = u64::try_from(certificate.validity().not_after.timestamp()).ok();
    (!name.is_empty()).then(|| Principal { expires_at, ..Principal::new(name, units.collect()) })
}
