//! The memory of a tracer.

use super::line;
use crate::bench::files::MIB;
use crate::bench::memory::{Memory, Sizes};

pub fn text(all: &[Memory]) -> String {
    let mut text = String::from("MiB before, while and after 1 GiB is dirty\n\n");
    line(
        &mut text,
        format_args!(
            "{:<36}{:<6}{:>7}{:>19}{:>19}{:>19}{:>19}",
            "", "", "dirty", "all maps", "the largest", "RSS of user half", "of it anonymous"
        ),
    );
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    for one in all {
        let three = |figure: fn(&Sizes) -> u64| {
            let [before, dirty, after] =
                [one.before, one.while_dirty, one.after].map(|sizes| mib(figure(&sizes)));
            format!("{before:.1} {dirty:.1} {after:.1}")
        };
        line(
            &mut text,
            format_args!(
                "{:<36}{:<6}{:>7.0}{:>19}{:>19}{:>19}{:>19}",
                one.layout.name(),
                one.tracer,
                mib(one.dirty),
                three(|sizes| sizes.maps),
                three(|sizes| sizes.largest_map),
                three(|sizes| sizes.rss),
                three(|sizes| sizes.rss_anonymous),
            ),
        );
    }
    text.push_str(
        "budgets: the tags 0.1 % of RAM, more only in proportion to what is dirty; other maps 16; \
         RSS 25 at 10,000 tasks\n",
    );
    text
}
