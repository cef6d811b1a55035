//! Connections: what users see, what is called and written for it, and what becomes of tokens.

mod consents;
mod crashes;
mod inventories;
mod inventory;
mod life;
mod recovery;
mod refusals;
mod sending;
mod strangers;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
