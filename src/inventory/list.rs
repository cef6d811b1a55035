//! The projects of a whole list, found by ref and by name without a search. PURE.

use std::ops::Deref;

use crate::management::ListedProject;

/// Projects in the order of the platform, with an index by ref and one by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectList {
    all: Vec<ListedProject>,
    by_ref: Vec<u32>,
    by_name: Vec<u32>,
}

impl From<Vec<ListedProject>> for ProjectList {
    fn from(all: Vec<ListedProject>) -> Self {
        let places = 0..u32::try_from(all.len()).unwrap_or(u32::MAX);
        let key = |place: &u32| all.get(*place as usize);
        let mut by_ref: Vec<u32> = places.clone().collect();
        by_ref.sort_by_key(|place| key(place).map(|one| one.reference.as_str()));
        let mut by_name: Vec<u32> = places.collect();
        by_name.sort_by_key(|place| key(place).map(|one| one.name.as_str()));
        Self { all, by_ref, by_name }
    }
}

impl Deref for ProjectList {
    type Target = [ListedProject];

    fn deref(&self) -> &[ListedProject] {
        &self.all
    }
}

impl ProjectList {
    /// The project of a ref.
    pub fn find(&self, reference: &str) -> Option<&ListedProject> {
        let key = |place: &u32| self.all.get(*place as usize).map(|one| one.reference.as_str());
        let place = self.by_ref.binary_search_by_key(&Some(reference), key);
        let place = self.by_ref.get(place.ok()?)?;
        self.all.get(*place as usize)
    }

    /// Every project of a name, branches included, in the order of the list.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &ListedProject> {
        let key = |place: &u32| self.all.get(*place as usize).map(|one| one.name.as_str());
        let first = self.by_name.partition_point(|place| key(place) < Some(name));
        let rest = self.by_name.get(first..).unwrap_or_default();
        let same = rest.partition_point(|place| key(place) == Some(name));
        let places = rest.get(..same).unwrap_or_default();
        places.iter().filter_map(|place| self.all.get(*place as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::Status;

    #[test]
    fn projects_are_found_by_ref_and_by_name() {
        let listed = |reference: char, name: &str| ListedProject {
            reference: reference.to_string().repeat(20).parse().unwrap(),
            name: name.to_owned(),
            region: None,
            status: Status::ActiveHealthy,
            is_branch: false,
            created_at: None,
            size: None,
        };
        let list =
            ProjectList::from(vec![listed('c', "demo"), listed('a', "other"), listed('b', "demo")]);
        assert_eq!(list.len(), 3);
        let names = |name| -> Vec<_> {
            let found = list.named(name);
            found.map(|one| one.reference.as_str().chars().next()).collect()
        };
        assert_eq!(names("demo"), [Some('c'), Some('b')]);
        assert_eq!(names("other"), [Some('a')]);
        assert!(names("demo ").is_empty() && names("").is_empty() && names("zzz").is_empty());
        for one in list.iter() {
            assert_eq!(list.find(one.reference.as_str()), Some(one));
        }
        assert_eq!(list.find("dddddddddddddddddddd"), None);
        assert_eq!(ProjectList::default().find("a"), None);
    }
}
