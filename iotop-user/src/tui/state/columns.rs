//! Which columns there are, and which of them fit.

use super::{
    busy::Busy,
    settings::{Figures, Graph, Settings},
};
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
/// Width of the widest graph.
const GRAPH: u16 = 20;

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
    let chosen = settings.chosen().iter().copied();
    let chosen: Vec<&'static Field> = chosen.filter(|field| field.is_of(by)).collect();
    match chosen.is_empty() {
        true => usual(settings, known),
        false => chosen,
    }
}

/// The columns if none are chosen.
pub fn usual(settings: &Settings, known: Known) -> Vec<&'static Field> {
    let by = settings.group_by.by();
    let mut usual = fields::live_columns(settings.group_by == GroupBy::Process, by);
    usual.retain(|field| known.has(field));
    usual
}

/// The columns that are not hidden. The column that rows are sorted by is always one of them.
pub fn fields(settings: &Settings, known: Known) -> Vec<&'static Field> {
    let mut fields = all(settings, known);
    let last = fields.len().saturating_sub(1);
    let sorted = sorted(settings);
    let mut at = 0..;
    fields.retain(|field| {
        at.next() == Some(last) || sorted == Some(*field) || !settings.hidden.contains(field)
    });
    if let Some(sorted) = sorted.filter(|sorted| !fields.contains(sorted)) {
        fields.insert(fields.len().saturating_sub(1), sorted);
    }
    fields
}

/// The field that the user sorts by, if these rows have it.
pub fn sorted(settings: &Settings) -> Option<&'static Field> {
    let field = settings.sort.as_ref().map(|sort| sort.field);
    field.filter(|field| field.is_of(settings.group_by.by()))
}

/// What the rows' graphs show. Without eBPF it is unknown which task caused a write, so they
/// show dirtied bytes instead.
pub fn graph(settings: &Settings, known: Known) -> Graph {
    match settings.graph {
        Graph::Caused if !known.blocks => Graph::Dirtied,
        graph => graph,
    }
}

