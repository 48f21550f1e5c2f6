//! What somebody most likely meant to type.

use super::Verb;

/// The verb that somebody most likely meant: at most two slips away, and at most half of the word.
pub(super) fn closest(word: &str) -> Option<Verb> {
    let word = word.to_lowercase();
    if word.chars().count() > 12 {
        return None;
    }
    Verb::ALL
        .into_iter()
        .map(|verb| (slips(&word, verb.as_str()), verb))
        .filter(|(slips, verb)| *slips <= 2 && slips * 2 <= verb.as_str().len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, verb)| verb)
}

/// Damerau–Levenshtein distance (adjacent swaps count once): letters inserted, left out, changed or swapped.
fn slips(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
