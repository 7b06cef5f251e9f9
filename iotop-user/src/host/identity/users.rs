//! User names.

use std::{collections::HashMap, sync::Arc};

use uzers::{get_user_by_name, get_user_by_uid};

/// Names by number, each asked for once.
#[derive(Debug, Default)]
pub struct Users {
    names: HashMap<u32, Arc<str>>,
}

impl Users {
    /// A user's name; the number where it has none.
    pub fn name(&mut self, uid: u32) -> Arc<str> {
        let look_up = || match get_user_by_uid(uid) {
            Some(user) => user.name().to_string_lossy().into(),
            None => uid.to_string().into(),
        };
        self.names.entry(uid).or_insert_with(look_up).clone()
    }
}

/// A user's number, by name or number.
pub fn uid(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(uid) => Some(uid),
        Err(_) => Some(get_user_by_name(name)?.uid()),
    }
}
