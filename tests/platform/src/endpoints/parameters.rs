//! The Postgres parameters that the platform takes, and nothing else.

use serde_json::{Map, Value};

use crate::answer::Reply;
use crate::world::Call;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
}

/// As in the API's description (`UpdatePostgresConfigBody`), which allows no others.
const PARAMETERS: &[(&str, Kind)] = &[
    ("effective_cache_size", Kind::Text),
    ("logical_decoding_work_mem", Kind::Text),
    ("cron.log_statement", Kind::Flag),
    ("log_autovacuum_min_duration", Kind::Text),
    ("log_checkpoints", Kind::Flag),
    ("log_connections", Kind::Flag),
    ("log_disconnections", Kind::Flag),
    ("log_duration", Kind::Flag),
    ("log_lock_waits", Kind::Flag),
    ("log_recovery_conflict_waits", Kind::Flag),
    ("log_replication_commands", Kind::Flag),
    ("log_startup_progress_interval", Kind::Text),
    ("log_temp_files", Kind::Text),
    ("maintenance_work_mem", Kind::Text),
    ("track_activity_query_size", Kind::Text),
    ("max_connections", Kind::Number),
    ("max_locks_per_transaction", Kind::Number),
    ("max_parallel_maintenance_workers", Kind::Number),
    ("max_parallel_workers", Kind::Number),
    ("max_parallel_workers_per_gather", Kind::Number),
    ("max_replication_slots", Kind::Number),
    ("max_slot_wal_keep_size", Kind::Text),
    ("max_standby_archive_delay", Kind::Text),
    ("max_standby_streaming_delay", Kind::Text),
    ("max_wal_size", Kind::Text),
    ("max_wal_senders", Kind::Number),
    ("max_worker_processes", Kind::Number),
    ("session_replication_role", Kind::Text),
    ("shared_buffers", Kind::Text),
    ("statement_timeout", Kind::Text),
    ("track_commit_timestamp", Kind::Flag),
    ("wal_keep_size", Kind::Text),
    ("wal_sender_timeout", Kind::Text),
    ("work_mem", Kind::Text),
    ("checkpoint_timeout", Kind::Text),
    ("hot_standby_feedback", Kind::Flag),
];

/// The parameters of a request and whether it asks for a restart.
pub(super) fn parameters(call: &Call<'_>) -> Result<(Map<String, Value>, bool), Reply> {
    let mut body = call.json()?;
    if body.is_empty() && call.body.is_empty() {
        return Err(call.invalid(&["a body is required"]));
    }
    let restart = match body.remove("restart_database") {
        None => false,
        Some(Value::Bool(restart)) => restart,
        Some(_) => return Err(call.invalid(&["restart_database must be a boolean value"])),
    };
    for (key, value) in &body {
        let known = PARAMETERS.iter().find(|(name, _)| name == key);
        let Some((_, kind)) = known else {
            return Err(call.invalid(&[&format!("property {key} should not exist")]));
        };
        let fits = match kind {
            Kind::Text => value.is_string(),
            Kind::Flag => value.is_boolean(),
            Kind::Number => value.is_i64() || value.is_u64(),
        };
        if !fits {
            return Err(call.invalid(&[&format!("{key} has the wrong type")]));
        }
    }
    Ok((body, restart))
}
