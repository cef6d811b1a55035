//! A service binding as an application finds it: a folder with a file for each of its entries (Service Binding specification,
//! "Workload Projection"). Reads that folder, and nothing else.

use std::error::Error;
use std::path::Path;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// The way to the database that a binding describes, over TLS.
pub(crate) fn read(folder: &Path) -> Result<Config, Box<dyn Error + Send + Sync>> {
    let entry = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    // What a Secret holds is what counts: no entry ends with a line break.
    let (kind, mode) = (entry("type")?, entry("sslmode")?);
    if kind != "postgresql" || mode != "require" {
        return Err(format!("{}: type {kind:?}, sslmode {mode:?}", folder.display()).into());
    }
    let mut config = Config::new();
    config.host(entry("host")?).port(entry("port")?.parse()?).dbname(entry("database")?);
    config.user(entry("username")?).password(entry("password")?).ssl_mode(SslMode::Require);
    Ok(config)
}
