//! What the operator tells about itself: logs, metrics, health.
//!
//! Labels of metrics come from closed sets, never from messages, so that their number is bounded; but names of
//! connections, which are as many as there are, label the ages of their tokens. Names of projects label nothing.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::api::Kind;

/// The kinds that are looked after.
const KINDS: [Kind; Kind::ALL.len()] = Kind::ALL;

/// Labels of reconciles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PassLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// By what steps are counted: few values each, and none that a user chooses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabels {
    kind: &'static str,
    step: &'static str,
    outcome: &'static str,
}

/// Labels of calls to the Management API.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    endpoint: &'static str,
    outcome: &'static str,
}

/// Labels of a kind alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: &'static str,
}

/// Labels of token refreshes and consent flows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// Labels of what is told of one connection: as many as there are connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabels {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// Every metric. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<PassLabels, Counter>,
    pass_duration: Family<KindLabel, Histogram>,
    steps: Family<StepLabels, Counter>,
    calls: Family<CallLabels, Counter>,
    call_duration: Histogram,
    refreshes: Family<OutcomeLabel, Counter>,
    watch_failures: Family<KindLabel, Counter>,
    unreadable: Family<KindLabel, Counter>,
    not_stored: Family<KindLabel, Counter>,
    consents: Family<OutcomeLabel, Counter>,
    granted: Family<ConnectionLabels, Gauge>,
    expires: Family<ConnectionLabels, Gauge>,
    leader: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("supabase_operator");
        let reconciles = Family::default();
        let pass_duration = Family::<KindLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.005, 2.0, 14))
        });
        let steps = Family::default();
        let calls = Family::default();
        let call_duration = Histogram::new(exponential_buckets(0.01, 2.0, 14));
        let refreshes = Family::default();
        let watch_failures = Family::default();
        let (unreadable, not_stored) = odd_objects(&mut registry);
        let granted = Family::default();
        let expires = Family::default();
        let leader = Gauge::default();
        registry.register("passes", "Passes over objects", reconciles.clone());
        registry.register_with_unit(
            "pass_duration",
            "How long passes took",
            Unit::Seconds,
            pass_duration.clone(),
        );
        registry.register("steps", "Steps performed", steps.clone());
        registry.register("management_calls", "Calls to the Management API", calls.clone());
        registry.register_with_unit(
            "management_call_duration",
            "How long calls to the Management API took",
            Unit::Seconds,
            call_duration.clone(),
        );
        registry.register("token_refreshes", "Refreshes of OAuth tokens", refreshes.clone());
        registry.register("watch_failures", "Failures of watches", watch_failures.clone());
        let consents = consents(&mut registry);
        registry.register_with_unit(
            "token_granted_timestamp",
            "When a connection's current pair of tokens was granted, since 1970",
            Unit::Seconds,
            granted.clone(),
        );
        registry.register_with_unit(
            "token_expiry_timestamp",
            "When a connection's current access token ends, since 1970",
            Unit::Seconds,
            expires.clone(),
        );
        registry.register("leader", "Whether this process leads", leader.clone());
        registry.register(
            "build",
            "The build that is running",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Self {
            registry: Arc::new(registry),
            reconciles,
            pass_duration,
            steps,
            calls,
            call_duration,
            refreshes,
            watch_failures,
            unreadable,
            not_stored,
            consents,
            granted,
            expires,
            leader,
        }
    }
}

/// Counts objects that are not understood, and those that cannot be written: from zero, so that the first one is seen.
fn odd_objects(
    registry: &mut Registry,
) -> (Family<KindLabel, Counter>, Family<KindLabel, Counter>) {
    let unreadable = Family::<KindLabel, Counter>::default();
    let not_stored = Family::<KindLabel, Counter>::default();
    for kind in KINDS {
        drop(unreadable.get_or_create(&KindLabel { kind: kind.as_str() }));
        drop(not_stored.get_or_create(&KindLabel { kind: kind.as_str() }));
    }
    registry.register(
        "unreadable_objects",
        "Looks at objects that hold what only a newer version of the operator knows",
        Family::clone(&unreadable),
    );
    registry.register(
        "refused_writes",
        "Writes of finalizers and statuses that the API server did not take",
        Family::clone(&not_stored),
    );
    (unreadable, not_stored)
}

