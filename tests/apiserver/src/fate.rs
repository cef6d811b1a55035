//! What becomes of a request on its way.

use http::Method;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is refused with this status, without effect.
    Refused(u16),
    /// The connection breaks before it takes effect.
    LostBefore,
    /// It takes effect, and the connection breaks before the answer.
    LostAfter,
    /// It never arrives, and nothing ever comes back.
    StalledBefore,
    /// It takes effect, and nothing ever comes back.
    StalledAfter,
}

/// One scripted fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The method, or any.
    pub method: Option<Method>,
    /// What the path must contain.
    pub path: String,
    /// How many matching requests go by unharmed first.
    pub skip: u32,
    /// How many requests it hits.
    pub times: u32,
    /// What becomes of them.
    pub fate: Fate,
}

impl Fault {
    /// A fault that hits one request. `method` may be `*`.
    pub fn on(method: &str, path: &str, fate: Fate) -> Self {
        Self {
            method: method.parse().ok().filter(|_| method != "*"),
            path: path.to_owned(),
            skip: 0,
            times: 1,
            fate,
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
}

/// Faults still to come, consumed in order.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<Fault>);

impl Script {
    /// Adds a fault.
    pub fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push(fault);
        }
    }

    /// The fate of a request, as far as the script is concerned.
    pub fn strike(&mut self, method: &Method, path: &str) -> Fate {
        for index in 0..self.0.len() {
            let Some(fault) = self.0.get_mut(index) else {
                break;
            };
            let hits = fault.method.as_ref().is_none_or(|wanted| wanted == method)
                && path.contains(&fault.path);
            if !hits {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let fate = fault.fate;
            fault.times -= 1;
            if fault.times == 0 {
                self.0.remove(index);
            }
            return fate;
        }
        Fate::Answered
    }

    /// How many faults have not been used up.
    pub fn pending(&self) -> usize {
        self.0.len()
    }
}
