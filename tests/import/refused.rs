//! Rows that are refused: where they go, and how they come back.

use std::fs;

use black_box::Server;
use serde_json::Value;

use crate::{accounts, counts, file, import, orders, run};

const POINTS: &str = "Member,points,Notiz\nK-1,1,\nK-2,\"1,200\",\"a, \"\"b\"\"\nc\"\n,3,x\nK-4\nK-5,5,y\n";

#[test]
fn the_file_of_rejected_rows_has_each_as_it_was_with_line_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    let export = file(&directory, "points.csv", POINTS);
    let rejects = directory.path().join("rejects.csv");
    let options = ["--map", "Member=customer_id", "--rejects", rejects.to_str().unwrap()];

    let (code, output, errors) =
        run(directory.path(), &[&["import", "loyalty", export.to_str().unwrap()], &options[..]].concat());
    assert_eq!((code, output.as_str()), (1, "5 rows read, 2 written, 3 refused\n"));
    assert_eq!(errors.lines().count(), 3, "{errors}");
    let expected = "northstar_line,northstar_reason,Member,points,Notiz\n\
        3,\"`points` `1,200` is not a whole number from 0 to 9007199254740991\",K-2,\"1,200\",\"a, \"\"b\"\"\nc\"\n\
        5,`customer_id` is missing,,3,x\n\
        6,\"the number of fields is 1, the header has 3\",K-4\n";
    assert_eq!(fs::read_to_string(&rejects).unwrap(), expected);

    let corrected = expected.replace("K-2,\"1,200\"", "K-2,1200").replace(",,3", ",K-3,3").replace("K-4\n", "K-4,4,\n");
    let corrected = file(&directory, "corrected.csv", &corrected);
    let (code, summary) = import(directory.path(), "loyalty", &corrected, &options[..2]);
    assert_eq!((code, counts(&summary)), (0, [3, 3, 0, 0]));
}

#[tokio::test]
async fn rejected_rows_of_json_are_json_lines_and_come_back_without_our_columns() {
    let (server, directory) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let text =
        "[{\"customer_id\": \"K-1\", \"points\": -1,\n\"left\": 2.50, \"in\": {\"a\":\n[1]}}, null, {\"points\": 3}]";
    let export = file(&directory, "points.json", text);
    let rejects = directory.path().join("rejects.jsonl");
    let (code, summary) = import(server.home(), "loyalty", &export, &["--rejects", rejects.to_str().unwrap()]);
    assert_eq!((code, counts(&summary)), (1, [3, 0, 0, 3]));

    let written = fs::read_to_string(&rejects).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let reason = "`points` `-1` is not a whole number from 0 to 9007199254740991";
    assert_eq!(
        lines,
        [
            &*format!(
                "{{\"northstar_line\":1,\"northstar_reason\":\"{reason}\",\"customer_id\":\"K-1\",\"points\":-1,\"left\":2.50,\"in\":{{\"a\": [1]}}}}"
            ),
            "{\"northstar_line\":3,\"northstar_reason\":\"the row is null, not an object\",\"northstar_row\":\"null\"}",
            "{\"northstar_line\":3,\"northstar_reason\":\"`customer_id` is missing\",\"points\":3}",
        ]
    );

    let corrected = written
        .replace("\"points\":-1", "\"points\":1")
        .replace("\"northstar_row\":\"null\"", "\"customer_id\":\"K-2\",\"points\":2")
        .replace("\"points\":3", "\"points\":3,\"customer_id\":\"K-3\"");
    let (code, summary) = import(server.home(), "loyalty", &file(&directory, "corrected.jsonl", &corrected), &[]);
    assert_eq!((code, counts(&summary)), (0, [3, 3, 0, 0]), "{summary}");
    let accounts = accounts(&server).await;
    assert_eq!(accounts["K-1"].keys().collect::<Vec<_>>(), ["customer_id", "in", "left", "points"]);
    assert_eq!(accounts["K-2"].keys().collect::<Vec<_>>(), ["customer_id", "points"]);
}

#[test]
fn rows_that_are_rejected_again_are_written_as_they_are_now() {
    let directory = tempfile::tempdir().unwrap();
    let rejects = |name: &str| directory.path().join(name).display().to_string();
    let export = file(&directory, "points.csv", "customer_id,points\nK 1,1\nK-2,2\nK-3,x\n");
    import(directory.path(), "loyalty", &export, &["--rejects", &rejects("first.csv")]);
    let half = fs::read_to_string(rejects("first.csv")).unwrap().replace("K 1", "K-1");
    let half = file(&directory, "half.csv", &half);
    let (code, summary) = import(directory.path(), "loyalty", &half, &["--rejects", &rejects("second.csv")]);
    assert_eq!((code, counts(&summary)), (1, [2, 1, 0, 1]));
    let reason = "`points` `x` is not a whole number from 0 to 9007199254740991";
    let expected = format!("northstar_line,northstar_reason,customer_id,points\n3,{reason},K-3,x\n");
    assert_eq!(fs::read_to_string(rejects("second.csv")).unwrap(), expected);
}

