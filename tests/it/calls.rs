//! Every call that can be made to a forge, on every forge: through the adapter and over HTTP, as the server makes them.

use crate::world::{PullRequest, REPO, WEBHOOK_SECRET, World};
use secrecy::SecretString;
use terraplane::cli::webhook;
use terraplane::config::Environment;
use terraplane::demo::Face;
use terraplane::domain::event::Reaction;
use terraplane::domain::id::{CommentId, PullId, PullNumber, RepoName};
use terraplane::domain::pull::{Phase, Role};
use terraplane::forge::webhook::Proof;
use terraplane::forge::{
    Forge, Gitea, GiteaSettings, Github, GithubAuth, GithubSettings, Gitlab, GitlabSettings, Installed, Status,
    StatusState,
};

/// The adapter for a world, with the token of the server's account.
fn forge_of(world: &World) -> Forge {
    let token = world.forge.server_token();
    match world.forge.face() {
        Face::Github => {
            let settings = GithubSettings { api_url: world.api_url(), auth: GithubAuth::Token(token) };
            Forge::Github(Github::new(&settings).unwrap())
        }
        Face::Gitlab => Forge::Gitlab(Gitlab::new(&GitlabSettings { url: world.forge.url().clone(), token }).unwrap()),
        Face::Gitea => Forge::Gitea(Gitea::new(&GiteaSettings { url: world.forge.url().clone(), token }).unwrap()),
    }
}

fn proof(face: Face) -> Proof {
    let secret = SecretString::from(WEBHOOK_SECRET);
    match face {
        Face::Github => Proof::Github(secret),
        Face::Gitlab => Proof::Gitlab { token: Some(secret), signing: None },
        Face::Gitea => Proof::Gitea(secret),
    }
}

async fn world_with_a_pull(face: Face) -> (World, PullRequest, PullId) {
    let world = World::like(face, &[("a.txt", "one\n")]).await;
    world.forge.grant(REPO, "terraplane", Role::Admin).unwrap();
    world.forge.add_team("acme", "sre", &["ana", "terraplane"]);
    let pull = world.open_pull("A change").changing("a.txt", "two\n").await;
    let repo: RepoName = world.repo_name().parse().unwrap();
    let id = PullId { repo, number: PullNumber(pull.number) };
    (world, pull, id)
}

