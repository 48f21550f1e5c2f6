//! Who may command by the API.

use crate::config::decode::{Fields, checked};
use crate::config::error::Faults;
use crate::config::secret::Secrets;
use crate::config::yaml::Node;
use crate::domain::id::Login;
use secrecy::{ExposeSecret as _, SecretString};

/// A token of the API. Whoever has it commands as an account of the forge, with that account's rights and no others.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub acts_as: Login,
    pub token: SecretString,
}

/// A token that nobody guesses.
const LEAST_TOKEN: usize = 20;

pub(super) fn token(node: &Node, path: &[String], secrets: &Secrets<'_>, faults: &mut Faults) -> Option<ApiToken> {
    let mut fields = Fields::item(node, path, faults)?;
    let advice = "name the account of the forge whose rights the token has: `acts_as: deploy-bot`";
    let acts_as = fields.required("acts_as", advice, faults, |node, faults| {
        checked(node, "an account's name", faults, |text| text.parse().ok())
    });
    let advice = "write `env:NAME` of a variable, or `file:PATH`";
    let token = fields.required("token", advice, faults, |node, faults| {
        let token = secrets.secret(node, faults)?;
        if token.expose_secret().len() < LEAST_TOKEN {
            let help = "make one with `openssl rand -hex 32`";
            faults.add_help(&node.place, format!("the token is shorter than {LEAST_TOKEN} characters"), help);
        }
        Some(token)
    });
    fields.finish(faults);
    Some(ApiToken { acts_as: acts_as?, token: token? })
}
