//! Numbers as DynamoDB has them: up to 38 digits, in no fixed notation. It may answer `1200` for a `1.2e3`.

/// The value of a number, whatever way it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// The power of ten of the first digit.
    magnitude: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let leading_zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, magnitude: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let before_point = i64::try_from(whole.len()).ok()? - i64::try_from(leading_zeros).ok()?;
        Some(Decimal { negative, digits, magnitude: exponent.checked_add(before_point)?.checked_sub(1)? })
    }

    /// Whether DynamoDB stores it exactly.
    pub(crate) fn is_storable(&self) -> bool {
        self.digits.len() <= 38 && (-130..=125).contains(&self.magnitude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_whatever_way_they_are_written() {
        let same = [
            vec!["0", "-0", "0.00", "0e5", "0E-9999"],
            vec!["1200", "1.2e3", "1200.0", "12E+2", "120000e-2", "0.0012e6"],
            vec!["-0.05", "-5e-2", "-0.0500"],
        ];
        for numbers in &same {
            for number in numbers {
                assert_eq!(Decimal::parse(number), Decimal::parse(numbers[0]), "{number}");
            }
        }
        for (one, other) in [("1", "-1"), ("1", "10"), ("1", "1.0000000000000000000000000000000000001"), ("0", "1")] {
            assert_ne!(Decimal::parse(one), Decimal::parse(other));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".5", "e3", "1e", "1.2.3", "NaN", "1,000", "1e99999999999999999999", "٣"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_38_digits_within_the_range_of_dynamodb_are_storable() {
        let storable = |text: &str| Decimal::parse(text).unwrap().is_storable();
        assert!(storable("9.9999999999999999999999999999999999999e125") && storable("1e-130") && storable("0"));
        assert!(!storable("1e126") && !storable("9e-131") && !storable(&"1".repeat(39)));
        assert!(storable(&format!("1{}", "0".repeat(60))));
    }
}
