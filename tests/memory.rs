//! How much memory a list of large objects takes. A program of its own, since the most that a process has ever had is
//! measured for the whole process.
#![expect(clippy::unwrap_used, reason = "a test says what it found")]

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Api;
use supabase_operator::api::SupabaseProject;
use supabase_operator::controller::{Source, Store};
use supabase_operator::kubernetes::{Lean as _, Shape};
use supabase_operator::seen::SeenProject;

const OBJECTS: usize = 1000;
const LARGE: usize = 256 * 1024;
/// What the chart gives the operator.
const LIMIT: u64 = 128 * 1024 * 1024;

fn query(request: &Request<kube::client::Body>, name: &str) -> Option<usize> {
    let pairs = request.uri().query()?.split('&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next()?.parse().ok()
}

fn object(number: usize) -> String {
    let pad = "x".repeat(LARGE);
    format!(
        r#"{{"metadata":{{"name":"large-{number}","namespace":"team","uid":"u-{number}","resourceVersion":"7",
        "annotations":{{"example.com/pad":"{pad}"}}}},
        "spec":{{"connectionRef":{{"name":"acme"}}}},"status":{{"ref":"ref-{number}"}}}}"#
    )
}

/// A server of lists that makes each object when it is sent, so that none of them is in memory but those of the client.
fn served(
    request: &Request<kube::client::Body>,
) -> Response<StreamBody<impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> + use<>>> {
    let first = query(request, "continue").unwrap_or(0);
    let last = OBJECTS.min(first + query(request, "limit").unwrap_or(OBJECTS));
    let more = if last < OBJECTS { format!(r#","continue":"{last}""#) } else { String::new() };
    let head = format!(
        r#"{{"kind":"SupabaseProjectList","metadata":{{"resourceVersion":"7"{more}}},"items":["#
    );
    let items = (first..last).map(move |number| {
        let comma = if number > first { "," } else { "" };
        format!("{comma}{}", object(number))
    });
    let parts = std::iter::once(head).chain(items).chain(std::iter::once("]}".to_owned()));
    let frames = parts.map(|part| Ok(Frame::data(Bytes::from(part))));
    Response::new(StreamBody::new(stream::iter(frames)))
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)).unwrap();
    kibibytes.parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_thousand_large_objects_are_listed_within_the_memory_of_the_chart() {
    let service = tower::service_fn(|request: Request<kube::client::Body>| {
        let response = served(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let api = Api::<SupabaseProject>::all(kube::Client::new(service, "default"));
    let store = Store::<SeenProject>::default();
    let mut source = Source::new(api, "SupabaseProject", Shape::Whole, None);
    source.list(&store, None).await.unwrap();
    let all = store.all();
    assert_eq!(all.len(), OBJECTS);
    assert!(all.iter().all(|seen| seen.reference.is_some() && !seen.meta().uid().is_empty()));
    let peak = peak();
    assert!(peak <= LIMIT, "{} MiB", peak / 1024 / 1024);
}
