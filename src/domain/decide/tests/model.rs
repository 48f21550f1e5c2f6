//! A model of the store and of time around `decide`: random pull requests, pushes, plans, merges, applies, locks, closes.
//! Never two applies of one project at once, never a wait for nothing or in a circle, every merged pull request applied or
//! explained. Whose turn it is and what may begin is decided by what `flow` asks too.

use super::*;
use crate::domain::id::{ProjectKey, PullId, PullNumber};
use crate::domain::lock::{AtWork, Lock, Wait};
use proptest::prelude::*;

const PROJECTS: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Apply(usize),
    /// Of one project.
    ApplyOne(usize, usize),
    Replan(usize, usize),
    Lock(usize, usize),
    Cancel(usize, usize),
    /// The first takes away what the second holds.
    Take(usize, usize),
    /// The oldest apply that is queued begins.
    Begin,
    Merge(usize),
    Close(usize),
    Unlock(usize),
    Approve(usize),
    Freeze,
    Thaw,
    /// The oldest apply that may run comes to this end.
    End(RunState),
}

/// One pull request.
struct Known {
    pull: Pull,
    concerns: Vec<Project>,
    head: u8,
    plans: Vec<Run>,
    applies: Vec<Run>,
    shown: Vec<(ProjectKey, Shown)>,
    merged_at: i64,
    refused: bool,
}

use crate::domain::pull::Pull;

struct World {
    pulls: Vec<Known>,
    locks: Vec<Lock>,
    frozen: bool,
    /// What somebody no longer waits for.
    left: Vec<ProjectKey>,
    now: i64,
    ids: u128,
}

const HEADS: [char; 6] = ['a', 'b', 'c', 'd', 'e', 'f'];

impl World {
    fn new(concerns: &[(bool, bool, bool)]) -> Self {
        let pulls = concerns.iter().enumerate().map(|(index, (first, second, ordered))| {
            let mut all: Vec<Project> = [*first, *second || !*first]
                .iter()
                .zip(PROJECTS)
                .filter(|(concerned, _)| **concerned)
                .map(|(_, dir)| Project { apply: ApplyMode::Both, ..project(dir) })
                .collect();
            if *ordered && let [_, second] = all.as_mut_slice() {
                second.after = vec!["a".parse().unwrap()];
            }
            let id = PullId { number: PullNumber(index as u64 + 1), ..pull('a').id };
            Known {
                pull: Pull { id, ..pull('a') },
                concerns: all,
                head: 0,
                plans: vec![],
                applies: vec![],
                shown: vec![],
                merged_at: 0,
                refused: false,
            }
        });
        let mut world = Self { pulls: pulls.collect(), locks: vec![], frozen: false, left: vec![], now: 10, ids: 0 };
        (0..world.pulls.len()).for_each(|index| world.changed(index));
        world
    }

    fn waits(&self) -> Vec<Wait> {
        let all = self.pulls.iter().flat_map(|known| known.applies.iter().map(move |run| (known, run)));
        let mut waits: Vec<(i64, Wait)> = all
            .filter(|(_, run)| run.state == RunState::Waiting)
            .map(|(known, run)| {
                let merged = known.pull.merge_commit().is_some();
                let (project, pull, since) = (run.project.key.clone(), known.pull.id.clone(), run.created_at);
                (if merged { known.merged_at } else { i64::MAX }, Wait { run: run.id, project, pull, merged, since })
            })
            .collect();
        waits.sort_by_key(|(merged_at, wait)| (*merged_at, wait.since));
        waits.into_iter().map(|(_, wait)| wait).collect()
    }

    fn at_work(&self) -> Vec<AtWork> {
        let all = self.pulls.iter().flat_map(|known| known.applies.iter().map(move |run| (known, run)));
        all.filter(|(_, run)| matches!(run.state, RunState::Queued | RunState::Running))
            .map(|(known, run)| AtWork { project: run.project.key.clone(), pull: known.pull.id.clone() })
            .collect()
    }

