//! What the programs see of the file system at [`crate::sandbox::Level::Full`]: a root in memory with little in it, and
//! the work tree below a layer in memory that takes all that is written.
//!
//! Only calls are used that containers commonly allow or that `docs` asks for: no `open_tree`, no `fsopen`.

use super::sys::{self, attribute};
use super::{LEAST_FILE, Trouble, landlock};
use crate::sandbox::policy::Policy;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where the host's files are while the view is built.
const OLD: &str = "/old";

/// Where the memory is that takes what is written, before it is hidden.
const STORAGE: &str = "/storage";

/// Directories or links at the top that belong to `/usr`.
const WITH_USR: [&str; 5] = ["bin", "sbin", "lib", "lib64", "lib32"];

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Who the one user is, for programs that ask.
const PASSWD: &str = "root:x:0:0:root:/:/usr/sbin/nologin\nrunner:x:1000:1000::/tmp:/bin/sh\n\
                      nobody:x:65534:65534::/:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nrunner:x:1000:\nnogroup:x:65534:\n";

/// A thing of the host's that will be seen at the same path.
pub(super) struct Source {
    path: PathBuf,
    /// Opened by whoever may pass the directories above it.
    host: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ReadOnly,
    Writable,
    /// Below a layer of that number.
    Layered(u8),
}

pub(super) struct View {
    storage: OwnedFd,
}

/// A view without the work tree and the scratch directory: what lies below a layer must not be changed once it does.
pub(super) struct Begun {
    storage: OwnedFd,
    /// The two, and what is within them.
    sources: Vec<Source>,
}

impl Begun {
    pub(super) fn finish(self) -> Result<View, Trouble> {
        let Self { storage, sources } = self;
        for source in &sources {
            show(source)?;
        }
        drop(sources);
        seal()?;
        Ok(View { storage })
    }
}

impl View {
    /// Opens all that the view is made of, outermost paths first.
    pub(super) fn sources(policy: &Policy) -> Result<Vec<Source>, Trouble> {
        let read_only = policy.read_only.iter().map(|path| (path, Kind::ReadOnly));
        let writable = policy.writable.iter().map(|path| (path, Kind::Writable));
        let own = |layer| if policy.on_disk { Kind::Writable } else { Kind::Layered(layer) };
        let layered = [(&policy.tree, own(0)), (&policy.scratch, own(1))];
        let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let mut sources = Vec::new();
        for path in landlock::SYSTEM.map(Path::new) {
            match open(path) {
                Ok(host) => sources.push(Source { path: path.to_owned(), host, kind: Kind::ReadOnly }),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Trouble::at(format!("opening `{}`", path.display()))(error)),
            }
        }
        for (path, kind) in read_only.chain(writable).chain(layered) {
            let host = open(path).map_err(Trouble::at(format!("opening `{}`", path.display())))?;
            sources.push(Source { path: path.clone(), host, kind });
        }
        sources.sort_by_key(|source| source.path.components().count());
        Ok(sources)
    }

    /// Turns the file system that this process sees into the view, but for the work tree and the scratch directory.
    pub(super) fn begin(policy: &Policy, sources: Vec<Source>) -> Result<Begun, Trouble> {
        change_root()?;
        for name in WITH_USR {
            with_usr(name)?;
        }
        directory("/etc")?;
        for (name, text) in [("passwd", PASSWD), ("group", GROUP)] {
            let path = format!("/etc/{name}");
            fs::write(&path, text).map_err(Trouble::at(path))?;
        }
        devices()?;
        directory("/proc")?;
        process_files();
        let storage = storage(policy.limits.disk)?;
        let own = |source: &Source| source.path.starts_with(&policy.tree) || source.path.starts_with(&policy.scratch);
        let (own, others): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(own);
        for source in &others {
            show(source)?;
        }
        Ok(Begun { storage, sources: own })
    }

    /// Whether nothing more can be written.
    pub(super) fn is_full(&self) -> bool {
        let free = rustix::fs::fstatvfs(&self.storage).map(|facts| (facts.f_bavail, facts.f_favail));
        matches!(free, Ok((0, _) | (_, 0)))
    }
}

/// An empty root in memory, with the host's at [`OLD`]. It is mounted where every host has a directory, and moved away at
/// once.
fn change_root() -> Result<(), Trouble> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(Trouble::at("making the mounts private"))?;
    memory("/usr", "mode=755,size=4m,nr_inodes=8192")?;
    directory(format!("/usr{OLD}"))?;
    rustix::process::pivot_root("/usr", format!("/usr{OLD}")).map_err(Trouble::at("changing the root"))?;
    std::env::set_current_dir("/").map_err(Trouble::at("changing the root"))
}

fn memory(path: &str, options: &str) -> Result<(), Trouble> {
    let options = CString::new(options).expect("options hold no zero byte");
    mount("tmpfs", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(options.as_c_str()))
        .map_err(Trouble::at(format!("mounting memory at `{path}`")))
}

