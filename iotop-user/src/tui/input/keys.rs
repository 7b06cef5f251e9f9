//! All keys in one table, with what each does and its help text.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends the program.
    Quit,
    /// Shows the help.
    Help,
    /// Opens the selected row.
    Open,
    /// Goes back to the previous page.
    Back,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// Sorts by the column to the left.
    SortLeft,
    /// Sorts by the column to the right.
    SortRight,
    /// Reverses the order.
    Reverse,
    /// Sorts by what moved most, as at the start.
    SortUsual,
    /// Asks for the field to sort by.
    SortBy,
    /// Shows the flushes and spikes.
    Why,
    /// Shows the wake-ups of disks.
    Wakes,
    /// Shows only active rows, or all.
    Only,
    /// Switches between processes and threads.
    Processes,
    /// Changes what a row is to the next kind.
    GroupNext,
    /// Changes what a row is to the previous kind.
    GroupPrevious,
    /// Turns the tree on or off.
    Tree,
    /// Switches between rates, totals and both.
    Figures,
    /// Shows or hides exited tasks.
    Exited,
    /// Switches between command lines and names.
    CommandLine,
    /// Changes what the rows' graphs show.
    Graph,
    /// Switches between kilobytes and fitting units.
    Kilobytes,
    /// Hides or shows columns.
    Column,
    /// Shows all columns.
    AllColumns,
    /// Opens the menu of columns.
    Columns,
    /// Opens a fold, or a closed branch of the tree.
    Unfold,
    /// Closes the fold or the branch of the tree.
    Fold,
    /// Asks for a text, and selects the row that has it.
    Search,
    /// Selects the next row that has the text.
    SearchNext,
    /// Selects the previous row that has the text.
    SearchPrevious,
    /// Asks for a regular expression.
    Filter,
    /// Asks for users.
    Users,
    /// Asks for processes.
    Pids,
    /// Asks for devices.
    Device,
    /// Asks for an I/O priority.
    Priority,
    /// Pauses or resumes the display.
    Freeze,
    /// Takes a sample now.
    Refresh,
    /// Asks for the seconds between two samples.
    Delay,
    /// Turns the kernel's delay accounting on or off.
    DelayAccounting,
    /// Writes the configuration file.
    Save,
    /// Redraws the whole screen.
    Redraw,
    /// Stops the program until the shell continues it.
    Suspend,
    /// Goes one sample back in a recording.
    SampleBack,
    /// Goes one sample forward.
    SampleForward,
    /// Goes ten samples back.
    TenBack,
    /// Goes ten samples forward.
    TenForward,
    /// Asks for a time to go to.
    Time,
    /// Plays the recording, or pauses.
    Play,
    /// Plays faster.
    Faster,
    /// Goes to the next spike.
    NextSpike,
    /// Goes to the previous spike.
    PreviousSpike,
}

impl Action {
    /// Whether it needs the running machine: a recording has no tasks that could be changed.
    pub fn is_of_machine(self) -> bool {
        matches!(
            self,
            Action::Priority | Action::Delay | Action::DelayAccounting | Action::Refresh
        )
    }

    /// Whether it changes only the table, with no visible effect on other pages.
    pub fn is_of_table(self) -> bool {
        use Action::{
            AllColumns, Column, Columns, CommandLine, Device, Exited, Figures, Filter, Fold, Graph,
            GroupNext, GroupPrevious, Only, Pids, Processes, Reverse, Search, SearchNext,
            SearchPrevious, SortBy, SortLeft, SortRight, SortUsual, Tree, Unfold, Users,
        };
        matches!(
            self,
            AllColumns
                | Column
                | Columns
                | CommandLine
                | Device
                | Exited
                | Figures
                | Filter
                | Fold
                | Graph
                | GroupNext
                | GroupPrevious
                | Only
                | Pids
                | Processes
                | Reverse
                | Search
                | SearchNext
                | SearchPrevious
                | SortBy
                | SortLeft
                | SortRight
                | SortUsual
                | Tree
                | Unfold
                | Users
        )
    }
}

/// Keys with the same action.
pub struct Key {
    codes: &'static [KeyCode],
    ctrl: bool,
    /// Their action.
    pub action: Action,
    /// How the help names them.
    pub label: &'static str,
    /// Their help text.
    pub help: &'static str,
}

