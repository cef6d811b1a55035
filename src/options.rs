//! Every tunable, once: flag, environment variable, default, help. Bounds are checked before anything starts.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use k8s_openapi::jiff::SignedDuration;

use crate::management::BaseUrl;
use crate::outputs::{Authorities, LARGEST_AUTHORITIES};

/// The longest external address, in characters: the platform bounds redirect address and state together.
const LONGEST_ADDRESS: usize = 1000;
/// What a process must be sure to lead for after each look at the Lease: create calls and refreshes are begun only with five
/// seconds left.
const LEADERSHIP: Duration = Duration::from_secs(6);
/// The longest display name, in bytes.
const LONGEST_NAME: usize = 200;

/// Options of `supabase-operator run`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The operator's own namespace: its Lease, its keys, and the Secrets of cluster-wide connections
    #[arg(long, env = "SUPABASE_OPERATOR_NAMESPACE", default_value = "supabase-system")]
    pub namespace: String,

    /// Name of this process in the Lease and in events; a random suffix is added
    #[arg(long, env = "SUPABASE_OPERATOR_IDENTITY", default_value = "supabase-operator")]
    pub identity: String,

    /// Which namespaces are served: all of the cluster, or those of --watch-namespaces
    #[arg(long, env = "SUPABASE_OPERATOR_SCOPE", value_enum, default_value_t = Scope::Cluster)]
    pub scope: Scope,

    /// The namespaces of scope "namespaced", separated by commas; none means the operator's own
    #[arg(long, env = "SUPABASE_OPERATOR_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Whether Secrets may be listed and watched, so that changes act at once; needs the rights for it
    #[arg(long, env = "SUPABASE_OPERATOR_SECRETS_WATCH", num_args = 0..=1, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub secrets_watch: bool,

    /// Address of the Management API; all credentials are sent there
    #[arg(
        long,
        env = "SUPABASE_OPERATOR_MANAGEMENT_API_ENDPOINT",
        default_value = "https://api.supabase.com"
    )]
    pub management_api_endpoint: String,

    /// An HTTP proxy for calls to the Management API; such as `http://proxy.example:3128`
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_PROXY", hide_env_values = true)]
    pub management_api_proxy: Option<String>,

    /// A PEM file of certificate authorities to trust for calls to the Management API besides the image's own, where a
    /// proxy or firewall inspects TLS; read at start
    #[arg(long, env = "SUPABASE_OPERATOR_MANAGEMENT_API_CA_BUNDLE")]
    pub management_api_ca_bundle: Option<PathBuf>,

    /// A PEM file with the certificates of the authorities of Supabase's databases, for outputs that hold them; read at start
    #[arg(long, env = "SUPABASE_OPERATOR_DATABASE_CA_FILE", value_parser = authorities)]
    pub database_ca_file: Option<Authorities>,

    /// Whether workloads are restarted when an output that names them changes; needs the right to patch them
    #[arg(long, env = "SUPABASE_OPERATOR_ROLLOUT_RESTART", default_value_t = false, action = clap::ArgAction::Set)]
    pub rollout_restart: bool,

    /// Name of a Secret in the operator's own namespace with the keys `client_id` and `client_secret` of the
    /// operator's own OAuth app, for connections that name none
    #[arg(long, env = "SUPABASE_OPERATOR_OAUTH_APP_SECRET")]
    pub oauth_app_secret: Option<String>,

    /// The external `https` address of the consent pages, below which people reach --consent-listen; without it there
    /// are none
    #[arg(long, env = "SUPABASE_OPERATOR_CONSENT_URL")]
    pub consent_url: Option<BaseUrl>,

    /// Where the consent pages are served, without TLS
    #[arg(long, env = "SUPABASE_OPERATOR_CONSENT_LISTEN", default_value = "127.0.0.1:8081")]
    pub consent_listen: SocketAddr,

    /// What this operator is called on the consent pages, so that people know which cluster asks
    #[arg(
        long,
        env = "SUPABASE_OPERATOR_CONSENT_DISPLAY_NAME",
        default_value = "supabase-operator"
    )]
    pub consent_display_name: String,

    /// Addresses below which people may be sent on after consent, separated by commas; such as
    /// `https://portal.example/teams`
    #[arg(long, env = "SUPABASE_OPERATOR_CONSENT_RETURN_ADDRESSES", value_delimiter = ',')]
    pub consent_return_addresses: Vec<BaseUrl>,

    /// Name of the Lease
    #[arg(long, env = "SUPABASE_OPERATOR_LEASE_NAME", default_value = "supabase-operator")]
    pub lease_name: String,

    /// How long others leave the Lease alone after a renewal
    #[arg(long, env = "SUPABASE_OPERATOR_LEASE_DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,

    /// How long this process believes in its own renewal
    #[arg(long, env = "SUPABASE_OPERATOR_RENEW_DEADLINE", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,

    /// Between two looks at the Lease
    #[arg(long, env = "SUPABASE_OPERATOR_RETRY_PERIOD", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,

    /// Where health and metrics are served
    #[arg(long, env = "SUPABASE_OPERATOR_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// error, warn, info, debug or trace; directives such as `info,supabase_operator=debug` work too
    #[arg(long, env = "SUPABASE_OPERATOR_LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// How log lines look
    #[arg(long, env = "SUPABASE_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// How often projects that are changing on the platform are looked at
    #[arg(long, env = "SUPABASE_OPERATOR_TRANSITION_INTERVAL", default_value = "2s", value_parser = duration)]
    pub transition_interval: Duration,

    /// How often the others are: two calls per organization, or a list of it, however many they are
    #[arg(long, env = "SUPABASE_OPERATOR_REST_INTERVAL", default_value = "60s", value_parser = duration)]
    pub rest_interval: Duration,

    /// How often everything is compared again
    #[arg(long, env = "SUPABASE_OPERATOR_RESYNC_INTERVAL", default_value = "1h", value_parser = duration)]
    pub resync_interval: Duration,

    /// How often Secrets that cannot be watched are read again
    #[arg(long, env = "SUPABASE_OPERATOR_CREDENTIALS_INTERVAL", default_value = "30s", value_parser = duration)]
    pub credentials_interval: Duration,

    /// How often API keys and endpoints are read from the platform and compared with the outputs
    #[arg(long, env = "SUPABASE_OPERATOR_DRIFT_INTERVAL", default_value = "1h", value_parser = duration)]
    pub drift_interval: Duration,

    /// Objects of a kind worked on at the same time
    #[arg(long, env = "SUPABASE_OPERATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}

