//! The limits of a server's definition and of a client's tokens, at the programs that ship: what is told when one is used
//! up, what else goes on, and that a table that is away holds nobody up. How they hold under load: `tests/soak`.

mod calls;
mod tokens;
mod without_table;
