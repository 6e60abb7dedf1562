//! Settings of secrets: peppers, argon2, the cache.

use super::{HIDDEN, joined, reader::Reader};
use crate::auth::api_key::{
    hasher::Argon2Cost,
    pepper::{Pepper, Peppers},
    verifier::KeyFallback,
};

pub(super) const EXAMPLE: &str = "2026-01:<the output of `openssl rand -base64 32`>";

#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) peppers: Peppers,
    /// How a secret without a usable stamp is verified.
    pub(crate) fallback: KeyFallback,
    pub(crate) argon2: Argon2Cost,
    /// The cache's capacity, in secrets.
    pub(crate) cache_entries: usize,
}

impl Keys {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let current = settings.parse("KEY_PEPPER", EXAMPLE, Pepper::parse);
        let next = settings.parse("KEY_PEPPER_NEXT", EXAMPLE, Pepper::parse);
        let retired = settings.list("KEY_PEPPERS_RETIRED", EXAMPLE, Pepper::parse);
        let mut ids: Vec<&str> = current.iter().chain(&next).chain(&retired).map(Pepper::id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < all {
            let problem =
                "must not hold an id that KEY_PEPPER or KEY_PEPPER_NEXT has, or twice: each pepper needs its own";
            settings.reject("KEY_PEPPERS_RETIRED", problem, "");
        }
        let fallback = settings
            .parse("KEY_FALLBACK", "argon2", |text| match text {
                "argon2" => Ok(KeyFallback::Argon2),
                "deny" => Ok(KeyFallback::Deny),
                _ => Err("must be argon2 or deny"),
            })
            .unwrap_or_default();
        // Without DATABASE_URL, a pepper is generated, or the start stops.
        let lacks_pepper = settings.get("KEY_PEPPER").is_none() && settings.get("DATABASE_URL").is_some();
        if fallback == KeyFallback::Deny && lacks_pepper {
            settings.reject(
                "KEY_FALLBACK",
                "can be deny only if KEY_PEPPER is set: otherwise every key would be refused",
                "",
            );
        }
        Self {
            peppers: Peppers { current, next, retired },
            fallback,
            argon2: argon2(settings),
            cache_entries: settings.number("VERIFY_CACHE_ENTRIES", 200_000, (0, 10_000_000), "200000"),
        }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let pepper = |pepper: &Pepper| format!("{}:{HIDDEN}", pepper.id());
        let fallback = match self.fallback {
            KeyFallback::Argon2 => "argon2",
            KeyFallback::Deny => "deny",
        };
        vec![
            ("KEY_PEPPER", self.peppers.current.as_ref().map(pepper).unwrap_or_default()),
            ("KEY_PEPPER_NEXT", self.peppers.next.as_ref().map(pepper).unwrap_or_default()),
            ("KEY_PEPPERS_RETIRED", joined(self.peppers.retired.iter().map(pepper))),
            ("KEY_FALLBACK", fallback.into()),
            ("VERIFY_CACHE_ENTRIES", self.cache_entries.to_string()),
            ("ARGON2_MEMORY_KIB", self.argon2.memory_kib.to_string()),
            ("ARGON2_ITERATIONS", self.argon2.iterations.to_string()),
            ("ARGON2_PARALLELISM", self.argon2.parallelism.to_string()),
        ]
    }
}

fn argon2(settings: &mut Reader) -> Argon2Cost {
    let (default, max) = (Argon2Cost::default(), Argon2Cost::MAX);
    let cost = Argon2Cost {
        memory_kib: settings.number("ARGON2_MEMORY_KIB", default.memory_kib, (8, max.memory_kib), "19456"),
        iterations: settings.number("ARGON2_ITERATIONS", default.iterations, (1, max.iterations), "2"),
        parallelism: settings.number("ARGON2_PARALLELISM", default.parallelism, (1, max.parallelism), "1"),
    };
    if !cost.is_valid() {
        settings.reject("ARGON2_MEMORY_KIB", "must be at least 8 times ARGON2_PARALLELISM", "19456");
    }
    cost
}

#[cfg(test)]
mod tests {
    use crate::config::tests::config;

    #[test]
    fn fallback_deny_without_a_pepper_is_rejected() {
        let (deny, url) = (("KEY_FALLBACK", "deny"), ("DATABASE_URL", "postgres://u@h/d"));
        assert!(config(&[deny, url]).unwrap_err().contains("KEY_PEPPER"));
        assert!(config(&[deny]).is_ok(), "the private PostgreSQL has a pepper of its own");
        let pepper = format!("a:{}=", "A".repeat(43));
        assert!(config(&[deny, url, ("KEY_PEPPER", &pepper)]).is_ok());
        for other in ["KEY_PEPPERS_RETIRED", "KEY_PEPPER_NEXT"] {
            let twice = config(&[("KEY_PEPPER", &pepper), (other, &pepper)]);
            assert!(twice.unwrap_err().contains("each pepper needs its own"));
        }
    }
}
