//! Watches: every change since a version, and those to come, one line each.
//!
//! No bookmarks, and a watch never expires: it ends when whoever reads it goes.

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use http::{Method, Request, header};
use serde_json::Value;
use url::form_urlencoded;

use crate::listing::partial;
use crate::path;
use crate::server::{ApiServer, Key};

/// One change, as it is told.
#[derive(Clone, Debug)]
struct Event {
    version: u64,
    key: Key,
    kind: &'static str,
    object: Value,
}

/// Whoever watches a kind, in one namespace or in all.
#[derive(Clone, Debug)]
struct Watcher {
    resource: usize,
    namespace: Option<String>,
    metadata_only: bool,
    lines: UnboundedSender<Bytes>,
}

/// Every change so far, and whoever waits for more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches {
    events: Vec<Event>,
    watchers: Vec<Watcher>,
}

impl Watches {
    pub(crate) fn tell(&mut self, version: u64, key: &Key, kind: &'static str, object: &Value) {
        let event = Event { version, key: key.clone(), kind, object: object.clone() };
        self.watchers.retain(|watcher| watcher.tell(&event));
        self.events.push(event);
    }
}

impl Watcher {
    /// False if nobody reads any more.
    fn tell(&self, event: &Event) -> bool {
        let (resource, namespace, _) = &event.key;
        if *resource != self.resource || (self.namespace.is_some() && self.namespace != *namespace)
        {
            return !self.lines.is_closed();
        }
        let object = if self.metadata_only {
            partial(&event.object, "PartialObjectMetadata")
        } else {
            event.object.clone()
        };
        // Real servers put the type first, and readers may rely on it.
        let line = format!("{{\"type\":\"{}\",\"object\":{object}}}\n", event.kind);
        self.lines.unbounded_send(Bytes::from(line)).is_ok()
    }
}

impl ApiServer {
    /// Begins a watch, if the request asks for one.
    pub(crate) fn watch(&mut self, request: &Request<Bytes>) -> Option<UnboundedReceiver<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |wanted: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        if *request.method() != Method::GET || parameter("watch").is_none() {
            return None;
        }
        let target = path::target(request.uri().path(), &self.resources)?;
        let since: u64 = parameter("resourceVersion")?.parse().ok()?;
        let accepted = request.headers().get(header::ACCEPT);
        let metadata_only = accepted
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("as=PartialObjectMetadata"));
        let (lines, reader) = unbounded();
        let watcher = Watcher {
            resource: target.resource,
            namespace: target.namespace,
            metadata_only,
            lines,
        };
        for event in self.watches.events.iter().filter(|event| event.version > since) {
            watcher.tell(event);
        }
        self.watches.watchers.push(watcher);
        Some(reader)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_watch_tells_what_came_since_its_version_and_what_comes() {
        let mut server = ApiServer::new([]);
        server.add_namespace("team");
        let secrets = "/api/v1/namespaces/team/secrets";
        let named = |name: &str| json!({"metadata": {"name": name}});
        server.create_by_hand(secrets, &named("before")).unwrap();
        let since = server.current_version();
        server.create_by_hand(secrets, &named("between")).unwrap();
        let uri = format!("/api/v1/secrets?watch=1&resourceVersion={since}");
        let request = Request::get(uri).body(Bytes::new()).unwrap();
        let reader = server.watch(&request).unwrap();
        assert!(server.delete_by_hand(&format!("{secrets}/before")));
        let read = reader.take(2).map(|line| {
            let event: Value = serde_json::from_slice(&line).unwrap();
            let name = event["object"]["metadata"]["name"].as_str().unwrap();
            format!("{} {name}", event["type"].as_str().unwrap())
        });
        let told: Vec<String> = futures::executor::block_on(read.collect());
        assert_eq!(told, ["ADDED between", "DELETED before"]);
        let plain = Request::get("/api/v1/secrets").body(Bytes::new()).unwrap();
        assert!(server.watch(&plain).is_none());
    }
}
