//! From a path to what it names.

use crate::resource::Resource;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The place of the kind in the server's list.
    pub(crate) resource: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

pub(crate) fn target(path: &str, resources: &[Resource]) -> Option<Target> {
    let mut parts = path.trim_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    let find = |plural: &str| {
        resources.iter().position(|known| {
            known.group == group && known.version == version && known.plural == plural
        })
    };
    let owned = |text: &&str| (*text).to_owned();
    let (namespace, plural, rest) = match rest.as_slice() {
        // `namespaces/<name>` and `namespaces/<name>/status` are about the namespace itself.
        ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => {
            (Some(owned(namespace)), *plural, rest)
        }
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return None,
    };
    let resource = find(plural)?;
    let namespaced = resources.get(resource)?.namespaced;
    // Without a namespace, a namespaced kind can only be listed.
    if namespace.is_some() != namespaced && (namespace.is_some() || !rest.is_empty()) {
        return None;
    }
    let mut rest = rest.iter();
    let (name, subresource) = (rest.next().map(owned), rest.next().map(owned));
    rest.next().is_none().then_some(Target { resource, namespace, name, subresource })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(String, String)> {
        let mut resources = Resource::built_ins();
        resources.push(Resource::custom("x.dev", "v1", "things", "Thing"));
        resources.push(Resource::custom("x.dev", "v1", "wides", "Wide").cluster_wide());
        let found = target(path, &resources)?;
        let text = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
        Some((
            resources[found.resource].plural.clone(),
            format!("{} {} {}", text(found.namespace), text(found.name), text(found.subresource)),
        ))
    }

    #[test]
    fn paths_name_what_they_name() {
        for (path, plural, rest) in [
            ("/api/v1/namespaces/a/secrets/s", "secrets", "a s -"),
            ("/api/v1/namespaces/a/secrets", "secrets", "a - -"),
            ("/api/v1/secrets", "secrets", "- - -"),
            ("/api/v1/namespaces/a", "namespaces", "- a -"),
            ("/api/v1/namespaces", "namespaces", "- - -"),
            ("/apis/x.dev/v1/namespaces/a/things/t/status", "things", "a t status"),
            ("/apis/x.dev/v1/things", "things", "- - -"),
            ("/apis/x.dev/v1/wides/w/status", "wides", "- w status"),
        ] {
            assert_eq!(read(path), Some((plural.to_owned(), rest.to_owned())), "{path}");
        }
        for path in [
            "/",
            "/api",
            "/api/v1/secrets/s",
            "/api/v2/secrets",
            "/apis/x.dev/v1/namespaces/a/wides/w",
            "/apis/x.dev/v1/namespaces/a/things/t/status/more",
            "/healthz",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}
