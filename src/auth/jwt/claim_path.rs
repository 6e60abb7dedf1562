//! Names of claims in settings.

use std::fmt;

use serde_json::{Map, Value};

/// The name of a claim, or a path into nested objects such as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// Any text is a path.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Refuses what is no claim of any issuer.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.split('.').any(|name| name.trim().is_empty()) {
            return Err("must be a claim's name, or names with one dot between them, as in `realm_access.roles`");
        }
        Ok(Self::new(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value there, unless it is null.
    pub(super) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        find(claims, &self.0)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names may contain dots, as URIs do: the longest name that is there counts.
fn find<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).filter(|value| !value.is_null()).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| find(object.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_into_nested_objects_and_names_may_have_dots() {
        let claims = json!({
            "tenant": "a",
            "realm_access": {"roles": ["b"], "null": null},
            "http://schemas.example/2008/06/role": "c",
            "https://rallycrm.io/app": {"tenant": "d", "x.y": {"z": "e"}},
            "o": {"slg": "f"},
            "o.slg": "g",
        });
        let Value::Object(claims) = claims else { panic!("an object") };
        for (path, expected) in [
            ("tenant", json!("a")),
            ("realm_access.roles", json!(["b"])),
            ("http://schemas.example/2008/06/role", json!("c")),
            ("https://rallycrm.io/app.tenant", json!("d")),
            ("https://rallycrm.io/app.x.y.z", json!("e")),
            ("o.slg", json!("g")),
        ] {
            assert_eq!(ClaimPath::new(path).find(&claims), Some(&expected), "{path}");
        }
        for path in ["", ".", "tenant.", "tenant.a", "realm_access.null", "realm_access.roles.0", "other", "..."] {
            assert_eq!(ClaimPath::new(path).find(&claims), None, "{path}");
        }
    }
}
