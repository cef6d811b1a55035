//! What somebody may have meant, and what there is to choose from, in words for messages.

/// The most names in a message.
const MOST: usize = 32;

/// The name that was probably meant: one that differs in a letter or a few, by the length of what was asked for.
pub fn closest<'a>(asked: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = asked.chars().count();
    let most = (letters / 4).clamp(1, 3).min(letters.saturating_sub(1));
    known
        .into_iter()
        .map(|name| {
            (strsim::damerau_levenshtein(&asked.to_lowercase(), &name.to_lowercase()), name)
        })
        .filter(|(distance, _)| *distance <= most && most > 0)
        .min()
        .map(|(_, name)| name)
}

/// Names for a message: sorted as they are given, and not too many.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let rest = names.len().saturating_sub(MOST);
    let shown: Vec<&str> = names.into_iter().take(MOST).collect();
    let shown = shown.join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}

/// Both in one: what there is, and what was probably meant.
pub fn choice<'a>(what: &str, asked: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = listed(known.iter().copied());
    match closest(asked, known) {
        Some(meant) => format!("did you mean {meant}? {what}: {all}"),
        None => format!("{what}: {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGIONS: [&str; 4] = ["eu-central-1", "eu-central-2", "us-east-1", "ap-south-1"];

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        for (asked, meant) in [
            ("eu-centrl-1", Some("eu-central-1")),
            ("eu_central_1", Some("eu-central-1")),
            ("EU-Central-2", Some("eu-central-2")),
            ("us-esat-1", Some("us-east-1")),
            ("frankfurt", None),
            ("", None),
        ] {
            assert_eq!(closest(asked, REGIONS), meant, "{asked}");
        }
        assert_eq!(closest("acm", ["acme", "other"]), Some("acme"));
        assert_eq!(closest("acme", []), None);
    }

    #[test]
    fn messages_name_what_there_is_and_not_without_end() {
        assert_eq!(
            choice("regions", "us-east1", REGIONS),
            format!("did you mean us-east-1? regions: {}", REGIONS.join(", "))
        );
        assert_eq!(choice("regions", "x", ["a"]), "regions: a");
        let many: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
        let text = listed(many.iter().map(String::as_str));
        assert!(text.ends_with("n31 and 68 more"), "{text}");
    }
}
