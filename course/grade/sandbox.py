"""Start a command in a sandbox: python sandbox.py '{"visible": [...], ...}' command...

With namespaces (Linux, started through `unshare`, see `wrapped`): a file system that holds nothing but the
paths that are named, read-only, and a small /tmp; no network, not even loopback; its own process numbers, so
that everything inside dies with it; no privileges. A process in it can go one step further (`unshare`,
`private_view`): name spaces of its own that nobody else shares. Without namespaces nothing is shut off.
Needs nothing but the standard library, because it runs before everything else.
"""

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
NEW_MOUNTS, NEW_REST = 0x20000, 0x10000000 | 0x20000000 | 0x40000000 | 0x8000000 | 0x4000000
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
# the C library looks there whether there are huge pages
HUGE_PAGES = tuple(f"/sys/kernel/mm/transparent_hugepage/{name}" for name in ("enabled", "hpage_pmd_size"))
SETTINGS = ("ld.so.cache", "passwd", "group", "nsswitch.conf", "localtime", "fonts", "alternatives")
DEVICES = ("null", "zero", "full", "random", "urandom")
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork"]
UNSHARE += ["--kill-child", "--propagation", "private"]
KEYCTL = {"x86_64": 250, "aarch64": 219}  # the number of this system call, which the C library does not have
JOIN_SESSION_KEYRING, SET_PERMISSION = 1, 5
SETFCAP = 31  # whoever maps user 0 into a new user namespace must hold this capability
PROCESSES = 256
LARGEST_FILE = 50 * 2**20


@cache
def available():
    """Whether this machine lets us make a sandbox, and in it another one; tried once."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    here = str(Path(__file__).parent)
    inner = f"import sys; sys.path.insert(0, {here!r}); import sandbox; sandbox.attempt()"
    with tempfile.TemporaryDirectory() as folder:
        visible = [sys.base_prefix, sys.prefix, Path(sys.prefix).resolve(), Path(__file__).parent]
        command = wrapped([sys.executable, "-I", "-S", "-c", inner], folder, visible, True)
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def attempt():
    """Fail unless a process here can have name spaces of its own."""
    if not unshare():
        os._exit(1)
    if os.fork() == 0:
        private_view(1)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))


def wrapped(command, folder, visible, namespaces, hidden=()):
    """The command line that runs `command` in a sandbox; folder: an empty one, to build the new root on.

    hidden: folders that are empty in it, even where they lie inside a visible one.
    """
    settings = {"root": str(folder) if namespaces else None}
    settings |= {"visible": [*map(str, visible)], "hidden": [*map(str, hidden)]}
    start = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), json.dumps(settings)]
    return [*(UNSHARE if namespaces else []), *start, *command]


def mount(source, target, kind, flags, data=None):
    libc = ctypes.CDLL(None, use_errno=True)
    encoded = [None if text is None else str(text).encode() for text in (source, target, kind)]
    if libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() if data else None):
        raise OSError(ctypes.get_errno(), f"mount {target}")


def show(path, root):
    """Make a path visible below the new root, at the same place."""
    path, target = Path(path), Path(f"{root}{path}")
    if path.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(os.readlink(path))
        return
    if not path.exists() or target.exists():
        return
    if path.is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    bind(path, target)


def bind(path, target):
    """Mount a path a second time, where nobody can write, nor change owner, rights or times of what it is."""
    mount(path, target, None, BIND | REC)
    # a mount that came from outside keeps its own restrictions
    held = os.statvfs(target).f_flag & (NOSUID | NODEV | NOEXEC)
    mount(None, target, None, BIND | REMOUNT | RDONLY | NOSUID | held)


def enter(settings):
    """Build the new root and move into it."""
    root = settings["root"]
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=256m,mode=755")
    Path(root, "tmp").mkdir()
    for path in (*SYSTEM, *HUGE_PAGES, *(f"/etc/{name}" for name in SETTINGS)):
        show(path, root)
    for name in DEVICES:
        target = Path(root, "dev", name)
        target.parent.mkdir(exist_ok=True)
        target.touch()
        bind(f"/dev/{name}", target)
    for name, link in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(root, "dev", name).symlink_to(link)
    Path(root, "dev", "shm").mkdir(mode=0o777)
    # the longest first: a folder inside a visible one is visible with it
    for path in sorted(settings["visible"], key=len):
        show(path, root)
    for path in settings["hidden"]:
        if Path(f"{root}{path}").is_dir():
            mount("tmpfs", f"{root}{path}", "tmpfs", RDONLY | NOSUID | NODEV, "size=4k")
    Path(root, "proc").mkdir()
    mount("proc", Path(root, "proc"), "proc", NOSUID | NODEV | NOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(root)
    # not chroot: a process below a changed root may not make name spaces of its own
    if libc.pivot_root(b".", b".") or libc.umount2(b".", 2):
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/tmp")


def unshare():
    """Give this process's children process numbers, network and more of their own; whether that worked."""
    user, group = os.geteuid(), os.getegid()
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).unshare(NEW_REST):
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return True


def private_view(disk):
    """In the first process of new name spaces: an empty /tmp of `disk` MB, all else read-only, no power."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount(None, "/", "none", PRIVATE | REC)
    mount(None, "/", None, BIND | REMOUNT | RDONLY | NOSUID | NODEV)
    places = (
        line.split()[4].replace("\\040", " ")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )
    names = {place.split("/")[2] for place in places if place.startswith("/tmp/")}
    shown = os.open("/tmp", os.O_PATH)  # course, data or environment may lie below /tmp: they stay there
    for place, size in (("/tmp", disk), ("/dev/shm", 64)):
        mount("tmpfs", place, "tmpfs", NOSUID | NODEV, f"size={size}m,nr_inodes=10k,mode=777")
    for name in names:
        os.mkdir(f"/tmp/{name}")
        mount(f"/proc/self/fd/{shown}/{name}", f"/tmp/{name}", None, BIND | REC)
    os.close(shown)
    mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")  # no way to new power
    with contextlib.suppress(OSError):  # since Linux 6.14 each process namespace has its own limit
        Path("/proc/sys/kernel/pid_max").write_text(str(2 * PROCESSES))
    # where the grader is root, user 0 here owns the kernel's settings, without any power
    mount(None, "/proc", None, BIND | REMOUNT | RDONLY | NOSUID | NODEV | NOEXEC)
    libc.sethostname(b"student", 7)
    give_up_privileges()
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def namespaced_processes():
    """Whether a limit of processes counts per name space (Linux 5.14), not all processes of the user."""
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 14)


def give_up_privileges(kept=None):
    """No capability but one for this process and its children, ever again."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        if capability != kept:
            libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT, clear all
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS


def seal_keys():
    """A session keyring of our own that nobody may search or write: all copies of this process will have it.

    Otherwise it would be the login's, in which one hand-in could leave words for another. The keyrings of a
    user are new in every user namespace (Linux 5.3). Where the kernel has no keys, or refuses these calls to
    everybody (seccomp), there is nothing to seal.
    """
    if number := KEYCTL.get(os.uname().machine):
        call = ctypes.CDLL(None, use_errno=True).syscall
        if (ring := call(number, JOIN_SESSION_KEYRING, None)) > 0 and call(number, SET_PERMISSION, ring, 0):
            raise OSError(ctypes.get_errno(), "the session keyring cannot be sealed")


def main():
    settings, command = json.loads(sys.argv[1]), sys.argv[2:]
    if settings["root"]:
        enter(settings)
        seal_keys()
        give_up_privileges(kept=SETFCAP)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
