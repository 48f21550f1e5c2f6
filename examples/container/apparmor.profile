# /etc/apparmor.d/terraplane: lets this one program make user namespaces where Ubuntu forbids it to all others
# (kernel.apparmor_restrict_unprivileged_userns = 1). Load it with `apparmor_parser -r /etc/apparmor.d/terraplane`.
abi <abi/4.0>,
include <tunables/global>

profile terraplane /usr/local/bin/terraplane flags=(unconfined) {
  userns,
}
