//! A strict reader of Prometheus' text format (version 0.0.4): whatever it does not know is a fault.

use std::collections::BTreeMap;

/// What was exported.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// The type of each metric.
    pub(crate) kinds: BTreeMap<String, String>,
    /// The value of each sample, by its name and labels as they stand there.
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut current: Option<String> = None;
        assert!(text.ends_with('\n'), "the last line ends too");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && !help.contains('\\'), "{line}");
                current = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(current.as_deref(), Some(name), "HELP and TYPE go together");
                assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                let before = read.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} comes once");
            } else {
                read.sample(line, current.as_deref().unwrap());
            }
        }
        read.check_histograms();
        read
    }

    #[track_caller]
    fn sample(&mut self, line: &str, metric: &str) {
        let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = match key.split_once('{') {
            None => (key, ""),
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        };
        let kind = self.kinds[metric].as_str();
        let suffix = name.strip_prefix(metric).unwrap_or_else(|| panic!("{line} below {metric}"));
        match kind {
            "histogram" => assert!(matches!(suffix, "_bucket" | "_sum" | "_count"), "{line}"),
            _ => assert_eq!(suffix, "", "{line} below {metric}"),
        }
        for pair in labels.split(',').filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("{line}"));
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
            assert!(!value.contains(['"', '\\']) && !value.is_empty(), "{line}");
        }
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        assert_eq!(self.samples.insert(key.to_owned(), value), None, "{line} comes twice");
    }

    /// Buckets grow, and the last is the count.
    fn check_histograms(&self) {
        for (key, count) in &self.samples {
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            let Some(metric) = name.strip_suffix("_count") else { continue };
            let labels = labels.strip_suffix('}').unwrap();
            let own = if labels.is_empty() { String::new() } else { format!("{labels},") };
            let prefix = format!("{metric}_bucket{{{own}le=\"");
            let mut buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter_map(|(key, n)| Some((key.strip_prefix(&prefix)?.strip_suffix("\"}")?, *n)))
                .map(|(le, n)| (le.parse().unwrap(), n))
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.len() > 2 && buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{key}");
        }
    }

    /// One sample, such as `hubbub_bytes_total{direction="in"}`.
    #[track_caller]
    pub(crate) fn get(&self, key: &str) -> f64 {
        *self.samples.get(key).unwrap_or_else(|| panic!("there is no {key}"))
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let prefix = format!("{name}{{");
        let of = |key: &str| key == name || key.starts_with(&prefix);
        self.samples.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
    }
}
