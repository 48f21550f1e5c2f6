//! `terraplane demo`: the server and a small local forge in one process. The server does what it does for a real forge,
//! through the very same adapter and signed webhooks.

use super::serve::asked_to_stop;
use super::{Server, find_sandbox};
use crate::config::{Environment, ServerConfig, process_environment};
use crate::demo::script::ScriptError;
use crate::demo::world::{Hook, World};
use crate::demo::{Face, Settings, scenario, script};
use crate::sandbox::process::find_program;
use crate::telemetry::{self, LogFormat};
use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsStr;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// How long a step of the story may take: a slow machine, terraform's first start.
const STEP: Duration = Duration::from_secs(120);
/// How long a running apply may go on when the demo is ended.
const GRACE: Duration = Duration::from_secs(30);

/// With a forge of this kind. With `script`, plays the whole story: 0 if everything happened as it should, 1 if not. Otherwise 0 when it is ended.
///
/// # Errors
/// When git or terraform is missing, or the demo can't start.
pub async fn demo(face: Face, script: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let environment = process_environment();
    telemetry::init(LogFormat::Auto);
    let path = environment.get("PATH").map_or("", String::as_str);
    let git = find_program(Path::new("git"), OsStr::new(path)).context("there is no `git` on the PATH: install it")?;
    let data = TempDir::with_prefix("terraplane-demo-")?;
    let world = World::start(Settings { face, ..Settings::new(git) }).await?;
    let secret = new_secret();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let config = configuration(&world, listener.local_addr()?, &secret, data.path())?;
    let sandbox = find_sandbox(&config, None).await?;
    let server = Server::start(config, listener, &environment, sandbox).await?;
    server.flow.tools.choose(None::<&str>).await.context("the demo needs terraform or tofu on the PATH")?;
    let url = format!("http://{}/webhooks/{face}", server.address).parse()?;
    world.set_hook(Hook { url, secret });
    scenario::found(&world).await?;
    let code = if script { play(&world, out).await? } else { invite(&world, out).await? };
    server.drain(GRACE).await;
    Ok(code)
}

async fn play(world: &World, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let told = {
        let mut say = printer(out);
        match script::history(world, STEP, &mut say).await {
            Ok(_) => script::play(world, STEP, &mut say).await,
            Err(error) => Err(error),
        }
    };
    match told {
        Ok(()) => {
            writeln!(out, "\nEverything happened as it should.")?;
            Ok(0)
        }
        Err(error) => {
            writeln!(out, "\nThis did not happen as it should:\n{error}")?;
            Ok(1)
        }
    }
}

async fn invite(world: &World, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    writeln!(out, "Setting the stage: a first pull request is planned, merged and applied …")?;
    let set: Result<u64, ScriptError> = script::history(world, STEP, &mut |_: &str| {}).await;
    set?;
    let number = scenario::open_second(world).await?;
    writeln!(out, "\nA pull request is open:\n\n    {}\n", world.pull_page(scenario::REPO, number))?;
    writeln!(out, "Read its live comment, approve it, push the second commit, merge. Ctrl-C ends the demo.")?;
    out.flush()?;
    asked_to_stop()?.await;
    Ok(0)
}

/// A line is shown as soon as it is said. A closed standard output does not end the story.
fn printer<'a>(out: &'a mut (dyn Write + Send)) -> impl FnMut(&str) + Send + use<'a> {
    move |line: &str| {
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

fn new_secret() -> SecretString {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    hex::encode(bytes).into()
}

/// Written to a file and loaded from it, as every server's is.
fn configuration(
    world: &World,
    address: SocketAddr,
    secret: &SecretString,
    data: &Path,
) -> anyhow::Result<ServerConfig> {
    let write = |name: &str, text: &str| -> anyhow::Result<std::path::PathBuf> {
        let path = data.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let secret = write("webhook-secret", secret.expose_secret())?;
    // On GitHub as an App: its checks have buttons.
    let auth = if world.face() == Face::Github {
        let app = world.app();
        let key = write("app.pem", app.private_key.expose_secret())?;
        format!("app_id: {}\n  private_key: file:{}", app.app_id, key.display())
    } else {
        format!("token: file:{}", write("token", world.server_token().expose_secret())?.display())
    };
    let text = format!(
        "listen: {address}\n\
         url: http://{address}\n\
         data_dir: {data}\n\
         on_stop: finish\n\
         {forge}  \
           webhook_secret: file:{secret}\n  \
           {auth}\n\
         repos:\n  \
           - match: \"{host}/*/*\"\n",
        data = data.join("data").display(),
        forge = world.server_part(),
        secret = secret.display(),
        host = world.host(),
    );
    let file = write("server.yaml", &text)?;
    Ok(ServerConfig::load(Some(&file), &Environment::new())?)
}
