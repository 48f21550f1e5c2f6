//! Who may knock at the API: personal tokens, and the App with its installation tokens.
//! Source: "Generating a JSON Web Token (JWT) for a GitHub App", "Authenticating as a GitHub App installation".

use super::{World, lock, now};
use crate::domain::id::Timestamp;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

/// The number of the one App that this forge knows.
pub(in crate::demo) const APP_ID: u64 = 12_345;

/// How long an installation token lives.
const TOKEN_LIFE_MS: i64 = 3_600_000;

/// GitHub refuses a JWT that is to live longer.
const JWT_LIFE_S: i64 = 600;

/// GitHub's tolerance for clocks that differ.
const CLOCK_S: i64 = 60;

#[derive(Default)]
pub(in crate::demo) struct Accounts {
    /// By token.
    tokens: Mutex<BTreeMap<String, Grant>>,
    app: OnceLock<AppKey>,
}

#[derive(Clone)]
struct Grant {
    caller: Caller,
    expires: Option<Timestamp>,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::demo) enum Caller {
    /// A person, or the server with a personal token.
    User { login: String },
    /// The App itself, by a JWT.
    App,
    /// The App in the repositories of one owner.
    Installation { id: u64, login: String },
}

impl Caller {
    /// The account that its deeds are noted under.
    pub(in crate::demo) fn login(&self) -> &str {
        match self {
            Self::User { login } | Self::Installation { login, .. } => login,
            Self::App => "",
        }
    }
}

struct AppKey {
    /// PKCS#8 PEM.
    private: SecretString,
    public: Vec<u8>,
}

/// What the server's `github.app_id` and `github.private_key` must be.
#[derive(Debug, Clone)]
pub struct AppCredentials {
    pub app_id: u64,
    /// PKCS#8 PEM.
    pub private_key: SecretString,
}

#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
}

#[derive(Deserialize)]
struct JwtClaims {
    /// The App's number, which libraries write as a number or as a text.
    iss: serde_json::Value,
    iat: i64,
    exp: i64,
}

impl Accounts {
    fn key(&self) -> &AppKey {
        self.app.get_or_init(|| {
            let pair = KeyPair::generate(KeySize::Rsa2048).expect("the system gives randomness");
            let der = pair.as_der().expect("a key that was just made can be written");
            let text = STANDARD.encode(der.as_ref());
            let lines: Vec<&str> = (0..text.len()).step_by(64).map(|i| &text[i..text.len().min(i + 64)]).collect();
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
            AppKey { private: pem.into(), public: pair.public_key().as_ref().to_vec() }
        })
    }

    fn grant(&self, prefix: &str, caller: Caller, expires: Option<Timestamp>) -> SecretString {
        let mut random = [0; 20];
        aws_lc_rs::rand::fill(&mut random).expect("the system gives randomness");
        let token = format!("{prefix}{}", hex::encode(random));
        lock(&self.tokens).insert(token.clone(), Grant { caller, expires });
        token.into()
    }

    /// # Errors
    /// GitHub's own words for what is wrong with a JWT or token.
    pub(in crate::demo) fn caller(&self, token: &str) -> Result<Caller, &'static str> {
        if token.split('.').count() == 3 {
            return self.app_caller(token);
        }
        let grant = lock(&self.tokens).get(token).cloned().ok_or("Bad credentials")?;
        let alive = grant.expires.is_none_or(|expires| now() < expires);
        if alive { Ok(grant.caller) } else { Err("Bad credentials") }
    }

    fn app_caller(&self, jwt: &str) -> Result<Caller, &'static str> {
        const MALFORMED: &str = "A JSON web token could not be decoded";
        let (signed, signature) = jwt.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let (header, claims, signature) = (decoded(header)?, decoded(claims)?, decoded(signature)?);
        let header: JwtHeader = serde_json::from_slice(&header).map_err(|_| MALFORMED)?;
        let claims: JwtClaims = serde_json::from_slice(&claims).map_err(|_| MALFORMED)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.key().public);
        if header.alg != "RS256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(MALFORMED);
        }
        let seconds = now().0 / 1000;
        let issuer = claims.iss.as_u64().or_else(|| claims.iss.as_str().and_then(|text| text.parse().ok()));
        if issuer != Some(APP_ID) {
            Err("Integration not found")
        } else if claims.iat > seconds + CLOCK_S {
            Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
        } else if claims.exp <= seconds - CLOCK_S {
            Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            )
        } else if claims.exp > seconds + JWT_LIFE_S + CLOCK_S {
            Err("'Expiration time' claim ('exp') is too far in the future")
        } else {
            Ok(Caller::App)
        }
    }
}

impl World {
    /// A personal token, which lives for ever.
    #[must_use]
    pub fn token_of(&self, login: &str) -> SecretString {
        self.accounts().grant(self.face().token_prefix(), Caller::User { login: login.into() }, None)
    }

    /// A personal token of the server's own account.
    #[must_use]
    pub fn server_token(&self) -> SecretString {
        self.token_of(&self.settings().bot)
    }

    /// The account that an installation acts as.
    #[must_use]
    pub fn app_login(&self) -> String {
        format!("{}[bot]", self.settings().bot)
    }

    /// The App's credentials. The key is made when they are first asked for.
    #[must_use]
    pub fn app(&self) -> AppCredentials {
        AppCredentials { app_id: APP_ID, private_key: self.accounts().key().private.clone() }
    }

    /// A token of an installation, and when it ends.
    pub(in crate::demo) fn installation_token(&self, id: u64) -> (SecretString, Timestamp) {
        let expires = now().plus_ms(TOKEN_LIFE_MS);
        let caller = Caller::Installation { id, login: self.app_login() };
        (self.accounts().grant("ghs_", caller, Some(expires)), expires)
    }

    /// Ends every installation token, as GitHub may at any time.
    pub fn expire_installation_tokens(&self) {
        lock(&self.accounts().tokens).retain(|_, grant| !matches!(grant.caller, Caller::Installation { .. }));
    }

    /// Whether a text holds any token that was ever given out: for tests that look for leaks.
    #[must_use]
    pub fn holds_a_token(&self, text: &str) -> bool {
        let key = self.accounts().app.get().map(|key| key.private.expose_secret());
        lock(&self.accounts().tokens).keys().any(|token| text.contains(token.as_str()))
            || key.is_some_and(|key| text.contains(key.trim()))
    }
}
