//! The Postgres parameters that the platform takes, and nothing else.

use serde_json::{Map, Value};

use crate::answer::Reply;
use crate::rules::{Field, Rule, Unknown, check, field};
use crate::world::Call;

const SPAN: Rule = Rule::Shape(
    is_span,
    "Invalid string: must match pattern /^(-?[0-9]+(?:\\.[0-9]+)?)(us|ms|s|min|h|d)?$/",
);
const WORKERS: Rule = Rule::Whole(0, 262_143);
const PARALLEL: Rule = Rule::Whole(0, 1024);
const ANY: Rule = Rule::Whole(i64::MIN, i64::MAX);

/// As in the API's description (`UpdatePostgresConfigBody`), which allows no others.
const PARAMETERS: &[Field] = &[
    field("autovacuum_max_workers", Rule::Whole(1, 262_143)),
    field("autovacuum_work_mem", Rule::Text),
    field("checkpoint_timeout", SPAN),
    field("cron.log_statement", Rule::Flag),
    field("effective_cache_size", Rule::Text),
    field("hot_standby_feedback", Rule::Flag),
    field("log_autovacuum_min_duration", SPAN),
    field("log_checkpoints", Rule::Flag),
    field("log_connections", Rule::Flag),
    field("log_disconnections", Rule::Flag),
    field("log_duration", Rule::Flag),
    field("log_lock_waits", Rule::Flag),
    field("log_recovery_conflict_waits", Rule::Flag),
    field("log_replication_commands", Rule::Flag),
    field("log_startup_progress_interval", SPAN),
    field("log_temp_files", Rule::Text),
    field("logical_decoding_work_mem", Rule::Text),
    field("maintenance_work_mem", Rule::Text),
    field("max_connections", Rule::Whole(1, 262_143)),
    field("max_locks_per_transaction", Rule::Whole(10, 2_147_483_640)),
    field("max_logical_replication_workers", WORKERS),
    field("max_parallel_maintenance_workers", PARALLEL),
    field("max_parallel_workers", PARALLEL),
    field("max_parallel_workers_per_gather", PARALLEL),
    field("max_replication_slots", ANY),
    field("max_slot_wal_keep_size", Rule::Text),
    field("max_standby_archive_delay", Rule::Text),
    field("max_standby_streaming_delay", Rule::Text),
    field("max_sync_workers_per_subscription", WORKERS),
    field("max_wal_senders", ANY),
    field("max_wal_size", Rule::Text),
    field("max_worker_processes", WORKERS),
    field("pg_net.batch_size", Rule::Whole(0, 32_767)),
    field("pg_stat_statements.max", Rule::Whole(100, 45_000)),
    field("restart_database", Rule::Flag),
    field("session_replication_role", Rule::Choice(&["origin", "replica", "local"])),
    field("shared_buffers", Rule::Text),
    field("statement_timeout", SPAN),
    field("track_activity_query_size", Rule::Text),
    field("track_commit_timestamp", Rule::Flag),
    field("wal_keep_size", Rule::Text),
    field("wal_sender_timeout", SPAN),
    field("work_mem", Rule::Text),
];

/// Those that PostgreSQL reads at its start only.
const AT_START: &[&str] = &[
    "autovacuum_max_workers",
    "cron.log_statement",
    "max_connections",
    "max_locks_per_transaction",
    "max_logical_replication_workers",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "pg_stat_statements.max",
    "shared_buffers",
    "track_activity_query_size",
    "track_commit_timestamp",
];

/// Whether a parameter comes in force with a restart only.
pub(super) fn needs_restart(parameter: &str) -> bool {
    AT_START.contains(&parameter)
}

fn is_span(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit = text.get(number.len()..).unwrap_or_default();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.strip_prefix('-').unwrap_or(number);
    let fits = match number.split_once('.') {
        Some((whole, rest)) => digits(whole) && digits(rest),
        None => digits(number),
    };
    fits && ["", "us", "ms", "s", "min", "h", "d"].contains(&unit)
}

/// The parameters of a request, and whether it asks for a restart or against one.
pub(super) fn parameters(call: &Call<'_>) -> Result<(Map<String, Value>, Option<bool>), Reply> {
    let mut body = call.json()?;
    if body.is_empty() && call.body.is_empty() {
        return Err(call.invalid(&["Invalid input: expected object, received undefined"]));
    }
    check(call, &body, PARAMETERS, Unknown::Refused)?;
    let restart = body.remove("restart_database");
    Ok((body, restart.and_then(|restart| restart.as_bool())))
}
