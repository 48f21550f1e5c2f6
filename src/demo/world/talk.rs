//! What people, and the server, say on pull requests: comments, reviews, statuses.

use super::pulls::{the_pull, the_repo};
use super::{World, WorldError, now};
use crate::demo::Face;
use crate::demo::gitlab::pipelines;
use crate::demo::news::{CommentNews, News, ReviewNews};
use crate::demo::state::{Comment, Reaction, Review, ReviewState, State, Status};
use crate::domain::id::Sha;
use crate::domain::pull::Role;

impl World {
    /// Writes a comment and returns its number.
    ///
    /// # Errors
    /// When there is no such pull request, or the text is empty or too long.
    pub fn comment(&self, repo: &str, number: u64, by: &str, body: &str) -> Result<u64, WorldError> {
        self.checked(body)?;
        let id = self.change(|state| {
            state.add_user(by, false);
            let id = state.next_id();
            the_pull(state, repo, number)?;
            let at = now();
            let comment = Comment {
                id,
                author: state.user(by).map_or_else(|| by.to_owned(), |u| u.login.clone()),
                body: body.into(),
                created_at: at,
                updated_at: at,
                earlier: Vec::new(),
                reactions: Vec::new(),
            };
            if let Some(pull) = state.pull_mut(repo, number) {
                if self.face().is_moved_by_comment(pull.updated_at, at) {
                    pull.updated_at = at;
                }
                pull.comments.push(comment);
            }
            Ok::<_, WorldError>(id)
        })?;
        self.tell(News::Comment { repo, id, what: CommentNews::Created, by });
        Ok(id)
    }

    /// # Errors
    /// When there is no such comment, or the text is empty or too long.
    pub fn edit_comment(&self, repo: &str, id: u64, by: &str, body: &str) -> Result<(), WorldError> {
        self.checked(body)?;
        let old = self.change(|state| {
            let comment = comment_mut(state, repo, id).ok_or_else(|| no_comment(id))?;
            comment.updated_at = now();
            let old = std::mem::replace(&mut comment.body, body.into());
            comment.earlier.push(old.clone());
            Ok::<_, WorldError>(old)
        })?;
        self.tell(News::Comment { repo, id, what: CommentNews::Edited { from: &old }, by });
        Ok(())
    }

    /// # Errors
    /// When there is no such comment.
    pub fn delete_comment(&self, repo: &str, id: u64, by: &str) -> Result<(), WorldError> {
        self.read(|state| state.repo(repo)?.comment(id).map(drop)).ok_or_else(|| no_comment(id))?;
        let due = self.webhooks(News::Comment { repo, id, what: CommentNews::Deleted, by });
        self.change(|state| {
            if let Some(repo) = state.repo_mut(repo) {
                repo.pulls.values_mut().for_each(|pull| pull.comments.retain(|c| c.id != id));
            }
        });
        self.emit(due);
        Ok(())
    }

    /// Reacts to a comment. The same reaction of the same account is there once; returns it, and whether it is new.
    ///
    /// # Errors
    /// When there is no such comment.
    pub fn react(&self, repo: &str, id: u64, by: &str, content: &str) -> Result<(Reaction, bool), WorldError> {
        self.change(|state| {
            let reaction = Reaction { id: state.next_id(), by: by.into(), content: content.into() };
            let comment = comment_mut(state, repo, id).ok_or_else(|| no_comment(id))?;
            if let Some(there) = comment.reactions.iter().find(|r| r.by == by && r.content == content) {
                return Ok((there.clone(), false));
            }
            comment.reactions.push(reaction.clone());
            Ok((reaction, true))
        })
    }

    /// Reviews the present head. Returns the review's number.
    ///
    /// # Errors
    /// When there is no such pull request, or its author wants to approve it.
    pub fn review(&self, repo: &str, number: u64, by: &str, verdict: ReviewState) -> Result<u64, WorldError> {
        let id = self.change(|state| {
            state.add_user(by, false);
            let id = state.next_id();
            let pull = the_pull(state, repo, number)?;
            if pull.author == by && verdict != ReviewState::Commented {
                return Err(WorldError::Refused("Can not approve your own pull request".into()));
            }
            let review = Review {
                id,
                author: by.into(),
                state: verdict,
                body: String::new(),
                commit: pull.head.clone(),
                at: now(),
            };
            if let Some(pull) = state.pull_mut(repo, number) {
                pull.reviews.push(review);
                pull.updated_at = now();
            }
            Ok(id)
        })?;
        self.tell(News::Review { repo, number, id, what: ReviewNews::Submitted, by });
        Ok(id)
    }

