//! Has the linker place what every start and most calls run through together (`layout/*.ld`, made by `make layout`).

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=layout");
    println!("cargo::rerun-if-env-changed=NORTHSTAR_LAYOUT");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|is| is == value);
    // `make layout` itself goes without: valgrind does not find the names of what lies outside .text.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !is("NORTHSTAR_LAYOUT", "none") {
        for program in ["mcp", "token"] {
            println!("cargo::rustc-link-arg-bin={program}=-T");
            // From the root of the workspace, where cargo has the linker run: the path of a checkout may change.
            println!("cargo::rustc-link-arg-bin={program}=functions/bootstraps/layout/{program}.ld");
        }
    }
}
