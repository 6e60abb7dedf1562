//! The two text formats of metrics, and which of them a client asks for.
//!
//! OpenMetrics 1.0 for who names it, as Prometheus does; else the older format, which every other tool reads, and which a
//! browser shows.

use std::fmt::Write as _;

use axum::http::{HeaderMap, header};

pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a client prefers OpenMetrics (RFC 9110, section 12.5.1).
pub(super) fn prefers_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut openmetrics, mut plain) = (0.0, 0.0);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let quality = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            Some("application/openmetrics-text") => &mut openmetrics,
            Some("text/plain") => &mut plain,
            _ => continue,
        };
        let given = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        *quality = f32::max(*quality, given.and_then(|text| text.parse().ok()).unwrap_or(1.0));
    }
    openmetrics > 0.0 && openmetrics >= plain
}

/// Metrics in OpenMetrics, rewritten: there a counter's name is without `_total` in HELP and TYPE, and there are types and
/// lines that the older format has not.
pub(super) fn to_classic(openmetrics: &str) -> String {
    let (mut text, mut help) = (String::with_capacity(openmetrics.len()), "");
    for line in openmetrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            // Writing to a String does not fail.
            let _ = write!(text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_clients_that_name_it() {
        let prefers = |accept: &str| {
            let headers = [(header::ACCEPT, accept.parse().unwrap())].into_iter().collect();
            prefers_openmetrics(&headers)
        };
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0, text/plain",
            // Prometheus 3
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;\
             version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_openmetrics(&HeaderMap::new()));
    }

    #[test]
    fn the_older_format_has_the_names_types_and_lines_that_it_knows() {
        let openmetrics = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                           a_seconds_total{b=\"c\"} 1\n# HELP v Version.\n# TYPE v info\nv_info{n=\"1\"} 1\n\
                           # HELP g Gauge.\n# TYPE g gauge\ng 2\n# EOF\n";
        let classic = "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total{b=\"c\"} 1\n\
                       # HELP v_info Version.\n# TYPE v_info gauge\nv_info{n=\"1\"} 1\n\
                       # HELP g Gauge.\n# TYPE g gauge\ng 2\n";
        assert_eq!(to_classic(openmetrics), classic);
    }
}
