//! Tries an attack: bare, where it must succeed, and in a cage of each level, where it must not.

use super::attack::{Attack, Bare, Shown, Way};
use super::scene::{Scene, has_begun};
use crate::sandbox::CAGED;
use crate::stage::sandbox;
use futures::StreamExt as _;
use std::net::{IpAddr, Ipv4Addr};
use terraplane::sandbox::egress::{Egress, Outside, Resolver, Rules, variables};
use terraplane::sandbox::policy::Policy;
use terraplane::sandbox::process::{self, Outcome};
use terraplane::sandbox::{Cage, Level, Sandbox};

/// A name below a listed `*.example.com` that leads to loopback, as its owner may make it.
const NAME: &str = "rebound.example.com";

/// Managed state, as `flow` names it in a cage.
const STATE: &str = "state.terraplane.internal";

/// Seconds. What is taken is not always seen at once, least of all on a busy machine.
const LINGER: &str = "15";

/// So many ways at once: much of the time is waiting.
const AT_ONCE: usize = 4;

/// Tries all of a family, and fails with everything that is not as the table says.
pub(super) async fn all(attacks: &[Attack]) {
    let ways = attacks.iter().flat_map(|attack| match attack.shown {
        Shown::Module(ways) => ways.iter().enumerate().map(|(index, way)| (attack, index, way)).collect(),
        Shown::By(_) => vec![],
    });
    let tried = futures::stream::iter(ways.map(|(attack, index, way)| one(attack, index, way)));
    let wrong: Vec<String> = tried.buffered(AT_ONCE).concat().await;
    assert!(wrong.is_empty(), "{} trials are not as listed:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is not as listed.
async fn one(attack: &Attack, index: usize, way: &Way) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differs = |how: &str, said: String| {
        wrong.push(format!("{:02} {}, way {}: {how}\n{said}", attack.number, attack.name, index + 1));
    };
    if is_tried_bare(way) {
        let (ended, said) = bare(way).await;
        if ended != Ended::Successfully {
            differs("it fails even without a cage, so it proves nothing", said);
        }
    }
    for level in CAGED {
        let sandbox = sandbox(Some(level)).await;
        assert_eq!(sandbox.level(), level, "{:?}", sandbox.findings());
        if let Some((how, said)) = differs_in(&sandbox, way, is_open(way, level)).await {
            differs(&how, said);
        }
    }
    wrong
}

/// How it goes in a cage, if that is not as listed.
pub(super) async fn differs_in(sandbox: &Sandbox, way: &Way, is_open: bool) -> Option<(String, String)> {
    let level = sandbox.level();
    let (ended, said) = caged(way, sandbox, is_open).await;
    let how = match (ended, is_open) {
        (Ended::Successfully, false) => format!("IT SUCCEEDS at level {level}"),
        (Ended::Held, true) => format!("it is held at level {level}, and listed as open"),
        (Ended::Unclear, _) => format!("at level {level} it did not begin or broke the cage, which proves nothing"),
        _ => return None,
    };
    Some((how, said))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Successfully,
    Held,
    /// It did not begin, or it broke the cage.
    Unclear,
}

pub(super) fn is_open(way: &Way, level: Level) -> bool {
    let unless_root = !rustix::process::geteuid().is_root() && way.open_unless_root.contains(&level);
    way.open_at.contains(&level) || unless_root
}

/// How the program of an outcome ended. What succeeded has begun; what did not must have said so.
async fn judge(scene: &mut Scene, way: &Way, outcome: &Outcome, expected: bool) -> Ended {
    if scene.succeeded(way.proof, outcome, expected).await {
        Ended::Successfully
    } else if has_begun(outcome) {
        Ended::Held
    } else {
        Ended::Unclear
    }
}

fn is_tried_bare(way: &Way) -> bool {
    match way.bare {
        Bare::Succeeds => true,
        Bare::SucceedsForRoot => rustix::process::geteuid().is_root(),
        Bare::NotTried(_) => false,
    }
}

async fn bare(way: &Way) -> (Ended, String) {
    let mut scene = Scene::new().await;
    scene.attend_to(way);
    let outcome = process::run(scene.spec(way, &[])).await.unwrap();
    (judge(&mut scene, way, &outcome, true).await, told(&outcome))
}

/// With the policy that a plan has, and its proxy.
async fn caged(way: &Way, sandbox: &Sandbox, is_open: bool) -> (Ended, String) {
    let mut scene = Scene::new().await;
    scene.attend_to(way);
    let mut policy = Policy::new(scene.tree(), scene.scratch());
    policy.least = sandbox.level();
    policy.read_only = vec!["/usr/local/bin/terraform".into(), scene.server().join("mirror")];
    policy.network = way.network;
    policy.limits = (way.limits)(policy.limits);
    let mut cage = sandbox.open(policy).await.unwrap();
    let (egress, mut names) = serve_proxy(&mut cage, &mut scene).await;
    names.push(("LINGER", LINGER.to_owned()));
    let mut spec = scene.spec(way, &names);
    spec.env.extend(cage.proxy().into_iter().flat_map(variables));
    let outcome = cage.run(spec).await;
    let said = outcome.as_ref().map_or_else(|error| format!("{error:?}"), told);
    let ended = match outcome {
        Ok(outcome) => judge(&mut scene, way, &outcome, is_open).await,
        Err(_) => Ended::Unclear,
    };
    drop(egress);
    cage.close().await;
    (ended, said)
}

async fn serve_proxy(cage: &mut Cage, scene: &mut Scene) -> (Option<Egress>, Vec<(&'static str, String)>) {
    let Some(listener) = cage.take_listener() else { return (None, vec![]) };
    let port = cage.proxy().unwrap().port();
    let rules = Rules::listed(["*.example.com:80", "*.example.com:443"].map(|rule| rule.parse().unwrap()));
    let rules = rules.and_route(STATE.parse().unwrap(), 80, scene.api(), "/state/");
    let resolver = Resolver::new(|_| async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) });
    let egress = Egress::serve(listener, rules, Outside { resolver, ..Outside::default() }).unwrap();
    let names = vec![
        ("API_NAME", format!("{NAME}:80")),
        ("STATE", format!("{STATE}:80")),
        ("BESIDE", scene.listen_beside(port).await.to_string()),
    ];
    (Some(egress), names)
}

fn told(outcome: &Outcome) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{:?}: {}{}", outcome.end, text(&outcome.stdout.bytes), text(&outcome.stderr.bytes));
    said.chars().take(600).collect()
}
