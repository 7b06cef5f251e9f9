//! User names.

use std::{collections::HashMap, sync::Arc};

use uzers::{get_user_by_name, get_user_by_uid};

/// User names by uid. Each is looked up once.
#[derive(Debug, Default)]
pub struct Users {
    names: HashMap<u32, Arc<str>>,
}

impl Users {
    /// A user's name, or the uid if the user has no name.
    pub fn name(&mut self, uid: u32) -> Arc<str> {
        let look_up = || match get_user_by_uid(uid) {
            Some(user) => user.name().to_string_lossy().into(),
            None => uid.to_string().into(),
        };
        self.names.entry(uid).or_insert_with(look_up).clone()
    }
}

/// The uid for a user's name, or for a number as text.
pub fn uid(name: &str) -> Option<u32> {
    match name.parse() {
        Ok(uid) => Some(uid),
        Err(_) => Some(get_user_by_name(name)?.uid()),
    }
}
