//! Many rows with planted faults: every fault is found, nothing else is, and the corrected rest goes in.

use std::path::Path;
use std::time::Instant;

use black_box::{Server, report};
use serde_json::Value;

use crate::rows::{bad, csv, fault, good, json_array, json_lines};
use crate::{counts, file, import, orders, run};

struct Size {
    rows: usize,
    faults: usize,
}

/// `make soak` asks for the full count.
fn size() -> Size {
    match std::env::var_os("NORTHSTAR_SOAK") {
        Some(_) => Size { rows: 100_000, faults: 500 },
        None => Size { rows: 5_000, faults: 50 },
    }
}

#[tokio::test]
async fn of_many_rows_exactly_the_planted_ones_are_refused_and_go_in_once_corrected() {
    let Size { rows, faults } = size();
    let server = Server::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let demo = orders(&server).await.len();
    let (good_rows, planted) = ((rows - faults) as u64, faults as u64);
    let all = rows as u64;

    let (text, lines) = csv((0..rows).map(|row| match fault(row, rows, faults) {
        Some(kind) => bad(row, kind).0,
        None => good(row).to_vec(),
    }));
    let export = file(&directory, "export.csv", &text);
    let rejects = directory.path().join("rejects.csv");

    let summary = timed("dry run", rows, || import(server.home(), "orders", &export, &["--dry-run"]));
    assert_eq!((summary.0, counts(&summary.1)), (1, [all, good_rows, 0, planted]));
    assert_eq!(orders(&server).await.len(), demo, "a dry run writes nothing");

    let keep = ["--rejects", rejects.to_str().unwrap()];
    let summary = timed("import", rows, || import(server.home(), "orders", &export, &keep));
    assert_eq!((summary.0, counts(&summary.1)), (1, [all, good_rows, 0, planted]));
    assert_eq!(summary.1["rejected"].as_array().unwrap().len(), faults.min(100), "the first hundred are shown");
    let once = orders(&server).await;
    assert_eq!(once.len(), demo + rows - faults);

    let summary = timed("second import", rows, || import(server.home(), "orders", &export, &[]));
    assert_eq!((summary.0, counts(&summary.1)), (1, [all, 0, good_rows, planted]));
    assert!(orders(&server).await == once, "a second import changes nothing");

    let corrected = correct(&rejects, &lines, rows, faults);
    let corrected = file(&directory, "corrected.csv", &corrected);
    let (code, summary) = import(server.home(), "orders", &corrected, &[]);
    assert_eq!((code, counts(&summary)), (0, [planted, planted, 0, 0]));
    let whole = orders(&server).await;
    assert_eq!(whole.len(), demo + rows);

    let fields = || (0..rows).map(|row| good(row).to_vec());
    for (name, text) in [("export.json", json_array(fields())), ("export.ndjson", json_lines(fields()))] {
        let path = file(&directory, name, &text);
        let summary = timed(name, rows, || import(server.home(), "orders", &path, &[]));
        assert_eq!((summary.0, counts(&summary.1)), (0, [all, 0, all, 0]), "{name} has the same orders");
    }
    assert!(orders(&server).await == whole);

    let (code, answer, _) = run(server.home(), &["call", "get_order_status", "order_id=S-000001", "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let expected = serde_json::json!({
        "order_id": "S-000001", "status": "OUT_FOR_DELIVERY", "carrier": "UPS", "eta": "2027-02-02"
    });
    assert_eq!((code, &answer["structuredContent"]), (0, &expected));
}

/// Compares every row of the file of rejected rows with what was planted, and corrects it there.
fn correct(rejects: &Path, lines: &[u64], rows: usize, faults: usize) -> String {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(rejects).unwrap();
    let header = reader.headers().unwrap().clone();
    assert_eq!(header.iter().take(3).collect::<Vec<_>>(), ["northstar_line", "northstar_reason", "order_id"]);
    let mut corrected = csv::Writer::from_writer(Vec::new());
    corrected.write_record(&header).unwrap();

    let mut rejected = reader.records();
    for (row, line) in lines.iter().enumerate() {
        let Some(kind) = fault(row, rows, faults) else { continue };
        let (fields, reason) = bad(row, kind);
        let record = rejected.next().expect("every planted row was refused").unwrap();
        assert_eq!(record[0], line.to_string());
        assert!(record[1].starts_with(reason), "row {row}: {} instead of {reason}", &record[1]);
        assert_eq!(record.iter().skip(2).collect::<Vec<_>>(), fields, "the row is as it was");
        let ours = record.iter().take(2).map(str::to_owned);
        corrected.write_record(ours.chain(good(row))).unwrap();
    }
    assert!(rejected.next().is_none(), "no other row was refused");
    String::from_utf8(corrected.into_inner().unwrap()).unwrap()
}

fn timed<T>(what: &str, rows: usize, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = act();
    let seconds = start.elapsed().as_secs_f64();
    report(&format!("{what}: {rows} rows, {seconds:.1} s, {:.0} rows/s", rows as f64 / seconds));
    done
}