    fn state(&self, index: usize) -> PullState {
        let known = &self.pulls[index];
        let head = HEADS[usize::from(known.head)];
        let around = Around {
            locks: self.locks.clone(),
            waits: self.waits(),
            at_work: self.at_work(),
            freezes: if self.frozen { vec![freeze(&[], None)] } else { vec![] },
            overlaps: vec![],
        };
        let newest = |runs: &[Run], key: &ProjectKey| {
            let of = runs.iter().filter(|run| run.project.key == *key && run.state != RunState::Superseded);
            of.max_by_key(|run| run.id).cloned()
        };
        let projects = known.concerns.iter().map(|project| ProjectState {
            project: project.clone(),
            target: Some(target(head)),
            plan: newest(&known.plans, &project.key).filter(|plan| plan.target == target(head)),
            apply: newest(&known.applies, &project.key),
            lock: self.locks.iter().find(|lock| lock.project == project.key).cloned(),
            queue_position: 1,
            shown: known.shown.iter().filter(|(key, _)| *key == project.key).map(|(_, shown)| shown.clone()).collect(),
        });
        PullState {
            projects: projects.collect(),
            queued: Vec::new(),
            unfinished: known.applies.iter().filter(|run| !run.state.is_over()).cloned().collect(),
            record: PullRecord {
                pull: known.pull.clone(),
                affected: Some(affected(head, &known.concerns)),
                problem: None,
            },
            around,
        }
    }

    fn decide(&mut self, index: usize, input: &Input) {
        self.now += 1;
        let effects = decide(&self.state(index), input, &rules(), at(self.now));
        effects.into_iter().for_each(|effect| self.perform(index, effect));
        for project in std::mem::take(&mut self.left) {
            self.turn(&project);
        }
    }

    fn run(&mut self, project: &Project, target: &Target, state: RunState) -> Run {
        self.ids += 1;
        let head = target.head.as_str().chars().next().unwrap();
        let run = plan_run(self.ids, project, head, state);
        Run { created_at: at(self.now), finished_at: state.is_over().then(|| at(self.now)), ..run }
    }

    fn perform(&mut self, index: usize, effect: Effect) {
        match effect {
            Effect::StartPlan { project, target, .. } => {
                let run = self.run(&project, &target, RunState::Succeeded);
                let shown = fixture::shown(&run).map(|shown| (project.key.clone(), shown));
                self.pulls[index].shown.extend(shown);
                self.pulls[index].plans.push(run);
            }
            Effect::StartApply { project, target, order, .. } => {
                let run = self.run(&project, &target, RunState::Queued);
                self.pulls[index].applies.push(Run { work: crate::domain::run::Work::Apply(order), ..run });
                let holder = self.locks.iter().find(|lock| lock.project == project.key);
                assert_eq!(
                    holder.map(|lock| &lock.held_by),
                    Some(&self.pulls[index].pull.id),
                    "it holds what it applies"
                );
            }
            Effect::Wait { project, target, order, .. } => {
                let run = self.run(&project, &target, RunState::Waiting);
                let batch = Some(run.id);
                self.pulls[index].applies.push(Run { work: crate::domain::run::Work::Apply(order), batch, ..run });
            }
            Effect::Supersede { run } => {
                let known = &mut self.pulls[index];
                for run in known.applies.iter_mut().chain(&mut known.plans).filter(|other| other.id == run) {
                    self.left.extend((run.state == RunState::Waiting).then(|| run.project.key.clone()));
                    run.state = RunState::Superseded;
                }
            }
            Effect::Cancel { run, by } => {
                let run = self.pulls[index].applies.iter_mut().find(|other| other.id == run).unwrap();
                self.left.extend((run.state == RunState::Waiting).then(|| run.project.key.clone()));
                run.cancelled_by = Some(by);
                if run.state != RunState::Running {
                    run.state = RunState::Failed;
                    run.outcome = Some(stopped());
                }
            }
            Effect::TakeLock { project, by } => self.take(index, project, by),
            Effect::FreeLock { project, holder, .. } => {
                self.locks.retain(|lock| lock.project != project || lock.held_by != holder);
                self.turn(&project);
            }
            Effect::TakeTurn { project } => self.turn(&project),
            Effect::Thaw { .. } => {
                self.frozen = false;
                PROJECTS.iter().for_each(|dir| self.turn(&dir.parse().unwrap()));
            }
            Effect::Freeze(_) => self.frozen = true,
            Effect::Say(Say::MergedNotApplied { .. }) => self.pulls[index].refused = true,
            _ => {}
        }
    }

