//! The name somebody probably meant, for hints in errors.

/// The candidate most like `wanted`, if one is like it at all. Case and punctuation do not count.
pub(crate) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(wanted);
    let most = wanted.len() / 3; // `orderDate` for `ordered_at`, not `shipVia` for `status`
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &letters(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn letters(name: &str) -> Vec<char> {
    const LONGEST: usize = 64; // no name worth a hint is longer
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(LONGEST).collect()
}

/// Levenshtein's: how many letters to insert, delete or replace.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 5] = ["orderID", "customerID", "orderDate", "shipVia", "shipName"];

    #[test]
    fn the_usual_other_spellings_are_found() {
        assert_eq!(nearest("order_id", COLUMNS), Some("orderID"));
        assert_eq!(nearest("customer_id", COLUMNS), Some("customerID"));
        assert_eq!(nearest("ordered_at", COLUMNS), Some("orderDate"));
        assert_eq!(nearest("orderIds", COLUMNS), Some("orderID"));
    }

    #[test]
    fn nothing_is_guessed_when_nothing_is_like_it() {
        assert_eq!(nearest("status", COLUMNS), None);
        assert_eq!(nearest("points", COLUMNS), None);
        assert_eq!(nearest("", COLUMNS), None);
        assert_eq!(nearest("status", []), None);
    }
}
