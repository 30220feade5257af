//! `northstar doctor` against a real server, and against set-ups that are broken in one place: each is named, and nothing
//! else is.

mod catalogue;
mod conversation;
mod everywhere;
mod healthy;
mod metadata;
mod output;
mod reach;
mod refusals;
mod stage;
mod token;

use std::path::Path;

use black_box::repository;
use doctor::checks::{ALL, ANY_REQUEST};

/// What a test cannot stage over plain TCP in reasonable time: judged in the unit tests of `crates/doctor`.
const NOT_STAGED: [&str; 1] = ["connect.silent"];

#[test]
fn every_problem_that_the_doctor_knows_is_staged() {
    let folder = repository().join("tests/doctor");
    let staged: String = std::fs::read_dir(folder).unwrap().map(|file| read(&file.unwrap().path())).collect();
    let mut missing = Vec::new();
    let mut count = 0;
    for problem in ANY_REQUEST {
        count += 1;
        if !ALL.iter().any(|check| staged.contains(&format!("\"{}.{}\"", check.id, problem.id))) {
            missing.push(format!("….{}", problem.id));
        }
    }
    for check in ALL {
        for problem in check.problems {
            count += 1;
            let id = format!("{}.{}", check.id, problem.id);
            if !staged.contains(&format!("\"{id}\"")) {
                missing.push(id);
            }
        }
    }
    missing.retain(|id| !NOT_STAGED.contains(&id.as_str()));
    assert_eq!(missing, Vec::<String>::new());
    assert!(count >= 100, "{count}");
}

fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    // The list above is no test.
    text.replace("NOT_STAGED: [&str; 1] = [\"connect.silent\"]", "")
}