    fn take(&mut self, index: usize, project: ProjectKey, by: Option<Holding>) {
        let held_by = self.pulls[index].pull.id.clone();
        let taken_by = by.map(|by| by.by);
        match self.locks.iter_mut().find(|lock| lock.project == project) {
            Some(lock) => {
                assert_eq!(lock.held_by, held_by, "nobody takes what another one holds");
                lock.taken_by = taken_by.or(lock.taken_by.take());
            }
            None => {
                let (since, reason) = (at(self.now), None);
                self.locks.push(Lock { project, held_by, since, applied: false, taken_by, reason });
            }
        }
    }

    fn turn(&mut self, project: &ProjectKey) {
        for wait in self.waits().into_iter().filter(|wait| wait.project == *project) {
            let index = self.pulls.iter().position(|known| known.pull.id == wait.pull).unwrap();
            let state = self.state(index);
            let run = self.pulls[index].applies.iter().find(|run| run.id == wait.run).unwrap();
            if turn(&state, &run.project, at(self.now)) == Turn::GoesOn {
                self.take(index, project.clone(), None);
                let run = self.pulls[index].applies.iter_mut().find(|run| run.id == wait.run).unwrap();
                run.state = RunState::Queued;
                return;
            }
        }
    }

    /// The oldest apply in this state.
    fn oldest(&self, state: RunState) -> Option<(usize, Run)> {
        let all =
            self.pulls.iter().enumerate().flat_map(|(index, known)| known.applies.iter().map(move |run| (index, run)));
        let oldest = all.filter(|(_, run)| run.state == state).min_by_key(|(_, run)| run.id);
        oldest.map(|(index, run)| (index, run.clone()))
    }

    /// False: none is queued.
    fn begin(&mut self) -> bool {
        let Some((index, run)) = self.oldest(RunState::Queued) else { return false };
        let held = held_from_outside(&self.state(index), &run.project, at(self.now)).is_some();
        let began = self.pulls[index].applies.iter_mut().find(|other| other.id == run.id).unwrap();
        began.state = if held { RunState::Waiting } else { RunState::Running };
        if held {
            self.turn(&run.project.key);
        } else {
            let lock = self.locks.iter().find(|lock| lock.project == run.project.key);
            assert_eq!(lock.map(|lock| &lock.held_by), Some(&self.pulls[index].pull.id), "it holds what it applies");
        }
        true
    }

    fn changed(&mut self, index: usize) {
        let head = HEADS[usize::from(self.pulls[index].head)];
        let found = Found::Affected(affected(head, &self.pulls[index].concerns));
        self.decide(index, &heard(found));
    }

    fn command(&mut self, index: usize, verb: Verb, by: &str) {
        self.say(index, says(verb, &[]), by);
    }

    /// About one of its projects.
    fn command_about(&mut self, index: usize, verb: Verb, project: usize) {
        let concerns = &self.pulls[index].concerns;
        let name = concerns[project % concerns.len()].name.to_string();
        self.say(index, says(verb, &[&name]), "ana");
    }

    fn say(&mut self, index: usize, parsed: Parsed, by: &str) {
        let state = self.state(index);
        // Long after whatever was shown.
        let input = super::commanded(&state, parsed, actor(by, Role::Maintain), self.now + 1);
        self.now += 2;
        self.decide(index, &input);
    }

