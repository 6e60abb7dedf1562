//! Settings of reports of leaked secrets.

use std::{fs, path::PathBuf};

use super::reader::Reader;
use crate::auth::github_keys::{GithubKeySet, GithubKeysLocation};

const URL: &str = "LEAKS_GITHUB_KEYS_URL";
const FILE: &str = "LEAKS_GITHUB_KEYS_FILE";
const URL_EXAMPLE: &str = "https://api.github.com/meta/public_keys/secret_scanning";
const FILE_EXAMPLE: &str = "/etc/rally-api-keys/github-keys.json";

#[derive(Clone, Debug)]
pub(crate) struct Leaks {
    /// Where the keys are by which GitHub signs its reports. `None`: its reports are not accepted.
    pub(crate) github: Option<GithubKeysLocation>,
    file: Option<PathBuf>,
}

impl Leaks {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let url = settings.parse(URL, URL_EXAMPLE, GithubKeysLocation::at);
        let file = settings.parse(FILE, FILE_EXAMPLE, |path| {
            let json = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
            Ok::<_, String>((PathBuf::from(path), GithubKeySet::parse(&json)?))
        });
        if url.is_some() && file.is_some() {
            settings.reject(FILE, "must not be set where LEAKS_GITHUB_KEYS_URL is", FILE_EXAMPLE);
        }
        if file.is_some() {
            settings.warn_if_replaceable(FILE);
        }
        let (file, keys) = file.unzip();
        Self { github: url.or(keys.map(GithubKeysLocation::File)), file }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let url = match &self.github {
            Some(GithubKeysLocation::Url(url)) => url.to_string(),
            _ => String::new(),
        };
        let file = self.file.as_ref().map(|path| path.display().to_string());
        vec![(URL, url), (FILE, file.unwrap_or_default())]
    }
}
