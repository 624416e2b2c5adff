//! The only catalogs and databases that somebody is to see: names, or beginnings of names with a `*`.

use super::GLUE_CATALOG;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    catalogs: Vec<String>,
    schemas: Vec<String>,
}

impl Scope {
    /// `None` where neither says anything. Without catalogs it is Glue's; without databases it is all of them.
    pub fn new(catalogs: &[String], schemas: &[String]) -> Option<Self> {
        if catalogs.is_empty() && schemas.is_empty() {
            return None;
        }
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        let glue = [GLUE_CATALOG.to_owned()];
        Some(Self { catalogs: lower(if catalogs.is_empty() { &glue } else { catalogs }), schemas: lower(schemas) })
    }

    pub fn has_catalog(&self, catalog: &str) -> bool {
        self.catalogs.iter().any(|pattern| fits(pattern, catalog))
    }

    pub fn has(&self, catalog: &str, schema: &str) -> bool {
        self.has_catalog(catalog)
            && (self.schemas.is_empty() || self.schemas.iter().any(|pattern| fits(pattern, schema)))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let name = name.to_lowercase();
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_fit() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let scope = Scope::new(&[], &list(&["Sales", "mart_*"])).expect("a scope");
        for (catalog, schema, expected) in [
            ("awsdatacatalog", "sales", true),
            ("AwsDataCatalog", "MART_x", true),
            ("awsdatacatalog", "sales2", false),
            ("awsdatacatalog", "martyrs", false),
            ("awsdatacatalog", "information_schema", false),
            ("lambda", "sales", false),
        ] {
            assert_eq!(scope.has(catalog, schema), expected, "{catalog}.{schema}");
        }
        assert!(Scope::new(&list(&["lambda"]), &[]).expect("a scope").has("lambda", "any"));
        assert_eq!(Scope::new(&[], &[]), None);
    }
}
