//! What a file may be: CSV, JSON, JSON Lines, and the ways to write a date.

use black_box::Server;
use serde_json::Value;

use crate::rows::{csv, good, json_array, json_lines};
use crate::{accounts, counts, file, import, orders, reasons, run};

const ROWS: usize = 200;

#[tokio::test]
async fn every_format_gives_the_same_orders() {
    let fields = || (0..ROWS).map(|row| good(row).to_vec());
    let objects_one_after_another = json_array(fields());
    let objects_one_after_another = objects_one_after_another.trim_matches(['[', ']']).replace("},", "}");
    let mut expected = None;
    for (name, text, options) in [
        ("export.csv", csv(fields()).0, &[][..]),
        ("export.json", json_array(fields()), &[]),
        ("sequence.json", objects_one_after_another, &[]),
        ("export.jsonl", json_lines(fields()), &[]),
        ("EXPORT.NDJSON", format!("\u{feff}{}", json_lines(fields()).replace('\n', "\r\n\r\n")), &[]),
        ("export.txt", json_array(fields()), &["--format", "json"]),
        ("download", json_lines(fields()), &["--format", "jsonl"]),
    ] {
        let (server, directory) = (Server::start(&[]), tempfile::tempdir().unwrap());
        let (code, summary) = import(server.home(), "orders", &file(&directory, name, &text), options);
        assert_eq!((code, counts(&summary)), (0, [ROWS as u64, ROWS as u64, 0, 0]), "{name}: {summary}");
        let imported = orders(&server).await;
        assert_eq!(&imported, expected.get_or_insert_with(|| imported.clone()), "{name}");
    }
}

#[tokio::test]
async fn numbers_and_booleans_of_json_keep_their_type() {
    let (server, directory) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let text = r#"[{"Member": 77001, "points": 1200, "tier": 3, "updated_at": 1782604800, "weight": 2.50, "huge": 1e20,
        "vip": true, "left": null, "address": {"city": "Graz", "lines": ["1 Quay"]}}]"#;
    let path = file(&directory, "points.json", text);
    let options = ["--map", "Member=customer_id"];

    let (code, summary) = import(server.home(), "loyalty", &path, &options);
    assert_eq!((code, counts(&summary)), (0, [1, 1, 0, 0]), "{summary}");
    let account = accounts(&server).await.remove("77001").unwrap();
    let account: Vec<String> = account.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected = [
        r#"address: S("{\"city\":\"Graz\",\"lines\":[\"1 Quay\"]}")"#,
        r#"customer_id: S("77001")"#,
        r#"huge: N("100000000000000000000")"#,
        r#"points: N("1200")"#,
        r#"tier: S("3")"#,
        r#"updated_at: S("2026-06-28T00:00:00Z")"#,
        "vip: Bool(true)",
        r#"weight: N("2.5")"#,
    ];
    assert_eq!(account, expected);
    let (_, summary) = import(server.home(), "loyalty", &path, &options);
    assert_eq!(counts(&summary), [1, 0, 1, 0], "numbers are compared by their value");
}

#[test]
fn bad_rows_of_json_are_named_by_the_line_on_which_they_start() {
    let directory = tempfile::tempdir().unwrap();
    let text = "[\n{\"customer_id\": \"K-1\",\n \"points\": 1},\n\n  {\"customer_id\": \"K-2\", \"points\": \"many\"},\n5,\n\
        {\"customer_id\": {\"id\": 3}, \"points\": 3}, {\"customer_id\": \"K-4\", \"points\": 01},\n\
        {\"customer_id\": \"K-5\", \"points\": 5, \"points\": 6}, {\"customer_id\": \"K-6\"}\n]\n";
    let (code, summary) = import(directory.path(), "loyalty", &file(&directory, "points.json", text), &[]);
    assert_eq!((code, counts(&summary)), (1, [7, 1, 0, 6]));
    let expected = [
        "5: `points` `many` is not a whole number from 0 to 9007199254740991",
        "6: the row is a number, not an object",
        "7: `customer_id` is an object or an array, not a single value",
        "7: the row is not JSON: invalid number (column 35 of the row)",
        "8: `points` is given twice",
        "8: `points` is missing",
    ];
    assert_eq!(reasons(&summary), expected);
}

#[test]
fn a_broken_file_says_where_and_what_went_in_before_stays() {
    let directory = tempfile::tempdir().unwrap();
    let row = |n: usize| format!("{{\"customer_id\":\"K-{n}\",\"points\":{n}}}");
    for (name, text, says) in [
        (
            "a.json",
            format!("[{}\n{}]", row(1), row(2)),
            "line 2: a comma or the end of the array is expected after a row",
        ),
        ("b.json", format!("[{},\n{{\"points\": \"", row(1)), "line 2: the row that starts here does not end"),
        ("c.json", format!("[{},", row(1)), "line 1: the file ends within the array"),
        ("d.json", "customer_id,points\n".to_owned(), "line 1: the file is not JSON"),
        ("e.json", String::new(), "the file is empty"),
        ("f.jsonl", format!("[{}]", row(1)), "line 1: the file is an array, not an object a line: say --format json"),
        ("g.json", format!("{{\"records\": [{}]}}", row(1)), "no column of the file: `customer_id`"),
        ("h.jsonl", row(1).replace("points", "Points"), "`points` (add --map Points=points)"),
    ] {
        let path = file(&directory, name, &text);
        let (code, output, errors) = run(directory.path(), &["import", "loyalty", path.to_str().unwrap()]);
        assert_eq!((code, output.as_str()), (1, ""), "{name}");
        assert!(errors.starts_with("error: ") && errors.contains(says), "{name}: {errors}");
    }
    let (_, summary) = import(directory.path(), "loyalty", &file(&directory, "k-1.jsonl", &row(1)), &[]);
    assert_eq!(counts(&summary), [1, 0, 1, 0], "the row before the fault is there");
    let (code, summary) = import(directory.path(), "loyalty", &file(&directory, "none.json", "[]"), &[]);
    assert_eq!((code, counts(&summary)), (0, [0; 4]));
}

