//! Amounts as people write them: decimal TIME with up to eight places. Integers throughout, nothing is rounded.

use crate::types::number::{Amount, UNITS_PER_TIME};

/// Places behind the point: 10^8 units are one TIME.
const PLACES: usize = 8;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Anything but digits with at most one point between them.
    #[error("\"{text}\" is no amount: write TIME with a point, like 12 or 0.25")]
    NotDecimal {
        /// What was written.
        text: String,
    },
    /// Less than a unit.
    #[error("\"{text}\" has more than 8 places behind the point; the smallest unit is 0.00000001 TIME")]
    TooPrecise {
        /// What was written.
        text: String,
    },
    /// More units than fit 64 bits.
    #[error("\"{text}\" TIME is more than there can be")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// Reads decimal TIME. No sign, no exponent, no separators, no spaces.
///
/// # Errors
/// [`AmountError`].
pub fn parse(text: &str) -> Result<Amount, AmountError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Err(AmountError::NotDecimal { text: text.to_owned() });
    }
    if fraction.len() > PLACES {
        return Err(AmountError::TooPrecise { text: text.to_owned() });
    }
    let units = || {
        let whole: u64 = whole.parse().ok()?;
        // Eight digits at most.
        let fraction: u64 = format!("{fraction:0<PLACES$}").parse().ok()?;
        whole.checked_mul(UNITS_PER_TIME)?.checked_add(fraction)
    };
    units().map(Amount::new).ok_or_else(|| AmountError::TooLarge { text: text.to_owned() })
}

/// Writes decimal TIME without needless zeros; [`parse`] reads it back.
pub fn format(amount: Amount) -> String {
    let (whole, fraction) = (amount.get() / UNITS_PER_TIME, amount.get() % UNITS_PER_TIME);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:0PLACES$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn time_is_read_to_the_unit() {
        for (text, units) in [
            ("0", 0),
            ("1", 100_000_000),
            ("0.00000001", 1),
            ("1.5", 150_000_000),
            ("12.00000000", 1_200_000_000),
            ("007", 700_000_000),
            ("184467440737.09551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(Amount::new(units)), "{text}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1 000", " 1", "1\n", "1.2.3", "0x10", "１", "nan"]
        {
            assert!(matches!(parse(text), Err(AmountError::NotDecimal { .. })), "{text}");
        }
    }

    #[test]
    fn nothing_is_rounded_and_nothing_wraps() {
        assert!(matches!(parse("0.000000001"), Err(AmountError::TooPrecise { .. })));
        assert!(matches!(parse("1.000000000"), Err(AmountError::TooPrecise { .. })));
        for text in ["184467440737.09551616", "184467440738", "99999999999999999999999"] {
            assert!(matches!(parse(text), Err(AmountError::TooLarge { .. })), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_without_needless_zeros() {
        let written = [0, 1, 10, 100_000_000, 150_000_000, 123_456_789].map(|units| format(Amount::new(units)));
        assert_eq!(written, ["0", "0.00000001", "0.0000001", "1", "1.5", "1.23456789"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units: u64) {
            prop_assert_eq!(parse(&format(Amount::new(units))), Ok(Amount::new(units)));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,30}") {
            drop(parse(&text));
        }
    }
}
