use super::{Extent, ModuleFacts, Modules, TreeFile, resolve};
use crate::domain::id::ProjectDir;
use proptest::prelude::*;

fn dir(text: &str) -> ProjectDir {
    text.parse().unwrap()
}

fn module(uses: &[&str]) -> ModuleFacts {
    ModuleFacts { uses: uses.iter().map(|used| dir(used)).collect(), ..ModuleFacts::default() }
}

fn modules(of: &[(&str, ModuleFacts)]) -> Modules {
    of.iter().map(|(name, facts)| (dir(name), facts.clone())).collect()
}

/// Two projects that share a module, which uses another one; and one project that shares nothing.
fn company() -> Vec<(&'static str, ModuleFacts)> {
    vec![
        ("prod/network", module(&["modules/vpc"])),
        ("prod/dns", module(&[])),
        ("staging/network", module(&["modules/vpc"])),
        ("modules/vpc", module(&["modules/labels"])),
        ("modules/labels", module(&[])),
    ]
}

fn affected(of: &[(&str, ModuleFacts)], changed: &[&str]) -> Vec<(String, String)> {
    let changed: Vec<String> = changed.iter().map(|path| (*path).to_owned()).collect();
    modules(of).affected(&changed).into_iter().map(|(dir, reason)| (dir.to_string(), reason)).collect()
}

fn dirs(of: &[(&str, ModuleFacts)], changed: &[&str]) -> Vec<String> {
    affected(of, changed).into_iter().map(|(dir, _)| dir).collect()
}

fn unreadable(uses: &[&str]) -> ModuleFacts {
    ModuleFacts { unknown: Some("`x.tf` cannot be parsed".into()), ..module(uses) }
}

#[test]
fn a_changed_file_concerns_the_project_that_it_lies_in() {
    assert_eq!(
        affected(&company(), &["prod/dns/main.tf"]),
        [("prod/dns".to_owned(), "`prod/dns/main.tf` changed".to_owned())]
    );
    assert_eq!(dirs(&company(), &["prod/dns/.terraform.lock.hcl"]), ["prod/dns"]);
    assert_eq!(dirs(&company(), &["prod/dns/zones/example.com.json"]), ["prod/dns"]);
    assert!(dirs(&company(), &["README.md", "docs/prod/dns.md", "prod/README.md"]).is_empty());
}

#[test]
fn a_changed_module_concerns_everything_that_uses_it_at_any_depth() {
    let changed = ["modules/labels/variables.tf"];
    let both = ["prod/network".to_owned(), "staging/network".to_owned()];
    assert_eq!(dirs(&company(), &changed), both);
    assert_eq!(affected(&company(), &changed)[0].1, "`modules/labels/variables.tf` changed");
    assert_eq!(dirs(&company(), &["modules/vpc/templates/user_data.sh"]), both);
}

#[test]
fn the_reason_names_a_file_of_the_project_itself_if_there_is_one() {
    let changed = ["modules/vpc/main.tf", "prod/network/main.tf"];
    let reasons = affected(&company(), &changed);
    assert_eq!(reasons[0].1, "`prod/network/main.tf` changed");
    assert_eq!(reasons[1].1, "`modules/vpc/main.tf` changed");
}

#[test]
fn a_module_that_was_deleted_still_concerns_its_users() {
    let all: Vec<_> = company().into_iter().filter(|(name, _)| *name != "modules/labels").collect();
    assert_eq!(dirs(&all, &["modules/labels/main.tf"]), ["prod/network", "staging/network"]);
}

#[test]
fn a_project_inside_another_is_a_project_of_its_own() {
    let all = [("prod", module(&[])), ("prod/dns", module(&[]))];
    assert_eq!(dirs(&all, &["prod/dns/main.tf"]), ["prod/dns"]);
    assert_eq!(dirs(&all, &["prod/main.tf"]), ["prod"]);
}

#[test]
fn a_project_in_the_root_of_the_repository_owns_what_nobody_else_does() {
    let all = [(".", module(&["modules/a"])), ("modules/a", module(&[])), ("other", module(&[]))];
    assert_eq!(dirs(&all, &["main.tf"]), ["."]);
    assert_eq!(dirs(&all, &["policies/x.json"]), ["."]);
    assert_eq!(dirs(&all, &["other/x.tf"]), ["other"]);
    assert_eq!(dirs(&all, &["modules/a/x.tf"]), ["."]);
}

