//! Rotation as Secrets Manager drives it: this is the driver, for the real one does not run here. It sends the four
//! events itself, in every order and again and again, and lets the process die after every call.

mod bootstrap;
mod client_secrets;
mod commands;
mod crashes;
mod orders;
mod signing_keys;
mod test_step;
mod world;
