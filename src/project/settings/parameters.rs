//! Parameters of Postgres: a group each, one request for all. The platform replaces the whole set, so what is not ours is sent
//! back as it was read; what was ours and is declared no more is left out.

use std::collections::BTreeMap;

use super::order;
use crate::api::settings::{Applied, ParameterValue, ParametersRestart};
use crate::api::{Reason, SupabaseProjectSpec};
use crate::management::{Call, Change, Given, ProjectRef, Setting, Settings, replace_parameters};
use crate::settings::{Declared, Digester, Group, Reading, Unusable, Value, Write};

const ROOT: &str = "database.parameters[";

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A size with a unit.
    Size,
    /// A time, in this unit where none is written.
    Time(&'static str),
    /// A whole number within bounds.
    Number(i64, i64),
    /// A truth value.
    Flag,
    /// A word of this list, letter by letter.
    Word(&'static [&'static str]),
}

const MOST: i64 = 2_147_483_647;
const WORKERS: Kind = Kind::Number(0, 1024);
const SLOTS: Kind = Kind::Number(0, 262_143);

/// Name, what it takes, and whether it takes effect at a restart only.
const KNOWN: &[(&str, Kind, bool)] = &[
    ("autovacuum_max_workers", Kind::Number(1, 262_143), true),
    ("autovacuum_work_mem", Kind::Size, false),
    ("checkpoint_timeout", Kind::Time("s"), false),
    ("cron.log_statement", Kind::Flag, true),
    ("effective_cache_size", Kind::Size, false),
    ("hot_standby_feedback", Kind::Flag, false),
    ("log_autovacuum_min_duration", Kind::Time("ms"), false),
    ("log_checkpoints", Kind::Flag, false),
    ("log_connections", Kind::Flag, false),
    ("log_disconnections", Kind::Flag, false),
    ("log_duration", Kind::Flag, false),
    ("log_lock_waits", Kind::Flag, false),
    ("log_recovery_conflict_waits", Kind::Flag, false),
    ("log_replication_commands", Kind::Flag, false),
    ("log_startup_progress_interval", Kind::Time("ms"), false),
    ("log_temp_files", Kind::Size, false),
    ("logical_decoding_work_mem", Kind::Size, false),
    ("maintenance_work_mem", Kind::Size, false),
    ("max_connections", Kind::Number(1, 262_143), true),
    ("max_locks_per_transaction", Kind::Number(10, 2_147_483_640), true),
    ("max_logical_replication_workers", SLOTS, true),
    ("max_parallel_maintenance_workers", WORKERS, false),
    ("max_parallel_workers", WORKERS, false),
    ("max_parallel_workers_per_gather", WORKERS, false),
    ("max_replication_slots", Kind::Number(0, MOST), true),
    ("max_slot_wal_keep_size", Kind::Size, false),
    ("max_standby_archive_delay", Kind::Time("ms"), false),
    ("max_standby_streaming_delay", Kind::Time("ms"), false),
    ("max_sync_workers_per_subscription", SLOTS, false),
    ("max_wal_senders", Kind::Number(0, MOST), true),
    ("max_wal_size", Kind::Size, false),
    ("max_worker_processes", SLOTS, true),
    ("pg_net.batch_size", Kind::Number(0, 32_767), false),
    ("pg_stat_statements.max", Kind::Number(100, 45_000), true),
    ("session_replication_role", Kind::Word(&["origin", "replica", "local"]), false),
    ("shared_buffers", Kind::Size, true),
    ("statement_timeout", Kind::Time("ms"), false),
    ("track_activity_query_size", Kind::Size, true),
    ("track_commit_timestamp", Kind::Flag, true),
    ("wal_keep_size", Kind::Size, false),
    ("wal_sender_timeout", Kind::Time("ms"), false),
    ("work_mem", Kind::Size, false),
];

fn known(name: &str) -> Option<(Kind, bool)> {
    let row = KNOWN.iter().find(|(known, ..)| *known == name);
    row.map(|(_, kind, restarts)| (*kind, *restarts))
}

fn path(name: &str) -> String {
    format!("{ROOT}{name}]")
}

fn name(path: &str) -> Option<&str> {
    path.strip_prefix(ROOT)?.strip_suffix(']')
}