#[tokio::test]
async fn every_call_is_understood_by_every_forge() {
    for face in Face::ALL {
        let (world, pull, id) = world_with_a_pull(face).await;
        let (forge, repo) = (forge_of(&world), &id.repo);
        assert_eq!((forge.kind(), forge.host()), (face.kind(), repo.host()));
        assert_eq!(forge.me().await.unwrap().as_str(), "terraplane");
        assert_eq!(forge.default_branch(repo).await.unwrap().as_str(), "main");

        let read = forge.pull(&id).await.unwrap();
        assert_eq!((read.title.as_str(), read.author.as_str(), &read.head), ("A change", "sam", &pull.head()));
        assert_eq!(read.html_url, world.forge.pull_page(REPO, pull.number));
        assert_eq!(forge.mergeable(&id).await.unwrap(), Some(true), "{face}");

        for (who, writes) in [("sam", true), ("ana", true), ("rita", false), ("otto", false), ("nobody-at-all", false)]
        {
            let role = forge.role(repo, &who.parse().unwrap()).await.unwrap();
            assert_eq!(role >= Role::Write, writes, "{who} on {face} is {role:?}");
        }
        for (team, who, is_in) in
            [("sre", "ana", true), ("acme/sre", "ana", true), ("sre", "sam", false), ("x", "ana", false)]
        {
            let answer = forge.in_team(repo, &team.parse().unwrap(), &who.parse().unwrap()).await.unwrap();
            assert_eq!(answer, is_in, "{who} in {team} on {face}");
        }

        let asked = CommentId(pull.comment("ana", "terraplane help"));
        for reaction in [Reaction::Seen, Reaction::Seen, Reaction::Done, Reaction::Failed] {
            forge.react(&id, asked, reaction).await.unwrap();
        }
        assert_eq!(pull.now().comments[0].reactions.len(), 3, "{face}");
        assert_eq!(forge.comment(&id, asked).await.unwrap().unwrap().author.as_str(), "ana");

        let ours = forge.create_comment(&id, "<!-- m -->\none").await.unwrap();
        assert_eq!(forge.find_comment(&id, "<!-- m -->").await.unwrap(), Some(ours));
        forge.edit_comment(&id, ours, "<!-- m -->\ntwo").await.unwrap();
        assert_eq!(forge.comment(&id, ours).await.unwrap().unwrap().body, "<!-- m -->\ntwo");
        world.forge.delete_comment(REPO, ours.0, "ana").unwrap();
        assert_eq!(forge.comment(&id, ours).await.unwrap(), None);

        world.forge.set_labels(REPO, pull.number, vec!["bug".into(), "tp: changes".into()], "ana").unwrap();
        for (wanted, labels) in [
            (Some("tp: destroy"), vec!["bug", "tp: destroy"]),
            (Some("tp: destroy"), vec!["bug", "tp: destroy"]),
            (Some("tp: changes"), vec!["bug", "tp: changes"]),
            (None, vec!["bug"]),
        ] {
            forge.relabel(&id, "tp: ", wanted).await.unwrap();
            assert_eq!(pull.now().labels, labels, "{face}");
        }

        let status = Status {
            context: "terraplane/plan".into(),
            state: StatusState::Success,
            description: "1 project: +1".into(),
            url: Some("https://t.example.com/runs/1".parse().unwrap()),
        };
        forge.set_status(&id, &pull.head(), &status).await.unwrap();
        assert_eq!(pull.status("terraplane/plan").unwrap().description.as_deref(), Some("1 project: +1"));

        pull.approve("ana");
        let approvals = forge.approvals(&id).await.unwrap();
        assert_eq!(approvals.len(), 1, "{face}");
        assert!(approvals[0].by_writer && approvals[0].head == pull.head());

        let commit = pull.merge("ana").await;
        let merged = forge.pull(&id).await.unwrap();
        assert!(
            matches!(&merged.phase, Phase::Merged { commit: c, by: Some(by), .. } if *c == commit && by.as_str() == "ana")
        );
        forge.set_status(&id, &commit, &status).await.unwrap();
        assert!(forge.clone_access(repo).await.unwrap().url.as_str().ends_with("/acme/infra.git"));
        let url = format!("https://t.example.com/webhooks/{face}").parse().unwrap();
        forge.install_webhook(repo, &url, &proof(face)).await.unwrap();
        let wrong: Vec<_> = forge.doctor(Some(repo)).await.into_iter().filter(|finding| !finding.ok).collect();
        assert_eq!(wrong, [], "{face}");
    }
}

#[tokio::test]
async fn a_webhook_that_was_installed_tells_of_everything_that_is_needed() {
    for face in Face::ALL {
        let (world, _pull, id) = world_with_a_pull(face).await;
        let forge = forge_of(&world);
        let url = format!("https://t.example.com/webhooks/{face}").parse().unwrap();
        assert_eq!(forge.install_webhook(&id.repo, &url, &proof(face)).await.unwrap(), Installed::Created);
        assert_eq!(forge.install_webhook(&id.repo, &url, &proof(face)).await.unwrap(), Installed::Repaired);
        let hooks = world.forge.read(|state| state.repo(REPO).unwrap().hooks.clone());
        let [hook] = hooks.as_slice() else { panic!("{hooks:?}") };
        assert!(hook.active && hook.content_type == "json" && !hook.secret.is_empty(), "{hook:?}");
        assert!(hook.events.len() >= 2, "{hook:?}");
    }
}

#[tokio::test]
async fn the_command_makes_the_webhook_and_says_where_it_leads() {
    for face in Face::ALL {
        let (world, _pull, _) = world_with_a_pull(face).await;
        let data = tempfile::tempdir().unwrap();
        let setup = crate::stage::Setup { matches: Some("*/acme/other".into()), ..Default::default() };
        let file = data.path().join("server.yaml");
        std::fs::write(&file, crate::stage::server_yaml(&world, data.path(), "127.0.0.1:4141", &setup)).unwrap();
        let mut out = Vec::new();
        let code = webhook::install(REPO, Some(&file), &Environment::new(), &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        let repo = world.repo_name();
        assert_eq!(
            (code, text.as_str()),
            (
                0,
                format!(
                    "The webhook of {repo} was made: it leads to http://127.0.0.1:4141/webhooks/{face}\n\
                     No entry of `repos` matches {repo}: until one does, nothing follows from its webhooks.\n"
                )
                .as_str()
            )
        );
        world.forge.grant(REPO, "terraplane", Role::Write).unwrap();
        let mut out = Vec::new();
        let code = webhook::install(REPO, Some(&file), &Environment::new(), &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("could not be made") && text.contains("40"), "{text}");
    }
}
