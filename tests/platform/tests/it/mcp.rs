//! Supabase's own MCP server, unmodified, as another independent judge: it reads projects for language models.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use simulated_platform::server::Server;
use simulated_platform::{Pat, Plan, World};

use crate::client::PATIENCE;
use crate::stage::{CONTRACT, calm};

/// The program for Node; none where it cannot be had, which is said, and which fails where `CI=true`.
fn program() -> Option<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/ensure");
    let output = Command::new(script).arg("mcp").stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        return Some(String::from_utf8(output.stdout).unwrap().trim().into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.trim().lines().last().unwrap_or("no reason given");
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "no MCP server: {reason}");
    writeln!(std::io::stderr(), "note: the MCP server did not judge: {reason}").unwrap();
    None
}

/// The running program; dropping it ends it.
struct Mcp {
    child: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
}

impl Mcp {
    fn start(program: PathBuf, server: &Server, token: &str) -> Self {
        let mut child = Command::new("node")
            .arg(program)
            .args(["--api-url", &server.endpoint(), "--read-only"])
            // The other groups of tools ask for pages that are not the Management API.
            .args(["--features", "account,development,branching"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SUPABASE_ACCESS_TOKEN", token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            for answer in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if tell.send(answer).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take().unwrap();
        let mut mcp = Self { child, input, answers, asked: 0 };
        mcp.ask(
            "initialize",
            &json!({ "protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": { "name": "judge", "version": "1" } }),
        );
        mcp.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        mcp
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
        self.input.flush().unwrap();
    }

    /// The result of one request.
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).unwrap();
            if answer["id"] == id {
                assert_eq!(answer.get("error"), None, "{method}");
                return answer["result"].clone();
            }
        }
    }

    /// What a tool says.
    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }));
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_ne!(result["isError"], true, "{tool}: {text}");
        serde_json::from_str(text).unwrap()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_official_mcp_server_reads_organizations_projects_and_keys() {
    let Some(program) = program() else { return };
    let mut world = World::new(calm(), 12);
    world.add_organization("acme", "Acme Inc.", Plan::Pro);
    let token = world.add_pat(Pat::classic());
    let server = Server::start(world, "127.0.0.1:0".parse().unwrap()).unwrap();
    let now = server.now();
    let reference = server.world().add_foreign_project("acme", "judged", now);
    let violations = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&violations);
    server.observe(move |exchange| {
        if let Some(contract) = CONTRACT.as_ref() {
            let wrong = contract.check(exchange.request, exchange.answer);
            found.lock().unwrap().extend(wrong);
        }
    });
    let mut mcp = Mcp::start(program, &server, &token);
    let tools = mcp.ask("tools/list", &json!({}));
    assert!(tools["tools"].as_array().unwrap().len() > 5, "{tools}");
    let project = json!({ "project_id": reference });
    let organizations = mcp.call("list_organizations", &json!({}));
    assert_eq!(organizations["organizations"][0]["slug"], "acme");
    assert_eq!(mcp.call("get_organization", &json!({ "id": "acme" }))["plan"], "pro");
    assert_eq!(mcp.call("list_projects", &json!({}))["projects"][0]["ref"], reference.as_str());
    let shown = mcp.call("get_project", &json!({ "id": reference }));
    assert_eq!(shown["status"], "ACTIVE_HEALTHY");
    let url = mcp.call("get_project_url", &project);
    assert!(url["url"].as_str().unwrap().contains(&reference), "{url}");
    let keys = mcp.call("get_publishable_keys", &project);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(mcp.call("list_branches", &project)["branches"], json!([]));
    drop(mcp);
    let refused =
        server.world().ledger().seen().iter().filter(|seen| seen.status >= Some(400)).count();
    assert_eq!(refused, 0);
    let violations = violations.lock().unwrap();
    assert!(violations.is_empty(), "{violations:?}");
}
