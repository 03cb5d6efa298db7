//! Log-linear histogram of nanosecond values: 64 linear buckets per power of two, so a value is
//! known to one part in 64. Fixed size, no allocation on record.

const LINEAR_BITS: u32 = 6;
const LINEAR: usize = 1 << LINEAR_BITS;

pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
    sum: u128,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; LINEAR * 60], count: 0, max: 0, sum: 0 }
    }

    fn bucket_of(value: u64) -> usize {
        if value < LINEAR as u64 {
            return value as usize;
        }
        let shift = 63 - value.leading_zeros() - LINEAR_BITS;
        ((shift as usize + 1) << LINEAR_BITS) + ((value >> shift) as usize - LINEAR)
    }

    fn upper_edge(bucket: usize) -> u64 {
        if bucket < LINEAR {
            return bucket as u64;
        }
        let shift = (bucket >> LINEAR_BITS) - 1;
        (((bucket & (LINEAR - 1)) + LINEAR + 1) as u64) << shift
    }

    #[inline]
    pub(crate) fn add(&mut self, value_ns: u64) {
        let last = self.buckets.len() - 1;
        self.buckets[Self::bucket_of(value_ns).min(last)] += 1;
        self.count += 1;
        self.sum += u128::from(value_ns);
        self.max = self.max.max(value_ns);
    }

    /// Upper edge of the bucket that holds the quantile, in microseconds; 0 without values.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let wanted = ((self.count as f64) * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Self::upper_edge(bucket).min(self.max) as f64 / 1000.0;
            }
        }
        self.max_us()
    }

    pub(crate) fn max_us(&self) -> f64 {
        self.max as f64 / 1000.0
    }

    pub(crate) fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.sum / u128::from(self.count)) as f64 / 1000.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut histogram = Histogram::new();
        for i in 1..=100_000u64 {
            histogram.add(i * 1000);
        }
        for (quantile, expected) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let got = histogram.quantile_us(quantile);
            assert!((got - expected).abs() / expected < 0.02, "{quantile}: {got}");
        }
        assert_eq!(histogram.max_us(), 100_000.0);
        assert_eq!(Histogram::new().quantile_us(0.5), 0.0);
    }
}
