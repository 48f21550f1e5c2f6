//! The cages of a run: each part of it has a fresh one, with what that part may read, write and reach.
//!
//! | part | the work tree | reaches |
//! | --- | --- | --- |
//! | `init` | is written on disk: it runs none of the pull request's code | the registries, hosts of private modules, what is listed |
//! | `plan` | a layer above it, which is gone afterwards | what is listed for plans |
//! | `show` | the same, with nothing of the plan's but its file | nothing |
//! | `apply` | the same; it is its supervisor's | what is listed for applies |

use super::Flow;
use super::bench::{Bench, Stop, not_prepared};
use crate::config::Phase;
use crate::domain::egress::{HostName, Refusal, Rule, for_init};
use crate::domain::id::RunId;
use crate::domain::run::Run;
use crate::domain::sandbox::{Level, Network};
use crate::sandbox::egress::{Egress, Rules};
use crate::sandbox::log::LogWriter;
use crate::sandbox::policy::Policy;
use crate::sandbox::{Cage, CageError};
use crate::terraform::providers::Fetching;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// The name of managed state in a cage. Not a loopback address: Go programs never use a proxy for those.
pub(super) const STATE_HOST: &str = "state.terraplane.internal";

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Init,
    Plan,
    Show,
    Apply,
}

/// An open cage, and the proxy that is its way out.
#[derive(Debug)]
pub(super) struct Caged {
    pub(super) cage: Cage,
    way_out: WayOut,
}

impl Caged {
    /// Returns when all that was in it is dead.
    pub(super) async fn close(self) {
        self.cage.close().await;
        drop(self.way_out);
    }
}

/// Whether a step succeeds or not, what it was refused is noted when its proxy goes.
#[derive(Debug)]
struct WayOut {
    egress: Option<Egress>,
    blocked: Blocked,
    log: LogWriter,
}

impl Drop for WayOut {
    fn drop(&mut self) {
        for refusal in self.egress.take().into_iter().flat_map(|egress| egress.refused()) {
            self.log.line(&refusal.to_string());
            self.blocked.add(refusal);
        }
    }
}

/// What the cages of a run were refused, each thing once.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocked(Arc<Mutex<Vec<Refusal>>>);

impl Blocked {
    pub(super) fn add(&self, refusal: Refusal) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&mut Refusal| {
            (&known.host, known.port, &known.reason) == (&refusal.host, refusal.port, &refusal.reason)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.count += refusal.count,
            None => all.push(refusal),
        }
    }

    pub(super) fn all(&self) -> Vec<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Flow {
    /// Where managed state is reached from a run's cage; a saved plan holds it.
    pub(super) fn state_base(&self, run: &Run) -> String {
        match self.network(run) {
            Some(Network::None | Network::Allow) => format!("http://{STATE_HOST}"),
            Some(Network::Host) | None => format!("http://{}", self.address),
        }
    }

    /// What a run's cages may reach; `None` where there are no cages.
    pub(super) fn network(&self, run: &Run) -> Option<Network> {
        let caged = self.sandbox.level() > Level::Off;
        caged.then(|| self.config.confinement(&run.pull.repo).network)
    }
}

/// A cage that is opened while something else goes on. Dropped, it is closed, if it was opened by then.
#[derive(Debug)]
pub(super) struct Ahead {
    part: Part,
    opening: AbortOnDropHandle<Result<Caged, Stop>>,
}