/// The header of the graphs: it says what they show.
pub fn graph_header(graph: Graph) -> String {
    format!("HISTORY {graph:?}").to_uppercase()
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

/// The columns that fit, with their widths. The last one gets the rest of the line. Usual
/// columns that are unknown or 0 for all rows give way first.
pub fn fitting(settings: &Settings, known: Known, busy: &Busy, width: u16) -> Vec<(Column, u16)> {
    let most = match settings.group_by {
        GroupBy::Command | GroupBy::User | GroupBy::Unit | GroupBy::Container | GroupBy::Device => {
            SHORT_NAME
        }
        GroupBy::Thread | GroupBy::Process | GroupBy::Parents | GroupBy::Cgroup | GroupBy::File => {
            USUAL_NAME
        }
    };
    let mut name = (width / 10 * 4).clamp(NAME, most);
    if settings.tree && settings.group_by.by().is_none() {
        // Names are behind the lines of the tree.
        name = name.max(width / 3);
    }
    let fields = fields(settings, known);
    let sorted = sorted(settings);
    let mut columns: Vec<(Column, u16)> = Vec::new();
    for field in &fields {
        // There is room for the mark of the sort column.
        let mark = u16::from(sorted == Some(*field));
        let header = u16::try_from(field.header.len()).unwrap_or(u16::MAX) + mark;
        columns.push((Column::Field(field), wide(field).max(header)));
        let summed = matches!(field.header, "CAUSED" | "DISK_READ" | "BLOCK_READ");
        if settings.figures == Figures::Both && summed {
            columns.push((
                Column::Total(field),
                wide(field).max(total_header(field).len() as u16),
            ));
        }
    }
    let graph = graph(settings, known);
    let narrowest = u16::try_from(graph_header(graph).len()).unwrap_or(GRAPH);
    if graph != Graph::Off {
        columns.insert(columns.len().saturating_sub(1), (Column::Graph, narrowest));
    }
    let is_idle = |header: &&&str| {
        let field = fields.iter().find(|field| field.header == **header);
        settings.chosen().is_empty() && field.is_some_and(|field| !busy.has(field))
    };
    let idle = DISPENSABLE.iter().filter(is_idle);
    for header in idle.chain(&DISPENSABLE) {
        if taken(&columns, name) <= width {
            break;
        }
        // Without eBPF, it is the only column about writes.
        if *header == "DISK_WRITE" && !known.blocks {
            continue;
        }
        columns.retain(|(column, _)| match column {
            Column::Field(field) | Column::Total(field) => {
                field.header != *header || sorted == Some(*field)
            }
            Column::Graph => *header != "HISTORY",
        });
    }
    // Columns that the user chose are left out from the right; the first, the last and the
    // one that rows are sorted by stay.
    while taken(&columns, NAME) > width && columns.len() > 2 {
        let is_graph = |(column, _): &(Column, u16)| *column == Column::Graph;
        let others = 1..columns.len() - 1;
        let is_sorted = |at: usize| columns[at].0 == sorted.map_or(Column::Graph, Column::Field);
        let rightmost = others.rev().find(|at| !is_sorted(*at));
        match columns.iter().position(is_graph).or(rightmost) {
            Some(at) => columns.remove(at),
            None if taken(&columns, 0) < width => break,
            None => columns.remove(1),
        };
    }
    let spare = width.saturating_sub(taken(&columns, name));
    if let Some((_, width)) = columns
        .iter_mut()
        .find(|(column, _)| *column == Column::Graph)
    {
        *width += (spare / 4).min(GRAPH.saturating_sub(narrowest));
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
    use crate::{golden, view::FIELDS};

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
        fitting(settings, ALL, &Busy::everything(), width)
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
        let busy = Busy::everything();
        assert_eq!(fitting(&settings, nothing, &busy, 200).len(), 7);
        let on_a_device = Known {
            everywhere: false,
            ..ALL
        };
        let shown = fitting(&settings, on_a_device, &busy, 200);
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
                let columns = fitting(&settings, ALL, &Busy::default(), width);
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
        settings.hidden = FIELDS.iter().collect();
        assert_eq!(headers(&settings, 80), ["PRIO", "GRAPH", "COMMAND"]);
        // It need not be a usual column, and it need not be first.
        settings.hidden.clear();
        settings.sort = "+uid".parse().ok();
        assert!(headers(&settings, 200).contains(&"UID"));
        assert!(headers(&settings, 40).contains(&"UID"));
        // Rows of another kind don't have it.
        settings.group_by = GroupBy::Unit;
        assert!(!headers(&settings, 200).contains(&"UID"));
        settings.group_by = GroupBy::Thread;
        settings.columns = ["pid", "unit", "uid", "user", "comm"]
            .into_iter()
            .filter_map(|name| fields::find(name).ok())
            .collect();
        assert_eq!(headers(&settings, 30), ["PID", "UID", "COMM"]);
    }

    #[test]
    fn idle_columns_give_way_to_others() {
        let only = |names: &[&str]| {
            let sample = golden::flushed();
            let mut busy = Busy::default();
            let rows = crate::view::sort::rows(&sample);
            let named = FIELDS.iter().filter(|field| names.contains(&field.header));
            busy.look(sample.time, rows.into_iter(), named);
            busy
        };
        let settings = Settings::default();
        let of = |busy: &Busy| {
            let columns = fitting(&settings, ALL, busy, 80).into_iter();
            let field = |(column, _)| match column {
                Column::Field(field) => Some(field.header),
                _ => None,
            };
            columns.filter_map(field).collect::<Vec<_>>()
        };
        let writes = of(&Busy::everything());
        assert!(!writes.contains(&"DISK_READ") && writes.contains(&"DISK_WRITE"));
        // Nothing is dirty and nothing is written: what is read has the room.
        let reads = of(&only(&["DISK_READ", "USER"]));
        assert!(
            reads.contains(&"DISK_READ") && reads.contains(&"USER"),
            "{reads:?}"
        );
        assert!(reads.contains(&"CAUSED"), "it always stays: {reads:?}");
    }

    #[test]
    fn the_graphs_header_says_what_they_show() {
        for graph in [Graph::Caused, Graph::Read, Graph::Dirtied, Graph::Io] {
            let settings = Settings {
                graph,
                ..Settings::default()
            };
            let header = graph_header(graph);
            let columns = fitting(&settings, ALL, &Busy::everything(), 200);
            let width = columns.iter().find(|(column, _)| *column == Column::Graph);
            assert!(width.is_some_and(|(_, width)| usize::from(*width) >= header.len()));
        }
    }
}
