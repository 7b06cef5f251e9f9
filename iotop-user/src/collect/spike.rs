//! Finds spikes: intervals in which a device is written to much more than usual.
//!
//! The rule: an interval is part of a spike if its write rate is above a floor and above a
//! multiple of the usual rate. The usual rate is the one that 98 % of the last 600 intervals
//! did not exceed. A rate above the threshold enters this history as the threshold. A single
//! spike therefore hardly changes the usual rate, while repeated bursts, or a load that
//! stays, soon become usual. In the first minute there is too little history to call a rate
//! unusual, so there are no spikes yet. A spike is over after three intervals in a row that are not above
//! the threshold.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use crate::sample::{BlockTotals, Flush, Number, Spike, SpikePart, SpikeRule, Written};

/// Number of intervals in the history.
const HISTORY: usize = 600;
/// The part of the history that does not exceed the usual rate.
const USUAL: f64 = 0.98;
/// Number of intervals in a row, none above the threshold, that end a spike.
const QUIET: usize = 3;

impl Spike {
    /// Adds the device's flushes of the interval that ended at `time`.
    fn add_flushes(&mut self, time: Timestamp, flushes: &[Flush]) {
        for flush in flushes {
            let lag = flush.written.lag.as_ref().map(|lag| lag.lag.max);
            let since = lag.and_then(|lag| time.checked_sub(lag).ok());
            self.oldest = self.oldest.into_iter().chain(since).min();
            self.written.add(&flush.written);
            let submitter = flush.submitter.as_ref();
            let comm = submitter.map(|task| task.comm.clone());
            let bytes = flush.written.totals.write;
            let same =
                |part: &&mut SpikePart| part.reason == flush.reason && part.submitter == comm;
            match self.parts.iter_mut().find(same) {
                Some(part) => part.bytes += bytes,
                None => self.parts.push(SpikePart {
                    reason: flush.reason.clone(),
                    submitter: comm,
                    kthread: submitter.is_some_and(|task| task.kthread),
                    bytes,
                }),
            }
        }
        self.parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    }
}

/// Watches all devices for spikes.
#[derive(Debug)]
pub struct Spikes {
    rule: SpikeRule,
    devices: BTreeMap<Number, Watched>,
    /// The shortest interval so far. When the user quits, the last interval is cut short. A
    /// few bytes in a very short time would be a high rate, so the rate of an interval is
    /// computed over at least this length.
    shortest: Option<Duration>,
    /// How long the devices were watched.
    watched: Duration,
}

/// One device's history and its spike, if one goes on.
#[derive(Debug, Default)]
struct Watched {
    rates: VecDeque<f64>,
    spike: Option<Spike>,
    /// The flushes since the spike's last interval. They belong to the spike only if another
    /// interval above the threshold follows.
    since: Vec<(Timestamp, Vec<Flush>)>,
}

impl Spikes {
    /// Starts without a history.
    pub fn new(rule: SpikeRule) -> Spikes {
        Spikes {
            rule,
            devices: BTreeMap::new(),
            shortest: None,
            watched: Duration::ZERO,
        }
    }

    /// Adds the interval that ended at `time`. Returns the spikes that ended and those that
    /// go on.
    pub fn look(
        &mut self,
        time: Timestamp,
        interval: Duration,
        devices: &[(Number, BlockTotals)],
        flushes: &[Flush],
    ) -> Vec<Spike> {
        let length = interval.max(self.shortest.unwrap_or(interval));
        // A device without a history was there all the time, and idle.
        let enough = self.watched >= self.rule.history;
        self.watched += interval;
        self.shortest = Some(self.shortest.unwrap_or(interval).min(interval));
        for (device, _) in devices {
            self.devices.entry(*device).or_default();
        }
        let mut spikes = Vec::new();
        for (device, watched) in &mut self.devices {
            let totals = devices.iter().find(|(other, _)| other == device);
            let bytes = totals.map_or(0, |(_, totals)| totals.write);
            let rate = bytes as f64 / length.as_secs_f64().max(f64::MIN_POSITIVE);
            let begin = time.checked_sub(interval).unwrap_or(time);
            let is_of_device =
                |flush: &&Flush| flush.device == *device && flush.written.totals.write != 0;
            let of_device: Vec<Flush> = flushes.iter().filter(is_of_device).cloned().collect();
            let name = of_device.first().map(|flush| flush.device_name.clone());
            let start = || Spike {
                device: *device,
                device_name: name.unwrap_or_else(|| format!("{}:{}", device.0, device.1).into()),
                start: begin,
                end: time,
                open: true,
                peak: rate,
                usual: 0.0,
                oldest: None,
                parts: Vec::new(),
                written: Written::default(),
            };
            let start = enough.then_some(start);
            spikes.extend(watched.look(self.rule, time, rate, start, of_device));
        }
        spikes
    }
}