/// Which namespaces are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// Those that are named.
    Namespaced,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Options {
    /// Refuses what cannot work, in words.
    pub fn check(&self) -> Result<(), String> {
        let second = Duration::from_secs(1);
        let day = Duration::from_secs(86_400);
        let bounds = [
            ("lease-duration", self.lease_duration, second, Duration::from_secs(300)),
            ("renew-deadline", self.renew_deadline, second, Duration::from_secs(300)),
            (
                "retry-period",
                self.retry_period,
                Duration::from_millis(100),
                Duration::from_secs(60),
            ),
            ("transition-interval", self.transition_interval, Duration::from_millis(200), day),
            ("rest-interval", self.rest_interval, second, day),
            ("resync-interval", self.resync_interval, second, day),
            ("credentials-interval", self.credentials_interval, second, day),
            ("drift-interval", self.drift_interval, second, day * 7),
        ];
        for (name, value, least, most) in bounds {
            if value < least || value > most {
                return Err(format!("--{name} must lie between {least:?} and {most:?}"));
            }
        }
        self.check_together()
    }

    /// Refuses options of which each can work, and all together cannot.
    fn check_together(&self) -> Result<(), String> {
        if let Some(url) = &self.consent_url
            && url.to_string().len() > LONGEST_ADDRESS
        {
            return Err(format!("--consent-url must have at most {LONGEST_ADDRESS} characters"));
        }
        if self.consent_display_name.len() > LONGEST_NAME {
            return Err(format!("--consent-display-name must have at most {LONGEST_NAME} bytes"));
        }
        if self.scope == Scope::Cluster && self.watch_namespaces.iter().any(|name| !name.is_empty())
        {
            return Err(
                "--watch-namespaces needs --scope namespaced; with scope cluster every namespace is served"
                    .to_owned(),
            );
        }
        if self.consent_url.is_some() && self.consent_listen == self.listen {
            return Err(
                "--consent-listen must differ from --listen: the consent pages are for everybody, metrics are not"
                    .to_owned(),
            );
        }
        if self.transition_interval > self.rest_interval {
            return Err(
                "--transition-interval must be at most --rest-interval: what changes is looked at more often"
                    .to_owned(),
            );
        }
        // A Lease holds whole seconds.
        if self.renew_deadline >= Duration::from_secs(self.lease_duration.as_secs()) {
            return Err("--renew-deadline must be shorter than --lease-duration, in whole seconds"
                .to_owned());
        }
        if self.retry_period * 2 > self.renew_deadline {
            return Err("--retry-period must be at most half of --renew-deadline".to_owned());
        }
        if self.renew_deadline < self.retry_period + LEADERSHIP {
            return Err(format!(
                "--renew-deadline must be at least {LEADERSHIP:?} longer than --retry-period: with less leadership left no \
                project is created and no token refreshed"
            ));
        }
        Ok(())
    }

    /// The namespaces that are served; none means all.
    pub fn namespaces(&self) -> Option<Vec<String>> {
        match self.scope {
            Scope::Cluster => None,
            Scope::Namespaced => {
                let named: Vec<_> =
                    self.watch_namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
                Some(if named.is_empty() { vec![self.namespace.clone()] } else { named })
            }
        }
    }

    /// What this installation is known by: namespace and name of its Lease.
    pub fn installation(&self) -> String {
        format!("{}/{}", self.namespace, self.lease_name)
    }

    /// Whether Secrets may be listed and watched: always with Roles, which name the namespaces.
    pub fn watches_secrets(&self) -> bool {
        self.secrets_watch || self.scope == Scope::Namespaced
    }
}

