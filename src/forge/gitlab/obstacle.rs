//! What GitLab says stands in the way of a merge: one word, that of the first of its checks which fails. The pipeline's
//! comes last: where that is named, everything else has been found good.
//!
//! Source: <https://docs.gitlab.com/api/merge_requests/#merge-status>.

use super::payload::{MergeRequest, State};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    Nothing,
    /// GitLab is computing it, or has not begun to.
    Unknown,
    Conflict,
    Approvals,
    ChangesRequested,
    /// Only that the pipeline did not succeed.
    Pipeline,
    /// As a sentence for people.
    Other(String),
}

impl Obstacle {
    /// By `detailed_merge_status`, and by `merge_status` before 15.6. Every word that is not known here stands for an
    /// obstacle.
    fn of(detailed: Option<&str>, coarse: Option<&str>) -> Self {
        let other = |why: &str| Self::Other(why.to_owned());
        let Some(detailed) = detailed else {
            return match coarse {
                Some("can_be_merged") => Self::Nothing,
                Some("cannot_be_merged") => Self::Conflict,
                None | Some("unchecked" | "checking" | "preparing" | "cannot_be_merged_recheck") => Self::Unknown,
                Some(word) => Self::Other(unknown(word)),
            };
        };
        match detailed {
            "mergeable" => Self::Nothing,
            "unchecked" | "checking" | "preparing" | "approvals_syncing" => Self::Unknown,
            "conflict" | "broken_status" => Self::Conflict,
            "not_approved" => Self::Approvals,
            "requested_changes" => Self::ChangesRequested,
            "ci_must_pass" | "ci_still_running" => Self::Pipeline,
            "draft_status" => other("it is still a draft"),
            "not_open" => other("it is not open"),
            "need_rebase" => other("it has to be rebased onto its target branch"),
            "blocked_status" | "merge_request_blocked" => other("another merge request has to be merged before it"),
            "commits_status" => other("its source branch is gone, or has no commits"),
            "discussions_not_resolved" => other("discussions in it are not resolved"),
            "external_status_checks" | "status_checks_must_pass" => other("external status checks have not passed"),
            "jira_association_missing" => other("its title or description has to name a Jira issue"),
            "locked_lfs_files" => other("somebody else has locked LFS files that it changes"),
            "locked_paths" => other("somebody else has locked paths that it changes"),
            "merge_time" => other("the time after which it may be merged has not come"),
            "policies_denied" | "security_policy_violations" => other("security policies are violated"),
            "security_policy_pipeline_check" => other("the pipelines that security policies ask for have not passed"),
            "title_regex" => other("its title is not as the project wants titles to be"),
            word => Self::Other(unknown(word)),
        }
    }
}

fn unknown(word: &str) -> String {
    format!("GitLab says `{}`", word.chars().take(80).collect::<String>())
}

impl MergeRequest {
    pub(super) fn obstacle(&self) -> Obstacle {
        Obstacle::of(self.detailed_merge_status.as_deref(), self.merge_status.as_deref())
    }

    /// Whether it could be merged as far as git is concerned. What else stands in the way is told by [`Self::obstacle`].
    pub(super) fn merges(&self) -> Option<bool> {
        if self.is_draft() || self.state != State::Opened {
            return Some(false);
        }
        match (self.obstacle(), self.merge_status.as_deref()) {
            (Obstacle::Unknown, _) => None,
            (Obstacle::Conflict, _) => Some(false),
            // The pipeline is looked at when everything else is known.
            (Obstacle::Nothing | Obstacle::Pipeline, _) | (_, Some("can_be_merged") | None) => Some(true),
            (_, Some("cannot_be_merged")) => Some(false),
            (_, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_gitlab_has_for_an_obstacle_is_one_and_so_is_every_new_word() {
        let by_detail = |word| Obstacle::of(Some(word), Some("can_be_merged"));
        for (word, wanted) in [
            ("mergeable", Obstacle::Nothing),
            ("unchecked", Obstacle::Unknown),
            ("checking", Obstacle::Unknown),
            ("preparing", Obstacle::Unknown),
            ("approvals_syncing", Obstacle::Unknown),
            ("conflict", Obstacle::Conflict),
            ("broken_status", Obstacle::Conflict),
            ("not_approved", Obstacle::Approvals),
            ("requested_changes", Obstacle::ChangesRequested),
            ("ci_must_pass", Obstacle::Pipeline),
            ("ci_still_running", Obstacle::Pipeline),
        ] {
            assert_eq!(by_detail(word), wanted, "{word}");
        }
        for word in [
            "blocked_status",
            "commits_status",
            "discussions_not_resolved",
            "draft_status",
            "external_status_checks",
            "jira_association_missing",
            "locked_lfs_files",
            "locked_paths",
            "merge_request_blocked",
            "merge_time",
            "need_rebase",
            "not_open",
            "policies_denied",
            "security_policy_pipeline_check",
            "security_policy_violations",
            "status_checks_must_pass",
            "title_regex",
        ] {
            let Obstacle::Other(why) = by_detail(word) else { panic!("{word}") };
            assert!(!why.contains(word), "{why} is for people");
        }
        assert_eq!(by_detail("a_word_of_tomorrow"), Obstacle::Other("GitLab says `a_word_of_tomorrow`".into()));
    }

    #[test]
    fn before_15_6_the_coarse_word_is_all_there_is() {
        for (word, wanted) in [
            (Some("can_be_merged"), Obstacle::Nothing),
            (Some("cannot_be_merged"), Obstacle::Conflict),
            (Some("cannot_be_merged_recheck"), Obstacle::Unknown),
            (Some("checking"), Obstacle::Unknown),
            (Some("unchecked"), Obstacle::Unknown),
            (None, Obstacle::Unknown),
            (Some("tomorrow"), Obstacle::Other("GitLab says `tomorrow`".into())),
        ] {
            assert_eq!(Obstacle::of(None, word), wanted, "{word:?}");
        }
    }
}
