//! TOKEN CUSTODY: which tokens there are, where they are kept, and the one way in which a refresh token is spent.
//!
//! Values and the writes of the state Secret are here; what to do next is decided in `connection::decide`.

mod grants;
mod index;
mod memory;
mod refresh;
mod store;
mod takeover;
mod tokens;

pub use grants::{Entry, Grants, GrantsRead, NotOpened, Pair};
pub use index::{Holder, Index};
pub use memory::{Applied, CallEnd, Failure, Memory, Verdict};
pub use refresh::{RefreshOutcome, RefreshRequest, adopted};
pub use store::{StateRead, Store};
pub use tokens::{App, Consumed, Damaged, Marker, Token, TokenState, credential};

pub(super) use refresh::{Refresher, run};
