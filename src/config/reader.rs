//! Reads settings from text and collects every error.

use std::{collections::BTreeMap, fmt, mem, path::Path, str::FromStr};

use super::{
    NAMES, Warning, mistaken_names,
    secret_file::{self, SECRETS},
};

/// Every bad setting, with what is wrong and an example.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<BadSetting>);

impl ConfigError {
    pub(super) fn of(name: &str, problem: impl Into<String>) -> Self {
        Self(vec![BadSetting::new(name, problem, "")])
    }

    pub(super) fn unless_empty(bad: Vec<BadSetting>) -> Result<(), Self> {
        if bad.is_empty() { Ok(()) } else { Err(Self(bad)) }
    }
}

#[derive(Debug)]
pub(super) struct BadSetting {
    name: String,
    problem: String,
    example: &'static str,
}

impl BadSetting {
    pub(super) fn new(name: impl Into<String>, problem: impl Into<String>, example: &'static str) -> Self {
        Self { name: name.into(), problem: problem.into(), example }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad settings:")?;
        for BadSetting { name, problem, example } in &self.0 {
            write!(f, "\n  {name} {problem}")?;
            if !example.is_empty() {
                write!(f, "\n      for example: {name}={example}")?;
            }
        }
        Ok(())
    }
}

/// The settings as text, and the errors and warnings found so far.
pub(super) struct Reader {
    values: BTreeMap<String, String>,
    bad: Vec<BadSetting>,
    warnings: Vec<Warning>,
}

impl Reader {
    pub(super) fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Self { values: values.into_iter().collect(), bad: Vec::new(), warnings: Vec::new() };
        settings.find_mistaken_names();
        settings.read_secret_files();
        settings
    }

    /// Returns what was read, unless a setting was bad.
    pub(super) fn finish<T>(self, read: T) -> Result<T, ConfigError> {
        ConfigError::unless_empty(self.bad).map(|()| read)
    }

    /// An empty value counts as unset, since `docker compose` passes unset variables on as empty ones.
    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        debug_assert!(NAMES.contains(&name), "{name} is missing in NAMES");
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn reject(&mut self, name: impl Into<String>, problem: impl Into<String>, example: &'static str) {
        self.bad.push(BadSetting::new(name, problem, example));
    }

    /// `None` if the setting is unset or bad. The message of the error follows the setting's name and must not
    /// contain the value, which may be a secret.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err(problem) => {
                match self.secret_files().into_iter().find(|(of, _)| SECRETS.contains(&(name, of))) {
                    Some((file, _)) => self.reject(file, format!("holds a {name} that {problem}"), ""),
                    None => self.reject(name, problem.to_string(), example),
                }
                None
            }
        }
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display>(
        &mut self,
        name: &'static str,
        default: T,
        (min, max): (T, T),
        example: &'static str,
    ) -> T {
        self.parse(name, example, |text| {
            text.parse()
                .ok()
                .filter(|number| (&min..=&max).contains(&number))
                .ok_or_else(|| format!("must be a number from {min} to {max}"))
        })
        .unwrap_or(default)
    }

    pub(super) fn list<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        self.parse(name, example, |text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect::<Result<Vec<_>, E>>()
        })
        .unwrap_or_default()
    }

    /// Puts the content of each file in the place of the secret.
    fn read_secret_files(&mut self) {
        for (name, file) in SECRETS {
            let Some(path) = self.get(file) else { continue };
            if self.get(name).is_some() {
                self.reject(file, format!("must not be set where {name} is set too"), "");
                continue;
            }
            match secret_file::read(Path::new(path)) {
                Ok(secret) => {
                    self.values.insert(name.to_owned(), secret.text);
                    self.warnings.extend(secret.warnings.into_iter().map(|problem| Warning::of_unsafe(file, problem)));
                }
                Err(problem) => self.reject(file, problem, ""),
            }
        }
    }

    /// The settings that name a file with a secret, and their paths.
    pub(super) fn secret_files(&self) -> Vec<(&'static str, String)> {
        SECRETS.iter().filter_map(|(_, file)| Some((*file, self.get(file)?.to_owned()))).collect()
    }

    pub(super) fn warn_of_published_secrets(&mut self) {
        for (name, _) in SECRETS {
            if self.get(name).is_some_and(secret_file::is_published) {
                let problem = "holds a secret that is published in docker-compose.yml, but BASE_DOMAIN is not localhost: \
                               anybody can use it; set a secret of your own";
                self.warnings.push(Warning::of_unsafe(name, problem));
            }
        }
    }

    /// The names of all settings that are set.
    pub(super) fn set_names(&self) -> Vec<&'static str> {
        NAMES.iter().copied().filter(|name| self.get(name).is_some()).collect()
    }

    /// A warning, if others may replace the file that a setting names.
    pub(super) fn warn_if_replaceable(&mut self, name: &'static str) {
        let problem = self.get(name).and_then(|path| secret_file::replaceable(Path::new(path)));
        self.warnings.extend(problem.map(|problem| Warning::of_unsafe(name, problem)));
    }

    /// Warnings, if others may read or replace the file that a setting names. A missing file is an error elsewhere.
    pub(super) fn warn_if_exposed(&mut self, name: &'static str) {
        let Some(path) = self.get(name).map(Path::new) else { return };
        let Ok(found) = path.metadata() else { return };
        let warnings: Vec<_> =
            secret_file::exposed(path, &found).map(|problem| Warning::of_unsafe(name, problem)).collect();
        self.warnings.extend(warnings);
    }

    pub(super) fn take_warnings(&mut self) -> Vec<Warning> {
        mem::take(&mut self.warnings)
    }

    /// Rejects misspelt names, and warns of variables that were most likely meant to be settings.
    fn find_mistaken_names(&mut self) {
        for (name, value) in self.values.clone() {
            if let Some(known) = mistaken_names::misspelt(&name) {
                self.reject(name, format!("is not a setting; did you mean {known}?"), "");
                continue;
            }
            let warning = mistaken_names::warning(&name, value.trim(), |setting| self.get(setting).is_some());
            if let Some(problem) = warning.filter(|_| !value.trim().is_empty()) {
                self.warnings.push(Warning { name, problem, is_unsafe: false });
            }
        }
    }
}