    fn step(&mut self, step: &Step) {
        let count = self.pulls.len();
        match step {
            Step::Push(index) if self.pulls[index % count].pull.is_open() => {
                let known = &mut self.pulls[index % count];
                known.head = (known.head + 1).min(5);
                known.pull.head = sha(HEADS[usize::from(known.head)]);
                self.changed(index % count);
            }
            Step::Merge(index) if self.pulls[index % count].pull.is_open() => {
                self.now += 1;
                let at = at(self.now);
                let known = &mut self.pulls[index % count];
                known.merged_at = self.now;
                known.pull.phase = Phase::Merged { commit: sha('9'), by: Some(login("ana")), at };
                let input = super::merge(&self.state(index % count));
                self.decide(index % count, &input);
            }
            Step::Close(index) if self.pulls[index % count].pull.is_open() => {
                self.pulls[index % count].pull.phase = Phase::Closed;
                self.decide(index % count, &Input::Closed);
            }
            Step::Push(_) | Step::Merge(_) | Step::Close(_) => {}
            Step::Apply(index) => self.command(index % count, Verb::Apply, "ana"),
            Step::ApplyOne(index, project) => self.command_about(index % count, Verb::Apply, *project),
            Step::Replan(index, project) => self.command_about(index % count, Verb::Plan, *project),
            Step::Lock(index, project) => self.command_about(index % count, Verb::Lock, *project),
            Step::Cancel(index, project) => self.command_about(index % count, Verb::Cancel, *project),
            Step::Take(index, other) => {
                let of = Some(self.pulls[other % count].pull.id.number);
                let command = Command { of, reason: Some("now".into()), ..Command::of(Verb::Unlock) };
                self.say(index % count, Parsed::Command(command), "ana");
            }
            Step::Begin => {
                self.begin();
            }
            Step::Unlock(index) => self.command(index % count, Verb::Unlock, "ana"),
            Step::Approve(index) => self.command(index % count, Verb::Approve, "ana"),
            Step::Freeze => self.command(0, Verb::Freeze, "ana"),
            Step::Thaw => self.command(0, Verb::Thaw, "ana"),
            Step::End(end) => {
                self.end(*end);
            }
        }
    }

    /// Ends the oldest apply that is under way. False: there is none.
    fn end(&mut self, end: RunState) -> bool {
        self.now += 1;
        let Some((index, run)) = self.oldest(RunState::Running) else { return false };
        let order = run.apply_order().unwrap().clone();
        let head = run.target.head.as_str().chars().next().unwrap();
        let over = apply_run(run.id.0.as_u128(), &run.project, head, end, order);
        let over = Run {
            cancelled_by: run.cancelled_by,
            created_at: run.created_at,
            finished_at: Some(at(self.now)),
            batch: run.batch,
            ..over
        };
        let shown = fixture::shown(&over).map(|shown| (run.project.key.clone(), shown));
        let known = &mut self.pulls[index];
        known.shown.extend(shown);
        *known.applies.iter_mut().find(|other| other.id == run.id).unwrap() = over;
        if end == RunState::Succeeded {
            self.locks.iter_mut().filter(|lock| lock.project == run.project.key).for_each(|lock| lock.applied = true);
        }
        self.decide(index, &Input::RunOver { run: run.id });
        true
    }

    fn check(&self) {
        for dir in PROJECTS {
            let active = self.pulls.iter().flat_map(|known| &known.applies);
            let at_work = |run: &&Run| matches!(run.state, RunState::Queued | RunState::Running);
            let active = active.filter(|run| run.project.key.to_string() == dir).filter(at_work);
            assert!(active.count() <= 1, "two applies of {dir} at once");
        }
        for wait in self.waits() {
            let index = self.pulls.iter().position(|known| known.pull.id == wait.pull).unwrap();
            let state = self.state(index);
            let run = self.pulls[index].applies.iter().find(|run| run.id == wait.run).unwrap();
            assert_ne!(turn(&state, &run.project, at(self.now)), Turn::GoesOn, "{wait:?} waits for nothing");
        }
        for known in &self.pulls {
            let mut way = vec![&known.pull.id];
            assert!(!self.leads_back(&mut way), "a circle of waits: {way:?}");
        }
    }

