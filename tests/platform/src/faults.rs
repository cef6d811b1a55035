//! Scripted faults, consumed in order.
//!
//! A fault names requests by method and path and says what becomes of them. Faults lie in front of the
//! platform, like the gateways and networks that cause the real ones: a request that a fault swallows
//! does not count against any rate limit.

use std::time::Duration;

use http::Method;
use serde_json::Value;

/// One scripted fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The method, or any.
    pub method: Option<Method>,
    /// The path: `*` stands for anything within a segment, `**` for anything.
    pub path: String,
    /// How many matching requests go by unharmed first.
    pub skip: u32,
    /// How many requests it hits.
    pub times: u32,
    /// Whether the request takes effect all the same.
    pub applied: bool,
    /// Where the request takes effect: the fields of its body that do, or all.
    pub keeps: Option<Vec<String>>,
    /// What happens.
    pub kind: FaultKind,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// This status and this body (sent as JSON).
    Status(u16, String),
    /// This status and a gateway's HTML page.
    Html(u16),
    /// 429, or another status, with this `Retry-After`.
    RetryAfter(u16, String),
    /// The true answer, late.
    Delay(Duration),
    /// No answer, and the connection stays open.
    Stall,
    /// The connection closes before the request takes effect.
    DropBefore,
    /// The connection closes after the request took effect.
    DropAfter,
    /// The connection is reset.
    Reset,
    /// The connection is reset in the middle of the body.
    ResetMidBody(usize),
    /// The true answer ends after so many bytes.
    Truncate(usize),
    /// The true answer comes in drops, so many bytes a second.
    Trickle(u32),
    /// The true status with bytes that are no JSON.
    Garbage,
    /// The true status with this body.
    Body(String),
    /// The true answer with this merged into it (RFC 7396).
    Merge(Value),
    /// The true answer followed by so many bytes of white space.
    Huge(u64),
    /// The true answer with another ref in it.
    WrongRef,
    /// A redirection of this status to this address.
    Redirect(u16, String),
}

impl Fault {
    /// A fault that hits one request. `method` may be `*`.
    pub fn on(method: &str, path: &str, kind: FaultKind) -> Self {
        let applied = match kind {
            FaultKind::Status(..)
            | FaultKind::Html(_)
            | FaultKind::RetryAfter(..)
            | FaultKind::Stall
            | FaultKind::DropBefore
            | FaultKind::Reset
            | FaultKind::Redirect(..) => false,
            FaultKind::Delay(_)
            | FaultKind::DropAfter
            | FaultKind::ResetMidBody(_)
            | FaultKind::Truncate(_)
            | FaultKind::Trickle(_)
            | FaultKind::Garbage
            | FaultKind::Body(_)
            | FaultKind::Merge(_)
            | FaultKind::Huge(_)
            | FaultKind::WrongRef => true,
        };
        Self {
            method: method.parse().ok().filter(|_| method != "*"),
            path: path.to_owned(),
            skip: 0,
            times: 1,
            applied,
            keeps: None,
            kind,
        }
    }

    /// Hits so many requests.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Lets so many matching requests go by first.
    #[must_use]
    pub const fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// The request takes effect all the same: what the client sees is a lie.
    #[must_use]
    pub const fn after_effect(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Only these fields of the body take effect, whatever the client sees.
    #[must_use]
    pub fn keeping(mut self, keys: &[&str]) -> Self {
        self.applied = true;
        self.keeps = Some(keys.iter().map(|key| (*key).to_owned()).collect());
        self
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && glob(self.path.as_bytes(), path.as_bytes())
    }
}

/// The faults still to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Vec<Fault>);

/// What hits a request.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) kind: FaultKind,
    pub(crate) applied: bool,
    pub(crate) keeps: Option<Vec<String>>,
}

impl Script {
    pub(crate) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first fault that matches, used up by one.
    pub(crate) fn strike(&mut self, method: &Method, path: &str) -> Option<Hit> {
        let index = self.0.iter().position(|fault| fault.matches(method, path))?;
        let fault = self.0.get_mut(index)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        let hit =
            Hit { kind: fault.kind.clone(), applied: fault.applied, keeps: fault.keeps.clone() };
        if fault.times == 0 {
            self.0.remove(index);
        }
        Some(hit)
    }
}

/// Whether `pattern` covers the whole of `text`.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => {
            (0..=text.len()).any(|cut| glob(rest, text.get(cut..).unwrap_or_default()))
        }
        [b'*', rest @ ..] => {
            let segment = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=segment).any(|cut| glob(rest, text.get(cut..).unwrap_or_default()))
        }
        [first, rest @ ..] => {
            text.split_first().is_some_and(|(head, tail)| head == first && glob(rest, tail))
        }
    }
}

/// Merges `patch` into `target` (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_its_segment() {
        assert!(glob(b"/v1/projects/*/api-keys", b"/v1/projects/abc/api-keys"));
        assert!(!glob(b"/v1/projects/*", b"/v1/projects/abc/api-keys"));
        assert!(glob(b"/v1/projects/**", b"/v1/projects/abc/api-keys"));
        assert!(!glob(b"/v1/projects", b"/v1/projects/abc"));
    }

    #[test]
    fn faults_are_skipped_then_consumed_in_order() {
        let mut script = Script::default();
        script.push(Fault::on("GET", "/a", FaultKind::Html(502)).skip(1).times(2));
        script.push(Fault::on("*", "/a", FaultKind::Stall));
        let kinds: Vec<_> =
            (0..5).map(|_| script.strike(&Method::GET, "/a").map(|hit| hit.kind)).collect();
        let html = Some(FaultKind::Html(502));
        assert_eq!(kinds, [None, html.clone(), html, Some(FaultKind::Stall), None]);
        assert_eq!(script.len(), 0);
    }

    #[test]
    fn another_method_is_left_alone() {
        let mut script = Script::default();
        script.push(Fault::on("POST", "/a", FaultKind::DropAfter));
        assert!(script.strike(&Method::GET, "/a").is_none());
        assert!(script.strike(&Method::POST, "/a").is_some_and(|hit| hit.applied));
    }
}
