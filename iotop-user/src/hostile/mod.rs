//! Hostile input for every parser of what others write: the kernel, processes, users, and
//! whoever can make a file or a cgroup.
//!
//! Each parser reads its [`corpus`], and changed copies of it. It must not panic, must return,
//! and may take memory only in proportion to its input. What a parser makes of its input must
//! keep the rules in [`readers`]. [`exact`] checks that what was printed is read back.
//!
//! By default there are as many cases as `PROPTEST_CASES` says, or 256. `cargo xtask fuzz`
//! sets `IOTOP_TRACE_FUZZ_SECONDS` instead. An input that breaks a parser is kept in its
//! corpus, as small as it could be made. Commit it together with the fix.

mod corpus;
mod exact;
mod input;
mod memory;
mod readers;
mod watch;

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, TestError, TestRunner};

use watch::Watch;

/// A parser may take so many times the length of its input, beside a fixed amount.
const TIMES: usize = 256;
const FIXED: usize = 256 << 10;

/// A test for each reader: its name, and where more samples are than in its corpus.
macro_rules! parsers {
    ($($name:ident: [$($more:literal),*];)*) => {
        $(#[test]
        fn $name() {
            try_all(stringify!($name), readers::$name, &[$($more),*]);
        })*
    };
}

parsers! {
    taskstats_message: ["taskstats/recorded"];
    taskstats_record: [];
    btf: ["host/kernel/recorded"];
    mountinfo: [];
    cgroup: [];
    stat: [];
    status: [];
    command_line: [];
    task_io: [];
    vmstat: [];
    diskstats: [];
    zoneinfo: [];
    sysctl: [];
    uevent: [];
    config: [];
    record_of_executed: [];
    record_of_cgroup: [];
    record_of_file: [];
    record_of_flush: [];
    words: [];
    recorded_lines: [];
    recorded_frame: [];
    ledger_lines: [];
    ledger_file: [];
}

fn try_all(name: &'static str, read: fn(&[u8]), more: &[&str]) {
    let corpus = corpus::read(name, more);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let watch = Watch::start(name);
    let try_one = |input: &[u8]| {
        let taken = watch.over(input, || memory::most(|| read(input)));
        let most = FIXED + TIMES * input.len();
        assert!(
            taken <= most,
            "{taken} bytes of memory for {} bytes",
            input.len()
        );
    };
    for (name, input) in &corpus {
        let tried = panic::catch_unwind(AssertUnwindSafe(|| try_one(input)));
        assert!(tried.is_ok(), "{name} breaks it");
    }
    let hostile = input::hostile(corpus.into_iter().map(|(_, input)| input).collect());
    let end = Instant::now() + seconds();
    loop {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let tried = runner.run(&hostile, |input| {
            try_one(&input);
            Ok(())
        });
        match tried {
            Ok(()) if Instant::now() >= end => return,
            Ok(()) => {}
            Err(TestError::Fail(why, input)) => {
                let path = corpus::save(name, &input);
                panic!(
                    "{why}\ninput: {}\nkept in {}",
                    input.escape_ascii(),
                    path.display()
                );
            }
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
}

/// How long each parser is tried at least.
fn seconds() -> Duration {
    match env::var("IOTOP_TRACE_FUZZ_SECONDS") {
        Ok(seconds) => Duration::from_secs(seconds.parse().expect("IOTOP_TRACE_FUZZ_SECONDS")),
        Err(_) => Duration::ZERO,
    }
}

#[test]
#[should_panic(expected = "bytes of memory for 5 bytes")]
fn a_parser_that_trusts_a_length_is_found() {
    fn trusting(input: &[u8]) {
        drop(Vec::<u8>::with_capacity(input.len() << 24));
    }
    let watch = Watch::start("trusting");
    let taken = watch.over(b"hello", || memory::most(|| trusting(b"hello")));
    assert!(taken <= FIXED, "{taken} bytes of memory for 5 bytes");
}
