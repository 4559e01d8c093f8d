"""Giving up what a worker does not need: root, new privileges, life after its supervisor."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


class PrivilegeError(Exception):
    """A user or group of the configuration does not exist, or the kernel said no."""


def identity(user: str, group: str) -> tuple[int, int] | None:
    """(uid, gid) that workers run as; None when they stay who we are. Raises PrivilegeError."""
    if not user or os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(user)
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError as error:
        raise PrivilegeError(f"user or group {error.args[0]!r} does not exist") from error
    return entry.pw_uid, gid


def drop(user: str, group: str) -> None:
    """Become *user* for good, without supplementary groups. Nothing happens when not root or no user is set."""
    ids = identity(user, group)
    if ids is None:
        return
    become(*ids)


def become(uid: int, gid: int) -> None:
    """Be somebody else for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getuid() != uid or os.geteuid() != uid:
        raise PrivilegeError("privileges were not dropped")


def confine(parent: int) -> None:
    """No new privileges by exec; no core dump with mail and keys in it; SIGKILL when the supervisor *parent* dies.

    To be called after `drop`, which clears the death signal.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise PrivilegeError(f"prctl({option}): {os.strerror(ctypes.get_errno())}")