/// `15s`, `10m`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| "a duration such as 15s, 10m or 1h30m is needed".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "a duration must not be negative".to_owned())
}

/// The certificates in a file, read no further than they may be long.
fn authorities(file: &str) -> Result<Authorities, String> {
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| {
            let most = u64::try_from(LARGEST_AUTHORITIES).unwrap_or(u64::MAX);
            open.take(most + 1).read_to_end(&mut text)
        })
        .map_err(|error| format!("it cannot be read: {error}"))?;
    Authorities::read(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let command = std::iter::once(&"run").chain(arguments);
        let parsed = Command::try_parse_from(command).map_err(|error| error.to_string())?;
        parsed.options.check().map(|()| parsed.options)
    }

    #[test]
    fn the_defaults_are_in_order() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.namespaces(), None);
        assert!(!options.watches_secrets());
    }

    #[test]
    fn what_cannot_work_is_refused_in_words() {
        assert!(parse(&["--transition-interval", "5"]).is_err());
        assert!(parse(&["--transition-interval=-5s"]).is_err());
        assert!(parse(&["--rest-interval", "0s"]).unwrap_err().contains("rest-interval"));
        assert!(parse(&["--renew-deadline", "20s"]).unwrap_err().contains("lease-duration"));
        let fractions = ["--lease-duration", "10900ms", "--renew-deadline", "10500ms"];
        assert!(parse(&fractions).unwrap_err().contains("whole seconds"));
        assert!(parse(&["--concurrency", "0"]).is_err());
    }

    /// A process with too little leadership would look, and look again, and never create anything.
    #[test]
    fn options_that_would_make_no_progress_together_are_refused() {
        let url = "https://connect.example";
        for (arguments, says) in [
            (&["--watch-namespaces", "a"][..], "--watch-namespaces needs --scope namespaced"),
            (
                &["--consent-url", url, "--listen", "[::]:8081", "--consent-listen", "[::]:8081"],
                "--consent-listen must differ",
            ),
            (
                &["--transition-interval", "2m"],
                "--transition-interval must be at most --rest-interval",
            ),
            (
                &["--lease-duration", "8s", "--renew-deadline", "6s", "--retry-period", "1s"],
                "--renew-deadline must be at least",
            ),
        ] {
            let refusal = parse(arguments).expect_err(says);
            assert!(refusal.contains(says), "{refusal}");
        }
        assert!(parse(&["--listen", "[::]:8081", "--consent-listen", "[::]:8081"]).is_ok());
        let short = ["--lease-duration", "8s", "--renew-deadline", "7s", "--retry-period", "500ms"];
        assert!(parse(&short).is_ok());
    }

    #[test]
    fn consent_is_reached_over_tls_or_on_this_machine() {
        let options = parse(&["--consent-url", "https://connect.example/supabase/"]).unwrap();
        let url = options.consent_url.unwrap();
        assert_eq!(url.to_string(), "https://connect.example/supabase");
        assert!(parse(&["--consent-url", "http://localhost:8081"]).is_ok());
        assert!(
            parse(&["--consent-url", "http://connect.example"]).unwrap_err().contains("https://")
        );
        let long = format!("https://connect.example/{}", "a".repeat(1000));
        assert!(parse(&["--consent-url", &long]).is_err());
        let returns = "https://a.example/x,https://b.example";
        let options = parse(&["--consent-return-addresses", returns]).unwrap();
        assert_eq!(options.consent_return_addresses.len(), 2);
        assert!(parse(&["--consent-return-addresses", "b.example"]).is_err());
    }

    #[test]
    fn scope_namespaced_without_names_means_the_operators_own() {
        let options = parse(&["--scope", "namespaced", "--namespace", "here"]).unwrap();
        assert_eq!(options.namespaces(), Some(vec!["here".to_owned()]));
        assert!(options.watches_secrets());
        let options = parse(&["--scope", "namespaced", "--watch-namespaces", "a,b"]).unwrap();
        assert_eq!(options.namespaces(), Some(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn authorities_are_read_from_their_file_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        let given = ["--database-ca-file", file.to_str().unwrap()];
        assert!(parse(&given).unwrap_err().contains("cannot be read"));
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        std::fs::write(&file, made.signing_key.serialize_pem()).unwrap();
        let refusal = parse(&given).unwrap_err();
        assert!(refusal.contains("--database-ca-file") && refusal.contains("private key"));
        std::fs::write(&file, made.cert.pem()).unwrap();
        let options = parse(&given).unwrap();
        assert!(options.database_ca_file.is_some());
        assert!(parse(&[]).unwrap().database_ca_file.is_none());
    }

    #[test]
    fn the_switch_for_secrets_takes_a_word_or_none() {
        assert!(parse(&["--secrets-watch"]).unwrap().secrets_watch);
        assert!(!parse(&["--secrets-watch", "false"]).unwrap().secrets_watch);
    }
}
