//! Issuers that sign for many customers with the same keys.

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Domains of Microsoft's issuers, with those of its national clouds.
const MICROSOFT: [&str; 12] = [
    "b2clogin.com",
    "chinacloudapi.cn",
    "ciamlogin.com",
    "microsoft.com",
    "microsoftonline-p.com",
    "microsoftonline.cn",
    "microsoftonline.com",
    "microsoftonline.de",
    "microsoftonline.us",
    "windows-ppe.net",
    "windows.net",
    "windowsazure.us",
];
/// Where Google publishes the keys of all Firebase projects.
const GOOGLE: [&str; 1] = ["googleapis.com"];

/// True for issuers of many directories. Each directory's tokens have an `iss` of their own, so that it cannot be compared
/// with the configured one, and anybody may create a directory.
pub(crate) fn is_multi_tenant(issuer: &str) -> bool {
    let names_all = |segment: &str| {
        let segment = percent_decode_str(segment).decode_utf8_lossy();
        ["common", "organizations", "consumers"].iter().any(|name| segment.trim().eq_ignore_ascii_case(name))
    };
    let shared =
        |url: Url| is_of(&url, &MICROSOFT) && url.path_segments().is_some_and(|mut segments| segments.any(names_all));
    issuer.contains(['{', '}']) || Url::parse(issuer).is_ok_and(shared)
}

/// True if the keys at that address also sign for issuers that anybody may create. Microsoft's are those of every
/// directory, whichever one the address names.
pub(crate) fn signs_for_many_issuers(keys: &str) -> bool {
    is_multi_tenant(keys) || Url::parse(keys).is_ok_and(|url| is_of(&url, &MICROSOFT) || is_of(&url, &GOOGLE))
}

fn is_of(url: &Url, domains: &[&str]) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    domains.iter().any(|domain| {
        host.strip_suffix(domain).is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_for_many_directories_is_told_from_one_of_a_single_directory() {
        for shared in [
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com//common/v2.0",
            "https://login.microsoftonline.com./Common/v2.0",
            "https://LOGIN.microsoftonline.com:443/x/../%63ommon/v2.0",
            "https://login.microsoftonline.us/organizations/v2.0",
            "https://login.partner.microsoftonline.cn/common",
            "https://login.microsoft.com/common/v2.0",
            "https://login.windows.net/common",
            "https://sts.windows.net/consumers/",
            "https://x.ciamlogin.com/common/v2.0",
            "https://login.example/{tenantid}/v2.0",
        ] {
            assert!(is_multi_tenant(shared), "{shared}");
        }
        for single in [
            "https://login.microsoftonline.com/8f6a2b1e-5c3d-4e7f-9a0b-1c2d3e4f5a6b/v2.0",
            "https://sts.windows.net/8f6a2b1e-5c3d-4e7f-9a0b-1c2d3e4f5a6b/",
            "https://login.example/common",
            "https://microsoftonline.com.example/common",
            "https://notmicrosoft.com/common",
            "common",
        ] {
            assert!(!is_multi_tenant(single), "{single}");
        }
    }

    #[test]
    fn keys_of_many_issuers_are_told_by_their_address() {
        for shared in [
            "https://login.microsoftonline.com/common/discovery/v2.0/keys",
            "https://login.microsoftonline.com/8f6a2b1e-5c3d-4e7f-9a0b-1c2d3e4f5a6b/discovery/v2.0/keys",
            "https://login.windows.net/common/discovery/keys",
            "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        ] {
            assert!(signs_for_many_issuers(shared), "{shared}");
        }
        assert!(!signs_for_many_issuers("https://login.example/common/keys"));
    }
}
