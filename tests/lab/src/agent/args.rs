//! The agent's command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use thiserror::Error;

use super::address::Prefix;

/// Runs the pods of one node as processes of this machine.
#[derive(Debug, Clone, Parser)]
#[command(name = "node-agent", version)]
pub struct Args {
    /// Path of the kubeconfig for the API server.
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Name of the node to register.
    #[arg(long)]
    pub node: String,
    /// Address of the node.
    #[arg(long)]
    pub address: IpAddr,
    /// Range of addresses for pods, all of them local to this machine or namespace:
    /// `10.244.0.0/16`.
    #[arg(long)]
    pub pod_cidr: Prefix,
    /// Directory for container logs, volumes and the record of processes.
    #[arg(long)]
    pub dir: PathBuf,
    /// The program that runs in place of an image, as `NAME=PROGRAM`; can be repeated.
    #[arg(long = "image", value_name = "NAME=PROGRAM")]
    pub images: Vec<Image>,
    /// Unix socket that accepts faults (see `control`).
    #[arg(long)]
    pub control: PathBuf,
    /// Reports every pod as ready without starting anything.
    #[arg(long)]
    pub light: bool,
}

/// The program that runs in place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The last part of the image's name, without the tag: `demo`.
    pub name: String,
    /// The program that its containers run.
    pub program: PathBuf,
}

/// The error for an image that is not `NAME=PROGRAM`.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("expected NAME=PROGRAM, with an absolute path")]
pub struct BadImage;

impl FromStr for Image {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<Self, BadImage> {
        let (name, program) = text.split_once('=').ok_or(BadImage)?;
        let program = PathBuf::from(program);
        if name.is_empty() || !program.is_absolute() {
            return Err(BadImage);
        }
        Ok(Self { name: name.to_owned(), program })
    }
}