#[tokio::test]
async fn dates_are_taken_in_the_usual_forms() {
    let (server, directory) = (Server::start(&[]), tempfile::tempdir().unwrap());
    let import_dates = |dates: &[&str], options: &[&str]| {
        let rows: Vec<String> = dates
            .iter()
            .enumerate()
            .map(|(at, date)| {
                format!(
                    "{{\"order_id\":\"D-{at}\",\"customer_id\":\"K\",\"status\":\"SHIPPED\",\"ordered_at\":{date}}}\n"
                )
            })
            .collect();
        import(server.home(), "orders", &file(&directory, "dates.jsonl", &rows.concat()), options)
    };
    let stored = async |count: usize| {
        let mut orders = orders(&server).await;
        let times = (0..count).map(|at| orders.remove(&format!("D-{at}")).unwrap().remove("ordered_at").unwrap());
        times.collect::<Vec<_>>()
    };

    let same_moment = [
        r#""2026-12-31T10:20:00Z""#,
        r#""2026-12-31T12:20:00.999+02:00""#,
        r#""2026-12-31 10:20:00""#,
        r#""2026-12-31 10:20""#,
        r#""2026-12-31T05:20-0500""#,
        "1798712400",
        "1798712400123",
    ];
    let (code, summary) = import_dates(&same_moment, &[]);
    assert_eq!(code, 0, "{summary}");
    assert_eq!(stored(same_moment.len()).await, [r#"S("2026-12-31T10:20:00Z")"#; 7]);

    let same_day = [r#""2026-12-31""#, r#""20261231""#, r#""2026/12/31""#];
    assert_eq!(import_dates(&same_day, &[]).0, 0);
    assert_eq!(stored(same_day.len()).await, [r#"S("2026-12-31T00:00:00Z")"#; 3]);

    let year_last = [r#""31.12.2026""#, r#""31/12/2026""#, r#""12/31/2026""#];
    let (code, summary) = import_dates(&year_last, &[]);
    assert_eq!((code, counts(&summary)[3]), (1, 3));
    let hint = "is not a date until --dates day-first or --dates month-first says which number is the day";
    assert!(reasons(&summary).iter().all(|reason| reason.ends_with(hint)), "{summary}");
    assert_eq!(import_dates(&year_last[..2], &["--dates", "day-first"]).0, 0);
    assert_eq!(import_dates(&year_last[2..], &["--dates", "month-first"]).0, 0);
    assert_eq!(stored(2).await, [r#"S("2026-12-31T00:00:00Z")"#; 2]);
    assert_eq!(import_dates(&year_last, &["--dates", "day-first"]).0, 1);

    let (code, summary) = import_dates(&["20261231", "0", "true", r#""1798712400""#], &[]);
    assert_eq!((code, counts(&summary)[3]), (1, 4), "{summary}");
}

#[test]
fn columns_that_only_a_later_row_has_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let text = "{\"customer_id\":\"K-1\",\"points\":1}\n{\"customer_id\":\"K-2\",\"points\":2,\"Level\":\"Gold\"}\n";
    let path = file(&directory, "points.jsonl", text);
    let (code, summary) = import(directory.path(), "loyalty", &path, &["--map", "Level=tier"]);
    assert_eq!((code, counts(&summary)), (0, [2, 2, 0, 0]));
    let (code, _, errors) =
        run(directory.path(), &["import", "loyalty", path.to_str().unwrap(), "--map", "level=tier"]);
    assert_eq!(code, 1);
    assert!(
        errors.contains("does not have (did you mean `Level`?); its columns: customer_id, points, Level"),
        "{errors}"
    );
}

#[test]
fn the_json_summary_is_one_document() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "points.csv", "customer_id,points\nK-1,1\nK-2,x\n");
    let (_, output, errors) = run(directory.path(), &["import", "loyalty", path.to_str().unwrap(), "--json"]);
    let reason = "`points` `x` is not a whole number from 0 to 9007199254740991";
    let rejected = serde_json::json!([{ "line": 3, "reason": reason }]);
    let expected = serde_json::json!({ "read": 2, "written": 1, "unchanged": 0, "refused": 1, "rejected": rejected });
    assert_eq!((serde_json::from_str::<Value>(&output).unwrap(), errors.as_str()), (expected, ""));
}
