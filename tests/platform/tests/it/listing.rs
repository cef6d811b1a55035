//! Both lists, the single project, organizations and regions.

use serde_json::{Value, json};
use simulated_platform::{Config, ForeignRef, Pat, Permissions, Plan, Status};

use crate::stage::{Stage, calm, slow};

const LIST: &str = "/v1/organizations/acme/projects";

fn names(body: &Value) -> Vec<&str> {
    let list = body.get("projects").unwrap_or(body).as_array().unwrap();
    list.iter().map(|project| project["name"].as_str().unwrap()).collect()
}

/// A world with four projects in `acme`, created in this order, a second apart.
fn four() -> Stage {
    let mut stage = Stage::new(slow());
    for name in ["beta", "delta", "alpha", "gamma"] {
        stage.create(name);
        stage.pass_seconds(1);
    }
    stage
}

#[test]
fn pages_are_slices_of_one_order_with_the_whole_count() {
    let mut stage = four();
    let page = stage.get(&format!("{LIST}?offset=1&limit=2"));
    assert_eq!(names(&page.body), ["beta", "delta"]);
    assert_eq!(page.body["pagination"], json!({ "count": 4, "limit": 2, "offset": 1 }));
    let beyond = stage.get(&format!("{LIST}?offset=9"));
    assert_eq!(names(&beyond.body), Vec::<&str>::new());
    assert_eq!(beyond.body["pagination"]["count"], 4);
    for bad in ["limit=0", "limit=101", "limit=x", "offset=-1"] {
        assert_eq!(stage.get(&format!("{LIST}?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_page_holds_a_hundred_at_most() {
    let mut stage = Stage::new(calm());
    for number in 0..101 {
        stage.create(&format!("p{number:03}"));
    }
    let first = stage.get(LIST);
    assert_eq!(names(&first.body).len(), 100);
    assert_eq!(first.body["pagination"]["count"], 101);
    let last = stage.get(&format!("{LIST}?offset=100&limit=100"));
    assert_eq!(names(&last.body), ["p100"]);
    assert_eq!(names(&stage.get("/v1/projects").body).len(), 101);
}

#[test]
fn every_sort_order_works_and_others_are_refused() {
    let mut stage = four();
    let orders = [
        ("", ["alpha", "beta", "delta", "gamma"]),
        ("?sort=name_asc", ["alpha", "beta", "delta", "gamma"]),
        ("?sort=name_desc", ["gamma", "delta", "beta", "alpha"]),
        ("?sort=created_asc", ["beta", "delta", "alpha", "gamma"]),
        ("?sort=created_desc", ["gamma", "alpha", "delta", "beta"]),
    ];
    for (query, expected) in orders {
        assert_eq!(names(&stage.get(&format!("{LIST}{query}")).body), expected, "{query}");
    }
    assert_eq!(stage.get(&format!("{LIST}?sort=random")).status, 400);
}

#[test]
fn search_finds_parts_of_names_and_refs_whatever_the_case() {
    let mut stage = four();
    assert_eq!(names(&stage.get(&format!("{LIST}?search=ETA")).body), ["beta"]);
    assert_eq!(names(&stage.get(&format!("{LIST}?search=lta")).body), ["delta"]);
    let reference = stage.world.projects().last().unwrap().reference.clone();
    let found = stage.get(&format!("{LIST}?search={reference}"));
    assert_eq!(names(&found.body), ["gamma"]);
    assert_eq!(found.body["pagination"]["count"], 1);
    assert_eq!(names(&stage.get(&format!("{LIST}?search=nothing")).body), Vec::<&str>::new());
}

#[test]
fn statuses_can_be_asked_for_but_only_two_of_them() {
    let mut stage = four();
    let first = stage.world.projects().next().unwrap().reference.clone();
    stage.world.set_status(&first, Status::ActiveHealthy, stage.now);
    let active = stage.get(&format!("{LIST}?statuses=ACTIVE_HEALTHY,INACTIVE"));
    assert_eq!(names(&active.body), ["beta"]);
    assert_eq!(stage.get(&format!("{LIST}?statuses=COMING_UP")).status, 400);
}

#[test]
fn branches_are_in_the_paged_list_only() {
    let mut stage = Stage::new(calm());
    let parent = stage.create("orders");
    let branch = stage.world.add_branch(&parent, "feature", stage.now).unwrap();
    let paged = stage.get(LIST);
    assert_eq!(names(&paged.body), ["feature", "orders"]);
    let flags: Vec<_> =
        paged.body["projects"].as_array().unwrap().iter().map(|one| &one["is_branch"]).collect();
    assert_eq!(flags, [&json!(true), &json!(false)]);
    assert_eq!(names(&stage.get("/v1/projects").body), ["orders"]);
    let listed = stage.get(&format!("/v1/projects/{parent}/branches"));
    assert_eq!(listed.body[0]["project_ref"], branch.as_str());
    // Its own ref is unknown to the project itself, and known to what lies below it.
    for (method, path) in [("GET", ""), ("PATCH", ""), ("DELETE", "")] {
        let body = (method == "PATCH").then(|| json!({ "name": "other" }));
        let answer = stage.ask(method, &format!("/v1/projects/{branch}{path}"), body);
        assert_eq!((answer.status, answer.message()), (404, "Project not found"));
    }
    for path in ["api-keys", "config/database/pooler"] {
        assert_eq!(stage.get(&format!("/v1/projects/{branch}/{path}")).status, 200, "{path}");
    }
}

#[test]
fn a_single_project_shows_its_database_from_the_beginning() {
    let mut stage = Stage::new(slow());
    let reference = stage.create("orders");
    let shown = stage.get(&format!("/v1/projects/{reference}"));
    assert_eq!(shown.body["database"]["host"], format!("db.{reference}.supabase.co"));
    assert_eq!(shown.body["database"]["postgres_engine"], "17");
    let listed = stage.get("/v1/projects");
    assert_eq!(listed.body[0], shown.body);
    let paged = stage.get(LIST);
    assert!(paged.body["projects"][0].get("database").is_none());
    assert_eq!(paged.body["projects"][0]["databases"][0]["infra_compute_size"], "micro");
}

#[test]
fn unknown_and_foreign_refs_differ_or_not() {
    let mut stage = Stage::new(calm());
    let foreign = stage.world.add_foreign_project("foreign", "theirs", stage.now);
    let unknown = "/v1/projects/aaaaaaaaaaaaaaaaaaaa";
    assert_eq!(stage.get(unknown).status, 404);
    assert_eq!(stage.get(unknown).message(), "Project not found");
    let foreign = format!("/v1/projects/{foreign}");
    assert_eq!(stage.get(&foreign).status, 403);
    assert_eq!(stage.get("/v1/organizations/foreign").status, 403);
    stage.world.config_mut().foreign_ref = ForeignRef::NotFound;
    assert_eq!(stage.get(&foreign).status, 404);
    assert_eq!(stage.get("/v1/organizations/foreign/projects").status, 404);
    assert!(stage.get("/v1/projects").body.as_array().unwrap().is_empty());
}

#[test]
fn organizations_are_those_of_the_caller() {
    let mut stage = Stage::new(calm());
    let slugs = |body: &Value| -> Vec<String> {
        let list = body.as_array().unwrap();
        list.iter().map(|entry| entry["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(slugs(&stage.get("/v1/organizations").body), ["acme", "free"]);
    let one = stage.world.add_pat(Pat::for_organizations(&["free"], Permissions::default()));
    let listed = stage.ask_as(&one, "GET", "/v1/organizations", None);
    assert_eq!(slugs(&listed.body), ["free"]);
    stage.world.set_plan("free", Plan::Team);
    assert_eq!(stage.get("/v1/organizations/free").body["plan"], "team");
    assert_eq!(stage.get("/v1/organizations/nowhere").status, 404);
}

#[test]
fn pausing_is_an_entitlement_of_the_free_plan() {
    let mut stage = Stage::new(calm());
    for (slug, allowed) in [("free", true), ("acme", false)] {
        let answer = stage.get(&format!("/v1/organizations/{slug}/entitlements"));
        let all = answer.body["entitlements"].as_array().unwrap();
        let pausing = all.iter().find(|one| one["feature"]["key"] == "project_pausing").unwrap();
        assert_eq!(pausing["hasAccess"], allowed, "{slug}");
    }
}

#[test]
fn an_organization_can_be_created_by_a_person() {
    let mut stage = Stage::new(calm());
    let created = stage.post("/v1/organizations", json!({ "name": "Fresh" }));
    assert_eq!(created.status, 201);
    let slug = created.body["slug"].as_str().unwrap();
    assert_eq!(stage.get(&format!("/v1/organizations/{slug}")).body["plan"], "free");
    for bad in [json!({}), json!({ "name": "" }), json!({ "name": "a", "plan": "pro" })] {
        assert_eq!(stage.post("/v1/organizations", bad).status, 400);
    }
}

#[test]
fn regions_need_an_organization_and_name_groups_and_regions() {
    let mut stage = Stage::new(calm());
    let path = "/v1/projects/available-regions";
    assert_eq!(stage.get(path).status, 400);
    let answer = stage.get(&format!("{path}?organization_slug=acme&continent=NA"));
    assert_eq!(answer.body["all"]["specific"].as_array().unwrap().len(), 18);
    assert_eq!(answer.body["recommendations"]["smartGroup"]["code"], "americas");
    let groups = answer.body["all"]["smartGroup"].as_array().unwrap();
    let codes: Vec<_> = groups.iter().map(|group| group["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["americas", "emea", "apac"]);
}

#[test]
fn deleted_projects_may_be_left_out_of_the_lists() {
    for shown in [true, false] {
        let mut stage = Stage::new(Config { lists_show_deleted: shown, ..slow() });
        let reference = stage.create("orders");
        stage.pass_seconds(90);
        stage.delete(&format!("/v1/projects/{reference}"));
        let count = usize::from(shown);
        assert_eq!(names(&stage.get(LIST).body).len(), count);
        assert_eq!(names(&stage.get("/v1/projects").body).len(), count);
        assert_eq!(stage.status(&reference), "GOING_DOWN");
    }
}

#[test]
fn unknown_routes_are_not_found() {
    let mut stage = Stage::new(calm());
    let answer = stage
        .world
        .handle(&http::Request::get("/v1/nothing").body(bytes::Bytes::new()).unwrap(), stage.now);
    assert_eq!(answer.response.status(), 404);
    assert!(answer.response.body().starts_with(b"{\"message\":\"Cannot GET /v1/nothing\""));
}