    /// Whether following who waits for whose lock, among open pull requests, leads back to the first of the way.
    fn leads_back<'a>(&'a self, way: &mut Vec<&'a PullId>) -> bool {
        let last = *way.last().unwrap();
        let waits: Vec<Wait> = self.waits().into_iter().filter(|wait| wait.pull == *last && !wait.merged).collect();
        for wait in waits {
            let Some(lock) = self.locks.iter().find(|lock| lock.project == wait.project && lock.held_by != *last)
            else {
                continue;
            };
            if lock.held_by == *way[0] {
                return true;
            }
            if !way.contains(&&lock.held_by) {
                way.push(&lock.held_by);
                if self.leads_back(way) {
                    return true;
                }
                way.pop();
            }
        }
        false
    }

    /// Everything that is under way ends well, and nothing is frozen: what is left needs a person, and says so.
    fn settle(&mut self) {
        if self.frozen {
            self.command(0, Verb::Thaw, "ana");
        }
        while self.begin() || self.end(RunState::Succeeded) {
            self.check();
        }
        for (index, known) in self.pulls.iter().enumerate().filter(|(_, known)| known.pull.merge_commit().is_some()) {
            for project in &self.state(index).projects {
                let ended = project.apply_state().is_some_and(RunState::is_over);
                let waits_for_a_person = project.apply_state() == Some(RunState::Waiting)
                    && match hold(&self.state(index), &project.project, at(self.now)) {
                        Some(Hold::Lock(holder)) => self.needs_a_person(&holder, &project.project.key),
                        Some(Hold::After(_)) => true,
                        _ => false,
                    };
                // Given up by `unlock`, or called off because what comes first failed: its comment says so.
                let called_off = known
                    .applies
                    .iter()
                    .any(|run| run.project.key == project.project.key && run.state == RunState::Superseded);
                let explained = project.is_settled() || ended || waits_for_a_person || known.refused || called_off;
                assert!(
                    explained,
                    "#{} has merged {} and nobody says why it is not applied",
                    known.pull.id.number, project.project.name
                );
            }
        }
    }

    /// Whoever holds it is open or closed, or its apply did not end well.
    fn needs_a_person(&self, holder: &PullId, key: &ProjectKey) -> bool {
        let index = self.pulls.iter().position(|known| known.pull.id == *holder).unwrap();
        let merged = self.pulls[index].pull.merge_commit().is_some();
        let state = self.state(index);
        let project = state.projects.iter().find(|project| project.project.key == *key);
        !merged || project.is_none_or(|project| !project.is_applied())
    }
}

/// What `cancel` makes of an apply that has not begun.
fn stopped() -> Outcome {
    Outcome::Failed(crate::domain::run::Failure {
        step: crate::domain::run::Step::Prepare,
        message: "cancelled".into(),
        output: String::new(),
        diagnostics: Box::default(),
        done: vec![],
        not_done: vec![],
        changed_something: false,
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(RunState::Succeeded),
        1 => Just(RunState::Failed),
        1 => Just(RunState::Differs),
        1 => Just(RunState::Interrupted),
    ];
    prop_oneof![
        2 => (0..3_usize).prop_map(Step::Push),
        3 => (0..3_usize).prop_map(Step::Apply),
        4 => (0..3_usize, 0..2_usize).prop_map(|(pull, project)| Step::ApplyOne(pull, project)),
        1 => (0..3_usize, 0..2_usize).prop_map(|(pull, project)| Step::Replan(pull, project)),
        1 => (0..3_usize, 0..2_usize).prop_map(|(pull, project)| Step::Lock(pull, project)),
        1 => (0..3_usize, 0..2_usize).prop_map(|(pull, project)| Step::Cancel(pull, project)),
        1 => (0..3_usize, 0..3_usize).prop_map(|(pull, other)| Step::Take(pull, other)),
        5 => Just(Step::Begin),
        3 => (0..3_usize).prop_map(Step::Merge),
        1 => (0..3_usize).prop_map(Step::Close),
        1 => (0..3_usize).prop_map(Step::Unlock),
        2 => (0..3_usize).prop_map(Step::Approve),
        1 => Just(Step::Freeze),
        1 => Just(Step::Thaw),
        5 => end.prop_map(Step::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn never_two_at_once_never_a_deadlock_and_every_merge_applied_or_explained(
        concerns in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 3),
        steps in prop::collection::vec(any_step(), 0..30),
    ) {
        let mut world = World::new(&concerns);
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.settle();
    }
}
