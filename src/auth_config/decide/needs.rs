//! PURE. What must be read before a decision can be made: one thing after the other, each only where what was read before asks
//! for it.

use crate::auth_config::facts::{Observed, Parent, Read};
use crate::settings::Policy;

/// What to read next; none where all is known that a decision needs.
pub fn next(observed: &Observed) -> Option<Read> {
    let all = [Read::Holder, Read::Project, Read::Connection, Read::Secrets, Read::Settings];
    let read = all.into_iter().find(|read| !observed.done.contains(read))?;
    let reached = match read {
        Read::Holder => true,
        Read::Project => observed.holder.is_none(),
        Read::Connection => observed.project.is_some(),
        Read::Secrets | Read::Settings => {
            matches!(observed.parent, Parent::Active(_)) && !observed.unsettled
        }
    };
    (reached && observed.policy != Policy::Suspended).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth_config::tests::{active, observed};

    #[test]
    fn each_read_needs_the_ones_before_it_to_have_come_to_something() {
        let mut all = observed();
        let mut order = Vec::new();
        while let Some(read) = next(&all) {
            order.push(read);
            all.done.push(read);
            match read {
                Read::Project => all.project = Some(active()),
                Read::Connection => {
                    all.parent = Parent::Active("abcdefghijklmnopqrst".parse().unwrap());
                }
                Read::Holder | Read::Secrets | Read::Settings => {}
            }
        }
        let whole = [Read::Holder, Read::Project, Read::Connection, Read::Secrets, Read::Settings];
        assert_eq!(order, whole);

        assert_eq!(next(&Observed { policy: Policy::Suspended, ..observed() }), None);
        let done = vec![Read::Holder];
        let held = Observed { done, holder: Some("older".to_owned()), ..observed() };
        assert_eq!(next(&held), None);
        let done = vec![Read::Holder, Read::Project];
        assert_eq!(next(&Observed { done, ..observed() }), None, "there is no active project");
        let done = vec![Read::Holder, Read::Project, Read::Connection];
        assert_eq!(next(&Observed { done, project: Some(active()), ..observed() }), None);
    }
}
