//! Orders made by number, the same in every format, some of them with a planted fault.

use serde_json::{Map, Value, json};

pub const COLUMNS: [&str; 7] = ["order_id", "customer_id", "ordered_at", "status", "carrier", "eta", "note"];

const STATUSES: [&str; 5] = ["SHIPPED", "out for delivery", "Canceled", "delivered", "Pending"];

/// The kind of fault that is planted in a row, if one is: one row of every `rows / faults`.
pub fn fault(row: usize, rows: usize, faults: usize) -> Option<usize> {
    let every = rows / faults;
    // Not always at the same place: a batch has 25 rows.
    let place = (row / every * 37) % every;
    (row % every == place).then_some(row / every)
}

/// The fields of a row, all good.
pub fn good(row: usize) -> [String; 7] {
    let (month, day) = (1 + row % 12, 1 + row % 28);
    let ordered_at = match row % 5 {
        0 => format!("2026-{month:02}-{day:02}T09:{:02}:00Z", row % 60),
        1 => format!("2026-{month:02}-{day:02} 23:{:02}", row % 60),
        2 => format!("2026-{month:02}-{day:02}"),
        3 => format!("2026-{month:02}-{day:02} 01:00:30.250+02:00"),
        _ => format!("2026{month:02}{day:02}"),
    };
    let note = match row % 4 {
        0 => String::new(),
        1 => format!("order {row}, \"fragile\""),
        2 => format!("two\nlines of {row}"),
        _ => format!("Grüße für 灯籠 {row}"),
    };
    [
        format!("S-{row:06}"),
        format!("K-{:04}", row % 5000),
        ordered_at,
        STATUSES[row % STATUSES.len()].to_owned(),
        if row.is_multiple_of(3) { "NULL".to_owned() } else { "UPS".to_owned() },
        format!("2027-{month:02}-{day:02}"),
        note,
    ]
}

/// The fields of a row with a fault of some kind, and how the reason starts.
pub fn bad(row: usize, kind: usize) -> (Vec<String>, &'static str) {
    let mut fields = good(row).to_vec();
    let (column, text, reason) = match kind % 8 {
        0 => (0, "", "`order_id` is missing"),
        1 => (1, "K 1/2", "`customer_id` must be"),
        2 => (2, "31/12/2026", "`ordered_at` `31/12/2026` is not a date until --dates"),
        3 => (2, "2026-02-30", "`ordered_at` `2026-02-30` is not a date"),
        4 => (3, "Lost", "`status` `Lost` is not a status"),
        5 => (5, "soon", "`eta` `soon` is not a date"),
        6 => (6, "a\u{7}b", "`note` has a control character (U+0007)"),
        _ => {
            fields.truncate(5);
            return (fields, "the number of fields is 5, the header has 7");
        }
    };
    fields[column] = text.to_owned();
    (fields, reason)
}

/// A CSV file, and the line on which each row starts.
pub fn csv(rows: impl Iterator<Item = Vec<String>>) -> (String, Vec<u64>) {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    writer.write_record(COLUMNS).unwrap();
    let (mut line, mut lines) = (2, Vec::new());
    for fields in rows {
        lines.push(line);
        line += 1 + fields.iter().map(|field| field.matches('\n').count() as u64).sum::<u64>();
        writer.write_record(&fields).unwrap();
    }
    (String::from_utf8(writer.into_inner().unwrap()).unwrap(), lines)
}

/// The same row as an object: what CSV can only leave empty is null, and a day in digits is a time in milliseconds.
pub fn object(fields: &[String]) -> Value {
    let mut object = Map::new();
    for (column, text) in COLUMNS.iter().zip(fields) {
        let value = match (*column, text.as_str()) {
            (_, "" | "NULL") => Value::Null,
            ("ordered_at", digits) if digits.len() == 8 => json!(milliseconds(digits)),
            (_, text) => json!(text),
        };
        object.insert((*column).to_owned(), value);
    }
    Value::Object(object)
}

/// Of a day of 2026 in digits.
fn milliseconds(day: &str) -> u64 {
    const DAYS_BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let (month, day): (usize, u64) = (day[4..6].parse().unwrap(), day[6..].parse().unwrap());
    (1_767_225_600 + (DAYS_BEFORE[month - 1] + day - 1) * 86_400) * 1000
}

/// An array over several lines, as exports write it.
pub fn json_array(rows: impl Iterator<Item = Vec<String>>) -> String {
    let objects: Vec<Value> = rows.map(|fields| object(&fields)).collect();
    serde_json::to_string_pretty(&objects).unwrap()
}

/// An object a line.
pub fn json_lines(rows: impl Iterator<Item = Vec<String>>) -> String {
    rows.map(|fields| format!("{}\n", object(&fields))).collect()
}
