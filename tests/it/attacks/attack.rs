//! What an attack is: a script, what would prove that it got what it is after, and where it is known to get through.

use terraplane::sandbox::Level;
use terraplane::sandbox::policy::{Limits, Network};

/// One case: a thing that somebody tries, in one or several ways.
pub(crate) struct Attack {
    /// Cases keep their number for good: people and tables refer to it.
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) shown: Shown,
}

/// Where a case is shown.
pub(crate) enum Shown {
    /// By programs in a cage of the module, with the policy of a plan. Each way is tried bare, and then at each level.
    Module(&'static [Way]),
    /// Through the whole loop, or with more than one cage: by these tests.
    By(&'static [Test]),
}

/// A test with a bare control of its own, and the file that it stands in.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
}

/// Names a test, by its file (from the crate's root) and its function. That the file exists is seen when this compiles.
macro_rules! test {
    ($file:literal, $name:literal) => {
        $crate::attacks::attack::Test {
            name: $name,
            source: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file)),
        }
    };
}
pub(crate) use test;

pub(crate) const fn module(number: u8, name: &'static str, ways: &'static [Way]) -> Attack {
    Attack { number, name, shown: Shown::Module(ways) }
}

pub(crate) const fn by(number: u8, name: &'static str, tests: &'static [Test]) -> Attack {
    Attack { number, name, shown: Shown::By(tests) }
}

/// One way to try it. What a script finds in its environment is told in [`super::scene`].
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) script: Script,
    pub(crate) proof: Proof,
    pub(crate) bare: Bare,
    /// The levels at which this is known to succeed. That it does is asserted as well: the table tells no lies.
    pub(crate) open_at: &'static [Level],
    /// And those at which it is only if the server is not root: its runs have no user of their own then.
    pub(crate) open_unless_root: &'static [Level],
    pub(crate) network: Network,
    /// Changes the usual limits.
    pub(crate) limits: fn(Limits) -> Limits,
    /// Milliseconds until the program is told to end.
    pub(crate) deadline: u64,
    /// The scene knocks at whatever door opens on this host, and hears who answers.
    pub(crate) knocks: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Script {
    Shell(&'static str),
    /// After [`super::scene::PRELUDE`].
    Python(&'static str),
}

/// What shows that an attack succeeded.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    /// The canary of this name is in what the program said.
    Says(&'static str),
    /// `$WORD`, which is new every time, arrives at a socket of the host's.
    Tells,
    /// `$WORD` stands in a file of the server's.
    Plants,
    /// The program could do what it wanted to do, and says `$WORD`.
    Does,
    /// The victim is dead.
    Kills,
    /// A process with the argument `$NAP` outlives the program.
    Outlives,
}

/// What becomes of it without a cage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bare {
    Succeeds,
    /// A user without rights could not do it anyway.
    SucceedsForRoot,
    /// It is not tried: it would harm the machine, or needs what not every kernel has.
    NotTried(&'static str),
}

pub(crate) const fn shell(script: &'static str) -> Way {
    way(Script::Shell(script))
}

pub(crate) const fn python(script: &'static str) -> Way {
    way(Script::Python(script))
}

const fn way(script: Script) -> Way {
    Way {
        script,
        proof: Proof::Does,
        bare: Bare::Succeeds,
        open_at: &[],
        open_unless_root: &[],
        network: Network::Allow,
        limits: std::convert::identity,
        deadline: 20_000,
        knocks: false,
    }
}

impl Way {
    pub(crate) const fn says(self, canary: &'static str) -> Self {
        Self { proof: Proof::Says(canary), ..self }
    }

    pub(crate) const fn tells(self) -> Self {
        Self { proof: Proof::Tells, ..self }
    }

    pub(crate) const fn plants(self) -> Self {
        Self { proof: Proof::Plants, ..self }
    }

    pub(crate) const fn kills(self) -> Self {
        Self { proof: Proof::Kills, ..self }
    }

    pub(crate) const fn outlives(self) -> Self {
        Self { proof: Proof::Outlives, ..self }
    }

    pub(crate) const fn root_only(self) -> Self {
        Self { bare: Bare::SucceedsForRoot, ..self }
    }

    pub(crate) const fn not_bare(self, why: &'static str) -> Self {
        Self { bare: Bare::NotTried(why), ..self }
    }

    pub(crate) const fn open_at(self, levels: &'static [Level]) -> Self {
        Self { open_at: levels, ..self }
    }

    pub(crate) const fn open_unless_root(self, levels: &'static [Level]) -> Self {
        Self { open_unless_root: levels, ..self }
    }

    /// It waits for somebody to come in, and tells.
    pub(crate) const fn opens(self) -> Self {
        Self { knocks: true, ..self.tells() }
    }

    pub(crate) const fn within(self, limits: fn(Limits) -> Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) const fn for_ms(self, deadline: u64) -> Self {
        Self { deadline, ..self }
    }
}
