//! The rows of the tables in `decide`, one by one.
