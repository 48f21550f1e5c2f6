//! Labels of pull requests. A repository knows every label that it has ever had; their numbers count from 1.

use super::World;
use super::WorldError;
use crate::demo::news::PullNews;

impl World {
    /// What labels a pull request has from now on. One that the repository does not know is made.
    ///
    /// # Errors
    /// When there is no such pull request.
    pub fn set_labels(&self, repo: &str, number: u64, labels: Vec<String>, by: &str) -> Result<(), WorldError> {
        let now = labels.clone();
        let before = self.update_pull(repo, number, |pull| std::mem::replace(&mut pull.labels, labels))?;
        if before == now {
            return Ok(());
        }
        now.iter().for_each(|label| self.make_label(repo, label));
        self.tell_pull(repo, number, PullNews::Labelled { before: &before }, by);
        Ok(())
    }

    /// Makes a label that the repository does not have.
    pub(in crate::demo) fn make_label(&self, repo: &str, name: &str) {
        self.change(|state| {
            let Some(repo) = state.repo_mut(repo) else { return };
            if !repo.labels.iter().any(|label| label == name) {
                repo.labels.push(name.to_owned());
            }
        });
    }
}
