//! Waiting for a condition, with a deadline and the last thing seen. Touches nothing but the clock.

use std::fmt::Display;
use std::time::Duration;

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Looks again and again until `look` gives a value, and returns it.
///
/// # Panics
/// When the deadline has passed: with what was waited for, and why the last look did not suffice.
pub async fn eventually<T, E: Display>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let deadline = tokio::time::Instant::now() + within;
    let mut last = "it was not looked at even once".to_owned();
    loop {
        // One look may hang, for example on a server that is gone.
        let seen = tokio::time::timeout_at(deadline, look()).await;
        match seen.unwrap_or_else(|_| {
            panic!("{what}: not within {within:?}, the last look did not end; before: {last}")
        }) {
            Ok(value) => return value,
            Err(seen) => last = seen.to_string(),
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what}: not within {within:?}. Last seen: {last}"
        );
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_value_is_returned_as_soon_as_it_is_there() {
    let mut looks = 0;
    let seen = eventually("the third look", Duration::from_secs(1), async || {
        looks += 1;
        if looks == 3 { Ok(looks) } else { Err(format!("look {looks}")) }
    })
    .await;
    assert_eq!(seen, 3);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the moon: not within 1s. Last seen: still dark")]
async fn a_missed_deadline_tells_what_was_seen_last() {
    eventually("the moon", Duration::from_secs(1), async || Err::<(), _>("still dark")).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the last look did not end")]
async fn a_look_that_hangs_meets_the_deadline_too() {
    let hang = async || std::future::pending::<Result<(), String>>().await;
    eventually("an answer", Duration::from_secs(1), hang).await;
}
