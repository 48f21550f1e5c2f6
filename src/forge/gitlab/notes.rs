//! Comments of merge requests, which GitLab calls notes, and reactions to them, which it calls award emoji.
//!
//! A line of a note that begins with `/` is a command to GitLab, a "quick action", carried out with the rights of
//! whoever wrote the note: us. What we write holds text of others, so no line of it may begin like that.

use super::{Gitlab, payload, short};
use crate::domain::event::{Comment, Reaction};
use crate::domain::id::{CommentId, Login, PullId};
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind};
use serde_json::json;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// Characters in a note (<https://docs.gitlab.com/administration/instance_limits/>).
pub(in crate::forge) const COMMENT_MAX: usize = 1_000_000;

impl Gitlab {
    pub(in crate::forge) async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        let doing = format!("commenting on {}", short(pull));
        let body = without_quick_actions(body);
        fits(&doing, &body)?;
        let request = Request::post(&doing, self.merge_request_url(pull, &["notes"])?, json!({ "body": body }));
        // 202 would be the answer to a note that held nothing but quick actions.
        let created: payload::Created = self.0.client.create(&request).await?;
        Ok(CommentId(created.id))
    }

    pub(in crate::forge) async fn edit_comment(
        &self,
        pull: &PullId,
        id: CommentId,
        body: &str,
    ) -> Result<(), ForgeError> {
        let doing = format!("editing comment {id} on {}", short(pull));
        let body = without_quick_actions(body);
        fits(&doing, &body)?;
        let url = self.merge_request_url(pull, &["notes", &id.to_string()])?;
        self.0.client.send(&Request::put(&doing, url, json!({ "body": body }))).await.map(drop)
    }

    pub(in crate::forge) async fn find_comment(
        &self,
        pull: &PullId,
        marker: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let me = self.me().await?;
        let doing = format!("looking for our comment on {}", short(pull));
        let mut url = self.merge_request_url(pull, &["notes"])?;
        url.query_pairs_mut().append_pair("sort", "asc").append_pair("order_by", "created_at");
        let mut found = None;
        let ours = |note: payload::Note| {
            let author = note.author.as_ref().and_then(|author| author.login().ok());
            if note.first_line() == marker && !note.system && author.is_some_and(|author| author.same_as(&me)) {
                found = Some(note.id);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, url, ours).await?;
        Ok(found)
    }

    pub(in crate::forge) async fn comment(&self, pull: &PullId, id: CommentId) -> Result<Option<Comment>, ForgeError> {
        let doing = format!("reading comment {id} on {}", short(pull));
        let request = Request::get(&doing, self.merge_request_url(pull, &["notes", &id.to_string()])?);
        match self.0.client.json::<payload::Note>(&request).await {
            Ok(note) => note.into_comment().map(Some).map_err(|odd| request.unreadable(&odd)),
            Err(error) if error.kind == ForgeErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Awards an emoji to a comment, once: GitLab refuses the second one of the same account with a 404, so what is
    /// there is looked at first.
    pub(in crate::forge) async fn react(
        &self,
        pull: &PullId,
        id: CommentId,
        reaction: Reaction,
    ) -> Result<(), ForgeError> {
        let emoji = match reaction {
            Reaction::Seen => "eyes",
            Reaction::Done => "thumbsup",
            Reaction::Failed => "confused",
        };
        let me = self.me().await?;
        let doing = format!("reacting to comment {id} on {}", short(pull));
        let url = self.merge_request_url(pull, &["notes", &id.to_string(), "award_emoji"])?;
        let mut there = false;
        let ours = |award: payload::Award| {
            let author = award.user.as_ref().and_then(|user| user.login().ok());
            there = award.name == emoji && author.is_some_and(|author: Login| author.same_as(&me));
            if there { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.0.client.pages(&doing, url.clone(), ours).await?;
        if there {
            return Ok(());
        }
        self.0.client.send(&Request::post(&doing, url, json!({ "name": emoji }))).await.map(drop)
    }
}

/// Too long is our own mistake: it is found here, and not by trying.
fn fits(doing: &str, text: &str) -> Result<(), ForgeError> {
    match text.chars().count() {
        long if long > COMMENT_MAX => Err(ForgeError::invalid(format!(
            "{doing}: the comment has {long} characters, and GitLab takes {COMMENT_MAX}"
        ))),
        _ => Ok(()),
    }
}

/// Puts a zero-width space before every `/` that begins a line: it can't be seen, it needs no knowledge of Markdown, and
/// no line begins with `/` any more, also none inside of a block that some version of GitLab might not take for one.
fn without_quick_actions(body: &str) -> Cow<'_, str> {
    let begins = |line: &str| line.trim_start().starts_with('/');
    if !body.split(['\n', '\r']).any(begins) {
        return Cow::Borrowed(body);
    }
    let mut safe = String::with_capacity(body.len() + 16);
    for line in body.split_inclusive(['\n', '\r']) {
        let indented = line.trim_start();
        if indented.starts_with('/') {
            safe.push_str(&line[..line.len() - indented.len()]);
            safe.push('\u{200b}');
            safe.push_str(indented);
        } else {
            safe.push_str(line);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_line_is_a_command_to_gitlab_and_everything_else_is_as_it_was() {
        let body = "<!-- terraplane:live -->\n/merge\n\n```\n  /close\r\n/approve\n```\na/b and /c\n/";
        let safe = "<!-- terraplane:live -->\n\u{200b}/merge\n\n```\n  \u{200b}/close\r\n\u{200b}/approve\n```\na/b and /c\n\u{200b}/";
        assert_eq!(without_quick_actions(body), safe);
        assert!(matches!(without_quick_actions("nothing / of\nthe kind\n"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn whatever_is_written_no_line_begins_with_a_slash(body in "[/ a\n\r\t\u{a0}\u{200b}]{0,40}") {
            let safe = without_quick_actions(&body);
            prop_assert!(!safe.split(['\n', '\r']).any(|line| line.trim_start().starts_with('/')));
            prop_assert_eq!(safe.replace('\u{200b}', ""), body.replace('\u{200b}', ""));
        }
    }
}
