//! `database-query SQL <URI`: the URI comes from standard input, because other users of a machine can read
//! command lines.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(sql) = std::env::args().nth(1) else {
        return complain("usage: database-query SQL, with the URI on standard input");
    };
    let mut uri = String::new();
    if let Err(error) = io::stdin().lock().take(64 * 1024).read_to_string(&mut uri) {
        return complain(&error.to_string());
    }
    match database_query::answer(&uri, &sql).await {
        Ok(rows) => {
            let text: String = rows.iter().flat_map(|row| [row.as_str(), "\n"]).collect();
            match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error.to_string()),
            }
        }
        Err(error) => {
            let mut message = error.to_string();
            let mut cause = error.source();
            while let Some(next) = cause {
                message = format!("{message}: {next}");
                cause = next.source();
            }
            complain(&message)
        }
    }
}

fn complain(message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "database-query: {message}");
    ExitCode::FAILURE
}