fn directory(path: impl AsRef<Path>) -> Result<(), Trouble> {
    let path = path.as_ref();
    fs::create_dir_all(path).map_err(Trouble::at(format!("making `{}`", path.display())))
}

fn with_usr(name: &str) -> Result<(), Trouble> {
    let (host, here) = (format!("{OLD}/{name}"), format!("/{name}"));
    let Ok(facts) = fs::symlink_metadata(&host) else { return Ok(()) };
    if facts.is_symlink() {
        let target = fs::read_link(&host).map_err(Trouble::at(host.clone()))?;
        symlink(target, &here).map_err(Trouble::at(here))
    } else {
        directory(&here)?;
        bind(Path::new(&host), Path::new(&here), attribute::READ_ONLY)
    }
}

fn devices() -> Result<(), Trouble> {
    directory("/dev")?;
    for name in DEVICES {
        let (host, here) = (format!("{OLD}/dev/{name}"), format!("/dev/{name}"));
        if Path::new(&host).exists() {
            fs::write(&here, "").map_err(Trouble::at(here.clone()))?;
            mount_bind(&host, &here).map_err(Trouble::at(format!("showing `{here}`")))?;
        }
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("shm", "/tmp"),
    ];
    links.iter().try_for_each(|(name, target)| symlink(target, format!("/dev/{name}"))).map_err(Trouble::at("/dev"))
}

/// The files about this namespace's processes. Within a container that masks its own the kernel refuses; then there are
/// none, which terraform, git and most others can do without.
fn process_files() {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if mount("proc", "/proc", "proc", flags, None).is_err() {
        let _ = mount("proc", "/proc", "proc", flags, Some(c"subset=pid"));
    }
}

/// One bounded memory for all that is written: the layers and `/tmp`.
fn storage(size: u64) -> Result<OwnedFd, Trouble> {
    directory(STORAGE)?;
    memory(STORAGE, &format!("mode=700,size={size},nr_inodes={}", size / LEAST_FILE))?;
    let tmp = format!("{STORAGE}/tmp");
    directory(&tmp)?;
    directory("/tmp")?;
    bind(Path::new(&tmp), Path::new("/tmp"), 0)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(STORAGE, flags, Mode::empty()).map_err(Trouble::at("opening the storage"))
}

/// `attributes` come on top of those that everything has.
fn bind(from: &Path, to: &Path, attributes: u64) -> Result<(), Trouble> {
    let doing = || format!("showing `{}`", to.display());
    mount_bind_recursive(from, to).map_err(Trouble::at(doing()))?;
    let path = CString::new(to.as_os_str().as_bytes()).map_err(Trouble::at(doing()))?;
    let attributes = attributes | attribute::NO_SUID | attribute::NO_DEV;
    sys::add_mount_attributes(&path, attributes, true).map_err(Trouble::at(doing()))
}

fn show(source: &Source) -> Result<(), Trouble> {
    let Source { path, host, kind } = source;
    let facts = rustix::fs::fstat(host).map_err(Trouble::at(format!("looking at `{}`", path.display())))?;
    if FileType::from_raw_mode(facts.st_mode).is_dir() {
        directory(path)?;
    } else {
        place_for_file(path)?;
    }
    let host = format!("{OLD}/proc/self/fd/{}", host.as_raw_fd());
    match kind {
        Kind::ReadOnly => bind(Path::new(&host), path, attribute::READ_ONLY),
        Kind::Writable => bind(Path::new(&host), path, 0),
        Kind::Layered(number) => {
            let (upper, work) = (format!("{STORAGE}/{number}"), format!("{STORAGE}/{number}.work"));
            directory(&upper)?;
            directory(&work)?;
            let options = format!("lowerdir={host},upperdir={upper},workdir={work},userxattr");
            let options = CString::new(options).expect("options hold no zero byte");
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            mount("overlay", path, "overlay", flags, Some(options.as_c_str()))
                .map_err(Trouble::at(format!("laying a layer over `{}`", path.display())))
        }
    }
}

/// Something that a file can be mounted on; what is there already stays what it is.
fn place_for_file(path: &Path) -> Result<(), Trouble> {
    let made = File::create_new(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create_new(path)
        }
        _ => Err(error),
    });
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Trouble::at(format!("making `{}`", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Takes away what the view was built from.
fn seal() -> Result<(), Trouble> {
    for path in [STORAGE, OLD] {
        unmount(path, UnmountFlags::DETACH).map_err(Trouble::at(format!("hiding `{path}`")))?;
        fs::remove_dir(path).map_err(Trouble::at(format!("removing `{path}`")))?;
    }
    sys::add_mount_attributes(c"/", attribute::READ_ONLY, false).map_err(Trouble::at("making the root read-only"))
}
