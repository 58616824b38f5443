//! Runs the load generator manually, inside a lab: `cargo lab shell -- cargo run -p lab --example
//! load -- http://192.0.2.10:8000 --host web.shop.example --seconds 30`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lab::load::{Load, Plan};

/// Sends requests at a constant rate and prints their outcomes.
#[derive(Parser)]
struct Args {
    /// Target: a URL with an IP address.
    target: String,
    /// The `Host` header.
    #[arg(long)]
    host: Option<String>,
    /// Requests per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Duration in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Share of requests on kept-alive connections.
    #[arg(long, default_value_t = 0.5)]
    kept_alive: f64,
    /// Prints each answer that took longer than this, in milliseconds.
    #[arg(long)]
    slow: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut plan = match Plan::new(&args.target, args.rate) {
        Ok(plan) => plan.kept_alive(args.kept_alive),
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(host) = &args.host {
        plan = plan.host(host);
    }
    let running = Load::start(plan);
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let record = running.stop().await;
    print!("{record}");
    let slow = args.slow.map_or(Duration::MAX, Duration::from_millis);
    for sample in record.samples().iter().filter(|sample| sample.latency > slow) {
        println!("  slow: {sample}");
    }
    if record.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
