//! The container files: valid, and what they say is what the server does.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_compose_file_is_valid() {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut compose = if plugin.is_ok_and(|said| said.status.success()) {
        let mut docker = Command::new("docker");
        docker.arg("compose");
        docker
    } else {
        Command::new("docker-compose")
    };
    let said = compose
        .args(["--file", "docker-compose.yml", "config"])
        .current_dir(root())
        .output()
        .expect("`docker compose` or `docker-compose` is needed: scripts/prerequisites.sh installs it");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{err}");
    for part in ["terraplane", "/var/lib/terraplane", "TERRAFORM_VERSION", "4141", "/etc/terraplane/server.yaml"] {
        assert!(out.contains(part), "`{part}` is missing:\n{out}");
    }
}

#[test]
fn the_image_runs_as_an_ordinary_user_with_a_volume_and_a_chosen_terraform() {
    let file = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let lines: Vec<&str> = file.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let has = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(has("ARG TERRAFORM_VERSION"), "{file}");
    assert!(lines.iter().filter(|line| line.starts_with("FROM ")).count() >= 2, "multi-stage:\n{file}");
    assert!(has("USER terraplane") && has("VOLUME /var/lib/terraplane"), "{file}");
    assert!(has("ENTRYPOINT [\"terraplane\"]"), "exec form, so that SIGTERM reaches the server:\n{file}");
    // What the build copies has to be there.
    for line in lines.iter().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        for source in &parts[1..parts.len() - 1] {
            assert!(root().join(source).exists(), "{line}");
        }
    }
}

/// What the profile adds to what containers commonly may.
const ADDED: [&str; 9] =
    ["clone", "mount", "mount_setattr", "pidfd_getfd", "pivot_root", "sethostname", "umount", "umount2", "unshare"];

/// The profile as runc takes it.
fn profile() -> Value {
    let text = fs::read_to_string(root().join("examples/container/seccomp.json")).unwrap();
    let mut profile: Value = serde_json::from_str(&text).unwrap();
    profile.as_object_mut().unwrap().remove("archMap");
    profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    for call in profile["syscalls"].as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("comment");
    }
    profile
}

/// Without what it adds. Not the default profile of Docker itself, but stricter than that: it allows nothing more of what
/// a sandbox is made of, and lacks some calls that only older architectures have.
fn common_profile() -> Value {
    let mut profile = profile();
    let calls = profile["syscalls"].as_array_mut().unwrap();
    for call in &mut *calls {
        call["names"].as_array_mut().unwrap().retain(|name| !ADDED.contains(&name.as_str().unwrap()));
    }
    calls.retain(|call| !call["names"].as_array().unwrap().is_empty());
    // Threads and processes, in no namespaces of their own.
    let no_namespaces = json!([{ "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }]);
    calls.push(json!({ "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": no_namespaces }));
    profile
}

/// `terraplane doctor` in a container such as Docker makes them: an ordinary user, no capabilities, no new privileges,
/// masked paths below `/proc`.
fn doctor_in_a_container(name: &str, seccomp: &Value) -> String {
    let dir = tempfile::tempdir().unwrap();
    let rootfs = dir.path().join("rootfs");
    for inner in ["usr", "etc", "proc", "dev", "sys", "opt"] {
        fs::create_dir_all(rootfs.join(inner)).unwrap();
    }
    for inner in ["tmp", "data"] {
        fs::create_dir(rootfs.join(inner)).unwrap();
        fs::set_permissions(rootfs.join(inner), fs::Permissions::from_mode(0o1777)).unwrap();
    }
    for inner in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{inner}"), rootfs.join(inner)).unwrap();
    }
    fs::write(rootfs.join("opt/terraplane"), "").unwrap();
    let read_only =
        |from: &str, to: &str| json!({ "destination": to, "type": "bind", "source": from, "options": ["rbind", "ro"] });
    let memory = |to: &str| json!({ "destination": to, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"] });
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    let configuration = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 10001, "gid": 10001 },
            "args": ["/opt/terraplane", "doctor"],
            "env": [
                "PATH=/usr/local/bin:/usr/bin:/bin",
                "TERRAPLANE_URL=http://127.0.0.1:1",
                "TERRAPLANE_DATA_DIR=/data/terraplane",
                "TERRAPLANE_GITHUB__API_URL=http://127.0.0.1:1",
                "TERRAPLANE_GITHUB__WEBHOOK_SECRET=hook",
                "TERRAPLANE_GITHUB__TOKEN=token",
                "TERRAPLANE_REPOS__0__MATCH=*/acme/*",
            ],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            memory("/tmp"),
            memory("/data"),
            read_only("/usr", "/usr"),
            read_only("/etc", "/etc"),
            read_only(env!("CARGO_BIN_EXE_terraplane"), "/opt/terraplane"),
        ],
        "linux": {
            "namespaces": namespaces,
            "seccomp": seccomp,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    fs::write(dir.path().join("config.json"), configuration.to_string()).unwrap();
    let as_root = rustix::process::geteuid().is_root();
    let mut runc = if as_root { Command::new("runc") } else { Command::new("sudo") };
    if !as_root {
        runc.args(["-n", "runc"]);
    }
    let name = format!("terraplane-{name}-{}", std::process::id());
    let Output { stdout, stderr, .. } = runc
        .args(["--root".as_ref(), dir.path().join("state").as_os_str(), "run".as_ref(), name.as_ref()])
        .current_dir(dir.path())
        .output()
        .expect("`runc` is needed: scripts/prerequisites.sh installs it");
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

#[test]
fn in_a_container_with_the_profile_of_the_repository_the_best_level_holds() {
    let text = doctor_in_a_container("profile", &profile());
    assert!(text.contains("sandbox: level `full` holds"), "{text}");
}

#[test]
fn in_a_container_without_the_calls_of_the_profile_reduced_holds_and_the_doctor_names_them() {
    let text = doctor_in_a_container("common", &common_profile());
    assert!(text.contains("sandbox: level `reduced` holds"), "{text}");
    for call in ADDED {
        assert!(text.contains(call), "{call}: {text}");
    }
}

#[test]
fn the_files_for_containers_name_what_is_there() {
    let compose = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    assert!(compose.contains("seccomp=examples/container/seccomp.json"), "{compose}");
    let allowed = profile()["syscalls"].to_string();
    for call in ADDED {
        assert!(allowed.contains(&format!("\"{call}\"")), "{call} is missing");
    }
    for call in ["bpf", "init_module", "kexec_load", "open_by_handle_at", "setns", "perf_event_open", "io_uring_setup"]
    {
        assert!(!allowed.contains(&format!("\"{call}\"")), "{call} is allowed");
    }
}