impl Bench<'_> {
    /// Begins to open the cage that will be asked for next. Whatever is written into the work tree until its first program
    /// begins is there. Below the best level a cage ends with all that its user runs, so that the next one has to wait for
    /// it, and this does nothing.
    pub(super) fn open_ahead(&mut self, part: Part) {
        if self.flow.sandbox.level() == Level::Full {
            let opening = AbortOnDropHandle::new(tokio::spawn(self.opening(part).in_current_span()));
            self.ahead = Some(Ahead { part, opening });
        }
    }

    /// The cage for a part of the run: the one that was opened ahead for it, or a new one.
    pub(super) async fn cage(&mut self, part: Part) -> Result<Caged, Stop> {
        match self.ahead.take() {
            Some(Ahead { part: known, opening }) if known == part => {
                opening.await.unwrap_or_else(|_| Err(not_prepared("opening the sandbox was interrupted")))
            }
            _ => self.opening(part).await,
        }
    }

    fn opening(&self, part: Part) -> impl Future<Output = Result<Caged, Stop>> + Send + 'static {
        let flow = self.flow;
        let (policy, rules) = self.confined(part);
        let (sandbox, slot, outside) = (flow.sandbox.clone(), self.slot.clone(), flow.outside.clone());
        let (run, blocked, log) = (self.run.id, self.blocked.clone(), self.log.clone());
        async move {
            let mut cage = sandbox.open_in(policy, &slot).await.map_err(|error| no_cage(run, &error))?;
            let egress = Egress::of(&mut cage, rules, outside)
                .map_err(|error| not_prepared(format!("the way out of the sandbox: {error}")))?;
            Ok(Caged { cage, way_out: WayOut { egress, blocked, log } })
        }
    }

    /// What a part of the run may see, write, reach and use up.
    pub(super) fn confined(&self, part: Part) -> (Policy, Option<Rules>) {
        let flow = self.flow;
        let confinement = flow.config.confinement(&self.run.pull.repo);
        let rules = self.rules(part, &confinement.network, |phase| confinement.egress(phase));
        let policy = Policy {
            least: flow.config.sandbox.require,
            tree: self.tree(),
            scratch: self.scratch(),
            on_disk: part == Part::Init,
            read_only: self.read_only(),
            writable: flow.config.sandbox.writable.clone(),
            network: match (&rules, confinement.network) {
                (Some(_), _) => Network::Allow,
                (None, Network::Host) if part != Part::Show => Network::Host,
                (None, _) => Network::None,
            },
            limits: confinement.limits,
        };
        (policy, rules)
    }

    /// What may be reached; `None`: nothing, or all that the host reaches.
    fn rules(&self, part: Part, network: &Network, listed: impl Fn(Phase) -> Vec<Rule>) -> Option<Rules> {
        let phase = match part {
            Part::Init => Phase::Init,
            Part::Plan => Phase::Plan,
            Part::Apply => Phase::Apply,
            Part::Show => return None,
        };
        let rules = match network {
            Network::Host => return None,
            Network::None => Rules::default(),
            Network::Allow if part == Part::Init => {
                Rules::listed(listed(phase).into_iter().chain(self.module_hosts())).and_offered(for_init())
            }
            Network::Allow => Rules::listed(listed(phase)),
        };
        let state = self.managed.is_some().then(|| STATE_HOST.parse::<HostName>().expect("it is a name"));
        match (state, network) {
            (Some(host), _) => Some(rules.and_route(host, 80, self.flow.address, "/state/")),
            (None, Network::Allow) => Some(rules),
            (None, _) => None,
        }
    }

    /// What fetches of providers run in.
    pub(super) fn fetching(&self) -> Fetching {
        let confinement = self.flow.config.confinement(&self.run.pull.repo);
        let listed = confinement.egress(Phase::Init);
        Fetching {
            sandbox: self.flow.sandbox.clone(),
            least: self.flow.config.sandbox.require,
            rules: (confinement.network == Network::Allow).then(|| Rules::listed(listed).and_offered(for_init())),
            network: confinement.network,
            outside: self.flow.outside.clone(),
            limits: confinement.limits,
        }
    }

    /// Who has private modules was named by the operator.
    fn module_hosts(&self) -> Vec<Rule> {
        let access = self.flow.config.modules_for(&self.run.pull.repo);
        access.into_iter().flat_map(|access| access.hosts).filter_map(|host| host.parse().ok()).collect()
    }

    /// Programs and settings outside of what every cage sees.
    fn read_only(&self) -> Vec<PathBuf> {
        let tool = std::fs::canonicalize(&self.tool.path).unwrap_or_else(|_| self.tool.path.clone());
        let cli_config = self.flow.config.terraform.cli_config.clone();
        let listed = self.flow.config.sandbox.read_only.iter().cloned().chain(self.flow.providers.paths());
        [self.tool.path.clone(), tool]
            .into_iter()
            .chain(cli_config)
            .chain(listed)
            .filter(|path| path.exists())
            .collect()
    }
}

fn no_cage(run: RunId, error: &CageError) -> Stop {
    tracing::error!(run = %run, error = %error, "a cage could not be opened");
    not_prepared(match error {
        CageError::Level { .. } => error.to_string(),
        CageError::Setup { .. } => "the sandbox could not be built; the server's log says more".to_owned(),
    })
}
