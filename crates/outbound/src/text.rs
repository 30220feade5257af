//! Text of others, made safe to show: to a model, in a terminal, in a log.

/// Removes characters that are not seen or change how others are seen: controls but line breaks and tabs, other line
/// separators, interlinear annotations, and all that have the property `Default_Ignorable_Code_Point` (Unicode,
/// `DerivedCoreProperties.txt`): bidirectional and zero-width ones, fillers, variation selectors, tags. An emoji loses
/// its selector.
pub fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).collect()
}

/// Cleans a text and cuts it to `max` characters; a cut one ends with `…`.
pub fn clean_and_cut(text: &str, max: usize) -> String {
    let mut visible = text.chars().filter(|c| !is_invisible(*c));
    let mut kept: String = visible.by_ref().take(max).collect();
    if visible.next().is_some() {
        kept.pop();
        kept.push('\u{2026}');
    }
    kept
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        // C0 and C1 controls, but tab and line breaks.
        '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Line and paragraph separator, interlinear annotations.
        | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'
    ) || is_default_ignorable(c)
}

fn is_default_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_seen_is_removed_and_what_is_seen_stays() {
        assert_eq!(clean("a\u{0}\u{1b}[31mb\u{202e}c\u{200b}d\u{feff}e\u{e0041}f\r\n\tg"), "a[31mbcdef\r\n\tg");
        assert_eq!(
            clean("M\u{fc}ller \u{65e5}\u{672c} \u{1f600} \u{5d0}"),
            "M\u{fc}ller \u{65e5}\u{672c} \u{1f600} \u{5d0}"
        );
    }

    #[test]
    fn no_default_ignorable_code_point_stays() {
        for (first, last) in [
            ('\u{ad}', '\u{ad}'),
            ('\u{34f}', '\u{34f}'),
            ('\u{61c}', '\u{61c}'),
            ('\u{115f}', '\u{1160}'),
            ('\u{17b4}', '\u{17b5}'),
            ('\u{180b}', '\u{180f}'),
            ('\u{200b}', '\u{200f}'),
            ('\u{202a}', '\u{202e}'),
            ('\u{2060}', '\u{206f}'),
            ('\u{3164}', '\u{3164}'),
            ('\u{fe00}', '\u{fe0f}'),
            ('\u{feff}', '\u{feff}'),
            ('\u{ffa0}', '\u{ffa0}'),
            ('\u{fff0}', '\u{fffb}'),
            ('\u{1bca0}', '\u{1bca3}'),
            ('\u{1d173}', '\u{1d17a}'),
            ('\u{e0000}', '\u{e0fff}'),
        ] {
            let hidden: String = (first..=last).collect();
            assert_eq!(clean(&format!("a{hidden}b")), "ab", "{first:?}");
        }
        assert_eq!(clean("\u{26a0}\u{fe0f}"), "\u{26a0}");
    }

    #[test]
    fn a_long_text_is_cut_with_a_mark() {
        assert_eq!(clean_and_cut("abcd", 4), "abcd");
        assert_eq!(clean_and_cut("abc\u{200b}d", 4), "abcd");
        assert_eq!(clean_and_cut("abcde", 4), "abc\u{2026}");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_never_longer_than_said(text in any::<String>(), max in 1usize..50) {
            let cut = clean_and_cut(&text, max);
            prop_assert!(cut.chars().count() <= max);
            prop_assert_eq!(clean(&cut), cut);
        }
    }
}
