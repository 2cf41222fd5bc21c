"""Who may do something to the kernel: capabilities, and what SELinux adds on Android."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from droidheaders.kernel.inquiry import Inquiry, User

# include/uapi/linux/capability.h.
CAPABILITIES = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_MODULE": 16,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
ROOT_HINT = "root the device (Magisk, KernelSU), or use a userdebug build"


_EVERYTHING = (1 << 41) - 1


def actor(inquiry: Inquiry) -> User:
    """Return who would do it: root where one can become it, else the shell.

    `adb root` gives root where the build is debuggable, in the domain su, which is permissive.
    """
    if inquiry.user.uid == 0 or not inquiry.debuggable:
        return inquiry.user
    return replace(inquiry.shell, how="adb root", uid=0, context="u:r:su:s0", caps=_EVERYTHING)


def who(user: User) -> str:
    """Return how a sentence calls a user."""
    return "the shell" if user.how == "shell" else f"root ({user.how})"


def held(user: User) -> list[str]:
    """Return the names of those CAPABILITIES that are in the user's effective set."""
    return [name for name, bit in CAPABILITIES.items() if user.caps >> bit & 1]


def lacking(user: User, wanted: Iterable[str]) -> list[str]:
    """Return what of `wanted` the user has not; CAP_SYS_ADMIN replaces the two that came of it."""
    have = held(user)
    replaced = ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN") if "CAP_SYS_ADMIN" in have else ()
    return [name for name in wanted if name not in have and name not in replaced]


def confined(inquiry: Inquiry, user: User) -> str:
    """Return the domain when SELinux keeps it from BPF and modules, else "".

    Of what a user of adb can be, only shell is: AOSP's policy lets bpfloader load programs and no
    other (private/bpfloader.te), while su is permissive, and Magisk's and KernelSU's domains are
    given everything.
    """
    domain = user.context.split(":")[2:3]
    return domain[0] if inquiry.probe.selinux == "enforcing" and domain == ["shell"] else ""
