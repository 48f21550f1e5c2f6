//! What the cage costs: a process in it beside a bare one and beside bubblewrap, and a plan inside beside outside. What is
//! compared is done in turns, so that the machine's moods meet all alike.

use crate::table::{Samples, goal, ms, row, title};
use crate::{Effort, path, program};
use anyhow::{Context as _, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;
use terraplane::sandbox::policy::{Network, Policy};
use terraplane::sandbox::process::{self, Spec, find_program};
use terraplane::sandbox::{Level, Sandbox, Setup};

/// Rounds of a process for each round of a plan.
const PROCESSES: usize = 4;
/// So many resources make a plan of about 200 ms.
const RESOURCES: usize = 350;

pub(crate) async fn report(effort: Effort) -> anyhow::Result<()> {
    let place = Place::new()?;
    let (full, reduced) = (place.sandbox(Level::Full).await?, place.sandbox(Level::Reduced).await?);
    processes(&place, &full, &reduced, effort.rounds * PROCESSES).await?;
    plans(&place, &full, effort.rounds).await
}

async fn processes(place: &Place, full: &Sandbox, reduced: &Sandbox, rounds: usize) -> anyhow::Result<()> {
    let bubblewrap = find_program(Path::new("bwrap"), path().as_ref());
    let [mut bare, mut first, mut second, mut below, mut light, mut bwrap] =
        std::array::from_fn(|_| Samples::default());
    for _ in 0..rounds {
        let begun = Instant::now();
        succeed(process::run(place.nothing()).await?.end)?;
        bare.add(begun.elapsed());

        let begun = Instant::now();
        let mut cage = full.open(place.policy()).await?;
        succeed(cage.run(place.nothing()).await?.end)?;
        first.add(begun.elapsed());
        let begun = Instant::now();
        succeed(cage.run(place.nothing()).await?.end)?;
        second.add(begun.elapsed());
        cage.close().await;

        let begun = Instant::now();
        let mut cage = reduced.open(place.policy()).await?;
        succeed(cage.run(place.nothing()).await?.end)?;
        below.add(begun.elapsed());
        cage.close().await;

        let begun = Instant::now();
        succeed(full.run_light(&place.policy(), place.nothing()).await?.end)?;
        light.add(begun.elapsed());

        if let Some(bubblewrap) = &bubblewrap {
            let begun = Instant::now();
            succeed(process::run(place.nothing_in(bubblewrap)).await?.end)?;
            bwrap.add(begun.elapsed());
        }
    }
    title(&format!("What a process costs, medians of {rounds}"));
    row("bare", &ms(bare.median()), "");
    let met = first.median().as_secs_f64() <= 0.006;
    row("in a cage of its own, full", &ms(first.median()), &goal(met, "at most 6 ms"));
    row("the next one in that cage", &ms(second.median()), "");
    row("in a cage of its own, reduced", &ms(below.median()), "");
    row("behind Landlock and seccomp alone", &ms(light.median()), "");
    if bubblewrap.is_some() {
        row("in bubblewrap", &ms(bwrap.median()), &goal(first.median() < bwrap.median(), "full costs less"));
    } else {
        row("in bubblewrap", "?", "not measured: install Debian's package `bubblewrap`");
    }
    Ok(())
}

async fn plans(place: &Place, full: &Sandbox, rounds: usize) -> anyhow::Result<()> {
    let code = format!("resource \"terraform_data\" \"many\" {{\n  count = {RESOURCES}\n  input = count.index\n}}\n");
    fs::write(place.tree.join("main.tf"), code)?;
    succeed(process::run(place.terraform(&["init", "-input=false"])?).await?.end)?;
    let plan = ["plan", "-input=false", "-lock=false", "-out=plan.bin"];
    let (mut outside, mut inside) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        let begun = Instant::now();
        succeed(process::run(place.terraform(&plan)?).await?.end)?;
        outside.add(begun.elapsed());
        let begun = Instant::now();
        let mut cage = full.open(place.policy()).await?;
        succeed(cage.run(place.terraform(&plan)?).await?.end)?;
        inside.add(begun.elapsed());
        cage.close().await;
    }
    title(&format!("A plan of {RESOURCES} resources, medians of {rounds}"));
    row("outside", &ms(outside.median()), "");
    let times = inside.median().as_secs_f64() / outside.median().as_secs_f64();
    row("in a cage of its own, full", &ms(inside.median()), "");
    row("times outside", &format!("{times:.2}"), &goal(times <= 1.05, "at most 1.05"));
    Ok(())
}

fn succeed(end: process::End) -> anyhow::Result<()> {
    ensure!(end.success(), "what is measured ended with {end:?}");
    Ok(())
}

/// Where it is done.
struct Place {
    dir: TempDir,
    tree: PathBuf,
    scratch: PathBuf,
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        // Cages below the best level have no view of their own, and a user of their own if we are root.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
        let (tree, scratch) = (dir.path().join("tree"), dir.path().join("scratch"));
        fs::create_dir(&tree)?;
        fs::create_dir(&scratch)?;
        Ok(Self { dir, tree, scratch })
    }

    async fn sandbox(&self, level: Level) -> anyhow::Result<Sandbox> {
        let work = self.dir.path().join(level.as_str());
        fs::create_dir(&work)?;
        // A copy, for the build may lie where a cage's user does not get to.
        let helper = work.join("terraplane");
        fs::copy(env!("CARGO_BIN_EXE_terraplane"), &helper)?;
        let sandbox = Sandbox::probe(Setup { helper, at_most: level, ..Setup::new(work)? }).await;
        let why = || sandbox.findings().iter().map(|finding| finding.why.clone()).collect::<Vec<_>>().join("; ");
        ensure!(sandbox.level() == level, "level `{level}` does not hold here: {}", why());
        Ok(sandbox)
    }

    fn policy(&self) -> Policy {
        let tool = program("terraform").into_iter();
        Policy { network: Network::Allow, read_only: tool.collect(), ..Policy::new(&self.tree, &self.scratch) }
    }

    fn nothing(&self) -> Spec {
        Spec::new("/bin/true", &self.tree)
    }

    /// What comes nearest to a cage.
    fn nothing_in(&self, bubblewrap: &Path) -> Spec {
        let args = "--unshare-all --die-with-parent --new-session --clearenv --ro-bind /usr /usr --symlink usr/bin /bin \
                    --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp";
        let bound = [self.tree.clone(), self.scratch.clone()].map(|dir| dir.display().to_string());
        let bind = bound.iter().flat_map(|dir| ["--bind", dir, dir]);
        Spec::new(bubblewrap, &self.tree).args(args.split_whitespace().chain(bind).chain(["/bin/true"]))
    }

    fn terraform(&self, args: &[&str]) -> anyhow::Result<Spec> {
        let mut spec = Spec::new(program("terraform").context("terraform")?, &self.tree).args(args);
        let set = |name: &str, value: String| (name.to_owned(), value);
        spec.env = vec![
            set("PATH", path()),
            set("HOME", self.scratch.display().to_string()),
            set("CHECKPOINT_DISABLE", "1".to_owned()),
        ];
        Ok(spec)
    }
}
