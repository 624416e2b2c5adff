//! `athena-flight user` and `athena-flight token`: lines for the users file and the tokens file.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};

use crate::signin::{tokens, users};

#[derive(Subcommand)]
pub enum User {
    /// Adds a user, or changes one; the password is asked for, or read from a pipe
    Add(Args),
    /// Removes a user
    Remove(Args),
}

#[derive(Subcommand)]
pub enum Token {
    /// Makes a bearer token, prints it once and keeps its hash
    Add(Args),
    /// Removes all tokens of a name
    Remove(Args),
}

#[derive(clap::Args)]
pub struct Args {
    /// The file; made if missing
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Groups, for rules
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    groups: Vec<String>,
    /// The name
    name: String,
}

pub fn user(command: User) -> anyhow::Result<()> {
    match command {
        User::Add(args) => {
            args.check()?;
            let hash = users::hash(&password()?).map_err(anyhow::Error::msg)?;
            args.write(Some(hash), true, |path| users::read(path).map(drop))
        }
        User::Remove(args) => args.write(None, true, |path| users::read(path).map(drop)),
    }
}

pub fn token(command: Token) -> anyhow::Result<()> {
    match command {
        Token::Add(args) => {
            args.check()?;
            let token = tokens::make().map_err(anyhow::Error::msg)?;
            let token = token.expose_secret();
            args.write(Some(tokens::hash(token)), false, |path| tokens::read(path).map(drop))?;
            writeln!(std::io::stdout(), "{token}")?;
            Ok(())
        }
        Token::Remove(args) => args.write(None, true, |path| tokens::read(path).map(drop)),
    }
}

/// From a terminal without showing it, else the first line of a pipe. Never from a flag, which everybody could read.
fn password() -> anyhow::Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("no password could be read")?;
        return Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])));
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? != password {
        bail!("the two differ");
    }
    Ok(SecretString::from(password))
}

impl Args {
    fn check(&self) -> anyhow::Result<()> {
        for name in [&self.name].into_iter().chain(&self.groups) {
            if !users::is_name(name) {
                bail!("{name:?} cannot be a name: it is empty, is `token`, or has blanks or one of :,# in it");
            }
        }
        Ok(())
    }

    /// The file with a new line for the name, and without the old ones; it is replaced whole or not at all.
    fn write(&self, hash: Option<String>, replace: bool, check: fn(&Path) -> Result<(), String>) -> anyhow::Result<()> {
        let (path, shown) = (&self.file, self.file.display());
        let before = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        let is_own = |line: &&str| line.split(':').next() == Some(&self.name);
        if hash.is_none() && !before.lines().any(|line| is_own(&line)) {
            bail!("{shown} has no {:?}", self.name);
        }
        let mut lines: Vec<String> =
            before.lines().filter(|line| !(replace && is_own(line))).map(str::to_owned).collect();
        lines.extend(hash.map(|hash| format!("{}:{}:{hash}", self.name, self.groups.join(","))));
        let new = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        lines.iter().try_for_each(|line| writeln!(file, "{line}"))?;
        file.sync_all()?;
        if let Err(why) = check(&new) {
            let _ = std::fs::remove_file(&new);
            bail!("{shown} was left as it was: {why}");
        }
        std::fs::rename(&new, path).with_context(|| format!("cannot write {shown}"))
    }
}
