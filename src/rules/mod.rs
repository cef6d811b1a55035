//! Pure helpers with a name from the domain. They import nothing of ours, do no I/O, and take time and
//! randomness as arguments, so that every room may use them and every test may play them through.

pub mod backoff;
pub mod clock;
pub mod conditions;
pub mod digest;
pub mod lease;
pub mod link;
pub mod marks;
pub mod password;
pub mod random;
pub mod rival;
pub mod selector;
pub mod suggest;