impl Watched {
    /// Adds an interval. `start` begins a spike; it is `None` while there is too little history.
    fn look(
        &mut self,
        rule: SpikeRule,
        time: Timestamp,
        rate: f64,
        start: Option<impl FnOnce() -> Spike>,
        flushes: Vec<Flush>,
    ) -> Option<Spike> {
        let usual = self.usual();
        let threshold = rule.floor.max(rule.factor * usual);
        if self.rates.len() == HISTORY {
            self.rates.pop_front();
        }
        self.rates.push_back(rate.min(threshold));
        let start = start?;
        if rate > threshold {
            let spike = self.spike.get_or_insert_with(|| Spike { usual, ..start() });
            spike.end = time;
            spike.peak = spike.peak.max(rate);
            for (time, flushes) in self.since.drain(..).chain([(time, flushes)]) {
                spike.add_flushes(time, &flushes);
            }
            return Some(spike.clone());
        }
        self.spike.as_ref()?;
        self.since.push((time, flushes));
        if self.since.len() < QUIET {
            return self.spike.clone();
        }
        self.since.clear();
        self.spike.take().map(|spike| Spike {
            open: false,
            ..spike
        })
    }

    /// The usual rate: the [`USUAL`] quantile of the history.
    fn usual(&self) -> f64 {
        let mut rates: Vec<f64> = self.rates.iter().copied().collect();
        rates.sort_by(f64::total_cmp);
        let place = (rates.len() as f64 * USUAL) as usize;
        rates.get(place).or(rates.last()).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;

    /// A device and its spikes, in intervals of one second.
    struct Device {
        spikes: Spikes,
        now: Timestamp,
    }

    impl Device {
        /// It has a history of a minute.
        fn new() -> Device {
            let mut device = Device::just_started();
            device.count_spikes([0; 60]);
            device
        }

        fn just_started() -> Device {
            Device {
                spikes: Spikes::new(SpikeRule::default()),
                now: Timestamp::new(1_790_000_000, 0).expect("in range"),
            }
        }

        fn second(&mut self, mib: u64) -> Option<Spike> {
            self.now += SECOND;
            let totals = BlockTotals {
                write: mib * MIB,
                ..BlockTotals::default()
            };
            let found = self.spikes.look(self.now, SECOND, &[((8, 0), totals)], &[]);
            found.into_iter().next()
        }

        /// Number of spikes that ended.
        fn count_spikes(&mut self, seconds: impl IntoIterator<Item = u64>) -> usize {
            let ended = |spike: Option<Spike>| spike.is_some_and(|spike| !spike.open);
            seconds
                .into_iter()
                .filter(|mib| ended(self.second(*mib)))
                .count()
        }
    }

    #[test]
    fn a_burst_after_a_quiet_time_is_a_spike_with_start_and_end() {
        let mut device = Device::new();
        assert_eq!(device.count_spikes([1; 100]), 0);
        let start = device.now;
        device.second(50);
        device.second(2);
        device.second(80);
        let end = device.now;
        device.second(1);
        device.second(1);
        let spike = device.second(1).expect("an ended spike");
        assert!(!spike.open);
        assert_eq!((spike.start, spike.end), (start, end));
        assert_eq!(spike.peak, (80 * MIB) as f64);
        assert_eq!(spike.usual, MIB as f64);
        assert_eq!(device.count_spikes([1; 10]), 0);
    }

    #[test]
    fn there_is_no_spike_before_there_is_a_history() {
        let mut device = Device::just_started();
        let start = [200, 0, 0, 0, 50, 0, 0, 0, 400, 0, 0, 0].into_iter();
        assert_eq!(device.count_spikes(start.chain([0; 47])), 0);
        // The first burst after a minute is one, on a device that was idle too.
        assert!(device.second(500).is_none(), "the 60th second");
        assert!(device.second(800).is_some_and(|spike| spike.open));
        let mut device = Device::just_started();
        let now = device.now;
        for _ in 0..60 {
            device.spikes.look(now, SECOND, &[], &[]);
        }
        assert!(device.second(50).is_some_and(|spike| spike.open));
    }

    #[test]
    fn a_load_since_the_start_is_no_spike_once_there_is_a_history() {
        let mut device = Device::just_started();
        assert_eq!(device.count_spikes([100; 120]), 0);
        assert!(device.second(100).is_none());
        assert!(device.second(300).is_some());
    }

    #[test]
    fn a_spike_that_goes_on_is_open() {
        let mut device = Device::new();
        assert!(device.second(50).is_some_and(|spike| spike.open));
    }

    #[test]
    fn repeated_bursts_become_usual() {
        let mut device = Device::just_started();
        // 30 MiB every half minute, as a periodic flush writes them.
        let bursts = || (0..1800).map(|second| if second % 30 == 0 { 30 } else { 0 });
        let first_spikes = device.count_spikes(bursts());
        assert!(first_spikes <= 5, "{first_spikes}");
        assert_eq!(device.count_spikes(bursts()), 0);
        // A larger burst is still a spike.
        assert_eq!(device.count_spikes([200, 200, 0, 0, 0]), 1);
    }

    #[test]
    fn a_spike_does_not_hide_the_next_one() {
        let mut device = Device::new();
        let burst_then_quiet = || [[200; 10].as_slice(), &[1; 590]].concat();
        device.count_spikes([1; 600]);
        assert_eq!(device.count_spikes(burst_then_quiet()), 1);
        assert_eq!(device.count_spikes(burst_then_quiet()), 1);
    }

    #[test]
    fn a_load_that_stays_becomes_usual() {
        let mut device = Device::new();
        device.count_spikes([1; 600]);
        assert_eq!(device.count_spikes([100; 600]), 1);
        assert_eq!(device.count_spikes([100; 600]), 0);
    }

    #[test]
    fn a_few_bytes_in_an_interval_cut_short_are_no_spike() {
        let mut device = Device::new();
        device.count_spikes([1; 10]);
        let totals = BlockTotals {
            write: MIB,
            ..BlockTotals::default()
        };
        let cut = Duration::from_millis(5);
        let devices = [((8, 0), totals)];
        assert!(
            device
                .spikes
                .look(device.now, cut, &devices, &[])
                .is_empty()
        );
    }

    #[test]
    fn a_rate_below_the_floor_is_never_a_spike() {
        assert_eq!(
            Device::new().count_spikes([0, 0, 7, 0, 0, 0, 7, 0, 0, 0]),
            0
        );
    }

    #[test]
    fn a_spike_has_every_flush_and_every_owner_once() {
        let sample = golden::flushed();
        let mut spikes = Spikes::new(SpikeRule {
            history: Duration::ZERO,
            ..SpikeRule::default()
        });
        let mut look = || {
            spikes
                .look(sample.time, SECOND, &sample.devices, &sample.flushes)
                .remove(0)
        };
        let (once, twice) = (look(), look());
        let written = sample.system.block.expect("traced").write;
        assert_eq!(once.written.totals.write, written);
        assert_eq!(twice.written.totals.write, 2 * written);
        assert_eq!(once.parts.len(), twice.parts.len());
        assert_eq!(once.written.owners.len(), 2);
        for (once, twice) in once.written.owners.iter().zip(&twice.written.owners) {
            assert_eq!(2 * once.bytes, twice.bytes);
            assert_eq!(once.files.len(), twice.files.len());
            assert_eq!(2 * once.files[0].bytes, twice.files[0].bytes);
        }
        let parts: u64 = once.parts.iter().map(|part| part.bytes).sum();
        assert_eq!(parts, written);
    }
}
