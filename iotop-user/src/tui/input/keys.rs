//! The keys: what they do and what the help says of them, in one table.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends the program.
    Quit,
    /// Shows this table.
    Help,
    /// Opens the selected row.
    Open,
    /// Goes back to where one came from.
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
    /// Turns the order around.
    Reverse,
    /// Sorts by what moved most, as at the start.
    SortUsual,
    /// The flushes and spikes.
    Why,
    /// Only what is active.
    Only,
    /// Processes or threads.
    Processes,
    /// Rows of the next kind.
    GroupNext,
    /// Rows of the previous kind.
    GroupPrevious,
    /// Children below their parents.
    Tree,
    /// Rates, totals or both.
    Figures,
    /// Exited tasks.
    Exited,
    /// Command lines or names.
    CommandLine,
    /// The row's graph.
    Graph,
    /// Kilobytes or fitting units.
    Kilobytes,
    /// Hides or shows columns.
    Column,
    /// Shows all columns.
    AllColumns,
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
    /// Holds the screen.
    Freeze,
    /// Takes a look now.
    Refresh,
    /// Asks for the seconds between two looks.
    Delay,
    /// Turns the kernel's counting of delays on or off.
    DelayAccounting,
    /// Writes the configuration.
    Save,
    /// Draws everything anew.
    Redraw,
    /// Stops the program, until it is continued by the shell.
    Suspend,
}

impl Action {
    /// Whether it changes the table, so that nothing is seen of it elsewhere.
    pub fn is_of_table(self) -> bool {
        use Action::{
            AllColumns, Column, CommandLine, Device, Exited, Figures, Filter, Graph, GroupNext,
            GroupPrevious, Only, Pids, Processes, Reverse, SortLeft, SortRight, SortUsual, Tree,
            Users,
        };
        matches!(
            self,
            AllColumns
                | Column
                | CommandLine
                | Device
                | Exited
                | Figures
                | Filter
                | Graph
                | GroupNext
                | GroupPrevious
                | Only
                | Pids
                | Processes
                | Reverse
                | SortLeft
                | SortRight
                | SortUsual
                | Tree
                | Users
        )
    }
}

/// Some keys that do the same.
pub struct Key {
    codes: &'static [KeyCode],
    ctrl: bool,
    /// What they do.
    pub action: Action,
    /// As they are written in the help.
    pub label: &'static str,
    /// What the help says of them.
    pub help: &'static str,
}

macro_rules! keys {
    ($($action:ident $label:literal $help:literal $($ctrl:ident)? [$($code:expr),+];)*) => {
        /// Every key, in the order of the help.
        pub static KEYS: &[Key] = &[$(Key {
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
    Help "? h F1" "this help" [Char('?'), Char('h'), F(1)];
    Open "Enter" "the selected row in detail: files, devices, who submitted" [Enter];
    Back "Esc Backspace" "back" [Esc, Backspace];
    Why "w" "why: the flushes as they happen, and the recent spikes" [Char('w')];
    GroupNext "b" "rows by thread, process, user, cgroup, unit, container, device, file" [Char('b')];
    GroupPrevious "B" "the same, the other way" [Char('B')];
    Processes "p" "processes or threads" [Char('p'), Char('P')];
    Tree "t" "tree: children below their parents" [Char('t'), F(5)];
    Only "o" "only what does I/O or has dirty pages; in why: only writes for others" [Char('o'), Char('O')];
    Figures "a" "rates, totals from now on, or both" [Char('a'), Char('A')];
    Exited "x" "exited tasks stay in view (dimmed) for a while, or not" [Char('x'), Char('X')];
    SortLeft "Left <" "sort by the column to the left" [Left, Char('<')];
    SortRight "Right >" "sort by the column to the right" [Right, Char('>')];
    Reverse "r" "the other way around" [Char('r'), Char('R')];
    SortUsual "m" "those that move most first, and moved lately" [Char('m')];
    Filter "/" "only commands that match a regular expression" [Char('/'), F(4)];
    Users "u" "only these users' tasks" [Char('u'), Char('U')];
    Pids "f" "only these processes" [Char('f')];
    Device "d" "only the I/O of these devices" [Char('d')];
    Up "Up k" "up" [Up, Char('k')];
    Down "Down j" "down" [Down, Char('j')];
    PageUp "PgUp" "a screen up" [PageUp];
    PageDown "PgDn" "a screen down" [PageDown];
    First "Home" "the first row" [Home];
    Last "End" "the last row" [End];
    Column "1-9" "hide or show a column" [Char('1'), Char('2'), Char('3'), Char('4'), Char('5'), Char('6'), Char('7'), Char('8'), Char('9')];
    AllColumns "0" "show all columns" [Char('0')];
    CommandLine "c" "command lines or names" [Char('c'), Char('C')];
    Graph "g" "what the rows' graphs show: caused, read, dirtied, I/O waits, none" [Char('g'), Char('G')];
    Kilobytes "K" "kilobytes or fitting units" [Char('K')];
    Priority "i" "give the selected task an I/O priority" [Char('i'), Char('I')];
    Freeze "s" "stand still, or go on" [Char('s'), Char('S')];
    Refresh "Space" "look now" [Char(' ')];
    Delay "D" "seconds between two looks" [Char('D')];
    DelayAccounting "^T" "let the kernel count delays (SWAPIN, IO), or not" ctrl [Char('t')];
    Save "W" "save all this as the configuration" [Char('W')];
    Redraw "^L" "draw the screen anew" ctrl [Char('l')];
    Suspend "^Z" "stop; `fg` goes on" ctrl [Char('z')];
    Quit "q" "quit" [Char('q'), Char('Q'), F(10)];
    Quit "^C" "quit" ctrl [Char('c')];
}

/// What a key does, if anything.
pub fn action(event: KeyEvent) -> Option<Action> {
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let is = |key: &&Key| key.ctrl == ctrl && key.codes.contains(&event.code);
    KEYS.iter().find(is).map(|key| key.action)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let mut seen = HashSet::new();
        for key in KEYS {
            for code in key.codes {
                assert!(seen.insert((*code, key.ctrl)), "{}", key.label);
            }
        }
    }

    #[test]
    fn a_key_is_found_with_and_without_control() {
        let press = |code, modifiers| action(KeyEvent::new(code, modifiers));
        assert_eq!(
            press(Char('c'), KeyModifiers::NONE),
            Some(Action::CommandLine)
        );
        assert_eq!(press(Char('c'), KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(press(Char('W'), KeyModifiers::SHIFT), Some(Action::Save));
        assert_eq!(press(F(9), KeyModifiers::NONE), None);
    }
}
