//! Metrics of the process, by the names that Prometheus's client libraries share, so that dashboards of any program work.
//! Only on Linux.

use std::fmt;

use procfs::{
    WithCurrentSystemInfo as _, boot_time_secs,
    process::{LimitValue, Process},
    ticks_per_second,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

#[derive(Debug)]
pub(super) struct ProcessMetrics;

#[allow(clippy::cast_precision_loss, reason = "a metric needs no more precision")]
impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        // A program may always read its own files in /proc, also where CORE_DUMPS=deny makes root their owner.
        let Ok(process) = Process::myself() else { return Ok(()) };
        let mut put = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn EncodeInto| {
            metric.encode_into(&mut encoder, name, help, unit.as_ref())
        };
        if let Ok(stat) = process.stat() {
            let seconds = |ticks: u64| ticks as f64 / ticks_per_second() as f64;
            let cpu = ConstCounter::new(seconds(stat.utime + stat.stime));
            put("process_cpu", "CPU time, user and system", Some(Unit::Seconds), &cpu)?;
            let resident = ConstGauge::new(stat.rss_bytes().get());
            put("process_resident_memory", "Memory in RAM", Some(Unit::Bytes), &resident)?;
            put("process_virtual_memory", "Virtual memory", Some(Unit::Bytes), &ConstGauge::new(stat.vsize))?;
            put("process_threads", "Threads", None, &ConstGauge::new(stat.num_threads))?;
            if let Ok(boot) = boot_time_secs() {
                let start = ConstGauge::new(boot as f64 + seconds(stat.starttime));
                let help = "When the process started, in seconds since 1970";
                put("process_start_time", help, Some(Unit::Seconds), &start)?;
            }
        }
        if let Ok(open) = process.fd_count() {
            let open = ConstGauge::new(u64::try_from(open).unwrap_or(u64::MAX));
            put("process_open_fds", "Open files", None, &open)?;
        }
        if let Ok(LimitValue::Value(max)) = process.limits().map(|limits| limits.max_open_files.soft_limit) {
            put("process_max_fds", "The largest number of open files", None, &ConstGauge::new(max))?;
        }
        Ok(())
    }
}

/// Writes a metric with its descriptor.
trait EncodeInto {
    fn encode_into(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
    ) -> Result<(), fmt::Error>;
}

impl<M: EncodeMetric> EncodeInto for M {
    fn encode_into(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
    ) -> Result<(), fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, unit, self.metric_type())?)
    }
}