pub(super) fn is_wanted(spec: &SupabaseProjectSpec, applied: &[Applied]) -> bool {
    let declared = spec.database.parameters.as_ref();
    declared.is_some_and(|declared| !declared.is_empty())
        || applied.iter().any(|known| name(&known.path).is_some())
}

/// The value of a parameter in the form that is compared; why not, where it is none.
fn value(kind: Kind, text: &str) -> Result<Value, String> {
    let measure = |same: Option<String>, example: &str| {
        let same = same.ok_or_else(|| format!("{text:?} is not understood; write it as {example}"));
        same.map(|same| Value::Measure { shown: text.to_owned(), same })
    };
    match kind {
        Kind::Size => measure(size(text), "64MB"),
        Kind::Time(unit) => measure(time(text, unit), "8s"),
        Kind::Number(least, most) => {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number
                .map(Value::Number)
                .ok_or_else(|| format!("{text:?} is no whole number from {least} to {most}"))
        }
        // Not a plain truth value: one that is false is not the same as none.
        Kind::Flag => measure(flag(text).map(|flag| flag.to_string()), "\"true\" or \"false\""),
        Kind::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Word(words) => Err(format!("{text:?} is none of {}", words.join(", "))),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "on" => Some(true),
        "false" | "off" => Some(false),
        _ => None,
    }
}

