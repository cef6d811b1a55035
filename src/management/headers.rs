//! What the headers of an answer say about time: the server's clock and the rate limit.
//!
//! Pure. Everything is bounded: a header is somebody else's word.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;

/// The longest wait that an answer can impose. The windows of the API last one minute, few of them three.
pub const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What the rate limiter says about the bucket of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateHeaders {
    /// Calls in a window.
    pub limit: u32,
    /// Calls left in this window.
    pub remaining: u32,
    /// Time left in this window.
    pub reset: Duration,
}

/// `x-ratelimit-*`, if all three make sense.
pub(super) fn rate(headers: &HeaderMap) -> Option<RateHeaders> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    Some(RateHeaders {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        reset: Duration::from_secs(number("x-ratelimit-reset")?.into()).min(LONGEST_WAIT),
    })
}

/// The server's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// `Retry-After`, in seconds or as a date by the server's clock, else the moment that the text names, else the end of
/// the window.
pub(super) fn retry_after(headers: &HeaderMap, moment: Option<Timestamp>) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    said.and_then(|text| seconds(text).or_else(|| until(text, headers)))
        .or_else(|| Some(left(moment?, date(headers)?)))
        .or_else(|| rate(headers).map(|rate| rate.reset))
        .map(|wait| wait.min(LONGEST_WAIT))
}

fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Too many digits for a number is a number beyond every limit.
    Some(text.parse().map_or(LONGEST_WAIT, Duration::from_secs))
}

fn until(text: &str, headers: &HeaderMap) -> Option<Duration> {
    Some(left(http_date(text)?, date(headers)?))
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const NOW: &str = "Wed, 15 Apr 2026 10:46:16 GMT";

    #[test]
    fn the_servers_clock_is_read() {
        let expected: Timestamp = "2026-04-15T10:46:16Z".parse().unwrap();
        assert_eq!(date(&headers(&[("date", NOW)])), Some(expected));
        assert_eq!(date(&headers(&[("date", "yesterday")])), None);
        assert_eq!(date(&headers(&[])), None);
    }

    type Case = (&'static [(&'static str, &'static str)], Option<Duration>);

    #[test]
    fn waiting_is_bounded_whatever_the_answer_says() {
        let second = Duration::from_secs;
        let cases: &[Case] = &[
            (&[("retry-after", "2")], Some(second(2))),
            (&[("retry-after", "0")], Some(second(0))),
            (&[("retry-after", " 7 ")], Some(second(7))),
            (&[("retry-after", "999999")], Some(LONGEST_WAIT)),
            (&[("retry-after", "99999999999999999999999999")], Some(LONGEST_WAIT)),
            (&[("retry-after", "-5")], None),
            (&[("retry-after", "+5")], None),
            (&[("retry-after", "1.5")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "")], None),
            (&[], None),
            (&[("retry-after", "Wed, 15 Apr 2026 10:46:46 GMT"), ("date", NOW)], Some(second(30))),
            (&[("retry-after", "Wed, 15 Apr 2026 10:46:06 GMT"), ("date", NOW)], Some(second(0))),
            (
                &[("retry-after", "Wed, 15 Apr 2099 10:46:06 GMT"), ("date", NOW)],
                Some(LONGEST_WAIT),
            ),
            (&[("retry-after", "Wed, 15 Apr 2026 10:46:46 GMT")], None),
        ];
        for (pairs, expected) in cases {
            assert_eq!(retry_after(&headers(pairs), None), *expected, "{pairs:?}");
        }
    }

    #[test]
    fn without_a_usable_retry_after_the_window_counts() {
        let window = [
            ("x-ratelimit-limit", "120"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "17"),
        ];
        assert_eq!(retry_after(&headers(&window), None), Some(Duration::from_secs(17)));
        let mut with_garbage = window.to_vec();
        with_garbage.push(("retry-after", "garbage"));
        assert_eq!(retry_after(&headers(&with_garbage), None), Some(Duration::from_secs(17)));
    }

    #[test]
    fn rate_headers_count_only_together() {
        let all = [
            ("x-ratelimit-limit", "120"),
            ("x-ratelimit-remaining", "119"),
            ("x-ratelimit-reset", "60"),
        ];
        let expected = RateHeaders { limit: 120, remaining: 119, reset: Duration::from_secs(60) };
        assert_eq!(rate(&headers(&all)), Some(expected));
        for broken in 0..3 {
            let mut some = all.to_vec();
            some[broken].1 = "-1";
            assert_eq!(rate(&headers(&some)), None);
            some.remove(broken);
            assert_eq!(rate(&headers(&some)), None);
        }
        let late = [
            ("x-ratelimit-limit", "1"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "4000000000"),
        ];
        assert_eq!(rate(&headers(&late)).unwrap().reset, LONGEST_WAIT);
    }
}