#[test]
fn what_is_used_or_lies_below_modules_is_no_project_unless_it_has_a_backend() {
    let with_backend = ModuleFacts { backend: Some("s3".into()), ..module(&[]) };
    let all = [
        ("prod", module(&["shared"])),
        ("shared", module(&[])),
        ("modules/unused", module(&[])),
        ("modules/unused/examples/basic", module(&[])),
        ("modules/stateful", with_backend.clone()),
        ("used-but-stateful", with_backend),
        ("user", module(&["used-but-stateful"])),
        ("itself", module(&["itself"])),
    ];
    let modules = modules(&all);
    let roots: Vec<&str> = modules.roots().into_iter().map(ProjectDir::as_str).collect();
    assert_eq!(roots, ["itself", "modules/stateful", "prod", "used-but-stateful", "user"]);
}

#[test]
fn code_that_cannot_be_read_is_planned_with_every_change_and_not_with_none() {
    let mut all = company();
    all[0].1 = unreadable(&["modules/vpc"]);
    assert_eq!(
        affected(&all, &["prod/dns/main.tf"])[1],
        (
            "prod/network".to_owned(),
            "`prod/dns/main.tf` changed, and `x.tf` cannot be parsed, so that what is used here is not known"
                .to_owned()
        )
    );
    assert!(dirs(&all, &["README.md"]).is_empty(), "what belongs to no module can be part of none");

    let mut all = company();
    all[4].1 = unreadable(&[]);
    assert_eq!(dirs(&all, &["prod/dns/main.tf"]), ["prod/dns", "prod/network", "staging/network"]);

    let broken_and_unused = [("modules/new", unreadable(&[])), ("prod", module(&[]))];
    assert_eq!(dirs(&broken_and_unused, &["modules/new/x.tf"]), ["modules/new"], "its error must be seen");
}

#[test]
fn a_linked_file_concerns_those_who_link_to_it() {
    let mut linking = module(&[]);
    linking.links.insert("prod/eu/common.tf".into(), "common/common.tf".into());
    let all = [("prod/eu", linking), ("prod/us", module(&[])), ("common", module(&[]))];
    assert_eq!(dirs(&all, &["common/common.tf"]), ["common", "prod/eu"]);
}

#[test]
fn modules_that_use_each_other_come_to_an_end() {
    let all = [("a", module(&["b"])), ("b", module(&["a"])), ("prod", module(&["a"]))];
    assert_eq!(dirs(&all, &["b/x.tf"]), ["prod"]);
}

#[test]
fn var_files_and_watched_files_concern_the_project_that_names_them() {
    let all = modules(&company());
    let network = dir("prod/network");
    let var_files = ["../../vars/prod.tfvars".to_owned()];
    let watch = ["policies/**/*.json".to_owned(), "[".to_owned()];
    let extent = Extent { dir: &network, var_files: &var_files, watch: &watch };
    let concerns = |path: &str| all.concerns(&extent, &[path.to_owned()]).is_some();
    assert!(concerns("vars/prod.tfvars"));
    assert!(concerns("policies/a/b.json"));
    assert!(concerns("policies/b.json"));
    assert!(!concerns("policies/b.yaml"));
    assert!(!concerns("vars/staging.tfvars"));
}

#[test]
fn paths_are_resolved_inside_the_repository_only() {
    for (from, text, to) in [
        ("prod/network", "../../modules/vpc", Some("modules/vpc")),
        ("prod", "./a//b/", Some("prod/a/b")),
        ("prod", "..", Some("")),
        (".", "a", Some("a")),
        (".", "../a", None),
        ("prod", "../../a", None),
        ("prod", "/etc/passwd", None),
    ] {
        assert_eq!(resolve(&dir(from), text).as_deref(), to, "{from} {text}");
    }
}

#[test]
fn versions_are_demanded_by_the_project_and_by_its_modules() {
    let mut all = company();
    all[0].1.required_versions = vec![">= 1.5".into()];
    all[4].1.required_versions = vec!["< 2.0".into(), ">= 1.5".into()];
    all[1].1.required_versions = vec!["= 0.12.0".into()];
    assert_eq!(modules(&all).required_versions(&dir("prod/network")), ["< 2.0", ">= 1.5"]);
}

const TREE: [(&str, &str); 9] = [
    ("README.md", "1"),
    ("modules/labels/main.tf", "2"),
    ("modules/vpc/main.tf", "3"),
    ("modules/vpc/templates/x.sh", "4"),
    ("prod/dns/main.tf", "5"),
    ("prod/network/main.tf", "6"),
    ("prod/network/.terraform.lock.hcl", "7"),
    ("staging/network/main.tf", "8"),
    ("vars/prod.tfvars", "9"),
];

fn inputs(all: &Modules, tree: &[(&str, &str)], links: &[&str]) -> String {
    let network = dir("prod/network");
    let var_files = ["../../vars/prod.tfvars".to_owned()];
    let files = tree.iter().map(|(path, object)| TreeFile { path, object, link: links.contains(path) });
    all.inputs(&Extent { dir: &network, var_files: &var_files, watch: &[] }, files)
}

