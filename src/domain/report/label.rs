//! One label that says in the forge's list of pull requests what a plan comes to. Output only: nothing here reads one.

use super::standing::Standing;
use crate::domain::decide::{Problem, PullState};
use crate::domain::pull::Phase;

/// What the labels of this server on a pull request should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelling {
    /// It is not known yet: what is there stays.
    Undecided,
    /// No project is concerned.
    None,
    /// This one, and no other whose name begins in the same way.
    One(String),
}

/// `name`: the server's. The riskiest project has the say, as in the live comment.
#[must_use]
pub fn labelling(state: &PullState, name: &str) -> Labelling {
    let one = |word: &str| Labelling::One(format!("{}{word}", label_family(name)));
    match &state.record.problem {
        Some(Problem::Fork | Problem::ForkWaits { .. }) => return Labelling::Undecided,
        Some(_) => return one("failed"),
        None if state.record.affected.is_none() => return Labelling::Undecided,
        None => {}
    }
    let all: Vec<Standing> = state.projects.iter().map(|project| Standing::of(state, project)).collect();
    let any = |wanted: &[Standing]| all.iter().any(|standing| wanted.contains(standing));
    use Standing as S;
    if all.is_empty() {
        Labelling::None
    } else if any(&[S::ApplyFailed, S::Interrupted, S::PlanFailed, S::Differs]) {
        one("failed")
    } else if any(&[S::WaitsToPlan, S::Planning, S::PlanQueued, S::Applying, S::ApplyQueued, S::WaitsForLock])
        || state.pull().phase == Phase::Closed
    {
        Labelling::Undecided
    } else if any(&[S::Destroys]) {
        one("destroy")
    } else if any(&[S::Changes]) {
        one("changes")
    } else if any(&[S::Applied]) {
        one("applied")
    } else if any(&[S::Unchanged]) {
        one("no changes")
    } else {
        Labelling::None
    }
}

/// What the names of all labels of a server begin with.
#[must_use]
pub fn label_family(name: &str) -> String {
    format!("{name}: ")
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use crate::domain::decide::ProjectState;
    use crate::domain::plan::PlanSummary;
    use crate::domain::run::RunState;

    fn planned(id: u128, add: usize, destroy: usize) -> ProjectState {
        let project = project(&format!("p{id}"));
        let plan = plan_run(id, &project, PlanSummary { add, destroy, ..PlanSummary::default() });
        standing(&project, Some(plan), None)
    }

    fn planning(id: u128) -> ProjectState {
        let mut project = planned(id, 0, 0);
        let plan = project.plan.as_mut().unwrap();
        (plan.state, plan.outcome) = (RunState::Running, None);
        project
    }

    fn after_apply(id: u128, state: RunState) -> ProjectState {
        let mut project = planned(id, 1, 0);
        let plan = project.plan.clone().unwrap();
        let done = (state == RunState::Succeeded).then(|| applied(&[("a.b", "create")], true));
        project.apply = Some(apply_run(100 + id, &plan, state, done));
        project
    }

    #[test]
    fn the_riskiest_project_has_the_say() {
        let cases = [
            (vec![], Labelling::None),
            (vec![planned(1, 0, 0)], Labelling::One("tp: no changes".into())),
            (vec![planned(1, 0, 0), planned(2, 1, 0)], Labelling::One("tp: changes".into())),
            (vec![planned(1, 1, 0), planned(2, 0, 1)], Labelling::One("tp: destroy".into())),
            (vec![planned(1, 0, 1), planning(2)], Labelling::Undecided),
            (vec![after_apply(1, RunState::Running)], Labelling::Undecided),
            (vec![after_apply(1, RunState::Failed), planning(2)], Labelling::One("tp: failed".into())),
            (vec![after_apply(1, RunState::Succeeded), planned(2, 0, 0)], Labelling::One("tp: applied".into())),
            (vec![after_apply(1, RunState::Succeeded), planned(2, 1, 0)], Labelling::One("tp: changes".into())),
        ];
        for (projects, wanted) in cases {
            let state = state(projects);
            assert_eq!(labelling(&state, "tp"), wanted, "{:?}", state.projects);
        }
    }

    #[test]
    fn what_can_t_be_planned_failed_and_what_waits_for_a_person_stays_as_it_is() {
        let failed = with_problem(Problem::Configuration { errors: "?".into() });
        assert_eq!(labelling(&failed, "tp"), Labelling::One("tp: failed".into()));
        assert_eq!(labelling(&with_problem(Problem::ForkWaits { head: sha('8') }), "tp"), Labelling::Undecided);
        let mut closed = state(vec![planned(1, 1, 0)]);
        closed.record.pull.phase = Phase::Closed;
        assert_eq!(labelling(&closed, "tp"), Labelling::Undecided);
    }
}
