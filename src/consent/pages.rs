//! What the browser shows. Everything that comes from elsewhere is escaped by the template.

use maud::{DOCTYPE, Markup, html};

/// A page of a heading and a few sentences. Light or dark as the reader prefers, on any width.
pub fn page(title: &str, sentences: &[&str]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
            }
            body {
                main {
                    h1 { (title) }
                    @for sentence in sentences {
                        p { (sentence) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_echoed_as_markup() {
        let shown = page("<script>1</script>", &["\"><img src=x>"]).into_string();
        assert!(
            !shown.contains("<script") && !shown.contains("<img"),
            "{shown}"
        );
    }
}
