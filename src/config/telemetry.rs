//! Settings of logs and traces. Those of traces are OpenTelemetry's standard variables.

use std::fmt;

use axum::http::{HeaderName, HeaderValue, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{HIDDEN, reader::Reader};

#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// In the syntax of `RUST_LOG`.
    pub(crate) filter: String,
    /// One JSON object per line instead of text.
    pub(crate) json: bool,
}

impl Log {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let filter = settings
            .parse("RUST_LOG", "info,rally_api_keys=debug", |text| check_filter(text).map(|()| text.to_owned()));
        let json = settings.parse("LOG_FORMAT", "json", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("must be text or json"),
        });
        Self { filter: filter.unwrap_or_else(|| "info".into()), json: json.unwrap_or_default() }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        let format = if self.json { "json" } else { "text" };
        vec![("RUST_LOG", self.filter.clone()), ("LOG_FORMAT", format.into())]
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// The target of the service's own lines.
const OWN_TARGET: &str = "rally_api_keys";

/// Refuses a filter that would silence the service by mistake. To the parser, a misspelt level is the name of a target.
fn check_filter(text: &str) -> Result<(), String> {
    text.parse::<tracing_subscriber::EnvFilter>().map_err(|error| format!("is not a log filter: {error}"))?;
    let mut shows_own = false;
    for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let lower = directive.to_ascii_lowercase();
        let is_level = LEVELS.contains(&&*lower) || matches!(&*lower, "0" | "1" | "2" | "3" | "4" | "5");
        let is_word = !directive.contains(['=', '[', ']', '{', '}', '"']);
        let target = directive.split(['=', '[']).next().unwrap_or_default();
        if is_word && !is_level && !directive.starts_with(OWN_TARGET) {
            let near = LEVELS.iter().find(|level| strsim::damerau_levenshtein(&lower, level) <= 2);
            let hint = near.map_or(".".into(), |level| format!("; did you mean {level}?"));
            return Err(format!(
                "has {directive:?}, which is no level ({}){hint} For one target, write {directive}=debug",
                LEVELS.join(", ")
            ));
        }
        shows_own |= is_level || OWN_TARGET.starts_with(target) || directive.starts_with(OWN_TARGET);
    }
    if shows_own {
        return Ok(());
    }
    Err("would silence the service: it has no level for all targets; put one in front, as in info,sqlx=debug".into())
}

#[derive(Clone)]
pub(crate) struct Traces {
    /// The collector's URL, without `/v1/traces`.
    pub(crate) endpoint: String,
    /// Sent with each export, such as a credential for the collector.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) service_name: Option<String>,
    /// Resource attributes.
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) sampler: TraceSampler,
}

