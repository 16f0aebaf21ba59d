//! The command line: one flag for each setting that the node acts on, and the commands beside serving.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command as Clap, Error, FromArgMatches, Parser, Subcommand};

use super::setting::Setting;
use super::table::SETTINGS;
use super::token::TokenRequest;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "realtime", version, about = "The realtime chat node: Socket.IO on every core", after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; without a command, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub flags: Flags,
}

/// Commands beside serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Ask the node on this machine for its health; exit code 0 if it is healthy. For containers
    #[command(after_help = HEALTHCHECK_EXAMPLES)]
    Healthcheck,
    /// Show every setting with its value, who said so, and what is wrong; exit code 0, or 2 if a node would not start
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig(Flags),
    /// Mint a token for development, signed with REALTIME_JWT_SECRET; stdout has the token and nothing else
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenRequest),
}

const EXAMPLES: &str = "\
Examples:
  realtime --dev                              try it: no tokens, a page at http://127.0.0.1:3101/
  REALTIME_JWT_SECRET=… realtime              serve on 0.0.0.0:3101, tokens signed with HS256
  REALTIME_IO_DRIVER=epoll realtime --dev     without io_uring
  realtime check-config                       what would hold here, and why
  realtime token --user ada                   a token for an hour
  realtime healthcheck                        exit code 0 if the node here is healthy

Flags go before the environment; an empty value counts as unset.";

const HEALTHCHECK_EXAMPLES: &str = "\
Examples:
  realtime healthcheck                        the node on port 3101, or on REALTIME_PORT
  realtime --port 8080 healthcheck            the node on another port";

const CHECK_CONFIG_EXAMPLES: &str = "\
Examples:
  realtime check-config                       the environment as it is
  realtime check-config --dev --port 8080     with these flags on top
  env -i $(cat .env) realtime check-config    a file of variables and nothing else";

const TOKEN_EXAMPLES: &str = "\
Examples:
  realtime token --user ada
  realtime token --user ada --name 'Ada L.' --role moderator --ttl 15m
  TOKEN=$(REALTIME_JWT_SECRET=… realtime token --user ada)

Issuer and audience come from REALTIME_JWT_ISSUER and REALTIME_JWT_AUDIENCE. A node in development mode needs no token.";

impl Cli {
    /// The flags before and behind the command; where both say something, the later holds.
    pub fn flags(&self) -> Flags {
        let mut flags = self.flags.clone();
        match &self.command {
            Some(Command::CheckConfig(later)) => flags.texts.extend(later.texts.iter().cloned()),
            Some(Command::Token(request)) => flags.texts.extend(request.secret_flag()),
            Some(Command::Healthcheck) | None => {}
        }
        flags
    }
}

/// What the flags say, each by the name of its setting.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    texts: Vec<(&'static str, String)>,
}

impl Flags {
    /// What the command line says of a setting; empty texts count as unset.
    pub fn text(&self, setting: &Setting) -> Option<&str> {
        let said = self.texts.iter().rev().find(|(name, _)| *name == setting.name);
        said.map(|(_, text)| text.as_str()).filter(|text| !text.trim().is_empty())
    }
}

const DEV: &str = "dev";
/// The setting that `--dev` is another word for.
const AUTH_REQUIRED: &str = "REALTIME_AUTH_REQUIRED";
const DEV_HELP: &str = "Development mode: identities are believed without a token, the demonstration page is served, \
    and only this machine can connect unless --host says otherwise. The same as REALTIME_AUTH_REQUIRED=false";

impl Args for Flags {
    fn augment_args(command: Clap) -> Clap {
        let dev = Arg::new(DEV).long(DEV).action(ArgAction::SetTrue).help(DEV_HELP);
        SETTINGS.iter().filter_map(|setting| Some((setting, setting.flag?))).fold(
            command.arg(dev),
            |command, (setting, flag)| {
                let arg = Arg::new(setting.name).long(flag).value_name(setting.rule.value_name());
                command.arg(arg.hide(setting.is_hidden).help(setting.help()))
            },
        )
    }

    fn augment_args_for_update(command: Clap) -> Clap {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let acted = SETTINGS.iter().filter(|setting| setting.flag.is_some());
        let said = acted.filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?)));
        let mut texts: Vec<_> = said.map(|(name, text)| (name, text.clone())).collect();
        if matches.get_flag(DEV) {
            if texts.iter().any(|(name, _)| *name == AUTH_REQUIRED) {
                let message = "--dev is --auth-required=false: write one of them\n";
                return Err(Error::raw(ErrorKind::ArgumentConflict, message));
            }
            texts.push((AUTH_REQUIRED, "false".to_owned()));
        }
        Ok(Self { texts })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.texts.extend(Self::from_arg_matches(matches)?.texts);
        Ok(())
    }
}
