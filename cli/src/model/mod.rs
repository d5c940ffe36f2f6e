//! A trained model in a folder: `model.safetensors` with the tables, and `model.json` with everything else.

mod load;
mod lookup;
mod machine;
mod save;
mod weight;

use serde::{Deserialize, Serialize};

pub use load::{LoadError, Model};
pub use lookup::{Catalog, Found, NotFound};
pub use machine::{BIAS, Features, MachineDescription, VECTOR_TABLE, WEIGHT_TABLE, save_machine};
pub use save::{Folder, save};
pub use weight::{Precision, Weight};

use crate::train::{Scores, Settings};

/// Name of the file that holds the tables.
pub const TABLES: &str = "model.safetensors";
/// Name of the file that holds everything else.
pub const DESCRIPTION: &str = "model.json";
/// Name of the users' table in the file of tables.
pub const USER_TABLE: &str = "user_embedding.weight";
/// Name of the items' table in the file of tables.
pub const ITEM_TABLE: &str = "item_embedding.weight";

/// What `format` in `model.json` says.
const FORMAT: &str = "hotrow-model";
/// The version of the folder's layout that this program writes and reads.
const VERSION: u32 = 1;

/// What `model.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `hotrow-model`.
    pub format: String,
    /// Version of the layout of the folder.
    pub version: u32,
    /// CRC-32 of `model.safetensors`, which tells whether the two files belong together.
    pub tables_crc32: u32,
    /// How the model was trained.
    pub settings: Settings,
    /// How well it ranked what was held out; `None` when no user had two items.
    pub scores: Option<Scores>,
    /// The id of each row of the users' table.
    pub users: Vec<String>,
    /// What is known of each user, in words; empty when nothing is.
    pub notes: Vec<String>,
    /// The id of each row of the items' table.
    pub items: Vec<String>,
    /// The title of each item; empty when there are no titles at all.
    pub titles: Vec<Option<String>>,
    /// For each user, the items that they have met, as rows of the items' table in ascending order.
    pub seen: Vec<Vec<u32>>,
}

impl Description {
    /// A description of this version whose tables are yet to be written.
    pub fn new(settings: Settings, scores: Option<Scores>) -> Self {
        Description {
            format: FORMAT.into(),
            version: VERSION,
            tables_crc32: 0,
            settings,
            scores,
            users: Vec::new(),
            notes: Vec::new(),
            items: Vec::new(),
            titles: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// The items by their names.
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog { what: "item", place: "the model", rows: self.items.len(), ids: &self.items, titles: &self.titles }
    }

    /// The title of an item, if it has one.
    pub fn title(&self, item: usize) -> Option<&str> {
        self.catalog().title(item)
    }

    /// The title of an item, or its id.
    pub fn name(&self, item: usize) -> &str {
        self.title(item).unwrap_or(&self.items[item])
    }
}
