//! Applies what the user typed at a prompt.

use std::{fs, io, path::Path};

use crate::{
    cli::{self, GroupBy},
    collect::Chosen,
    escape::task_name,
    host::{
        identity::{Stat, Thread, priority},
        kernel::clock,
    },
    tui::{
        sampler::Request,
        state::{
            app::{App, Effect},
            prompt::{Asked, Prompt},
            rows::tids,
        },
    },
    view::{OnDevice, Sort},
};

impl App {
    /// Applies the answer to a prompt.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong with the line.
    pub(super) fn answer(&mut self, prompt: &Prompt) -> Result<Option<Effect>, String> {
        match prompt.asked {
            Asked::Filter => {
                let filter = match prompt.text.as_str() {
                    "" => None,
                    text => Some(
                        text.parse()
                            .map_err(|error: regex::Error| last_line(&error))?,
                    ),
                };
                self.rescope(|scope| scope.filter = filter);
            }
            Asked::Time => {
                let Some((replay, now)) = self.replay.as_ref().zip(self.now()) else {
                    return Ok(None);
                };
                let go = replay.moment(&prompt.text, now, &self.zone)?;
                return Ok(Some(Effect::Go(go)));
            }
            Asked::Users => {
                let uids = self.uids(&prompt.words())?;
                self.rescope(|scope| scope.uids = uids);
            }
            Asked::Pids => {
                let chosen = |word: &String| match word.parse() {
                    Ok(pid) => Ok(self.chosen(pid)),
                    Err(_) => Err(format!("{word:?} is not a PID")),
                };
                let words = prompt.words();
                let pids = words.iter().map(chosen).collect::<Result<_, _>>()?;
                self.rescope(|scope| scope.pids = pids);
            }
            Asked::Device => {
                let device = self.device(&prompt.words())?;
                self.rescope(|scope| scope.device = device);
            }
            Asked::Delay => {
                let delay = cli::seconds(&prompt.text)?;
                self.settings.delay = delay.as_secs_f64();
                return Ok(Some(Effect::Ask(Request::Delay(delay))));
            }
            Asked::Priority => self.set_priority(&prompt.text)?,
            Asked::Search => {
                self.searched.clone_from(&prompt.text);
                self.search(0);
            }
            Asked::SortBy => {
                let sort = match prompt.text.trim() {
                    "" => None,
                    text => Some(text.parse::<Sort>().map_err(|error| error.to_string())?),
                };
                let by = self.settings.group_by;
                if let Some(sort) = sort.as_ref().filter(|sort| !sort.field.is_of(by.by())) {
                    return Err(format!("rows by {} have no {}", by.name(), sort.field.name));
                }
                self.sort(sort);
            }
        }
        Ok(None)
    }

    /// The numbers of users of this machine, or of the recording.
    fn uids(&self, names: &[String]) -> Result<Vec<u32>, String> {
        if let Some(replay) = &self.replay {
            return replay.names.uids(names).map_err(|error| error.to_string());
        }
        let users = self.users();
        let uid = |name: &String| {
            users
                .uid(name)
                .ok_or_else(|| format!("there is no user {name:?} on this machine"))
        };
        names.iter().map(uid).collect()
    }

    /// Devices of this machine, or of the recording.
    fn device(&self, names: &[String]) -> Result<Option<OnDevice>, String> {
        match &self.replay {
            None => {
                let device = cli::on_device(names, Path::new("/sys"));
                device.map_err(|error| error.to_string())
            }
            Some(_) if names.is_empty() => Ok(None),
            Some(replay) => {
                let device = replay.names.devices(names);
                device.map(Some).map_err(|error| error.to_string())
            }
        }
    }

    /// The process that has this number now. The interval may lack it while only active tasks
    /// are asked for.
    fn chosen(&self, pid: u32) -> Chosen {
        let mut chosen = Chosen::new(pid);
        if let Some(interval) = &self.interval {
            chosen.follow(interval);
        }
        let in_proc = || Thread { pid, tid: pid }.stat("/proc".as_ref());
        match chosen.start() {
            None if self.machine.own_pids => in_proc().map_or(chosen, |stat| {
                Chosen::started(pid, clock::of_ticks(stat.start_ticks))
            }),
            _ => chosen,
        }
    }

    fn set_priority(&mut self, text: &str) -> Result<(), String> {
        let priority: priority::Priority = text
            .parse()
            .map_err(|e: priority::NoPriority| e.to_string())?;
        if !self.machine.own_pids {
            return Err(
                "iotop-trace runs in its own PID namespace, where these TIDs belong to other \
                 tasks; run it on the host"
                    .to_owned(),
            );
        }
        let (Some(task), Some(interval)) = (self.selected_task(), &self.interval) else {
            return Err("the task has exited".to_owned());
        };
        let name = task_name(&task.comm, task.kthread);
        let name = format!("{name} ({})", task.tid);
        let processes = self.settings.group_by == GroupBy::Process;
        let mut set = 0;
        let mut failed = None;
        for (tid, start) in tids(interval, task, processes) {
            match set_if_same_task(tid, start, priority) {
                Ok(()) => set += 1,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(format!("{name}: {error}")),
            None if set == 0 => Err(format!("{name} has exited")),
            None => {
                let threads = if set == 1 { "" } else { " and all its threads" };
                self.say(format!("I/O priority of {name}{threads} set to {priority}"));
                Ok(())
            }
        }
    }

    pub(super) fn save(&mut self) {
        let machine = &self.machine;
        let (Some(path), Some(helper)) = (machine.settings_path.clone(), &machine.helper) else {
            self.say(crate::tui::state::settings::SettingsError::NoPlace.to_string());
            return;
        };
        match self.settings.write(&path, helper) {
            Ok(()) => self.say(format!("settings saved to {}", path.display())),
            Err(error) => self.say(error.to_string().replace('\n', " ")),
        }
    }
}

/// Sets the priority of a thread if its start time still fits: its TID may have been
/// reused by now.
fn set_if_same_task(tid: u32, start_boottime: u64, priority: priority::Priority) -> io::Result<()> {
    let stat = fs::read(format!("/proc/{tid}/stat"))?;
    let stat = Stat::parse(&stat).map_err(io::Error::other)?;
    let ticks = clock::ticks(start_boottime);
    if stat.start_ticks.abs_diff(ticks) > 1 {
        return Err(io::Error::other(
            "it has exited, and its TID has been reused",
        ));
    }
    priority::set(tid, priority)
}

/// The last line of a regular expression's error: what is wrong, without the lines that
/// mark where.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().to_owned()
}