/// Counts consent flows. Whoever watches their rate needs a beginning: what every flow should come to is there at once.
fn consents(registry: &mut Registry) -> Family<OutcomeLabel, Counter> {
    let consents = Family::<OutcomeLabel, Counter>::default();
    registry.register(
        "consent_flows",
        "Consent flows in the browser: begun, finished, and why they stopped",
        consents.clone(),
    );
    for outcome in ["started", "connected"] {
        drop(consents.get_or_create(&OutcomeLabel { outcome }));
    }
    consents
}

impl Metrics {
    /// A reconcile ended.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&PassLabels { kind, outcome }).inc();
        // What was known without a look took none.
        if !took.is_zero() {
            self.pass_duration.get_or_create(&KindLabel { kind }).observe(took.as_secs_f64());
        }
    }

    /// A step was performed.
    pub fn performed(&self, kind: &'static str, step: &'static str, worked: bool) {
        let outcome = if worked { "done" } else { "failed" };
        self.steps.get_or_create(&StepLabels { kind, step, outcome }).inc();
    }

    /// A call to the Management API ended.
    pub fn called(&self, endpoint: &'static str, outcome: &'static str, took: Duration) {
        self.calls.get_or_create(&CallLabels { endpoint, outcome }).inc();
        self.call_duration.observe(took.as_secs_f64());
    }

    /// A refresh of OAuth tokens ended.
    pub fn refreshed(&self, outcome: &'static str) {
        self.refreshes.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A watch failed and is tried again.
    pub fn watch_failed(&self, kind: &'static str) {
        self.watch_failures.get_or_create(&KindLabel { kind }).inc();
    }

    /// An object is not understood.
    pub fn unreadable(&self, kind: &'static str) {
        self.unreadable.get_or_create(&KindLabel { kind }).inc();
    }

    /// A write of an object's finalizers or status was not taken.
    pub fn not_stored(&self, kind: &'static str) {
        self.not_stored.get_or_create(&KindLabel { kind }).inc();
    }

    /// A consent flow was begun, finished, or stopped for a reason.
    pub fn consent(&self, outcome: &'static str) {
        self.consents.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// When a connection's pair was granted and when it ends; none takes both away.
    pub fn holds(
        &self,
        kind: &'static str,
        namespace: String,
        name: String,
        pair: Option<(Timestamp, Timestamp)>,
    ) {
        let labels = ConnectionLabels { kind, namespace, name };
        if let Some((granted, expires)) = pair {
            let set = |gauges: &Family<ConnectionLabels, Gauge>, at: Timestamp| {
                gauges.get_or_create(&labels).set(at.as_second());
            };
            set(&self.granted, granted);
            set(&self.expires, expires);
        } else {
            self.granted.remove(&labels);
            self.expires.remove(&labels);
        }
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All of them, in the text format of OpenMetrics.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

/// Whether a line of the log quotes no answer of the API server: the client library logs, at every level, answers that
/// it cannot decode, Secrets among them. What it has to say of a call that failed is in the error that it gives.
fn quotes_no_answer(line: &tracing::Metadata<'_>) -> bool {
    line.target() != "kube_client::client"
}

/// Starts logging to standard output, and makes panics say where, never what.
pub fn start_logging(level: &str, json: bool) -> Result<(), String> {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;

    let filter = EnvFilter::try_new(level).map_err(|_| {
        "--log-level must be error, warn, info, debug, trace or directives like info,supabase_operator=debug"
            .to_owned()
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout);
    let logs = tracing_subscriber::registry().with(filter);
    let started = if json {
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        logs.with(lines.with_filter(filter_fn(quotes_no_answer))).try_init()
    } else {
        let lines = lines.with_ansi(false);
        logs.with(lines.with_filter(filter_fn(quotes_no_answer))).try_init()
    };
    started.map_err(|_| "logging was started twice".to_owned())?;
    std::panic::set_hook(Box::new(|info| {
        // The message may quote values; the place is enough to find it.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(())
}