/// The paths whose content the inputs depend on.
fn sensitive_to(all: &Modules, tree: &[(&str, &str)], links: &[&str]) -> Vec<String> {
    let whole = inputs(all, tree, links);
    let changed = |index: usize| {
        let mut tree = tree.to_vec();
        tree[index].1 = "changed";
        inputs(all, &tree, links) != whole
    };
    (0..tree.len()).filter(|index| changed(*index)).map(|index| tree[index].0.to_owned()).collect()
}

#[test]
fn inputs_are_the_project_its_modules_and_its_var_files() {
    assert_eq!(
        sensitive_to(&modules(&company()), &TREE, &[]),
        [
            "modules/labels/main.tf",
            "modules/vpc/main.tf",
            "modules/vpc/templates/x.sh",
            "prod/network/main.tf",
            "prod/network/.terraform.lock.hcl",
            "vars/prod.tfvars",
        ]
    );
}

#[test]
fn a_file_that_is_renamed_added_or_removed_changes_the_inputs() {
    let all = modules(&company());
    let whole = inputs(&all, &TREE, &[]);
    let mut renamed = TREE;
    renamed[5].0 = "prod/network/network.tf";
    assert_ne!(inputs(&all, &renamed, &[]), whole);
    assert_ne!(inputs(&all, &TREE[..8], &[]), whole, "without the var file");
    let mut swapped = TREE;
    (swapped[5].1, swapped[6].1) = (swapped[6].1, swapped[5].1);
    assert_ne!(inputs(&all, &swapped, &[]), whole);
    let mut other_order = TREE;
    other_order.reverse();
    assert_eq!(inputs(&all, &other_order, &[]), whole);
}

#[test]
fn inputs_are_the_whole_repository_where_not_everything_is_known() {
    let mut all = company();
    all[3].1 = unreadable(&["modules/labels"]);
    assert_eq!(sensitive_to(&modules(&all), &TREE, &[]).len(), TREE.len());

    let through_a_linked_directory = [("prod/network", module(&["prod/network/mods/vpc"]))];
    assert_eq!(sensitive_to(&modules(&through_a_linked_directory), &TREE, &[]).len(), TREE.len());

    let link_to_anywhere = ["modules/vpc/templates/x.sh"];
    assert_eq!(sensitive_to(&modules(&company()), &TREE, &link_to_anywhere).len(), TREE.len());
    let link_elsewhere = ["staging/network/main.tf"];
    assert_eq!(sensitive_to(&modules(&company()), &TREE, &link_elsewhere).len(), 6);
}

#[test]
fn inputs_take_the_file_that_a_link_leads_to() {
    let mut all = company();
    all[0].1.links.insert("prod/network/main.tf".into(), "staging/network/main.tf".into());
    let files = sensitive_to(&modules(&all), &TREE, &["prod/network/main.tf"]);
    assert_eq!(files.len(), 7);
    assert!(files.contains(&"staging/network/main.tf".to_owned()));
}

proptest! {
    /// Whatever concerns a project also changes its inputs: otherwise a saved plan would run that the change made old.
    #[test]
    fn what_concerns_a_project_is_among_its_inputs(
        edges in proptest::collection::vec((0usize..6, 0usize..6), 0..12),
        broken in proptest::option::of(0usize..6),
        changed in 0usize..6,
    ) {
        let names = ["a", "b", "b/c", "modules/d", "e", "."];
        let facts = |index: usize| {
            let uses: Vec<&str> = edges.iter().filter(|(from, _)| *from == index).map(|(_, to)| names[*to]).collect();
            if broken == Some(index) { unreadable(&uses) } else { module(&uses) }
        };
        let all: Modules = names.iter().enumerate().map(|(index, name)| (dir(name), facts(index))).collect();
        let paths: Vec<String> = names.iter().map(|name| format!("{}main.tf", dir(name).prefix())).collect();
        let tree = |objects: &str| -> Vec<(String, String)> {
            let object = |index| if index == changed { objects.to_owned() } else { "same".to_owned() };
            paths.iter().enumerate().map(|(index, path)| (path.clone(), object(index))).collect()
        };
        for (project, _) in all.affected(&[paths[changed].clone()]) {
            let extent = Extent { dir: &project, var_files: &[], watch: &[] };
            let hash = |tree: &[(String, String)]| {
                all.inputs(&extent, tree.iter().map(|(path, object)| TreeFile { path, object, link: false }))
            };
            prop_assert_ne!(hash(&tree("old")), hash(&tree("new")));
        }
    }
}
