//! Random samples for tests.

use std::{sync::Arc, time::Duration};

use iotop_common::{Class, FlushId, LAGS};
use jiff::Timestamp;

use crate::{
    golden,
    host::kernel::syscalls,
    sample::{
        Asker, BlockFact, BlockTotals, Commits, Demand, Disk, Flush, FlushFile, FlushLag,
        FlushOwner, FlushReason, ForOthers, Lag, Lags, Loss, Metadata, Parent, Run, Sample, Spike,
        SpikePart, Task, TaskBlock, TaskCounters, TaskKey, Unanswered, Written, by_device,
    },
};

/// Random numbers; 0 once they are used up.
pub struct Draw<'a>(pub &'a [u64]);

impl Draw<'_> {
    fn number(&mut self) -> u64 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, most: u64) -> u64 {
        self.number() % most
    }

    fn u32(&mut self) -> u32 {
        self.number() as u32
    }

    /// So small that sums do not overflow.
    fn bytes(&mut self) -> u64 {
        self.number() >> 16
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn some<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| value(self)).collect()
    }

    fn text(&mut self) -> Arc<str> {
        const TEXTS: [&str; 8] = [
            "",
            "postgres",
            "a\u{1b}[2J\nb",
            "\u{202e}\u{e0041}",
            "\"\\\t\u{7f}",
            "=1+1",
            "日本語",
            "\0",
        ];
        match self.below(10) {
            8 => "x\"".repeat(4000).into(),
            9 => format!("{}-{}", TEXTS[1], self.number()).into(),
            n => TEXTS[n as usize].into(),
        }
    }

    fn time(&mut self) -> Timestamp {
        let nanos = self.number() >> 2;
        Timestamp::from_nanosecond(nanos.into()).expect("in range")
    }

    fn duration(&mut self) -> Duration {
        Duration::from_nanos(self.bytes())
    }

    fn device(&mut self) -> (u32, u32) {
        (8, self.below(3) as u32)
    }

    fn lag(&mut self) -> Lag {
        Lag {
            sum: self.duration(),
            max: self.duration(),
            pages: self.bytes(),
        }
    }

    fn lags(&mut self) -> Lags {
        let mut pages = [0; LAGS];
        for class in self.some(|draw| draw.below(LAGS as u64)) {
            pages[class as usize] = self.bytes();
        }
        Lags {
            tick: self.duration(),
            pages,
        }
    }

    fn flush_lag(&mut self) -> FlushLag {
        FlushLag {
            lag: self.lag(),
            lags: self.lags(),
        }
    }

    fn counters(&mut self) -> TaskCounters {
        let fields = [0; TaskCounters::COUNT].map(|_| self.maybe(Self::bytes));
        TaskCounters::from_fields(fields)
    }

    fn block(&mut self) -> TaskBlock {
        TaskBlock {
            read: self.bytes(),
            dirtied: self.maybe(Self::bytes),
            dirty_pending: self.maybe(Self::bytes),
            cancelled: self.maybe(Self::bytes),
            throttled_ns: self.maybe(Self::bytes),
            throttles: self.maybe(Self::bytes),
            syncs: self.maybe(Self::bytes),
            write_self: self.bytes(),
            write_flushed: self.bytes(),
            write_shared: self.bytes(),
            metadata: self.metadata(),
            submitted_for_others: self.bytes(),
            lag: self.maybe(Self::lag),
        }
    }

    fn metadata(&mut self) -> Metadata {
        Metadata {
            journal: self.bytes(),
            home: self.bytes(),
            tree: self.bytes(),
        }
    }

    fn task(&mut self) -> Task {
        Task {
            pid: self.u32(),
            tid: self.u32(),
            start_boottime: self.number(),
            cgroup_id: self.maybe(Self::bytes),
            ppid: self.maybe(Self::u32),
            parents: self.maybe(|draw| {
                let parent = |draw: &mut Self| Parent {
                    pid: draw.u32(),
                    comm: draw.text(),
                };
                draw.some(parent).into()
            }),
            start_time: self.maybe(Self::time),
            comm: self.text(),
            cmdline: self.maybe(Self::text),
            user: self.maybe(Self::text),
            uid: self.maybe(Self::u32),
            cgroup: self.maybe(Self::text),
            unit: self.maybe(Self::text),
            container: self.maybe(Self::text),
            prio: self.maybe(Self::text),
            kthread: self.flag(),
            exited: self.flag(),
            crowd: self.maybe(Self::bytes),
            stats: self.counters(),
            block: self.maybe(Self::block),
        }
    }

    /// One of the rows, or one that differs from all of them.
    fn named(&mut self, rows: &[Task]) -> Task {
        match self.below(3) {
            0 => self.task(),
            _ if rows.is_empty() => self.task(),
            1 => rows[self.below(rows.len() as u64) as usize].clone(),
            _ => Task {
                exited: true,
                ..rows[self.below(rows.len() as u64) as usize].clone()
            },
        }
    }

    fn fact(&mut self, rows: usize) -> BlockFact {
        let row = |draw: &mut Self| draw.maybe(|draw| draw.below(rows.max(1) as u64) as usize);
        BlockFact {
            owner: row(self).filter(|row| *row < rows),
            submitter: row(self).filter(|row| *row < rows),
            device: self.device(),
            ino: self.number(),
            class: Class::ALL[self.below(13) as usize],
            file: self.u32(),
            flush: FlushId(self.u32()),
            bytes: self.bytes(),
            bios: self.bytes(),
            lag: self.maybe(Self::lag),
            lags: self.lags(),
        }
    }

    fn written(&mut self, rows: &[Task]) -> Written {
        let facts = self.some(|draw| draw.fact(rows.len()));
        let writes = facts.iter().filter(|fact| fact.class != Class::Read);
        Written {
            totals: BlockTotals::of(writes),
            bios: self.bytes(),
            lag: self.maybe(Self::flush_lag),
            owners: self.some(|draw| {
                let metadata = draw.metadata();
                FlushOwner {
                    task: draw.named(rows),
                    bytes: draw.bytes(),
                    shared: metadata.total() + draw.bytes(),
                    metadata,
                    lag: draw.maybe(Self::flush_lag),
                    files: draw.some(|draw| FlushFile {
                        ino: draw.number(),
                        file: draw.u32(),
                        path: draw.maybe(Self::text),
                        bytes: draw.bytes(),
                    }),
                }
            }),
        }
    }

    fn call(&mut self) -> &'static str {
        let names: Vec<_> = (0..1024).filter_map(syscalls::name).collect();
        names[self.below(names.len() as u64) as usize]
    }

    fn reason(&mut self) -> FlushReason {
        match self.below(8) {
            0 => FlushReason::Writeback(self.text()),
            1 => FlushReason::Journal,
            2 => FlushReason::Home,
            3 => FlushReason::Reclaim,
            4 => FlushReason::Direct,
            5 => FlushReason::Syscall(self.call()),
            6 => FlushReason::Task,
            _ => FlushReason::Kthread,
        }
    }

    fn demands(&mut self, rows: &[Task]) -> Vec<Demand> {
        self.some(|draw| Demand {
            task: draw.maybe(|draw| draw.named(rows)),
            call: draw.maybe(Self::call),
            count: draw.bytes(),
        })
    }

    fn key(&mut self) -> TaskKey {
        TaskKey {
            tid: self.u32(),
            start_boottime: self.number(),
        }
    }

    fn run(&mut self, rows: &[Task]) -> Run {
        Run {
            key: (self.key(), FlushId(self.u32())),
            start: self.maybe(Self::time),
            end: self.maybe(Self::time),
            duration: self.maybe(Self::duration),
            requested_pages: self.maybe(Self::bytes),
            written_pages: self.maybe(Self::bytes),
            cgroup_id: self.number(),
            cgroup: self.maybe(Self::text),
            asker: self.maybe(|draw| Asker {
                task: draw.named(rows),
                inferred: draw.flag(),
            }),
        }
    }

    fn flush(&mut self, rows: &[Task]) -> Flush {
        Flush {
            device: self.device(),
            device_name: self.text(),
            reason: self.reason(),
            submitter: self.maybe(|draw| draw.named(rows)),
            runs: self.some(|draw| draw.run(rows)),
            inodes: self.bytes(),
            written: self.written(rows),
            logged: self.bytes(),
            commits: self.maybe(|draw| Commits {
                commits: draw.maybe(Self::bytes),
                timer: draw.bytes(),
                full: draw.bytes(),
                asked: draw.demands(rows),
                waited: draw.demands(rows),
            }),
        }
    }

    fn spike(&mut self, rows: &[Task]) -> Spike {
        Spike {
            device: self.device(),
            device_name: self.text(),
            start: self.time(),
            end: self.time(),
            open: self.flag(),
            peak: self.number() as f64 / 3.0,
            usual: self.number() as f64 / 7e9,
            oldest: self.maybe(Self::time),
            parts: self.some(|draw| SpikePart {
                reason: draw.reason(),
                submitter: draw.maybe(Self::text),
                kthread: draw.flag(),
                bytes: draw.bytes(),
            }),
            written: self.written(rows),
        }
    }

    /// A sample as a collector may return it.
    pub fn sample(&mut self) -> Sample {
        let rows = self.some(Self::task);
        let facts = self.some(|draw| draw.fact(rows.len()));
        let ebpf = self.flag();
        let mut sample = golden::sample();
        sample.seq = self.number();
        sample.time = self.time();
        sample.interval = self.duration();
        let system = &mut sample.system;
        system.pgpgin_bytes = self.maybe(Self::bytes);
        system.dirty_before_bytes = self.maybe(Self::bytes);
        system.background_threshold_bytes = self.maybe(Self::bytes);
        system.dirty_threshold_bytes = self.maybe(Self::bytes);
        system.block = ebpf.then(|| BlockTotals::of(&facts));
        for loss in Loss::ALL {
            system.lost[loss] = self.maybe(Self::bytes);
        }
        system.counted = self.counters().nothing();
        system.tasks_exited = self.maybe(Self::bytes);
        system.self_cpu_ns = self.maybe(Self::bytes);
        sample.exited = self.some(Self::key);
        sample.ended = self.some(Self::u32);
        let users = self.some(|draw| Unanswered::User(draw.u32()));
        let lines = self.some(|draw| Unanswered::CommandLine(draw.u32()));
        sample.unanswered = users.into_iter().chain(lines).collect();
        let with_path = facts.iter().map(|fact| fact.file_key());
        sample.paths = with_path
            .filter_map(|key| Some((key, self.maybe(Self::text)?)))
            .collect();
        sample.devices = by_device(&facts);
        sample.disks = self.some(|draw| Disk {
            number: draw.device(),
            name: draw.text(),
            busy: draw.duration(),
            read: draw.bytes(),
            write: draw.bytes(),
            in_flight: draw.bytes(),
            partitions: draw.some(Self::device),
            lower: draw.some(Self::device),
        });
        sample.flushes = self.some(|draw| draw.flush(&rows));
        sample.spikes = self.some(|draw| draw.spike(&rows));
        sample.tasks = rows.into_iter().map(Into::into).collect();
        sample.facts = facts;
        sample.for_others = ForOthers::new(&sample.facts, &sample.tasks, false, name);
        sample
    }
}

/// A device's name.
pub fn name((major, minor): (u32, u32)) -> Arc<str> {
    format!("device {major}-{minor}").into()
}
