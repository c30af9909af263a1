//! `parlor serve`.

use anyhow::Context;
use parlor_config::{Log, LogFormat, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::wiring;

/// Runs a node until it is told to stop.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    start_log(&settings.log)?;
    actix_rt::System::new().block_on(async move {
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        let running = wiring::start(settings).await?;
        let scheme = running.scheme.as_str();
        println!("parlor is ready: open {scheme}://{}/", running.address);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = running.drain_asked() => {}
        }
        tracing::info!("draining; a second signal stops at once");
        tokio::select! {
            () = running.drain() => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).context("log.level")?;
    let registry = tracing_subscriber::registry().with(filter);
    // Standard output is for the address; the log goes to standard error.
    match log.format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr))
            .init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .init(),
    }
    Ok(())
}
