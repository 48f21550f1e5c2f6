//! Which item of a list became which: plan JSON writes sets as lists, and in a list one item put in front moves all others.
//!
//! Equal items belong together wherever they stand. Of the rest, those belong together that have the same name, then
//! those that are mostly alike; what is left was taken out or put in.

use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// Above this, items are compared place by place: pairing looks at every item beside every other.
const MOST_PAIRED: usize = 200;

/// Attributes by which people tell the items of a list of objects apart.
const NAMES: &[&str] = &["name", "Name", "id", "Id", "key", "Key", "sid", "Sid", "device_name", "path", "rule_number"];

/// An item before and the same item after, by their places; one side is missing for what was put in or taken out.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// What differs, in the order of the new list; `None` if the lists have the same items and only their order differs.
///
/// `settled`: whether all is known of an item of the new list. One that is partly unknown is equal to none.
pub(super) fn pairs(before: &[Value], after: &[Value], settled: impl Fn(usize) -> bool) -> Option<Vec<Pair>> {
    let (start, end) = common_ends(before, after, &settled);
    let old: Vec<usize> = (start..before.len() - end).collect();
    let new: Vec<usize> = (start..after.len() - end).collect();
    if old.len() > MOST_PAIRED || new.len() > MOST_PAIRED {
        let most = old.len().max(new.len());
        return Some((0..most).map(|place| (old.get(place).copied(), new.get(place).copied())).collect());
    }
    let (mut old, mut new) = without_equal(before, after, &settled, old, new);
    if old.is_empty() && new.is_empty() && before.len() == after.len() && before != after {
        return None;
    }
    let mut found: Vec<Pair> = Vec::new();
    take_pairs(&mut old, &mut new, &mut found, |b, a| same_name(&before[b], &after[a]));
    take_alike(before, after, &mut old, &mut new, &mut found);
    // What was replaced where it stands.
    let as_many = before.len() == after.len();
    let plain = |b: usize, a: usize| is_plain(&before[b]) && is_plain(&after[a]);
    take_pairs(&mut old, &mut new, &mut found, |b, a| a == b && (as_many || plain(b, a)));
    found.extend(old.into_iter().map(|place| (Some(place), None)));
    found.extend(new.into_iter().map(|place| (None, Some(place))));
    found.sort_by_key(|(before, after)| (after.or(*before), after.is_some()));
    Some(found)
}

/// How many items two lists have in common at their beginning and, of the rest, at their end.
fn common_ends(before: &[Value], after: &[Value], settled: &impl Fn(usize) -> bool) -> (usize, usize) {
    let most = before.len().min(after.len());
    let start = (0..most).take_while(|&place| settled(place) && before[place] == after[place]).count();
    let end = (1..=most - start)
        .take_while(|back| {
            let (b, a) = (before.len() - back, after.len() - back);
            settled(a) && before[b] == after[a]
        })
        .count();
    (start, end)
}

fn without_equal(
    before: &[Value],
    after: &[Value],
    settled: &impl Fn(usize) -> bool,
    old: Vec<usize>,
    new: Vec<usize>,
) -> (Vec<usize>, Vec<usize>) {
    let mut texts: HashMap<String, Vec<usize>> = HashMap::new();
    for place in old.iter().rev() {
        texts.entry(before[*place].to_string()).or_default().push(*place);
    }
    let mut gone = BTreeSet::new();
    let new = new.into_iter().filter(|place| {
        let equal = settled(*place).then(|| texts.get_mut(&after[*place].to_string())?.pop()).flatten();
        equal.map(|old| gone.insert(old)).is_none()
    });
    let new = new.collect();
    (old.into_iter().filter(|place| !gone.contains(place)).collect(), new)
}

fn take_pairs(
    old: &mut Vec<usize>,
    new: &mut Vec<usize>,
    found: &mut Vec<Pair>,
    belong: impl Fn(usize, usize) -> bool,
) {
    old.retain(|b| match new.iter().position(|a| belong(*b, *a)) {
        Some(at) => {
            found.push((Some(*b), Some(new.remove(at))));
            false
        }
        None => true,
    });
}

/// The most alike first.
fn take_alike(before: &[Value], after: &[Value], old: &mut Vec<usize>, new: &mut Vec<usize>, found: &mut Vec<Pair>) {
    let mut candidates: Vec<(usize, usize, usize)> = Vec::new();
    for b in &*old {
        for a in &*new {
            if let (Value::Object(one), Value::Object(other)) = (&before[*b], &after[*a]) {
                let (alike, of) = alike(one, other);
                if 2 * alike >= of && alike > 0 {
                    candidates.push((of - alike, *b, *a));
                }
            }
        }
    }
    candidates.sort_unstable();
    for (_, b, a) in candidates {
        if old.contains(&b) && new.contains(&a) {
            old.retain(|place| *place != b);
            new.retain(|place| *place != a);
            found.push((Some(b), Some(a)));
        }
    }
}

