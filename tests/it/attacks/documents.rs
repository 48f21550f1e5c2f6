//! What `docs/security.md` says of each level is what the tables of the attacks say, and those are tried.

use super::attack::{Attack, Shown, Way};
use super::attacks;
use crate::sandbox::{CAGED, Yard, said};
use terraplane::sandbox::Level;

const SECURITY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));

/// Rows of its table of what is held, each with the cases that show it.
const ROWS: &[(&str, &[u8])] = &[
    ("reading and writing files that were not given", &[6, 7, 8, 16]),
    ("modes and times of the server's files", &[14, 15]),
    ("environment, memory, limits and priorities of other processes", &[5, 13, 27, 29]),
    ("signals to other processes", &[29]),
    ("connections past the proxy", &[19, 20, 21, 25]),
    ("connections that come in", &[23]),
    ("datagrams, raw sockets, SCTP, DCCP, MPTCP, vsock", &[22, 24, 53]),
    ("unix sockets of the host", &[17, 18]),
    (
        "mounts, namespaces, ptrace, keys, io_uring, BPF, shared memory and queues that outlive a process",
        &[26, 27, 28, 30],
    ),
];

/// Shown below.
const TREE: &str = "the work tree stays as it was reviewed";

/// The cells of the table of what is held, by the first of each row.
fn table() -> Vec<(&'static str, Vec<&'static str>)> {
    let from = SECURITY.find("| | `full` | `reduced` | `weak` |").expect("the table of what is held");
    let rows = SECURITY[from..].lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        (cells.next().unwrap(), cells.collect())
    })
    .collect()
}

fn ways(numbers: &[u8]) -> Vec<&'static Way> {
    let of = |attack: &'static Attack| match attack.shown {
        Shown::Module(ways) => ways,
        Shown::By(_) => panic!("{:02} has no ways", attack.number),
    };
    attacks().filter(|attack| numbers.contains(&attack.number)).flat_map(of).collect()
}

#[test]
fn what_is_called_open_is_open_and_nothing_else() {
    let table = table();
    let rows: Vec<&str> = table.iter().map(|(row, _)| *row).collect();
    let shown: Vec<&str> = ROWS.iter().map(|(row, _)| *row).chain([TREE]).collect();
    assert_eq!(rows, shown, "each row is shown by something");
    for ((row, cells), (_, numbers)) in table.iter().zip(ROWS) {
        for (level, cell) in CAGED.iter().zip(cells) {
            let ways = ways(numbers);
            let always = ways.iter().any(|way| way.open_at.contains(level));
            let unless_root = ways.iter().any(|way| way.open_unless_root.contains(level));
            // What an older kernel leaves open has a table of its own.
            let says = cell.starts_with("**open**");
            assert_eq!(says, always || unless_root, "{row}, {level}: {cell}");
            if says {
                assert_eq!(cell.contains("unless the server is root"), unless_root, "{row}, {level}: {cell}");
            } else {
                assert!(cell.starts_with('✓'), "{row}, {level}: {cell}");
            }
        }
    }
}

#[tokio::test]
async fn only_at_full_the_work_tree_stays_as_it_was() {
    let cells = table().into_iter().find(|(row, _)| *row == TREE).unwrap().1;
    for (level, cell) in CAGED.into_iter().zip(cells) {
        let yard = Yard::at(level).await;
        std::fs::write(yard.tree.join("main.tf"), "reviewed").unwrap();
        let mut cage = yard.cage().await;
        said(&mut cage, yard.script("echo changed > main.tf && echo more > more.tf")).await;
        cage.close().await;
        let stays = std::fs::read_to_string(yard.tree.join("main.tf")).unwrap() == "reviewed"
            && !yard.tree.join("more.tf").exists();
        assert_eq!((stays, level == Level::Full), (cell == "✓", stays), "{level}: {cell}");
    }
}
