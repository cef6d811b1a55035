//! An application as it runs in a Pod: it asks its database once by each URI that it was given, prints the answers, and stays
//! until it is told to end. `application SQL SOURCE...`: a source is the name of a variable, or the path of a file.

use std::error::Error;
use std::io::{self, Write as _};
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
        let uri = if source.contains('/') {
            std::fs::read_to_string(&source).map_err(|error| format!("{source}: {error}"))?
        } else {
            std::env::var(&source).map_err(|error| format!("{source}: {error}"))?
        };
        for row in database_query::answer(&uri, &sql).await? {
            writeln!(io::stdout(), "{source}: {row}")?;
        }
    }
    ended.recv().await;
    Ok(())
}
