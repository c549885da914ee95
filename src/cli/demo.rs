//! `sallyport demo`: everything on loopback, made from nothing.

mod inventory;
mod requests;
mod site;
mod tour;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::serve::{self, Gateway};
use super::{Exit, Failure};
use crate::access::clock;
use crate::config::{self, Config};
use crate::lab::{Router, RouterConfig, RunningRouter, TlsConfig};
use site::Site;

/// The elements of the demo, with the ports they would like for SSH and for TLS.
const ROUTERS: [(&str, u16, u16); 2] = [("core-rtr-1", 2201, 2211), ("core-rtr-2", 2202, 2212)];
/// The account on the routers that the inventory names.
const ACCOUNT: &str = "admin";

/// Try everything on this machine, made from nothing
///
/// Makes a certificate authority, identities, policies, two simulated core routers and a gateway, all on loopback, and prints what to type
/// in another terminal. It is ready when it prints a line starting "ready", and runs until Ctrl-C or SIGTERM.
///
/// The folder is used again if an earlier demo made it: authority, recordings and your changes to policies stay. Nothing in it is meant to
/// protect anything: delete it when you are done.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make everything in
    #[arg(long, value_name = "DIR", default_value = "sallyport-demo")]
    dir: PathBuf,
    /// Stop as soon as everything is ready
    #[arg(long)]
    exit_after_ready: bool,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    serve::runtime()?.block_on(demo(args))
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
async fn demo(args: Args) -> Result<(), Failure> {
    let now = clock::now();
    let site = Site::prepare(&args.dir, now)?;
    let mut routers = Vec::new();
    for (name, ssh, tls) in ROUTERS {
        routers.push((name, start_router(&site, name, ssh, tls).await?));
    }
    site.write_inventory(&routers)?;
    site.issue_identities(now)?;
    let mut gateway =
        start_gateway(config::load(&site.config_file()).map_err(|m| Failure::usage(m.join("\n")))?).await?;
    site.write_addresses(&gateway.addresses, gateway.metrics)?;

    for (name, router) in &routers {
        println!("listening {name} {} (SSH, NETCONF)", router.addr());
        if let Some(tls) = router.tls_addr() {
            println!("listening {name} {tls} (RESTCONF, gNMI)");
        }
    }
    gateway.print_listening();
    println!("{}", tour::text(&args.dir, &tour::program()));
    println!("ready; Ctrl-C ends the demo");
    let ended = if args.exit_after_ready { Ok(()) } else { gateway.until_asked_to_stop().await };
    gateway.stop().await;
    for (_, router) in routers {
        router.stop().await;
    }
    ended
}

/// A lab router at its ports, or at free ones when one is taken.
async fn start_router(site: &Site, name: &str, ssh: u16, tls: u16) -> Result<RunningRouter, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(Exit::Failed, format!("{name} cannot start: {e}"));
    let mut config = RouterConfig::new(name, loopback(ssh), site.element_authority()?);
    config.host_key = Some(site.router_key(name)?);
    config.privileged = vec![ACCOUNT.to_owned()];
    let material = site.router_tls(name)?;
    let client_ca = site.element_tls_authority()?;
    config.tls =
        Some(TlsConfig { listen: loopback(tls), client_ca, certificate: material.certificate, key: material.key });
    match Router::start(config.clone()).await {
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            config.listen = loopback(0);
            config.tls = config.tls.map(|tls| TlsConfig { listen: loopback(0), ..tls });
            Router::start(config).await.map_err(|e| failed(&e))
        }
        started => started.map_err(|e| failed(&e)),
    }
}

/// The gateway at its ports, or at free ones in place of those that are taken.
async fn start_gateway(config: Config) -> Result<Gateway, Failure> {
    let mut free = config.clone();
    for door in [&mut free.doors.mtls, &mut free.doors.ssh, &mut free.metrics].into_iter().flatten() {
        if std::net::TcpListener::bind(*door).is_err() {
            door.set_port(0);
        }
    }
    match serve::start(free).await {
        Ok(gateway) => Ok(gateway),
        // Another program may have come in between; at ports of the system's choosing nothing can. Any other mistake comes again.
        Err(_) => {
            let mut free = config;
            for door in [&mut free.doors.mtls, &mut free.doors.ssh, &mut free.metrics].into_iter().flatten() {
                door.set_port(0);
            }
            serve::start(free).await
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
