//! What GitHub itself asks for before it merges: reviews (also of code owners) and checks, and what stands in its way.
//!
//! Only GraphQL tells which checks are required: `isRequired`. A merge without a queue is REST's.
//! <https://docs.github.com/en/graphql/reference/objects#pullrequest>

use super::client::Request;
use super::{Acting, Github, failure, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::project::MergeHow;
use crate::domain::pull::{Check, CheckState, Judgement, ReviewsAsked};
use crate::forge::failure::Repeat;
use crate::forge::{ForgeError, ForgeErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

const JUDGEMENT: &str = "query PullRequestJudgement($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewDecision
      baseRef {
        refUpdateRule { requiresCodeOwnerReviews requiredStatusCheckContexts }
        rules(first: 100) {
          nodes {
            parameters {
              ... on PullRequestParameters { requireCodeOwnerReview }
              ... on RequiredStatusChecksParameters { requiredStatusChecks { context } }
            }
          }
        }
      }
      commits(last: 1) {
        nodes {
          commit {
            statusCheckRollup {
              contexts(first: 100, after: $after) {
                pageInfo { hasNextPage endCursor }
                nodes {
                  __typename
                  ... on CheckRun { name status conclusion isRequired(pullRequestNumber: $number) }
                  ... on StatusContext { context state isRequired(pullRequestNumber: $number) }
                }
              }
            }
          }
        }
      }
    }
  }
}";

const ENQUEUE: &str = "mutation Enqueue($pull: ID!, $head: GitObjectID!) {
  enqueuePullRequest(input: {pullRequestId: $pull, expectedHeadOid: $head}) { clientMutationId }
}";

/// More pages of checks than anybody has.
const MOST_PAGES: usize = 20;

#[derive(Deserialize)]
struct Answer {
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
}

#[derive(Deserialize)]
struct GraphqlError {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contexts {
    page_info: PageInfo,
    nodes: Vec<Context>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    name: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    context: Option<String>,
    state: Option<String>,
    #[serde(default)]
    is_required: bool,
}

/// What the base branch asks for: its protection, and the rule sets that are about it.
#[derive(Default)]
struct BaseRules {
    code_owners: bool,
    contexts: Vec<String>,
}

impl BaseRules {
    fn read(base: &Value) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        let protection = &base["refUpdateRule"];
        let mut rules = Self {
            code_owners: protection["requiresCodeOwnerReviews"] == true,
            contexts: texts(&protection["requiredStatusCheckContexts"]),
        };
        for rule in base["rules"]["nodes"].as_array().into_iter().flatten() {
            let parameters = &rule["parameters"];
            rules.code_owners |= parameters["requireCodeOwnerReview"] == true;
            let checks = parameters["requiredStatusChecks"].as_array().into_iter().flatten();
            rules.contexts.extend(checks.filter_map(|check| Some(check["context"].as_str()?.to_owned())));
        }
        rules
    }

    /// What has to report and has not yet is in no list of what reported.
    fn expect(self, checks: &mut Vec<Check>) {
        for name in self.contexts {
            match checks.iter_mut().find(|check| check.name == name) {
                Some(check) => check.required = true,
                None => checks.push(Check { name, state: CheckState::Pending, required: true }),
            }
        }
    }
}

