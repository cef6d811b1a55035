//! What the operator relies on, as a real API server does it.

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use simulated_apiserver::{ApiServer, Fate, Fault, Resource, Script, Service, Verb};

const SECRETS: &str = "/api/v1/namespaces/team/secrets";
const THINGS: &str = "/apis/x.dev/v1/namespaces/team/things";

fn server() -> ApiServer {
    let things = Resource::custom("x.dev", "v1", "things", "Thing")
        .with_defaults(json!({"status": {"observedGeneration": -1}}));
    let mut server = ApiServer::new([things]);
    server.add_namespace("team");
    server
}

fn request(method: &str, path: &str, body: &Value) -> Request<Bytes> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder().method(method).uri(path).header("content-type", kind).body(body).unwrap()
}

fn ask(server: &mut ApiServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let at = Timestamp::from_second(1_000_000).unwrap();
    let response: Response<Bytes> = server.handle(&request(method, path, body), at);
    let status = response.status().as_u16();
    (status, serde_json::from_slice(response.body()).unwrap())
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

#[test]
fn what_was_created_is_read_back_and_never_created_twice() {
    let mut server = server();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let (status, made) = ask(&mut server, "POST", SECRETS, &secret);
    assert_eq!(status, 201);
    assert_eq!(made["data"]["a"], "Yg==");
    assert_eq!((&made["kind"], &made["type"]), (&json!("Secret"), &json!("Opaque")));
    assert!(made["metadata"]["uid"].is_string());
    assert_eq!(made["metadata"]["creationTimestamp"], "1970-01-12T13:46:40Z");
    let path = format!("{SECRETS}/s");
    assert_eq!(ask(&mut server, "GET", &path, &Value::Null), (200, made));
    let (status, again) = ask(&mut server, "POST", SECRETS, &secret);
    assert_eq!((status, &again["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(ask(&mut server, "GET", &format!("{SECRETS}/x"), &Value::Null).0, 404);
}

#[test]
fn a_write_over_an_older_version_or_another_object_is_a_conflict() {
    let mut server = server();
    let (_, first) = ask(&mut server, "POST", SECRETS, &named("s"));
    let path = format!("{SECRETS}/s");
    let mut second = first.clone();
    second["data"] = json!({"k": "Yg=="});
    let (status, stored) = ask(&mut server, "PUT", &path, &second);
    assert_eq!(status, 200);
    assert_ne!(stored["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let (status, refused) = ask(&mut server, "PUT", &path, &second);
    assert_eq!((status, &refused["reason"]), (409, &json!("Conflict")));
    for stale in [
        json!({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}}),
        json!({"metadata": {"uid": "another"}}),
    ] {
        assert_eq!(ask(&mut server, "PATCH", &path, &stale).0, 409, "{stale}");
        let stale = json!({"preconditions": stale["metadata"]});
        assert_eq!(ask(&mut server, "DELETE", &path, &stale).0, 409, "{stale}");
    }
    assert_eq!(ask(&mut server, "PUT", &format!("{SECRETS}/x"), &second).0, 404);
}

#[test]
fn a_write_that_changes_nothing_is_none() {
    let mut server = server();
    let (_, made) = ask(&mut server, "POST", SECRETS, &named("s"));
    let path = format!("{SECRETS}/s");
    let before = server.ledger().writes().len();
    assert_eq!(ask(&mut server, "PUT", &path, &made), (200, made.clone()));
    assert_eq!(ask(&mut server, "PATCH", &path, &json!({})), (200, made));
    assert_eq!(server.ledger().writes().len(), before);
}

#[test]
fn status_and_the_rest_are_written_apart() {
    let mut server = server();
    let thing = json!({"metadata": {"name": "t"}, "spec": {"a": 1}, "status": {"forged": true}});
    let (_, made) = ask(&mut server, "POST", THINGS, &thing);
    assert_eq!(made["status"], json!({"observedGeneration": -1}));
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{THINGS}/t");
    let change = json!({"spec": {"a": 2}, "status": {"forged": true}});
    let (_, changed) = ask(&mut server, "PATCH", &path, &change);
    assert_eq!(changed["metadata"]["generation"], 2);
    assert_eq!(changed["status"], json!({"observedGeneration": -1}));
    let status = json!({"spec": {"a": 3}, "status": {"ref": "x", "observedGeneration": null}});
    let (_, stated) = ask(&mut server, "PATCH", &format!("{path}/status"), &status);
    assert_eq!(stated["status"], json!({"ref": "x"}));
    assert_eq!(stated["spec"], json!({"a": 2}));
    assert_eq!(stated["metadata"]["generation"], 2);
    let (_, labelled) =
        ask(&mut server, "PATCH", &path, &json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(labelled["metadata"]["generation"], 2);
    let verbs: Vec<Verb> = server.ledger().writes_of("things").map(|write| write.verb).collect();
    assert_eq!(verbs, [Verb::Create, Verb::Update, Verb::UpdateStatus, Verb::Update]);
}

#[test]
fn finalizers_hold_what_was_deleted() {
    let mut server = server();
    let thing = json!({"metadata": {"name": "t", "finalizers": ["x.dev/f"]}});
    ask(&mut server, "POST", THINGS, &thing);
    let path = format!("{THINGS}/t");
    let (status, held) = ask(&mut server, "DELETE", &path, &Value::Null);
    assert_eq!(status, 200);
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    let more = json!({"metadata": {"finalizers": ["x.dev/f", "x.dev/g"]}});
    assert_eq!(ask(&mut server, "PATCH", &path, &more).0, 422);
    let none = json!({"metadata": {"finalizers": []}});
    assert_eq!(ask(&mut server, "PATCH", &path, &none).0, 200);
    assert_eq!(ask(&mut server, "GET", &path, &Value::Null).0, 404);
    let (status, gone) = ask(&mut server, "DELETE", &path, &Value::Null);
    assert_eq!((status, &gone["reason"]), (404, &json!("NotFound")));
}

#[test]
fn a_namespace_goes_when_its_last_object_has_gone_and_takes_nothing_new() {
    let mut server = server();
    ask(&mut server, "POST", SECRETS, &named("free"));
    let held = json!({"metadata": {"name": "held", "finalizers": ["x.dev/f"]}});
    ask(&mut server, "POST", SECRETS, &held);
    ask(&mut server, "DELETE", "/api/v1/namespaces/team", &Value::Null);
    assert_eq!(ask(&mut server, "GET", &format!("{SECRETS}/free"), &Value::Null).0, 404);
    let (status, refused) = ask(&mut server, "POST", SECRETS, &named("new"));
    assert_eq!(status, 403);
    assert_eq!(refused["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let path = format!("{SECRETS}/held");
    assert!(server.get("/api/v1/namespaces/team").is_some());
    ask(&mut server, "PATCH", &path, &json!({"metadata": {"finalizers": null}}));
    assert!(server.get("/api/v1/namespaces/team").is_none());
    assert_eq!(ask(&mut server, "POST", SECRETS, &named("new")).0, 404);
}

#[test]
fn what_only_a_departed_owner_held_goes_with_it() {
    let mut server = server();
    let (_, thing) = ask(&mut server, "POST", THINGS, &named("t"));
    let reference = json!([{"apiVersion": "x.dev/v1", "kind": "Thing", "name": "t", "uid": thing["metadata"]["uid"]}]);
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": reference}});
    ask(&mut server, "POST", SECRETS, &owned);
    ask(&mut server, "POST", SECRETS, &named("free"));
    assert!(server.delete_by_hand(&format!("{THINGS}/t")));
    assert!(server.get(&format!("{SECRETS}/owned")).is_none());
    assert!(server.get(&format!("{SECRETS}/free")).is_some());
}

#[test]
fn lists_are_of_one_namespace_or_all_and_follow_selectors() {
    let mut server = server();
    server.add_namespace("other");
    let labelled = json!({"metadata": {"name": "a", "labels": {"role": "x"}}});
    ask(&mut server, "POST", SECRETS, &labelled);
    ask(&mut server, "POST", SECRETS, &named("b"));
    ask(&mut server, "POST", "/api/v1/namespaces/other/secrets", &named("c"));
    let names = |server: &mut ApiServer, path: &str| -> Vec<String> {
        let (_, list) = ask(server, "GET", path, &Value::Null);
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&mut server, SECRETS), ["a", "b"]);
    assert_eq!(names(&mut server, "/api/v1/secrets"), ["c", "a", "b"]);
    assert_eq!(names(&mut server, &format!("{SECRETS}?labelSelector=role%3Dx")), ["a"]);
    assert_eq!(names(&mut server, &format!("{SECRETS}?labelSelector=role!%3Dx")), ["b"]);
    assert_eq!(names(&mut server, &format!("{SECRETS}?fieldSelector=metadata.name%3Db")), ["b"]);
    assert_eq!(ask(&mut server, "GET", &format!("{SECRETS}?watch=true"), &Value::Null).0, 400);
}

#[test]
fn an_immutable_secret_and_bad_data_are_refused() {
    let mut server = server();
    let fixed = json!({"metadata": {"name": "s"}, "immutable": true, "data": {"k": "Yg=="}});
    ask(&mut server, "POST", SECRETS, &fixed);
    let path = format!("{SECRETS}/s");
    assert_eq!(ask(&mut server, "PATCH", &path, &json!({"data": {"k": "Yw=="}})).0, 422);
    let bad = json!({"metadata": {"name": "x"}, "data": {"k": "no base64!"}});
    assert_eq!(ask(&mut server, "POST", SECRETS, &bad).0, 400);
    let huge = json!({"metadata": {"name": "y"}, "data": {"k": "A".repeat(1 << 21)}});
    assert_eq!(ask(&mut server, "POST", SECRETS, &huge).0, 422);
    assert_eq!(ask(&mut server, "POST", SECRETS, &json!({})).0, 422);
}

#[test]
fn changes_by_hand_are_told_apart() {
    let mut server = server();
    assert!(server.create_by_hand(THINGS, &named("t")).is_some());
    assert!(server.create_by_hand(THINGS, &named("t")).is_none());
    assert!(server.change_by_hand(&format!("{THINGS}/t"), &json!({"spec": {"a": 1}})));
    assert!(server.change_by_hand(&format!("{THINGS}/t/status"), &json!({"status": {"a": 1}})));
    assert_eq!(server.get(&format!("{THINGS}/t")).unwrap()["status"]["a"], 1);
    assert_eq!(server.ledger().writes_of("things").count(), 0);
    assert!(!server.change_by_hand(&format!("{THINGS}/x"), &json!({})));
}

#[test]
fn only_metadata_is_given_where_only_metadata_is_asked_for() {
    let mut server = server();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}});
    ask(&mut server, "POST", SECRETS, &secret);
    for (path, kind) in [
        (format!("{SECRETS}/s"), "PartialObjectMetadata"),
        (SECRETS.to_owned(), "PartialObjectMetadataList"),
    ] {
        let mut request = request("GET", &path, &Value::Null);
        let wanted = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        request.headers_mut().insert("accept", wanted.parse().unwrap());
        let response = server.handle(&request, Timestamp::UNIX_EPOCH);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body["kind"], kind);
        assert!(!body.to_string().contains("Yg=="));
    }
}

#[test]
fn a_script_strikes_as_often_as_it_says() {
    let mut script = Script::default();
    script.push(Fault::on("PUT", "/secrets/", Fate::LostAfter).skip(1).times(2));
    let put = http::Method::PUT;
    let fates: Vec<Fate> =
        (0..4).map(|_| script.strike(&put, "/api/v1/namespaces/a/secrets/s")).collect();
    assert_eq!(fates, [Fate::Answered, Fate::LostAfter, Fate::LostAfter, Fate::Answered]);
    assert_eq!(script.pending(), 0);
}

#[test]
fn a_lost_answer_leaves_its_effect_and_a_lost_request_none() {
    use http_body_util::Full;
    use tower_service::Service as _;

    let service = Service::new(server(), || Timestamp::UNIX_EPOCH);
    let send = |name: &str| {
        let request = request("POST", SECRETS, &named(name)).map(Full::new);
        futures::executor::block_on(service.clone().call(request))
            .map(|response| response.status().as_u16())
    };
    service.script().push(Fault::on("POST", "/secrets", Fate::LostAfter));
    service.script().push(Fault::on("POST", "/secrets", Fate::LostBefore));
    service.script().push(Fault::on("POST", "/secrets", Fate::Refused(503)));
    assert!(send("a").is_err());
    assert!(send("b").is_err());
    assert_eq!(send("c").unwrap(), 503);
    assert_eq!(send("d").unwrap(), 201);
    let kept: Vec<bool> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| service.server().get(&format!("{SECRETS}/{name}")).is_some())
        .collect();
    assert_eq!(kept, [true, false, false, true]);
}

#[test]
fn a_list_comes_in_pages_of_the_size_that_is_asked_for() {
    let mut api = server();
    for name in ["a", "b", "c"] {
        let object = json!({"metadata": {"name": name}});
        assert!(api.create_by_hand(SECRETS, &object).is_some());
    }
    let page = |api: &mut ApiServer, query: &str| {
        let path = format!("{SECRETS}?{query}");
        let (status, body) = ask(api, "GET", &path, &Value::Null);
        assert_eq!(status, 200);
        let names = body["items"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|item| item["metadata"]["name"].clone()).collect();
        (names, body["metadata"]["continue"].as_str().map(str::to_owned))
    };
    let (first, token) = page(&mut api, "limit=2");
    assert_eq!(first, ["a", "b"]);
    let (last, none) = page(&mut api, &format!("limit=2&continue={}", token.unwrap()));
    assert_eq!((last, none), (vec![json!("c")], None));
    assert_eq!(page(&mut api, "").0.len(), 3);
}
