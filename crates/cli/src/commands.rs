//! The commands, a file each. A new one is a file here and a variant in `main.rs`.

pub mod call;
pub mod client;
pub mod import;
pub mod init;
pub mod key;
pub mod serve;
pub mod token;
