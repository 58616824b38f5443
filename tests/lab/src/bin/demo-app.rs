//! `demo:TAG` in the lab: answers with its version and fails as configured. See [`lab::app`].

use std::process::ExitCode;

use lab::app::{Settings, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for settings that can't be parsed.
const MISUSE: u8 = 2;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, MISUSE),
    };
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("{}: {error}", settings.listen), 1),
    };
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => return fail(&error, 1),
    };
    println!("{} {} listens on {}", settings.pod, settings.version, settings.listen);
    let ended = async move {
        terminate.recv().await;
        println!("received SIGTERM");
    };
    match serve(listener, settings, ended).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("demo-app: {error}");
    ExitCode::from(code)
}