macro_rules! keys {
    ($(#[$about:meta])* $name:ident: $($action:ident $label:literal $help:literal $($ctrl:ident)? [$($code:expr),+];)*) => {
        $(#[$about])*
        pub static $name: &[Key] = &[$(Key {
            codes: &[$($code),+],
            ctrl: keys!(@ctrl $($ctrl)?),
            action: Action::$action,
            label: $label,
            help: $help,
        }),*];
    };
    (@ctrl ctrl) => { true };
    (@ctrl) => { false };
}

use KeyCode::{Backspace, Char, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp, Right, Up};

keys! {
    /// Every key, in the order of the help.
    KEYS:
    Help "? h F1" "help" [Char('?'), Char('h'), F(1)];
    Open "Enter" "open the selected row: files, devices, submitters" [Enter];
    Back "Esc Backspace" "go back" [Esc, Backspace];
    Why "w" "why: recent flushes and spikes, with reasons and owners" [Char('w')];
    Wakes "z" "wake-ups: what ended the silence of each disk, and how regularly" [Char('z')];
    GroupNext "b" "rows by thread, process, command, parents, user, cgroup, unit, container, device, file" [Char('b')];
    GroupPrevious "B" "the same, backwards" [Char('B')];
    Processes "p" "show processes or threads" [Char('p'), Char('P')];
    Tree "t F5" "tree: children below their parents, which show the sum of their branch" [Char('t'), F(5)];
    Unfold "+" "open the row: exited tasks of one name, a closed branch of the tree" [Char('+')];
    Fold "-" "close it" [Char('-')];
    Only "o" "show only rows that do I/O now or have dirty pages; in why: only writes for others" [Char('o'), Char('O')];
    Figures "a" "show rates, totals from now on, or both" [Char('a'), Char('A')];
    Exited "x" "show or hide exited tasks (dimmed)" [Char('x'), Char('X')];
    SortLeft "Left <" "sort by the column to the left" [Left, Char('<')];
    SortRight "Right >" "sort by the column to the right" [Right, Char('>')];
    Reverse "r" "reverse sort" [Char('r'), Char('R')];
    SortUsual "m" "sort by recent activity (the default)" [Char('m')];
    SortBy "F6" "sort by any field, by its name" [F(6)];
    Filter "/ \\ F4" "show only commands that match a regular expression" [Char('/'), Char('\\'), F(4)];
    Search "F3" "select the next row that contains a text" [F(3)];
    SearchNext "n" "go to the next match" [Char('n')];
    SearchPrevious "N" "go to the previous match" [Char('N')];
    Users "u" "show only the tasks of these users" [Char('u'), Char('U')];
    Pids "f" "show only these processes" [Char('f')];
    Device "d" "show only the I/O of these devices" [Char('d')];
    Up "Up k" "up" [Up, Char('k')];
    Down "Down j" "down" [Down, Char('j')];
    PageUp "PgUp" "one page up" [PageUp];
    PageDown "PgDn" "one page down" [PageDown];
    First "Home" "go to the first row" [Home];
    Last "End" "go to the last row" [End];
    Column "1-9" "hide or show a column" [Char('1'), Char('2'), Char('3'), Char('4'), Char('5'), Char('6'), Char('7'), Char('8'), Char('9')];
    AllColumns "0" "show all columns" [Char('0')];
    Columns "F2" "menu of columns: Space shows or hides one, < and > move it" [F(2)];
    CommandLine "c" "show command lines or names" [Char('c'), Char('C')];
    Graph "g" "change what the graphs show: caused, read, dirtied, I/O wait, none" [Char('g'), Char('G')];
    Kilobytes "K" "show kilobytes or the unit that fits best" [Char('K')];
    Priority "i F7 F8" "set the I/O priority of the selected task" [Char('i'), Char('I'), F(7), F(8)];
    Freeze "s" "freeze, resume" [Char('s'), Char('S')];
    Refresh "Space" "refresh now" [Char(' ')];
    Delay "D" "set the refresh interval in seconds" [Char('D')];
    DelayAccounting "^T" "show how to turn the kernel's delay accounting (SWAPIN, IO) on or off" ctrl [Char('t')];
    Save "W" "save the settings" [Char('W')];
    Redraw "^L" "redraw the screen" ctrl [Char('l')];
    Suspend "^Z" "suspend (`fg` resumes)" ctrl [Char('z')];
    Quit "q F10" "quit" [Char('q'), Char('Q'), F(10)];
    Quit "^C" "quit" ctrl [Char('c')];
}

keys! {
    /// The keys of a recording. They come before those of the same name in `KEYS`.
    REPLAY_KEYS:
    SampleBack "," "one sample back" [Char(',')];
    SampleForward "." "one sample forward" [Char('.')];
    TenBack "<" "ten samples back" [Char('<')];
    TenForward ">" "ten samples forward" [Char('>')];
    Time "g" "go to a time: 14:30 of this day, -1h from here, 2026-11-28, start, end" [Char('g')];
    Play "Space s" "play as fast as it was recorded, pause" [Char(' '), Char('s'), Char('S')];
    Faster "v" "play 10, 60 or 600 times as fast, or as it was recorded" [Char('v')];
    NextSpike "e" "go to the next spike (Esc ends the search)" [Char('e')];
    PreviousSpike "E" "go to the previous spike" [Char('E')];
}

/// What a key does, if anything. `replay` says that a recording is shown.
pub fn action(event: KeyEvent, replay: bool) -> Option<Action> {
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let is = |key: &&Key| key.ctrl == ctrl && key.codes.contains(&event.code);
    let of_replay = REPLAY_KEYS.iter().filter(|_| replay);
    of_replay.chain(KEYS).find(is).map(|key| key.action)
}

/// How the help of a recording names a key of the live view: without the names that mean something
/// else there. `None` if no name is left, or if it needs the running machine.
pub fn label_in_replay(key: &Key) -> Option<String> {
    if key.action.is_of_machine() {
        return None;
    }
    let is_taken = |code: &KeyCode| REPLAY_KEYS.iter().any(|other| other.codes.contains(code));
    if key.ctrl || !key.codes.iter().any(is_taken) {
        return Some(key.label.to_owned());
    }
    let of_one = |word: &str| {
        let mut chars = word.chars();
        let one = chars.next().filter(|_| chars.next().is_none());
        one.map(Char)
    };
    let words = key.label.split(' ');
    let left = words.filter(|word| *word != "Space" && of_one(word).is_none_or(|c| !is_taken(&c)));
    let left: Vec<&str> = left.collect();
    match left.is_empty() {
        false => Some(left.join(" ")),
        // The same letter with Shift.
        true => key.codes.iter().find_map(|code| match code {
            Char(c) if !is_taken(code) => Some(c.to_string()),
            _ => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_does_two_things() {
        for keys in [KEYS, REPLAY_KEYS] {
            let mut seen = HashSet::new();
            for key in keys {
                for code in key.codes {
                    assert!(seen.insert((*code, key.ctrl)), "{}", key.label);
                }
            }
        }
    }

    #[test]
    fn the_help_of_a_recording_names_no_key_that_means_something_else_there() {
        let label = |action| {
            let key = KEYS.iter().find(|key| key.action == action);
            label_in_replay(key.expect("a key"))
        };
        assert_eq!(label(Action::SortLeft).as_deref(), Some("Left"));
        assert_eq!(label(Action::Graph).as_deref(), Some("G"));
        assert_eq!(label(Action::Quit).as_deref(), Some("q F10"));
        for gone in [Action::Freeze, Action::Refresh, Action::Priority] {
            assert_eq!(label(gone), None, "{gone:?}");
        }
    }

    #[test]
    fn a_key_is_found_with_and_without_control() {
        let press = |code, modifiers| action(KeyEvent::new(code, modifiers), false);
        assert_eq!(
            press(Char('c'), KeyModifiers::NONE),
            Some(Action::CommandLine)
        );
        assert_eq!(press(Char('c'), KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(press(Char('W'), KeyModifiers::SHIFT), Some(Action::Save));
        assert_eq!(press(F(9), KeyModifiers::NONE), None);
        let space = KeyEvent::new(Char(' '), KeyModifiers::NONE);
        assert_eq!(action(space, false), Some(Action::Refresh));
        assert_eq!(action(space, true), Some(Action::Play));
    }
}
