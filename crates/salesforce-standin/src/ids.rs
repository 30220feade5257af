//! Record ids: 15 characters that tell upper case from lower, or 18 with a checksum that makes case harmless
//! (Salesforce, "ID Field Type").

const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The instance part of every id that is made here.
const INSTANCE: &str = "5g00000";

/// The id of 18 characters for a key prefix and a running number; ids of one prefix sort by their number.
pub fn make(prefix: &str, mut number: u64) -> String {
    let mut digits = [b'0'; 5];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    let digits: String = digits.iter().map(|digit| *digit as char).collect();
    with_checksum(&format!("{prefix}{INSTANCE}{digits}"))
}

/// Reads an id of 15 or 18 characters and gives the one of 18; `None` if it is neither, or its checksum is wrong.
pub fn parse(id: &str) -> Option<String> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    match id.len() {
        15 => Some(with_checksum(id)),
        18 => {
            let restored = restore_case(&id[..15], &id[15..])?;
            let whole = with_checksum(&restored);
            whole[15..].eq_ignore_ascii_case(&id[15..]).then_some(whole)
        }
        _ => None,
    }
}

/// The first three characters: which object the record is of.
pub fn prefix(id: &str) -> &str {
    id.get(..3).unwrap_or("")
}

fn with_checksum(id: &str) -> String {
    let mut whole = id.to_owned();
    for chunk in id.as_bytes().chunks(5) {
        let bits = chunk.iter().enumerate().filter(|(_, byte)| byte.is_ascii_uppercase());
        let index = bits.fold(0, |sum, (bit, _)| sum | 1 << bit);
        whole.push(SUFFIX[index] as char);
    }
    whole
}

/// Gives each letter the case that the checksum says.
fn restore_case(id: &str, checksum: &str) -> Option<String> {
    let mut restored = String::with_capacity(15);
    for (chunk, sum) in id.as_bytes().chunks(5).zip(checksum.bytes()) {
        let bits = SUFFIX.iter().position(|byte| *byte == sum.to_ascii_uppercase())?;
        for (bit, byte) in chunk.iter().enumerate() {
            let upper = bits & (1 << bit) != 0;
            restored.push(if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() } as char);
        }
    }
    Some(restored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_15_characters_gets_its_checksum() {
        assert_eq!(parse("001A0000006Vm9r").unwrap(), "001A0000006Vm9rIAC");
        assert_eq!(parse("003000000000001").unwrap(), "003000000000001AAA");
    }

    #[test]
    fn an_id_of_18_characters_may_have_any_case_but_no_wrong_checksum() {
        assert_eq!(parse("001a0000006vM9rIAC").unwrap(), "001A0000006Vm9rIAC");
        for wrong in ["001A0000006Vm9rIAD", "001A0000006Vm9rIA", "001A0000006Vm9'IAC", "001A0000006Vm9r!AC", "", "ü"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn made_ids_are_valid_and_sort_by_their_number() {
        let ids: Vec<String> = [0, 9, 10, 61, 62, 4000, 50_000].map(|number| make("003", number)).into();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| parse(id).as_ref() == Some(id)));
    }
}
