//! The menu of columns: which there are, which of them are shown, and in which order.

use super::{
    columns::{Known, all, fields, usual},
    settings::Settings,
};
use crate::view::{self, Field};

/// A line of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The column.
    pub field: &'static Field,
    /// Whether it is shown.
    pub shown: bool,
}

/// Why a column can't be hidden or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fixed {
    /// It is the last column of the table.
    #[error("the last column stays where it is: it has the rest of the line")]
    Last,
    /// It is not shown.
    #[error("Space shows the column; then it can be moved")]
    NotShown,
}

/// All lines: the columns in their order, then every other field that these rows have.
pub fn choices(settings: &Settings, known: Known) -> Vec<Choice> {
    let listed = all(settings, known);
    let shown = fields(settings, known);
    let others = view::fields::all(settings.group_by.by()).into_iter();
    let others = others.filter(|field| !listed.contains(field));
    let choice = |field| Choice {
        field,
        shown: shown.contains(&field),
    };
    listed.iter().copied().chain(others).map(choice).collect()
}

/// Shows or hides the column at a line. A hidden column keeps its place. Returns the line where
/// the column is then.
///
/// # Errors
///
/// It is the last column.
pub fn toggle(settings: &mut Settings, known: Known, at: usize) -> Result<usize, Fixed> {
    let mut listed = all(settings, known);
    let last = listed.len().saturating_sub(1);
    let Some(Choice { field, shown }) = choices(settings, known).get(at).copied() else {
        return Ok(at);
    };
    if at == last {
        return Err(Fixed::Last);
    }
    settings.hidden.retain(|hidden| *hidden != field);
    if shown {
        settings.hidden.push(field);
        return Ok(at);
    }
    if at < last {
        return Ok(at);
    }
    listed.insert(last, field);
    choose(settings, known, listed);
    Ok(last)
}

/// Moves the column at a line to the left (-1) or to the right (1). Returns the line where it is
/// then.
///
/// # Errors
///
/// It is the last column, or is not shown.
pub fn shift(settings: &mut Settings, known: Known, at: usize, by: isize) -> Result<usize, Fixed> {
    let mut listed = all(settings, known);
    let last = listed.len().saturating_sub(1);
    if at >= last {
        return Err(match at == last {
            true => Fixed::Last,
            false => Fixed::NotShown,
        });
    }
    let to = at.saturating_add_signed(by).min(last - 1);
    listed.swap(at, to);
    choose(settings, known, listed);
    Ok(to)
}

/// Back to the usual columns of these rows.
pub fn reset(settings: &mut Settings) {
    settings.chosen_mut().clear();
    settings.hidden.clear();
}

/// Chooses these columns. If they are the usual ones, none are chosen: others will be usual on a
/// kernel that counts more.
fn choose(settings: &mut Settings, known: Known, columns: Vec<&'static Field>) {
    *settings.chosen_mut() = match columns == usual(settings, known) {
        true => Vec::new(),
        false => columns,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::GroupBy;

    const ALL: Known = Known {
        delays: true,
        blocks: true,
        everywhere: true,
    };

    fn shown(settings: &Settings) -> Vec<&'static str> {
        let choices = choices(settings, ALL).into_iter();
        let shown = choices.filter(|choice| choice.shown);
        shown.map(|choice| choice.field.header).collect()
    }

    fn line(settings: &Settings, header: &str) -> usize {
        let mut choices = choices(settings, ALL).into_iter();
        let at = choices.position(|choice| choice.field.header == header);
        at.unwrap_or_else(|| panic!("no line for {header}"))
    }

    #[test]
    fn every_field_of_the_rows_has_one_line() {
        for group_by in [GroupBy::Thread, GroupBy::Unit, GroupBy::File] {
            let settings = Settings {
                group_by,
                ..Settings::default()
            };
            let mut lines: Vec<_> = choices(&settings, ALL);
            let shown = lines.iter().filter(|choice| choice.shown).count();
            assert_eq!(shown, fields(&settings, ALL).len());
            lines.sort_by_key(|choice| choice.field.name);
            let mut all = view::fields::all(group_by.by());
            all.sort_by_key(|field| field.name);
            let fields: Vec<_> = lines.iter().map(|choice| choice.field).collect();
            assert_eq!(fields, all);
        }
    }

    #[test]
    fn a_hidden_column_keeps_its_place_and_a_new_one_comes_before_the_last() {
        let mut settings = Settings::default();
        let usual = shown(&settings);
        let prio = line(&settings, "PRIO");
        assert_eq!(toggle(&mut settings, ALL, prio), Ok(prio));
        assert!(!shown(&settings).contains(&"PRIO"));
        assert_eq!(line(&settings, "PRIO"), prio);
        let unit = line(&settings, "UNIT");
        let last = toggle(&mut settings, ALL, unit).expect("shown");
        assert_eq!(last, line(&settings, "UNIT"));
        let now = shown(&settings);
        assert_eq!(now[now.len() - 2..], ["UNIT", "COMMAND"]);
        let prio = line(&settings, "PRIO");
        toggle(&mut settings, ALL, prio).expect("shown");
        let unit = line(&settings, "UNIT");
        toggle(&mut settings, ALL, unit).expect("hidden");
        assert_eq!(shown(&settings), usual);
        reset(&mut settings);
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn columns_move_and_the_last_one_stays() {
        let mut settings = Settings::default();
        let caused = line(&settings, "CAUSED");
        let to = shift(&mut settings, ALL, caused, -1).expect("moved");
        assert_eq!(shown(&settings)[to..=caused], ["CAUSED", "DISK_WRITE"]);
        shift(&mut settings, ALL, to, 1).expect("moved back");
        assert_eq!(settings, Settings::default(), "the usual ones again");
        assert_eq!(shift(&mut settings, ALL, 0, -1), Ok(0));
        let last = line(&settings, "COMMAND");
        assert_eq!(shift(&mut settings, ALL, last - 1, 1), Ok(last - 1));
        assert_eq!(shift(&mut settings, ALL, last, -1), Err(Fixed::Last));
        assert_eq!(toggle(&mut settings, ALL, last), Err(Fixed::Last));
        let other = shift(&mut settings, ALL, last + 1, -1);
        assert_eq!(other, Err(Fixed::NotShown));
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn the_columns_of_other_rows_are_not_lost() {
        let mut settings = Settings::default();
        let prio = line(&settings, "PRIO");
        shift(&mut settings, ALL, prio, 1).expect("moved");
        let of_threads = shown(&settings);
        for group_by in [GroupBy::Unit, GroupBy::Device] {
            settings.group_by = group_by;
            assert_eq!(shown(&settings), {
                let group_by = Settings {
                    group_by,
                    ..Settings::default()
                };
                shown(&group_by)
            });
            shift(&mut settings, ALL, 0, 1).expect("moved");
            assert_eq!(shown(&settings)[1], "TASKS");
        }
        settings.group_by = GroupBy::Thread;
        assert_eq!(shown(&settings), of_threads);
    }
}
