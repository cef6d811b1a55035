//! A world behind a loopback address.
