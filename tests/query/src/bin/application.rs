//! An application as it runs in a Pod: it asks its database once by each source that it was given, prints the answers, and stays
//! until it is told to end. `application SQL SOURCE...`: a source is the name of a variable or the path of a file that hold a URI,
//! or `binding:NAME` for the service binding of that name below `$SERVICE_BINDING_ROOT`.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "application: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut ended = signal(SignalKind::terminate())?;
    let mut arguments = std::env::args().skip(1);
    let sql = arguments.next().ok_or("usage: application SQL SOURCE...")?;
    for source in arguments {
        let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        let rows = if let Some(name) = source.strip_prefix("binding:") {
            let folder = Path::new(&variable("SERVICE_BINDING_ROOT")?).join(name);
            database_query::bound_answer(&folder, &sql).await?
        } else if source.contains('/') {
            let uri = std::fs::read_to_string(&source);
            let uri = uri.map_err(|error| format!("{source}: {error}"))?;
            database_query::answer(&uri, &sql).await?
        } else {
            database_query::answer(&variable(&source)?, &sql).await?
        };
        for row in rows {
            writeln!(io::stdout(), "{source}: {row}")?;
        }
    }
    ended.recv().await;
    Ok(())
}
