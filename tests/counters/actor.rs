//! The process under test: it does one step after the other, each when it is
//! told to.
//!
//! It is started as a `Writer`. Its arguments are steps, separated by `then`. Before
//! each step it waits for a line on standard input, and after it prints `done`. After
//! the last step it lives until standard input is closed.

use std::fs::File;
use std::io::{self, BufRead, Read, Write, stdin};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::fork::{self, Child};
use super::mapped::Mapped;
use super::support::writer::{self, fill_whole, open, take_name};
use super::title;

const CHUNK: usize = 1 << 20;

/// Acts as `comm`, doing the steps.
pub fn act(comm: &str, args: &[String]) -> Result<()> {
    take_name(comm)?;
    let mut actor = Actor::default();
    for step in args.split(|arg| arg == "then") {
        let mut line = String::new();
        if stdin().read_line(&mut line)? == 0 {
            return Ok(());
        }
        actor.step(step).with_context(|| format!("{step:?}"))?;
        println!("done");
    }
    // Exactly one read(2), so that what the kernel counts for it is known.
    stdin().lock().fill_buf()?;
    Ok(())
}

/// What outlives a step: threads and a child.
#[derive(Default)]
struct Actor {
    crew: Vec<Member>,
    child: Option<Child>,
    last_child: libc::pid_t,
    mapped: Option<Mapped>,
}

/// A thread that works for the actor.
struct Member {
    name: String,
    orders: SyncSender<Vec<String>>,
    answers: Receiver<Result<()>>,
    thread: JoinHandle<Result<()>>,
}

impl Actor {
    fn step(&mut self, step: &[String]) -> Result<()> {
        let words: Vec<&str> = step.iter().map(String::as_str).collect();
        match *words {
            // A thread of this name does the work. It is started if there is none.
            ["in", name, ..] => {
                self.order(name, &step[2..])?;
                let member = self.crew.iter().find(|member| member.name == name);
                member.context("no such thread")?.answers.recv()?
            }
            // The same without waiting for it.
            ["aside", name, ..] => self.order(name, &step[2..]),
            ["end", name] => {
                let at = self.crew.iter().position(|member| member.name == name);
                let member = self.crew.swap_remove(at.context("no such thread")?);
                drop(member.orders);
                member.thread.join().expect("a thread of the crew panicked")
            }
            // A child does the work and lives until it is reaped. Its tid is `any` or
            // that of the `last` child.
            ["fork", name, tid, ref rest @ ..] => {
                let tid = (tid == "last").then_some(self.last_child);
                let child = Child::start(tid, || {
                    take_name(name)?;
                    work(rest)
                })?;
                self.last_child = child.tid();
                println!("{name} {}", child.tid());
                self.child = Some(child);
                Ok(())
            }
            // The main thread ends, the others live on.
            ["leave"] => {
                println!("done");
                // SAFETY: only this thread ends. What it owns stays in memory.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
                unreachable!("exit(2) does not return")
            }
            // A page of a file is mapped and written to.
            ["map", path] => {
                self.mapped = Some(Mapped::new(path)?);
                Ok(())
            }
            // Another mapping takes its place.
            ["map_over"] => self.mapped.take().context("no page")?.map_over(),
            ["reap"] => self.child.take().context("no child")?.reap(),
            // This many children one after the other, some at the same time, each with
            // its own page of the file.
            ["children", count, together, path] => {
                fork::brief_children(&open(path, 0)?, count.parse()?, together.parse()?)
            }
            ref words => work(words),
        }
    }

    fn order(&mut self, name: &str, step: &[String]) -> Result<()> {
        if !self.crew.iter().any(|member| member.name == name) {
            self.crew.push(Member::begin(name)?);
        }
        let member = self.crew.iter().find(|member| member.name == name);
        Ok(member
            .context("no such thread")?
            .orders
            .send(step.to_vec())?)
    }
}

impl Member {
    /// Starts a thread and prints its name and tid.
    fn begin(name: &str) -> Result<Member> {
        let (orders, to_do) = sync_channel::<Vec<String>>(1);
        let (answer, answers) = sync_channel(1);
        let (born, tid) = sync_channel(1);
        let comm = name.to_owned();
        let thread = thread::spawn(move || -> Result<()> {
            take_name(&comm)?;
            // SAFETY: gettid(2) takes nothing and always succeeds.
            born.send(unsafe { libc::gettid() })?;
            for step in to_do {
                let words: Vec<&str> = step.iter().map(String::as_str).collect();
                answer.send(work(&words))?;
            }
            Ok(())
        });
        println!("{name} {}", tid.recv()?);
        Ok(Member {
            name: name.to_owned(),
            orders,
            answers,
            thread,
        })
    }
}

/// Work that any task can do: these steps, and those of every writer of the harness.
fn work(step: &[&str]) -> Result<()> {
    match *step {
        // Many small writes, one after the other.
        ["pieces", path, count, size] => {
            let mut file = open(path, 0)?;
            let piece = vec![0x5a; size.parse()?];
            for _ in 0..count.parse::<usize>()? {
                file.write_all(&piece)?;
            }
            Ok(())
        }
        // Many small reads from the start.
        ["sips", path, count, size] => {
            let mut file = File::open(path)?;
            let mut sip = vec![0; size.parse()?];
            for _ in 0..count.parse::<usize>()? {
                file.read_exact(&mut sip)?;
            }
            Ok(())
        }
        ["truncate", path] => Ok(open(path, 0)?.set_len(0)?),
        // Bytes that are counted as characters and touch no disk.
        ["chars", len] => {
            let mut zero = File::open("/dev/zero")?;
            let mut null = File::create("/dev/null")?;
            let mut buffer = vec![0; CHUNK];
            for _ in 0..len.parse::<usize>()? / CHUNK {
                zero.read_exact(&mut buffer)?;
                null.write_all(&buffer)?;
            }
            Ok(())
        }
        // Writes for as long as the process lives.
        ["steadily", path, size, every_ms] => {
            let file = open(path, libc::O_DIRECT)?;
            let pause = Duration::from_millis(every_ms.parse()?);
            loop {
                fill_whole(&file, size.parse()?)?;
                sleep(pause);
            }
        }
        ["idle"] => Ok(()),
        // Takes another title, then goes on with the rest.
        ["title", way, title, ref rest @ ..] => {
            title::set(way, title)?;
            work(rest)
        }
        // This process executes the program again, with its own steps.
        ["exec", ref rest @ ..] => {
            let error: io::Error = Command::new("/proc/self/exe").args(rest).exec();
            Err(error.into())
        }
        [] => bail!("nothing to do"),
        ref step => writer::work("", step),
    }
}
