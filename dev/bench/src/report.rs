//! Figures, and how they are shown.

use serde::Serialize;

use crate::measure::Usage;

/// One import.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) images_per_second: f64,
    /// What is measured.
    pub(crate) processes: Vec<Usage>,
    /// What both share.
    pub(crate) others: Vec<Usage>,
    /// Mean milliseconds per image and phase.
    pub(crate) phases: Vec<(String, f64)>,
    pub(crate) cpu_seconds_per_1000: f64,
}

impl Run {
    pub(crate) fn new(
        images: u64,
        seconds: f64,
        processes: Vec<Usage>,
        others: Vec<Usage>,
    ) -> Self {
        let cpu: f64 = processes.iter().map(|process| process.cpu_seconds).sum();
        Self {
            seconds,
            images_per_second: images as f64 / seconds,
            cpu_seconds_per_1000: cpu * 1000.0 / images as f64,
            processes,
            others,
            phases: Vec::new(),
        }
    }
}

/// The run under a quota.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quota {
    pub(crate) units_per_minute: u64,
    pub(crate) latency_ms: u64,
    pub(crate) workers: usize,
    pub(crate) images: u64,
    pub(crate) seconds: f64,
    /// 1.0 is all of it; never above.
    pub(crate) used_in_busiest_minute: f64,
    /// Requests that Drive refused for the quota's sake.
    pub(crate) refused: u64,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    images: u64,
    bytes: u64,
    workers: usize,
    pub(crate) floor: Vec<Run>,
    pub(crate) fleet: Vec<Run>,
    /// Fleet over floor, images per second, round by round.
    ratios: Vec<f64>,
    ratio_median: f64,
    pub(crate) quota: Option<Quota>,
}

impl Results {
    pub(crate) fn new(images: u64, bytes: u64, workers: usize) -> Self {
        Self {
            images,
            bytes,
            workers,
            floor: Vec::new(),
            fleet: Vec::new(),
            ratios: Vec::new(),
            ratio_median: 0.0,
            quota: None,
        }
    }

    pub(crate) fn print(mut self, json: bool) -> anyhow::Result<()> {
        self.ratios = self
            .floor
            .iter()
            .zip(&self.fleet)
            .map(|(floor, fleet)| fleet.images_per_second / floor.images_per_second)
            .collect();
        self.ratio_median = median(self.ratios.clone());
        if json {
            println!("{}", serde_json::to_string_pretty(&self)?);
        } else {
            self.table();
        }
        Ok(())
    }

    fn table(&self) {
        println!(
            "{} images of {} bytes, {} worker(s)\n",
            self.images, self.bytes, self.workers
        );
        println!(
            "| | images/s (median) | CPU-s per 1,000 images | peak RSS MiB |\n| --- | ---: | ---: | ---: |"
        );
        for (name, runs) in [("floor", &self.floor), ("fleet", &self.fleet)] {
            let rate = median(runs.iter().map(|run| run.images_per_second).collect());
            let cpu = median(runs.iter().map(|run| run.cpu_seconds_per_1000).collect());
            println!("| **{name}** | {rate:.0} | {cpu:.2} | |");
            let Some(last) = runs.last() else { continue };
            for usage in last.processes.iter().chain(&last.others) {
                let cpu = usage.cpu_seconds * 1000.0 / self.images as f64;
                println!(
                    "| {name}: {} | | {cpu:.2} | {} |",
                    usage.name,
                    usage.peak_rss >> 20
                );
            }
        }
        let ratios: Vec<String> = self
            .ratios
            .iter()
            .map(|ratio| format!("{ratio:.2}"))
            .collect();
        println!(
            "\nratio fleet/floor: {:.2} (rounds: {})",
            self.ratio_median,
            ratios.join(", ")
        );
        if let Some(run) = self.fleet.last() {
            let phases: Vec<String> = run
                .phases
                .iter()
                .map(|(name, ms)| format!("{name} {ms:.1}"))
                .collect();
            println!(
                "mean ms per image in a worker (64 at once): {}",
                phases.join(", ")
            );
        }
        if let Some(quota) = &self.quota {
            println!(
                "quota {} units/min, {} ms latency, {} workers: {:.1}% used in the busiest minute, {} refused",
                quota.units_per_minute,
                quota.latency_ms,
                quota.workers,
                100.0 * quota.used_in_busiest_minute,
                quota.refused
            );
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