impl Traces {
    pub(super) fn read(settings: &mut Reader) -> Option<Self> {
        const ENDPOINT: &str = "http://127.0.0.1:4318";
        let endpoint = settings.parse("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT, |text| {
            let uri = text.parse::<Uri>().ok();
            let plain = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
            let authority =
                plain.as_ref().and_then(Uri::authority).filter(|authority| !authority.as_str().contains('@'));
            authority.map(|_| text.to_owned()).ok_or("must be http(s)://host[:port][/path], without a user name")
        });
        let headers = settings.parse("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token", |text| {
            parse_pairs(text)
                .filter(|pairs| {
                    let is_header = |(name, value): &(String, String)| {
                        name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok()
                    };
                    pairs.iter().all(is_header)
                })
                .ok_or("must be name=value pairs, comma-separated, values percent-encoded")
        });
        let resource = settings.parse("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production", |text| {
            parse_pairs(text).ok_or("must be name=value pairs, comma-separated, values percent-encoded")
        });
        let ratio = settings.parse("OTEL_TRACES_SAMPLER_ARG", "0.1", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or("must be a number from 0 to 1")
        });
        let sampler = settings.parse("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", |text| {
            let (parent_based, kind) = text.strip_prefix("parentbased_").map_or((false, text), |kind| (true, kind));
            let ratio = match kind {
                "always_on" => None,
                "always_off" => Some(0.0),
                "traceidratio" => ratio.filter(|ratio| *ratio < 1.0),
                _ => return Err("must be always_on, always_off or traceidratio, or parentbased_ and one of them"),
            };
            Ok(TraceSampler { parent_based, ratio })
        });
        Some(Self {
            endpoint: endpoint?,
            headers: headers.unwrap_or_default(),
            service_name: settings.get("OTEL_SERVICE_NAME").map(str::to_owned),
            resource: resource.unwrap_or_default(),
            sampler: sampler.unwrap_or(TraceSampler { parent_based: true, ratio: None }),
        })
    }

    pub(super) fn effective(traces: Option<&Self>) -> Vec<(&'static str, String)> {
        let value = |value: fn(&Self) -> Option<String>| traces.and_then(value).unwrap_or_default();
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", value(|traces| Some(traces.endpoint.clone()))),
            ("OTEL_EXPORTER_OTLP_HEADERS", value(|traces| (!traces.headers.is_empty()).then(|| HIDDEN.to_owned()))),
            ("OTEL_SERVICE_NAME", value(|traces| traces.service_name.clone())),
            ("OTEL_RESOURCE_ATTRIBUTES", value(|traces| Some(format_pairs(&traces.resource)))),
            ("OTEL_TRACES_SAMPLER", value(|traces| Some(traces.sampler.to_string()))),
            (
                "OTEL_TRACES_SAMPLER_ARG",
                value(|traces| traces.sampler.ratio.filter(|ratio| *ratio > 0.0).map(|ratio| ratio.to_string())),
            ),
        ]
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Traces")
            .field("endpoint", &self.endpoint)
            .field("headers", &headers)
            .field("service_name", &self.service_name)
            .field("resource", &self.resource)
            .field("sampler", &self.sampler)
            .finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TraceSampler {
    /// Follows the caller's sampling decision if the request carries one.
    pub(crate) parent_based: bool,
    /// The share of traces that are sampled. `None`: all.
    pub(crate) ratio: Option<f64>,
}

impl fmt::Display for TraceSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.parent_based { "parentbased_" } else { "" })?;
        f.write_str(match self.ratio {
            None => "always_on",
            Some(0.0) => "always_off",
            Some(_) => "traceidratio",
        })
    }
}

/// Parses `a=1,b=2` with percent-encoded values, the format of OpenTelemetry's variables.
fn parse_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value))
    });
    pairs.collect()
}

fn format_pairs(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn a_filter_that_would_silence_the_service_by_mistake_is_refused() {
        for good in [
            "info",
            "INFO",
            "off",
            "info,sqlx=debug",
            "rally_api_keys=debug",
            "rally_api_keys",
            "warn,rally_api_keys::http=trace",
            "[request{tenant=acme}]=debug",
            "h2=off,debug",
        ] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for (bad, problem) in [
            ("inof", "did you mean info?"),
            ("info,debgu", "did you mean debug?"),
            ("verbose", "is no level (off, error, warn, info, debug, trace)"),
            ("sqlx=debug", "would silence the service"),
            ("rally_api_key_s=debug", "would silence the service"),
            ("info=debug", "would silence the service"),
            ("rally_api_keys=debgu", "is not a log filter"),
        ] {
            let error = check_filter(bad).unwrap_err();
            assert!(error.contains(problem), "{bad}: {error}");
        }
    }

    #[test]
    fn opentelemetry_variables_are_read_as_its_sdk_reads_them() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let traces =
            |more: &[(&str, &str)]| config(&[&[endpoint][..], more].concat()).map(|config| config.traces.unwrap());
        assert!(config(&[("OTEL_SERVICE_NAME", "keys")]).unwrap().traces.is_none());
        let default = traces(&[]).unwrap();
        assert_eq!(default.sampler, TraceSampler { parent_based: true, ratio: None });
        let set = traces(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3Db, x-scope=1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a.b=c%2Cd"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ])
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(set.headers, [pair("authorization", "Bearer a=b"), pair("x-scope", "1")]);
        assert_eq!(set.resource, [pair("a.b", "c,d")]);
        assert_eq!(set.sampler, TraceSampler { parent_based: false, ratio: Some(0.5) });
        assert!(!format!("{set:?}").contains("Bearer"));
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:p@host"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            let error = config(&[(name, value)]).unwrap_err();
            assert!(error.contains(name) && !error.contains("u:p"), "{error}");
        }
    }
}
