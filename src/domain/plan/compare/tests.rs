use super::super::{OutputView, Shown};
use super::*;

fn resource(address: &str, action: Action, after: &str) -> ResourceView {
    let attribute = AttributeChange { path: "x".into(), before: Shown::Absent, after: Shown::Value(after.into()) };
    ResourceView { address: address.into(), ..as_resource("", action, &[attribute]) }
}

#[test]
fn equal_plans_differ_in_nothing() {
    let view =
        PlanView { resources: vec![resource("a", Action::Create, "1")], outputs: Vec::new(), ..PlanView::default() };
    assert_eq!(differences(&view, &view.clone()), []);
}

#[test]
fn the_order_of_resources_is_no_difference() {
    let (a, b) = (resource("a", Action::Create, "1"), resource("b", Action::Create, "1"));
    let one = PlanView { resources: vec![a.clone(), b.clone()], outputs: Vec::new(), ..PlanView::default() };
    let other = PlanView { resources: vec![b, a], outputs: Vec::new(), ..PlanView::default() };
    assert_eq!(differences(&one, &other), []);
}

#[test]
fn gone_new_and_changed_resources_and_outputs_are_found() {
    let output = |action| OutputView { name: "o".into(), action, attributes: Vec::new() };
    let reviewed = PlanView {
        resources: vec![
            resource("gone", Action::Create, "1"),
            resource("same", Action::Update, "1"),
            resource("x", Action::Update, "1"),
        ],
        outputs: vec![output(Action::Create)],
        ..PlanView::default()
    };
    let new = PlanView {
        resources: vec![
            resource("same", Action::Update, "1"),
            resource("new", Action::Delete, "1"),
            resource("x", Action::Replace, "1"),
        ],
        outputs: vec![output(Action::Delete)],
        ..PlanView::default()
    };
    let found = differences(&reviewed, &new);
    let told: Vec<String> = found
        .iter()
        .map(|difference| match difference {
            Difference::OnlyReviewed { resource } => format!("- {}", resource.address),
            Difference::OnlyNew { resource } => format!("+ {}", resource.address),
            Difference::Changed { reviewed, new } => {
                format!("! {} {:?} {:?}", new.address, reviewed.action, new.action)
            }
        })
        .collect();
    assert_eq!(told, ["- gone", "+ new", "! x Update Replace", "! output.o Create Delete"]);
}

#[test]
fn a_deposed_object_is_not_the_resource_of_the_same_address() {
    let deposed = ResourceView { deposed: Some("ff".into()), ..resource("a", Action::Delete, "1") };
    let reviewed =
        PlanView { resources: vec![resource("a", Action::Delete, "1")], outputs: Vec::new(), ..PlanView::default() };
    let new = PlanView { resources: vec![deposed], outputs: Vec::new(), ..PlanView::default() };
    assert_eq!(differences(&reviewed, &new).len(), 2);
}
