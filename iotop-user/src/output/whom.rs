//! Whose data a task submits, in words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use unicode_width::UnicodeWidthStr as _;

use super::cell::Scale;
use crate::{
    escape::{escape, of_user},
    sample::{Owned, Submitted},
};

/// At most this many owners are named.
const NAMED: usize = 3;

/// How a row says whose data its task submits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose {
    /// The task is a kernel thread.
    pub kthread: bool,
    /// How long ago that was; `None`: in the interval that is shown.
    pub ago: Option<Duration>,
    /// How the bytes are shown.
    pub scale: Scale,
}

impl Whose {
    /// `flush sda1 63.10M/s -> postgres 81%, rsyslog 12%`: the longest text that fits
    /// in `room` columns, or the shortest one. The largest owner is never left out. A share
    /// with `~` is partly estimated.
    pub fn text(&self, submitted: &Submitted, room: usize) -> String {
        let verb = match (self.kthread, self.ago) {
            (true, None) => "flush",
            (true, Some(_)) => "flushed",
            (false, None) => "writes",
            (false, Some(_)) => "wrote",
        };
        let ago = self
            .ago
            .map(|ago| format!("{:.0}s ago ", ago.as_secs_f64().max(1.0)));
        let ago = ago.unwrap_or_default();
        let all = |rate: bool| {
            let parts = submitted.0.iter().map(|((device, _), owners)| {
                let bytes: u64 = owners.values().map(|owned| owned.bytes).sum();
                let rate = match rate {
                    true => format!("{} ", self.scale.rate(Some(bytes))),
                    false => String::new(),
                };
                format!(
                    "{} {rate}{ago}-> {}",
                    escape(device),
                    shares(owners, NAMED, true)
                )
            });
            format!("{verb} {}", parts.collect::<Vec<_>>().join("; "))
        };
        let owners = |ago: &str, named: usize, more: bool| {
            let mut sums: BTreeMap<Arc<str>, Owned> = BTreeMap::new();
            for (owner, owned) in submitted.0.values().flatten() {
                let sum = sums.entry(owner.clone()).or_default();
                *sum = *sum + *owned;
            }
            format!("{ago}-> {}", shares(&sums, named, more))
        };
        let fits = |text: &String| text.width() <= room;
        Some(all(self.ago.is_none()))
            .filter(fits)
            .or_else(|| Some(all(false)).filter(fits))
            .or_else(|| Some(owners(&ago, NAMED, true)).filter(fits))
            .or_else(|| {
                (1..=NAMED)
                    .rev()
                    .map(|named| owners("", named, true))
                    .find(fits)
            })
            .unwrap_or_else(|| owners("", 1, false))
    }
}

/// The largest owners, and how many `more` there are.
fn shares(owners: &BTreeMap<Arc<str>, Owned>, named: usize, more: bool) -> String {
    let all: u64 = owners.values().map(|owned| owned.bytes).sum();
    let mut owners: Vec<(&Arc<str>, Owned)> = owners.iter().map(|(name, n)| (name, *n)).collect();
    owners.sort_by_key(|(_, owned)| std::cmp::Reverse(owned.bytes));
    // Leave out owners with at most 0.5 %.
    let least = all / 200;
    owners.retain(|(_, owned)| owned.bytes > least);
    let rest = owners.len().saturating_sub(named);
    let mut parts: Vec<String> = owners
        .into_iter()
        .take(named)
        .map(|(comm, owned)| {
            let percent = 100.0 * owned.bytes as f64 / all.max(1) as f64;
            format!("{} {}{percent:.0}%", escape(&of_user(comm)), owned.mark())
        })
        .collect();
    if more && rest != 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join(", ")
}
