//! A platform of a few fields, and an object that declares some of them. Each reconcile is: read, plan, write, keep.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::settings::{Applied, Drift, DriftReason};
use crate::rules::digest::DigestKey;
use crate::settings::{
    Declared, Digester, Group, Input, Memory, Outcome, Plan, Policy, Reading, Value, Write,
    orphans, plan,
};

/// Path of a group, its order, and the group it waits for.
pub(super) const GROUPS: [(&str, u8, Option<&str>); 6] = [
    ("a", 0, None),
    ("b", 0, None),
    ("mail", 1, None),
    ("limit", 2, Some("mail")),
    ("list[x]", 3, None),
    ("list[y]", 3, None),
];
/// The one that has a secret besides.
pub(super) const SECRET: &str = "mail.password";

pub(super) const INTERVAL: Duration = Duration::from_secs(600);

/// What the platform does with a group that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It takes it.
    Takes,
    /// It takes it, and is done some time later.
    Later,
    /// It refuses it.
    Refuses,
    /// It takes it, and somebody else changes it.
    Fights,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) declared: BTreeMap<&'static str, i64>,
    pub(super) secret: String,
    pub(super) platform: BTreeMap<&'static str, i64>,
    pub(super) platform_secret: Option<String>,
    pub(super) masks: bool,
    pub(super) manners: BTreeMap<&'static str, Manner>,
    pub(super) busy_until: BTreeMap<&'static str, Timestamp>,
    pub(super) policy: Policy,
    // The status.
    pub(super) applied: Vec<Applied>,
    pub(super) drift: Vec<Drift>,
    pub(super) settled: bool,
    pub(super) memory: Memory,
    pub(super) now: Timestamp,
    // What happened.
    pub(super) writes: Vec<Write>,
    pub(super) secrets_sent: usize,
    key: DigestKey,
}

/// What the platform shows of a secret.
fn shown(secret: &str) -> String {
    format!("shown {secret}")
}

impl World {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            declared: BTreeMap::new(),
            secret: "canary".to_owned(),
            platform: BTreeMap::new(),
            platform_secret: None,
            masks: false,
            manners: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            policy,
            applied: Vec::new(),
            drift: Vec::new(),
            settled: false,
            memory: Memory::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            writes: Vec::new(),
            secrets_sent: 0,
            key: DigestKey::from_bytes(&[7; 32]).unwrap(),
        }
    }

    pub(super) fn manner(&self, path: &str) -> Manner {
        self.manners.get(path).copied().unwrap_or(Manner::Takes)
    }

    fn reading(&self, path: &str) -> Reading {
        let mut values = BTreeMap::new();
        if let Some(number) = self.platform.get(path) {
            values.insert(path.to_owned(), Value::Number(*number));
        }
        if path == "mail" {
            let secret = self.platform_secret.as_ref();
            let value = secret.map_or(Value::Unset, |secret| {
                if self.masks { Value::Masked } else { Value::Secret(shown(secret)) }
            });
            values.insert(SECRET.to_owned(), value);
        }
        let settled = self.busy_until.get(path).is_none_or(|until| *until <= self.now);
        Reading::Seen { values, settled }
    }

    pub(super) fn groups(&self) -> Vec<Group> {
        let digester = Digester { key: &self.key, uid: "uid", reference: None };
        let declared = GROUPS.iter().filter_map(|(path, order, after)| {
            let number = self.declared.get(path)?;
            let mut fields = vec![((*path).to_owned(), Declared::Plain(Value::Number(*number)))];
            if *path == "mail" {
                let secret = Declared::Secret(self.secret.clone().into(), shown(&self.secret));
                fields.push((SECRET.to_owned(), secret));
            }
            let group = digester.group(path, *order, fields, self.reading(path));
            Some(match after {
                Some(other) => group.after(other),
                None => group,
            })
        });
        let mut groups: Vec<_> = declared.collect();
        let gone: Vec<_> = orphans(&self.applied, &groups).map(str::to_owned).collect();
        let gone = gone.iter().map(|path| Group::nothing(path, 3, self.reading(path)));
        groups.extend(gone.collect::<Vec<_>>());
        groups
    }

    pub(super) fn plan(&mut self, asked: bool) -> Plan {
        let groups = self.groups();
        let input = Input {
            groups: &groups,
            policy: self.policy,
            applied: &self.applied,
            drift: &self.drift,
            was_settled: self.settled,
            asked,
            uid: "uid",
            interval: INTERVAL,
            now: self.now,
        };
        plan(&input, &mut self.memory)
    }

    /// What the platform does with a write: all of it or, where one is refused, nothing.
    fn carry_out(&mut self, write: &Write) -> Outcome {
        self.secrets_sent += usize::from(write.sends(SECRET));
        self.writes.push(write.clone());
        let refused = |path: &str| self.manner(path) == Manner::Refuses;
        if write.groups.iter().any(|piece| refused(&piece.path)) {
            return Outcome::Refused { reason: DriftReason::Refused, words: "no".to_owned() };
        }
        for piece in &write.groups {
            let (path, ..) = GROUPS.iter().find(|(path, ..)| *path == piece.path).unwrap();
            let manner = self.manner(path);
            if piece.take_back {
                self.platform.remove(path);
                continue;
            }
            let wanted = self.declared[path];
            let stored = if manner == Manner::Fights { wanted + 1 } else { wanted };
            self.platform.insert(path, stored);
            if manner == Manner::Later {
                let until = self.now + SignedDuration::from_secs(45);
                self.busy_until.insert(path, until);
            }
            if write.sends(SECRET) && *path == "mail" {
                self.platform_secret = Some(self.secret.clone());
            }
        }
        Outcome::Accepted
    }

    /// One reconcile. With `dies` the process ends between the write and the status.
    pub(super) fn reconcile(&mut self, dies: bool) -> Plan {
        let plan = self.plan(false);
        let mut applied = plan.applied.clone();
        if let Some(write) = &plan.write {
            let outcome = self.carry_out(write);
            if dies {
                self.memory = Memory::default();
                self.now += SignedDuration::from_secs(1);
                return plan;
            }
            self.memory.learn(write, &outcome, self.now);
            if outcome == Outcome::Accepted {
                write.record(&mut applied);
            }
        }
        self.applied = applied;
        self.drift.clone_from(&plan.drift);
        self.settled = !plan.waiting;
        let wait = plan.read_again.max(Duration::from_secs(1));
        self.now += SignedDuration::try_from(wait).unwrap();
        plan
    }

    /// Passes until nothing is written and nothing is awaited, and the plan of the last.
    pub(super) fn rest(&mut self) -> Plan {
        for _ in 0..100 {
            let plan = self.reconcile(false);
            let moving = plan
                .drift
                .iter()
                .any(|entry| matches!(entry.reason, DriftReason::Pending | DriftReason::Differs));
            if plan.write.is_none() && !moving {
                return plan;
            }
        }
        panic!("no rest: {self:#?}");
    }

    pub(super) fn in_force(&self, path: &str) -> bool {
        let secret = path != "mail" || self.platform_secret.as_ref() == Some(&self.secret);
        self.platform.get(path) == self.declared.get(path) && secret
    }
}
