//! Which columns there are, and which of them fit.

use super::settings::{Figures, Graph, Settings};
use crate::{
    cli::GroupBy,
    view::{Field, fields},
};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Column {
    /// A field of the interval, or of the totals.
    Field(&'static Field),
    /// The total of a field, beside its rate.
    Total(&'static Field),
    /// The row's graph.
    Graph,
}

/// Columns in the order in which they are left out if there is no room. HISTORY is the
/// graph.
const DISPENSABLE: [&str; 14] = [
    "PRIO",
    "SWAPIN",
    "STACKED",
    "LAG",
    "HISTORY",
    "IO",
    "METADATA",
    "AMPLIF",
    "USER",
    "TASKS",
    "DISK_READ",
    "VIA_KERNEL",
    "PENDING",
    "DISK_WRITE",
];
/// Smallest width of the last column.
const NAME: u16 = 14;
/// Most width that is reserved for the last column while other columns are left out: if
/// the row's name can be long or is followed by whose data the task writes, and if
/// names are short.
const USUAL_NAME: u16 = 38;
const SHORT_NAME: u16 = 24;
/// Width of the narrowest and of the widest graph.
const GRAPH: (u16, u16) = (8, 20);

/// What this machine can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The kernel counts delays.
    pub delays: bool,
    /// The kernel half reports which task causes writes.
    pub blocks: bool,
    /// All devices are shown. The kernel does not count write calls for each device.
    pub everywhere: bool,
}

impl Known {
    fn has(self, field: &Field) -> bool {
        match field.header {
            "SWAPIN" | "IO" => self.delays,
            "CAUSED" | "VIA_KERNEL" | "PENDING" | "LAG" | "METADATA" => self.blocks,
            "AMPLIF" => self.blocks && self.everywhere,
            _ => true,
        }
    }
}

/// All columns that can be shown: the chosen ones, or the usual ones without those that
/// are unknown for every row.
pub fn all(settings: &Settings, known: Known) -> Vec<&'static Field> {
    let by = settings.group_by.by();
    let chosen = settings.columns.iter().copied();
    let chosen: Vec<&'static Field> = chosen.filter(|field| field.is_of(by)).collect();
    if !chosen.is_empty() {
        return chosen;
    }
    let mut usual = fields::live_columns(settings.group_by == GroupBy::Process, by);
    usual.retain(|field| known.has(field));
    usual
}

/// The columns that are not hidden.
pub fn fields(settings: &Settings, known: Known) -> Vec<&'static Field> {
    let mut fields = all(settings, known);
    let last = fields.len().saturating_sub(1);
    let mut at = 0..;
    fields.retain(|field| at.next() == Some(last) || !settings.hidden.contains(field));
    fields
}