/// How many attributes are equal, of how many that say something on either side.
fn alike(one: &Map<String, Value>, other: &Map<String, Value>) -> (usize, usize) {
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let telling = |key: &&&String| ![one.get(**key), other.get(**key)].into_iter().flatten().all(says_nothing);
    let telling: Vec<&&String> = keys.iter().filter(telling).collect();
    let equal = telling.iter().filter(|key| one.get(**key as &str) == other.get(**key as &str)).count();
    (equal, telling.len())
}

/// What providers fill in where nothing is set: equal everywhere, so it makes nothing alike.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn same_name(one: &Value, other: &Value) -> bool {
    let name = |value: &Value| {
        let map = value.as_object()?;
        NAMES.iter().find_map(|name| Some((*name, map.get(*name).filter(|value| !says_nothing(value))?.clone())))
    };
    name(one).is_some_and(|found| name(other) == Some(found))
}

const fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(before: &Value, after: &Value) -> Option<Vec<Pair>> {
        pairs(before.as_array().unwrap(), after.as_array().unwrap(), |_| true)
    }

    #[test]
    fn one_item_put_in_front_is_one_item() {
        assert_eq!(of(&json!(["b", "c"]), &json!(["a", "b", "c"])), Some(vec![(None, Some(0))]));
    }

    #[test]
    fn the_same_items_in_another_order_are_told_from_a_change() {
        assert_eq!(of(&json!(["a", "b"]), &json!(["b", "a"])), None);
        assert_eq!(of(&json!(["a"]), &json!(["a"])), Some(vec![]));
        assert_eq!(of(&json!(["a", "a", "b"]), &json!(["b", "a"])), Some(vec![(Some(1), None)]));
    }

    #[test]
    fn a_rule_that_changed_is_the_same_rule_and_a_rule_that_went_is_gone() {
        let rule = |port: u16, cidr: &str| json!({"port": port, "protocol": "tcp", "cidr": cidr, "self": false});
        let before = json!([rule(22, "10.0.0.0/8"), rule(80, "0.0.0.0/0"), rule(443, "0.0.0.0/0")]);
        let after = json!([rule(443, "0.0.0.0/0"), rule(22, "10.1.0.0/16")]);
        assert_eq!(
            of(&before, &after),
            Some(vec![(Some(0), Some(1)), (Some(1), None)]).map(|mut all: Vec<Pair>| {
                all.sort_by_key(|(before, after)| (after.or(*before), after.is_some()));
                all
            })
        );
    }

    #[test]
    fn a_name_makes_an_item_the_same_however_else_it_changed() {
        let before = json!([{"name": "a", "x": 1, "y": 1}, {"name": "b", "x": 2, "y": 2}]);
        let after = json!([{"name": "b", "x": 3, "y": 3}]);
        assert_eq!(
            of(&before, &after),
            Some(vec![(Some(0), None), (Some(1), Some(0))]).map(|mut all: Vec<Pair>| {
                all.sort_by_key(|(before, after)| (after.or(*before), after.is_some()));
                all
            })
        );
    }

    #[test]
    fn an_item_that_is_not_known_yet_is_equal_to_none() {
        let found = pairs(&[json!("a")], &[json!("a")], |_| false);
        assert_eq!(found, Some(vec![(Some(0), Some(0))]));
    }

    proptest! {
        /// Whatever is not told of is equal on both sides, and nothing is told of twice.
        #[test]
        fn every_item_that_is_not_named_has_an_equal(before in prop::collection::vec(0u8..6, 0..9), after in prop::collection::vec(0u8..6, 0..9)) {
            let (before, after): (Vec<Value>, Vec<Value>) = (before.iter().map(|n| json!(n)).collect(), after.iter().map(|n| json!(n)).collect());
            let found = pairs(&before, &after, |_| true).unwrap_or_default();
            let (old, new): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let rest = |all: &[Value], named: Vec<Option<usize>>| {
                let mut rest: Vec<String> = all.iter().enumerate().filter(|(i, _)| !named.contains(&Some(*i))).map(|(_, v)| v.to_string()).collect();
                rest.sort();
                rest
            };
            prop_assert_eq!(rest(&before, old), rest(&after, new));
        }
    }
}