    /// # Errors
    /// When there is no such pull request or review.
    pub fn dismiss_review(&self, repo: &str, number: u64, id: u64, by: &str) -> Result<(), WorldError> {
        self.update_pull(repo, number, |pull| {
            let review = pull.reviews.iter_mut().find(|r| r.id == id);
            let review = review.ok_or_else(|| WorldError::NoSuch(format!("review {id}")))?;
            review.state = ReviewState::Dismissed;
            Ok::<_, WorldError>(())
        })??;
        self.tell(News::Review { repo, number, id, what: ReviewNews::Dismissed, by });
        Ok(())
    }

    /// Adds a status to a commit that is known to exist.
    pub(in crate::demo) fn put_status(
        &self,
        repo: &str,
        sha: &Sha,
        new: (String, String, Option<String>, Option<String>),
        by: &str,
    ) -> Option<Status> {
        let (context, status, description, target_url) = new;
        self.change(|state| {
            let (id, creator) = (state.next_id(), by.to_owned());
            let status = Status {
                id,
                sha: sha.clone(),
                context,
                state: status,
                description,
                target_url,
                creator,
                at: now(),
                pipeline: None,
                running: false,
                check: None,
            };
            state.repo_mut(repo)?.statuses.push(status.clone());
            Some(status)
        })
    }

    /// Sets a commit's status, as another tool than the server under test.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn set_status(&self, repo: &str, sha: &Sha, context: &str, state: &str, by: &str) -> Result<(), WorldError> {
        let put = self.put_status(repo, sha, (context.into(), state.into(), None, None), by);
        let put = put.ok_or_else(|| WorldError::NoSuch(format!("repository {repo}")))?;
        if self.face() == Face::Gitlab {
            self.change(|state| {
                let pipeline = pipelines::of_commit(state, repo, sha);
                let status = state.repo_mut(repo)?.statuses.iter_mut().find(|status| status.id == put.id)?;
                status.pipeline = pipeline;
                Some(())
            });
        }
        Ok(())
    }

    /// Presses a button of the newest check of this name on the head; `None`: asks for the check once more.
    ///
    /// # Errors
    /// When there is no such check, or it has no such button.
    pub fn press(&self, repo: &str, number: u64, check: &str, label: Option<&str>, by: &str) -> Result<(), WorldError> {
        let (id, pressed) = self.read(|state| {
            let head = &the_pull(state, repo, number)?.head;
            let no_such = || WorldError::NoSuch(format!("check {check}"));
            let status = the_repo(state, repo)?.status(head, check).ok_or_else(no_such)?;
            let actions = &status.check.as_ref().ok_or_else(no_such)?.actions;
            let Some(label) = label else { return Ok((status.id, None)) };
            let action = actions.iter().find(|action| action.label == label);
            let action = action.ok_or_else(|| WorldError::NoSuch(format!("button {label}")))?;
            Ok::<_, WorldError>((status.id, Some(action.identifier.clone())))
        })?;
        self.change(|state| state.add_user(by, false));
        self.tell(News::Check { repo, id, pressed: pressed.as_deref(), by });
        Ok(())
    }

    /// Whether somebody may do what needs this role.
    pub(in crate::demo) fn may(&self, repo: &str, login: &str, role: Role) -> bool {
        self.read(|state| the_repo(state, repo).is_ok_and(|r| r.role(login) >= role))
    }

    fn checked(&self, body: &str) -> Result<(), WorldError> {
        let longest = self.face().longest_comment();
        if body.trim().is_empty() {
            Err(WorldError::Refused("Body can not be blank".into()))
        } else if body.chars().count() > longest {
            Err(WorldError::Refused(format!("Body is too long (maximum is {longest} characters)")))
        } else {
            Ok(())
        }
    }
}

fn comment_mut<'a>(state: &'a mut State, repo: &str, id: u64) -> Option<&'a mut Comment> {
    state.repo_mut(repo)?.pulls.values_mut().find_map(|pull| pull.comments.iter_mut().find(|c| c.id == id))
}

fn no_comment(id: u64) -> WorldError {
    WorldError::NoSuch(format!("comment {id}"))
}