/// The column that says most about what moved.
pub fn usual_sort(columns: &[&'static Field]) -> usize {
    let caused = columns.iter().position(|field| field.header == "CAUSED");
    caused
        .or_else(|| {
            columns
                .iter()
                .position(|field| field.header == "DISK_WRITE")
        })
        .unwrap_or(0)
}

/// The columns that fit, with their widths. The last one gets the rest of the line.
pub fn fitting(settings: &Settings, known: Known, width: u16) -> Vec<(Column, u16)> {
    let most = match settings.group_by {
        GroupBy::Command | GroupBy::User | GroupBy::Unit | GroupBy::Container | GroupBy::Device => {
            SHORT_NAME
        }
        GroupBy::Thread | GroupBy::Process | GroupBy::Cgroup | GroupBy::File => USUAL_NAME,
    };
    let name = (width / 10 * 4).clamp(NAME, most);
    let fields = fields(settings, known);
    let mut columns: Vec<(Column, u16)> = Vec::new();
    for field in &fields {
        columns.push((Column::Field(field), wide(field)));
        let summed = matches!(field.header, "CAUSED" | "DISK_READ" | "BLOCK_READ");
        if settings.figures == Figures::Both && summed {
            columns.push((
                Column::Total(field),
                wide(field).max(total_header(field).len() as u16),
            ));
        }
    }
    if settings.graph != Graph::Off {
        columns.insert(columns.len().saturating_sub(1), (Column::Graph, GRAPH.0));
    }
    let sorted = settings.sort.as_ref().map(|sort| sort.field);
    for header in DISPENSABLE {
        if taken(&columns, name) <= width {
            break;
        }
        // Without eBPF, it is the only column about writes.
        if header == "DISK_WRITE" && !known.blocks {
            continue;
        }
        columns.retain(|(column, _)| match column {
            Column::Field(field) | Column::Total(field) => {
                field.header != header || sorted == Some(*field)
            }
            Column::Graph => header != "HISTORY",
        });
    }
    // Columns that the user chose are left out from the right; the first and the last
    // stay.
    while taken(&columns, NAME) > width && columns.len() > 2 {
        let graph = columns
            .iter()
            .position(|(column, _)| *column == Column::Graph);
        columns.remove(graph.unwrap_or(columns.len() - 2));
    }
    let spare = width.saturating_sub(taken(&columns, name));
    if let Some((_, width)) = columns
        .iter_mut()
        .find(|(column, _)| *column == Column::Graph)
    {
        *width += (spare / 4).min(GRAPH.1 - GRAPH.0);
    }
    let others = taken(&columns, 0);
    if let Some((_, last)) = columns.last_mut() {
        *last = width.saturating_sub(others);
    }
    columns
}

/// A total's header.
pub fn total_header(field: &Field) -> String {
    format!("{}_SUM", field.header)
}

fn wide(field: &Field) -> u16 {
    field
        .width
        .max(field.header.len())
        .try_into()
        .unwrap_or(u16::MAX)
}

/// Width of the columns with a space between them, if the last one is `last` wide.
fn taken(columns: &[(Column, u16)], last: u16) -> u16 {
    let others = columns.len().saturating_sub(1);
    let widths = columns.iter().take(others).map(|(_, width)| width + 1);
    widths.fold(last, u16::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::FIELDS;

    const ALL: Known = Known {
        delays: true,
        blocks: true,
        everywhere: true,
    };

    fn headers(settings: &Settings, width: u16) -> Vec<&'static str> {
        let header = |(column, _): (Column, u16)| match column {
            Column::Field(field) => field.header,
            Column::Total(_) => "SUM",
            Column::Graph => "GRAPH",
        };
        fitting(settings, ALL, width)
            .into_iter()
            .map(header)
            .collect()
    }

    #[test]
    fn a_narrow_terminal_keeps_tid_caused_and_command() {
        let settings = Settings::default();
        let narrow = headers(&settings, 40);
        assert_eq!((narrow[0], narrow.last()), ("TID", Some(&"COMMAND")));
        assert!(narrow.contains(&"CAUSED"), "{narrow:?}");
        assert_eq!(headers(&settings, 200).len(), 15);
        // Unknown columns take no room.
        let nothing = Known {
            delays: false,
            blocks: false,
            everywhere: true,
        };
        assert_eq!(fitting(&settings, nothing, 200).len(), 7);
        let on_a_device = Known {
            everywhere: false,
            ..ALL
        };
        let shown = fitting(&settings, on_a_device, 200);
        let amplification = fields::find("AMPLIF").expect("a field");
        let is_it = |(column, _): &(Column, u16)| *column == Column::Field(amplification);
        assert!(shown.len() == 14 && !shown.iter().any(is_it));
    }

    #[test]
    fn metadata_and_amplification_push_no_column_off_a_terminal_of_80_or_100() {
        let new = ["METADATA", "AMPLIF"];
        let without = Settings {
            hidden: new
                .map(|name| fields::find(name).expect("a field"))
                .to_vec(),
            ..Settings::default()
        };
        for width in [80, 100] {
            let columns = headers(&Settings::default(), width);
            assert_eq!(columns, headers(&without, width), "{width}");
        }
        let has = |width| new.map(|name| headers(&Settings::default(), width).contains(&name));
        assert_eq!(has(120), [false, true]);
        assert_eq!(has(132), [true, true]);
    }

    #[test]
    fn columns_are_never_wider_than_the_terminal() {
        let every = Settings {
            columns: FIELDS.iter().collect(),
            figures: Figures::Both,
            ..Settings::default()
        };
        for settings in [Settings::default(), every] {
            for width in 22..400 {
                let columns = fitting(&settings, ALL, width);
                let sum: u16 = columns.iter().map(|(_, width)| width + 1).sum();
                assert!(sum - 1 <= width, "{width}: {columns:?}");
                assert!(columns.len() >= 2);
            }
        }
    }

    #[test]
    fn hidden_columns_leave_room_and_the_sort_column_stays() {
        let mut settings = Settings {
            sort: "prio".parse().ok(),
            ..Settings::default()
        };
        assert!(headers(&settings, 80).contains(&"PRIO"));
        settings.hidden = settings.sort.iter().map(|sort| sort.field).collect();
        assert!(!headers(&settings, 300).contains(&"PRIO"));
        settings.hidden = FIELDS.iter().collect();
        assert_eq!(headers(&settings, 80).last(), Some(&"COMMAND"));
    }
}