#[test]
fn an_existing_file_is_not_overwritten_and_nothing_is_imported() {
    let directory = tempfile::tempdir().unwrap();
    let export = file(&directory, "points.csv", "customer_id,points\nK-1,1\nK-2,x\n");
    let mine = file(&directory, "mine.csv", "precious");
    let missing = directory.path().join("missing/rejects.csv");
    for (rejects, says) in [(&mine, "the file exists already"), (&missing, "No such file")] {
        let options = ["import", "loyalty", export.to_str().unwrap(), "--rejects", rejects.to_str().unwrap()];
        let (code, output, errors) = run(directory.path(), &options);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(errors.contains(says) && errors.contains(rejects.to_str().unwrap()), "{errors}");
    }
    assert_eq!(fs::read_to_string(&mine).unwrap(), "precious");
    let (_, summary) = import(directory.path(), "loyalty", &export, &[]);
    assert_eq!(counts(&summary), [2, 1, 0, 1], "the good row was not there yet");
}

#[test]
fn without_refused_rows_there_is_no_file_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let rejects = directory.path().join("rejects.csv");
    let options = ["--rejects", rejects.to_str().unwrap()];
    let good = file(&directory, "good.csv", "customer_id,points\nK-1,1\n");
    assert_eq!(import(directory.path(), "loyalty", &good, &options).0, 0);
    assert!(!rejects.exists());
    let headless = file(&directory, "headless.csv", "a,b\nK-1,1\n");
    let (code, ..) =
        run(directory.path(), &[&["import", "loyalty", headless.to_str().unwrap()], &options[..]].concat());
    assert_eq!((code, rejects.exists()), (1, false), "nor when the file cannot be imported at all");
}

#[test]
fn a_name_that_would_be_read_as_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let csv = file(&directory, "points.csv", "customer_id,points\nK-1,1\n");
    let json = file(&directory, "points.json", "[]");
    for (export, rejects, says) in [(&csv, "r.jsonl", "written as CSV"), (&json, "r.csv", "written as JSON Lines")] {
        let options = ["import", "loyalty", export.to_str().unwrap(), "--rejects", rejects];
        let (code, output, errors) = run(directory.path(), &options);
        assert_eq!((code, output.as_str()), (2, ""));
        assert!(errors.contains(says), "{errors}");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_leaves_the_table_as_it_is() {
    let (server, directory) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let text = "order_id,customer_id,ordered_at,status\n1001,C-0001,2026-06-28,LOST\n1001,C-0001,2026-06-28,DELAYED\nX-1,K-1,2026-06-28,SHIPPED\n";
    let export = file(&directory, "export.csv", text);
    let before = orders(&server).await;
    let rejects = directory.path().join("rejects.csv");
    let arguments = ["import", "orders", export.to_str().unwrap(), "--dry-run", "--rejects", rejects.to_str().unwrap()];

    let (code, output, errors) = run(server.home(), &arguments);
    assert_eq!((code, output.as_str()), (1, "3 rows read, 2 written, 1 refused (dry run: the table is as it was)\n"));
    assert!(errors.starts_with("line 2: `status` `LOST` is not a status"), "{errors}");
    assert_eq!(orders(&server).await, before);
    assert!(rejects.exists(), "the rows to correct are there before anything is imported");

    let (_, summary) = import(server.home(), "orders", &export, &[]);
    assert_eq!(counts(&summary), [3, 2, 0, 1]);
    let (_, summary) = import(server.home(), "orders", &export, &["--dry-run"]);
    assert_eq!(counts(&summary), [3, 0, 2, 1]);
}

#[test]
fn only_the_first_hundred_refused_rows_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let rows: String = (0..250).map(|row| format!("K {row},1\n")).collect();
    let export = file(&directory, "points.csv", &format!("customer_id,points\n{rows}"));
    let rejects = directory.path().join("rejects.csv");
    let arguments = ["import", "loyalty", export.to_str().unwrap()];
    let (_, _, errors) = run(directory.path(), &arguments);
    assert_eq!(errors.lines().count(), 101);
    assert_eq!(errors.lines().last(), Some("and 150 more; --rejects FILE keeps them all"));
    let keep = ["--rejects", rejects.to_str().unwrap()];
    let (_, output, errors) = run(directory.path(), &[&arguments[..], &keep].concat());
    assert_eq!(errors.lines().last(), Some("and 150 more"));
    assert_eq!(output, "250 rows read, 0 written, 250 refused\n");
    assert_eq!(fs::read_to_string(&rejects).unwrap().lines().count(), 251);
    let (_, summary) = import(directory.path(), "loyalty", &export, &[]);
    assert_eq!((summary["refused"].as_u64(), summary["rejected"].as_array().map(Vec::len)), (Some(250), Some(100)));
    assert!(matches!(&summary["rejected"][0], Value::Object(_)));
}
