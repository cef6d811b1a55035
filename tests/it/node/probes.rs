//! What a Pod of the operator answers to whoever comes from outside of it: the kubelet with its probes, and Prometheus.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use simulated_platform::Config;

use super::PATIENCE;
use crate::support::eventually::eventually;
use crate::support::node::{Node, on_a_node};

const PORT: u16 = 8080;
/// For one answer: a connection that began before the addresses of both ends were known to be nobody else's (RFC 4862) gets none.
const WITHIN: Duration = Duration::from_secs(2);

#[test]
#[expect(clippy::print_stderr, reason = "for the person who wonders what was tried")]
fn probes_and_metrics_are_answered_at_every_address_of_the_pod() {
    let name = "node::probes::probes_and_metrics_are_answered_at_every_address_of_the_pod";
    on_a_node(name, async || {
        let node = Node::with(Config::fast(), &json!({})).await;
        let operators = node.operators().await;
        let addresses = operators[0]["status"]["podIPs"].as_array().unwrap();
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|one| one["ip"].as_str().unwrap().parse().unwrap()).collect();
        let families: Vec<_> = addresses.iter().map(IpAddr::is_ipv6).collect();
        if Path::new("/proc/net/if_inet6").exists() {
            assert_eq!(families, [false, true], "{addresses:?}");
        } else {
            eprintln!("node: this kernel has no IPv6: only IPv4 was tried");
        }
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(WITHIN).no_proxy().build().unwrap();
        for address in addresses {
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            for path in ["livez", "readyz", "metrics"] {
                let url = format!("http://{host}:{PORT}/{path}");
                let (status, text) = eventually(&url, PATIENCE, async || {
                    let answer = client.get(&url).send().await?;
                    Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
                })
                .await;
                assert_eq!(status, 200, "{url}");
                let is_metrics = text.contains("supabase_operator_build_info");
                assert_eq!(is_metrics, path == "metrics", "{url}: {text}");
            }
        }
        assert_eq!(operators[0]["status"]["containerStatuses"][0]["restartCount"], 0);
    });
}