impl Github {
    pub(in crate::forge) async fn judgement(&self, pull: &PullId) -> Result<Judgement, ForgeError> {
        let doing = format!("asking what {} needs to be merged", short(pull));
        let mut judgement = Judgement::default();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let variables = json!({
                "owner": pull.repo.owner(), "name": pull.repo.name(), "number": pull.number.0, "after": after,
            });
            let answer = self.graphql(&doing, pull, JUDGEMENT, variables, Repeat::Harmless).await?;
            if let Some(error) = answer.errors.first() {
                let said: String = error.message.chars().filter(|c| !c.is_control()).take(200).collect();
                judgement.unknown =
                    Some(format!("GitHub does not tell which checks it requires (`{}`)", said.replace('`', "'")));
            }
            let found = &answer.data.as_ref().unwrap_or(&Value::Null)["repository"]["pullRequest"];
            let rules = BaseRules::read(&found["baseRef"]);
            judgement.reviews = match found["reviewDecision"].as_str() {
                // Approved may also mean: by somebody, where no rule asks for code owners.
                Some("APPROVED") if rules.code_owners => ReviewsAsked::Given,
                None | Some("APPROVED") => ReviewsAsked::None,
                Some("CHANGES_REQUESTED") => ReviewsAsked::ChangesRequested,
                Some(_) => ReviewsAsked::Missing,
            };
            let contexts = &found["commits"]["nodes"][0]["commit"]["statusCheckRollup"]["contexts"];
            if contexts.is_null() {
                rules.expect(&mut judgement.checks);
                return Ok(judgement);
            }
            let request = Request::get(&doing, String::new());
            let contexts: Contexts =
                serde_json::from_value(contexts.clone()).map_err(|error| failure::unreadable(&request, &error))?;
            judgement.checks.extend(contexts.nodes.into_iter().filter_map(Context::check));
            match contexts.page_info.end_cursor.filter(|_| contexts.page_info.has_next_page) {
                Some(cursor) => after = Some(cursor),
                None => {
                    rules.expect(&mut judgement.checks);
                    break;
                }
            }
        }
        Ok(judgement)
    }

    /// Merges the pull request if its head is still this one, or puts it into the merge queue.
    pub(in crate::forge) async fn merge(&self, pull: &PullId, head: &Sha, how: MergeHow) -> Result<(), ForgeError> {
        let doing = format!("merging {}", short(pull));
        let method = match how {
            MergeHow::Enqueue => return self.enqueue(&doing, pull, head).await,
            MergeHow::Merge => "merge",
            MergeHow::Squash => "squash",
            MergeHow::Rebase => "rebase",
        };
        let path = self.path(&pull.repo, &["pulls", &pull.number.to_string(), "merge"])?;
        // Merged twice is refused, as the head is no longer open: asking again does no harm.
        let request = Request::put(&doing, path, json!({ "sha": head, "merge_method": method }));
        self.0.client.send(Acting::In(&pull.repo), &request).await.map(drop)
    }

    async fn enqueue(&self, doing: &str, pull: &PullId, head: &Sha) -> Result<(), ForgeError> {
        #[derive(Deserialize)]
        struct Node {
            node_id: String,
        }

        let request = self.pull_request(doing, pull)?;
        let node: Node = self.0.client.json(Acting::In(&pull.repo), &request).await?;
        let variables = json!({ "pull": node.node_id, "head": head });
        let answer = self.graphql(doing, pull, ENQUEUE, variables, Repeat::Never).await?;
        match answer.errors.first() {
            None => Ok(()),
            Some(error) => {
                let message = format!("{doing}: GitHub answered: {}", error.message);
                Err(ForgeError { kind: ForgeErrorKind::Conflict, status: None, message, retry_at: None })
            }
        }
    }

    async fn graphql(
        &self,
        doing: &str,
        pull: &PullId,
        query: &str,
        variables: Value,
        repeat: Repeat,
    ) -> Result<Answer, ForgeError> {
        self.is_ours(&pull.repo)?;
        let body = json!({ "query": query, "variables": variables });
        let request = Request { repeat, ..Request::post(doing, self.graphql_path(), body) };
        self.0.client.json(Acting::In(&pull.repo), &request).await
    }

    /// `/graphql` on github.com; on GitHub Enterprise Server it is beside `/api/v3`.
    fn graphql_path(&self) -> String {
        match self.0.client.base.path().trim_end_matches('/') {
            "/api/v3" => "/api/graphql".to_owned(),
            base => format!("{base}/graphql"),
        }
    }
}

impl Context {
    fn check(self) -> Option<Check> {
        let (name, state) = match (self.name, self.context) {
            (Some(name), _) => (name, run_state(self.status.as_deref(), self.conclusion.as_deref())),
            (None, Some(context)) => (context, status_state(self.state.as_deref())),
            (None, None) => return None,
        };
        Some(Check { name, state, required: self.is_required })
    }
}

fn run_state(status: Option<&str>, conclusion: Option<&str>) -> CheckState {
    match (status, conclusion) {
        (Some("COMPLETED"), Some("SUCCESS" | "NEUTRAL" | "SKIPPED")) => CheckState::Green,
        (Some("COMPLETED"), _) => CheckState::Failed,
        _ => CheckState::Pending,
    }
}

fn status_state(state: Option<&str>) -> CheckState {
    match state {
        Some("SUCCESS") => CheckState::Green,
        Some("PENDING" | "EXPECTED") => CheckState::Pending,
        _ => CheckState::Failed,
    }
}