/// A size in bytes; without a unit it is in the parameter's own, and only equal to itself.
fn size(text: &str) -> Option<String> {
    let (amount, unit) = measure(text)?;
    let factor: i128 = match unit {
        "" => return Some(format!("{amount} own")),
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    Some(amount.checked_mul(factor)?.to_string())
}

/// A time, exact.
fn time(text: &str, own: &str) -> Option<String> {
    let (amount, unit) = measure(text)?;
    let factor: i128 = match if unit.is_empty() { own } else { unit } {
        "us" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    Some(amount.checked_mul(factor)?.to_string())
}

/// Thousandths of an amount, and its unit.
fn measure(text: &str) -> Option<(i128, &str)> {
    let end = text.find(|one: char| one.is_ascii_alphabetic()).unwrap_or(text.len());
    let (amount, unit) = text.split_at(end);
    let amount = amount.trim();
    let negative = amount.starts_with('-');
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if fraction.len() > 3 || whole.len() > 18 {
        return None;
    }
    let thousandths: i128 = format!("{fraction:0<3}").parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    let thousandths = if negative { -thousandths } else { thousandths };
    Some((whole * 1000 + thousandths, unit))
}

fn text(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Number(number) => number.to_string(),
        ParameterValue::Text(text) => text.clone(),
    }
}

fn observed(kind: Option<Kind>, setting: Option<&Setting>) -> Value {
    let text = match setting {
        None | Some(Setting::Nothing) => return Value::Unset,
        Some(Setting::Flag(flag)) => flag.to_string(),
        Some(Setting::Number(number)) => number.to_string(),
        Some(Setting::Fraction(number)) => number.to_string(),
        Some(Setting::Text(text)) => text.clone(),
        Some(Setting::Hidden(_) | Setting::Other) => "(not understood)".to_owned(),
    };
    match kind.map(|kind| value(kind, &text)) {
        Some(Ok(value)) => value,
        Some(Err(_)) | None => Value::Text(text),
    }
}

/// A declared value as it is sent: sizes and times as texts, as they were written.
fn given(kind: Kind, text: &str) -> Option<Given> {
    value(kind, text).ok()?;
    Some(match kind {
        Kind::Flag => Given::Flag(flag(text)?),
        Kind::Number(..) => Given::Number(text.parse().ok()?),
        Kind::Size | Kind::Time(_) | Kind::Word(_) => Given::Text(text.to_owned()),
    })
}

pub(super) fn groups(
    spec: &SupabaseProjectSpec,
    answer: &Result<Settings, Reading>,
    applied: &[Applied],
    digester: Digester<'_>,
) -> Vec<Group> {
    let reading = |path: &str, name: &str| match answer {
        Ok(settings) => {
            let kind = known(name).map(|(kind, _)| kind);
            let seen = observed(kind, settings.get(name));
            Reading::Seen { values: BTreeMap::from([(path.to_owned(), seen)]), settled: true }
        }
        Err(reading) => reading.clone(),
    };
    let declared = spec.database.parameters.iter().flatten();
    let mut groups: Vec<_> = declared
        .map(|(name, given)| {
            let path = path(name);
            let value = match known(name) {
                Some((kind, _)) => value(kind, &text(given)),
                None => Err("the platform takes no such parameter".to_owned()),
            };
            match value {
                Ok(value) => {
                    let fields = vec![(path.clone(), Declared::Plain(value))];
                    digester.group(&path, order::PARAMETERS, fields, reading(&path, name))
                }
                Err(words) => {
                    let unusable =
                        Unusable { reason: Reason::InvalidSpec, path: path.clone(), words };
                    Group::unusable(&path, order::PARAMETERS, unusable)
                }
            }
        })
        .collect();
    let orphans: Vec<_> = crate::settings::orphans(applied, &groups)
        .filter_map(|path| Some((path, name(path)?)))
        .map(|(path, name)| Group::nothing(path, order::PARAMETERS, reading(path, name)))
        .collect();
    groups.extend(orphans);
    groups
}

/// All that was read, with what the write sets and without what it takes back.
pub(super) fn call(
    spec: &SupabaseProjectSpec,
    answer: &Result<Settings, Reading>,
    write: &Write,
    reference: &ProjectRef,
) -> Option<Call<()>> {
    let mut all = Change::new();
    for (name, setting) in answer.as_ref().ok()? {
        let given = match setting {
            Setting::Flag(flag) => Given::Flag(*flag),
            Setting::Number(number) => Given::Number(*number),
            Setting::Fraction(number) => Given::Fraction(*number),
            Setting::Text(text) => Given::Text(text.clone()),
            Setting::Hidden(_) | Setting::Nothing | Setting::Other => continue,
        };
        all.insert(name.clone(), given);
    }
    let mut restarts = false;
    for piece in &write.groups {
        let name = name(&piece.path)?;
        let row = known(name);
        restarts |= row.is_some_and(|(_, restarts)| restarts);
        if piece.take_back {
            all.remove(name);
            continue;
        }
        let declared = spec.database.parameters.as_ref()?.get(name)?;
        let given = given(row?.0, &text(declared))?;
        all.insert(name.to_owned(), given);
    }
    let allowed = spec.database.parameters_restart == Some(ParametersRestart::IfRequired);
    Some(replace_parameters(reference, &all, restarts && allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        for (one, other) in
            [("8s", "8000ms"), ("8000", "8s"), ("1.5s", "1500ms"), ("1h", "60min"), ("1d", "24h")]
        {
            assert_eq!(time(one, "ms"), time(other, "ms"), "{one}, {other}");
        }
        assert_eq!(size("1GB"), size("1024MB"));
        assert_ne!(size("64"), size("64kB"));
        assert_ne!(time("8s", "ms"), time("8ms", "ms"));
        assert_eq!(time("-1", "ms"), time("-1ms", "ms"));
        assert_ne!(time("-0.5s", "ms"), time("0.5s", "ms"));
        for bad in ["", "s", "8 weeks", "8x", "1e3s", "0.0001s", "--1", "9999999999999999999s"] {
            assert_eq!(time(bad, "ms"), None, "{bad}");
        }
    }

    #[test]
    fn a_value_that_no_parameter_takes_is_told_before_it_is_sent() {
        for (kind, text) in [
            (Kind::Number(1, 10), "11"),
            (Kind::Number(1, 10), "x"),
            (Kind::Flag, "yes"),
            (Kind::Word(&["a"]), "b"),
            (Kind::Size, "1 XB"),
        ] {
            assert!(value(kind, text).is_err(), "{text}");
        }
        let set = value(Kind::Flag, "off").unwrap();
        assert!(!set.is_met_by(&observed(Some(Kind::Flag), None), true));
        assert!(set.is_met_by(&observed(Some(Kind::Flag), Some(&Setting::Flag(false))), true));
        assert!(
            matches!(given(Kind::Time("ms"), "8000"), Some(Given::Text(text)) if text == "8000")
        );
    }
}
