//! A headless Chromium, driven through `WebDriver`. Each has a driver and a profile of its own, so that two of them are two
//! people.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::eventually::eventually;
use super::programs::ensure;

const STARTING: Duration = Duration::from_secs(60);
const LOADING: Duration = Duration::from_secs(60);

/// Without these it asks the world for updates, or wants rights that a test has not.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
];

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// On a desk, light.
    Light,
    /// On a desk, dark.
    Dark,
    /// On a phone, light.
    Phone,
}

impl Look {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Phone];

    const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Phone => "phone",
        }
    }
}

/// A browser; it ends when this is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    profile: TempDir,
    _driver: Child,
}

/// A command of the Chrome `DevTools` protocol, by way of the driver.
#[derive(Debug)]
struct Devtools(&'static str, Value);

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({"cmd": self.0, "params": self.1});
        (http::Method::POST, Some(body.to_string()))
    }
}

/// A driver and its port; none if it ended before it was ready.
async fn driver(program: &Path) -> Option<(Child, String)> {
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(rest) = line.split("successfully on port ").nth(1) {
            let port = rest.trim_end_matches('.').to_owned();
            // What it says is read on, so that it can go on saying it.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some((driver, port));
        }
    }
    None
}

impl Browser {
    /// Starts one. Certificates that nobody vouches for are accepted, as the tests make them.
    pub async fn start() -> Self {
        let chromium = ensure("chromium").await;
        let profile = tempfile::tempdir().unwrap();
        let program = ensure("chromedriver").await;
        // It draws a port for two address families at once, and ends where one of them is taken.
        let (driver, port) = eventually("chromedriver", STARTING, async || {
            driver(&program).await.ok_or("it ended at once")
        })
        .await;
        let mut flags: Vec<_> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "acceptInsecureCerts": true,
            "pageLoadStrategy": "normal",
            "goog:chromeOptions": {"binary": chromium, "args": flags},
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(serde_json::from_value(capabilities).unwrap());
        let address = format!("http://127.0.0.1:{port}");
        let client =
            timeout(STARTING, builder.connect(&address)).await.expect("Chromium starts").unwrap();
        Self { client, profile, _driver: driver }
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        timeout(LOADING, self.client.goto(url)).await.expect("the page loads").unwrap();
    }

    /// Presses what a CSS selector finds, and waits for the page that it leads to.
    pub async fn press(&self, selector: &str) {
        let found = self.client.find(Locator::Css(selector)).await;
        let element = match found {
            Ok(element) => element,
            Err(error) => panic!("{selector}: {error}\n{}", self.text().await),
        };
        // The driver may be back before the next page is there: this one is told by a mark on it.
        self.evaluate("window.left = true", Vec::new()).await;
        element.click().await.unwrap();
        self.arrived().await;
    }

    /// Waits for the page that follows the marked one.
    async fn arrived(&self) {
        eventually("the next page", LOADING, async || {
            let loaded = "return window.left !== true && document.readyState === 'complete'";
            match self.client.execute(loaded, Vec::new()).await {
                Ok(Value::Bool(true)) => Ok(()),
                Ok(other) => Err(other.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Chooses an option of a list.
    pub async fn choose(&self, selector: &str, value: &str) {
        let list = self.client.find(Locator::Css(selector)).await.unwrap();
        list.select_by_value(value).await.unwrap();
    }

    /// Goes to the first thing that the keyboard reaches, which must be what a CSS selector finds, and presses it.
    pub async fn press_by_keyboard(&self, selector: &str) {
        const TAB: &str = "\u{e004}";
        const ENTER: &str = "\u{e007}";
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        body.send_keys(TAB).await.unwrap();
        let reached = format!("return document.activeElement.matches('{selector}')");
        assert_eq!(self.evaluate(&reached, Vec::new()).await, true, "{selector}");
        self.evaluate("window.left = true", Vec::new()).await;
        let active = self.client.active_element().await.unwrap();
        active.send_keys(ENTER).await.unwrap();
        self.arrived().await;
    }

    /// What the page says.
    pub async fn text(&self) -> String {
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    /// The page's heading.
    pub async fn heading(&self) -> String {
        let heading = self.client.find(Locator::Css("h1")).await.unwrap();
        heading.text().await.unwrap()
    }

    /// The heading must be this.
    pub async fn assert_heading(&self, expected: &str) {
        assert_eq!(self.heading().await, expected, "{}", self.text().await);
    }

    /// Its markup.
    pub async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }

    /// Its address.
    pub async fn address(&self) -> String {
        self.client.current_url().await.unwrap().to_string()
    }

    /// What a script on the page gives back. The page's own policy does not hold for the driver.
    pub async fn evaluate(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap()
    }

    /// The names of the cookies that the page's host would get. Scripts do not see them, the driver does.
    pub async fn cookies(&self) -> Vec<String> {
        let cookies = self.client.get_all_cookies().await.unwrap();
        cookies.iter().map(|cookie| cookie.name().to_owned()).collect()
    }

    /// Looks at the page that is open in another way.
    pub async fn look(&self, look: Look) {
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let (width, height) = if look == Look::Phone { (390, 844) } else { (1100, 800) };
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": look == Look::Phone,
        });
        for command in [
            Devtools("Emulation.setEmulatedMedia", media),
            Devtools("Emulation.setDeviceMetricsOverride", size),
        ] {
            self.client.issue_cmd(command).await.unwrap();
        }
    }

    /// Pictures of the page in every look, for people: `target/tmp/consent-pages/<name>-<look>.png`. In each of them it must
    /// pass axe, and fit its width.
    pub async fn inspect(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("consent-pages");
        std::fs::create_dir_all(&folder).unwrap();
        for look in Look::ALL {
            self.look(look).await;
            let picture = self.client.screenshot().await.unwrap();
            let file = folder.join(format!("{name}-{}.png", look.name()));
            std::fs::write(file, picture).unwrap();
            let violations = self.axe().await;
            assert!(violations.is_empty(), "{name}, {look:?}: {violations:#?}");
            let wider = self
                .evaluate(
                    "return document.documentElement.scrollWidth > window.innerWidth",
                    Vec::new(),
                )
                .await;
            assert_eq!(wider, false, "{name}, {look:?}: it must be scrolled sideways");
        }
        self.look(Look::Light).await;
    }

    /// What axe finds against WCAG 2.2 AA and its own best practices.
    async fn axe(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(ensure("axe").await).unwrap();
        self.evaluate(&axe, Vec::new()).await;
        let run = "const done = arguments[arguments.length - 1]; \
                   axe.run(document, {resultTypes: ['violations']}).then(found => done(found), error => done(String(error)))";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        let passed = found["passes"].as_array().map_or(0, Vec::len);
        assert!(passed > 5, "axe looked at nothing: {found}");
        let violations = found["violations"].as_array().cloned().unwrap_or_default();
        violations
            .iter()
            .map(|violation| format!("{}: {}", violation["id"], violation["nodes"]))
            .collect()
    }

    /// Ends it.
    pub async fn close(self) {
        // It is killed with its driver otherwise.
        let _ = timeout(STARTING, self.client.clone().close()).await;
    }
}

/// A driver that is killed leaves its browser behind: it is found by its profile, which nobody else has.
impl Drop for Browser {
    fn drop(&mut self) {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let mut kill = std::process::Command::new("pkill");
        // Where there is no such program, it is left behind.
        let _ = kill.args(["-KILL", "-f", "--", &profile]).status();
    }
}
