"""What each kind of BPF program needs from a kernel: release, configuration, BTF, capabilities.

Guards of the types are in include/linux/bpf_types.h, of BPF_EVENTS in kernel/trace/Kconfig;
capabilities in bpf_prog_load(), kernel/bpf/syscall.c; releases are those of the commits that
added the enumerators to include/uapi/linux/bpf.h, or the code behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.ui import printable

Options = tuple[tuple[str, ...], ...]
"""Options that must all be there, y or m; of one tuple, any is enough: they were renamed."""

UNPRIVILEGED = frozenset({"BPF_PROG_TYPE_SOCKET_FILTER", "BPF_PROG_TYPE_CGROUP_SKB"})
"""Types that need no capability while kernel.unprivileged_bpf_disabled is 0."""

CAPABILITIES_SINCE = (5, 8)
"""CAP_BPF and CAP_PERFMON came with 5.8 (commit a17b53c4a4b5); before, it was CAP_SYS_ADMIN."""

TRAMPOLINE_SINCE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"x86_64": (5, 5), "aarch64": (6, 0), "riscv64": (6, 3)}
)
"""Machines with arch_prepare_bpf_trampoline(): fec56f5890d9, efc9909fdce0, 49b5e77ae3e2."""


@dataclass(frozen=True)
class ProgramType:
    """One kind of program, as libbpf's section names tell them apart.

    `enumerator` is its enum bpf_prog_type, `attach` its enum bpf_attach_type where that came later
    than the type or decides, else "". `since` is the first release that can load and attach it.
    `config` is what loading needs besides BPF_SYSCALL, `attach_config` what attaching needs then.
    `btf`: the kernel must have its own BTF. `trampoline`: see TRAMPOLINE_SINCE. `capabilities` are
    those of CAPABILITIES_SINCE, and CAP_SYS_ADMIN replaces each of them.
    """

    name: str
    enumerator: str
    since: tuple[int, int]
    config: Options = ()
    attach_config: Options = ()
    btf: bool = False
    trampoline: bool = False
    capabilities: tuple[str, ...] = ("CAP_BPF",)
    attach: str = ""


_TRACING = ("CAP_BPF", "CAP_PERFMON")
_NET = ("CAP_BPF", "CAP_NET_ADMIN")
_EVENTS: Options = (("CONFIG_BPF_EVENTS",),)
_WITH_NET: Options = (("CONFIG_NET",),)
_WITH_INET: Options = (("CONFIG_INET",),)
_CGROUP: Options = (("CONFIG_NET",), ("CONFIG_CGROUP_BPF",))
# Renamed by 6b0b7551428e in 4.11.
_KPROBE: Options = (("CONFIG_KPROBE_EVENTS", "CONFIG_KPROBE_EVENT"),)
_UPROBE: Options = (("CONFIG_UPROBE_EVENTS", "CONFIG_UPROBE_EVENT"),)
_TRAMPOLINED: Options = (*_EVENTS, ("CONFIG_BPF_JIT",))
# register_ftrace_direct() is a stub without it: include/linux/ftrace.h. arm64 has it since 6.4
# (2aa6ac03516d), but not together with CFI.
_DIRECT: Options = (("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",),)


def _type(name: str, enumerator: str, since: tuple[int, int], **needs: object) -> ProgramType:
    return ProgramType(name, f"BPF_PROG_TYPE_{enumerator}", since, **needs)  # type: ignore[arg-type]


def _probe(name: str, since: tuple[int, int], attach: Options, kind: str = "") -> ProgramType:
    return _type(
        name,
        "KPROBE",
        since,
        config=_EVENTS,
        attach_config=attach,
        capabilities=_TRACING,
        attach=kind,
    )


def _traced(
    name: str,
    since: tuple[int, int],
    attach: str,
    enumerator: str = "TRACING",
    config: Options = _TRAMPOLINED,
) -> ProgramType:
    return _type(
        name,
        enumerator,
        since,
        config=config,
        attach_config=_DIRECT,
        btf=True,
        trampoline=True,
        capabilities=_TRACING,
        attach=attach,
    )


def _event(name: str, enumerator: str, since: tuple[int, int]) -> ProgramType:
    return _type(name, enumerator, since, config=_EVENTS, capabilities=_TRACING)


def _net(
    name: str,
    enumerator: str,
    since: tuple[int, int],
    attach_config: Options = (),
    config: Options = _WITH_NET,
    attach: str = "",
) -> ProgramType:
    return _type(
        name,
        enumerator,
        since,
        config=config,
        attach_config=attach_config,
        capabilities=_NET,
        attach=attach,
    )


_ALL = (
    # Probes. Uprobes took programs with 04a22fae4cbc in 4.3. Multi-probes are fprobes:
    # bpf_kprobe_multi_link_attach() in kernel/trace/bpf_trace.c.
    _probe("kprobe", (4, 1), _KPROBE),
    _probe("kretprobe", (4, 1), (*_KPROBE, ("CONFIG_KRETPROBES",))),
    _probe("kprobe.multi", (5, 18), (("CONFIG_FPROBE",),), "BPF_TRACE_KPROBE_MULTI"),
    _probe("kprobe.session", (6, 10), (("CONFIG_FPROBE",),), "BPF_TRACE_KPROBE_SESSION"),
    _probe("ksyscall", (4, 1), _KPROBE),
    _probe("uprobe", (4, 3), _UPROBE),
    _probe("uprobe.multi", (6, 6), _UPROBE, "BPF_TRACE_UPROBE_MULTI"),
    _probe("uprobe.session", (6, 13), _UPROBE, "BPF_TRACE_UPROBE_SESSION"),
    _probe("usdt", (4, 3), _UPROBE),
    _event("tracepoint", "TRACEPOINT", (4, 7)),
    _event("perf_event", "PERF_EVENT", (4, 9)),
    _event("raw_tp", "RAW_TRACEPOINT", (4, 17)),
    _event("raw_tp.w", "RAW_TRACEPOINT_WRITABLE", (5, 2)),
    # By BTF. Raw tracepoints and iterators need no trampoline.
    _type(
        "tp_btf",
        "TRACING",
        (5, 5),
        config=_EVENTS,
        btf=True,
        capabilities=_TRACING,
        attach="BPF_TRACE_RAW_TP",
    ),
    _type(
        "iter",
        "TRACING",
        (5, 8),
        config=_EVENTS,
        btf=True,
        capabilities=_TRACING,
        attach="BPF_TRACE_ITER",
    ),
    _traced("fentry", (5, 5), "BPF_TRACE_FENTRY"),
    _traced("fexit", (5, 5), "BPF_TRACE_FEXIT"),
    _traced("fmod_ret", (5, 7), "BPF_MODIFY_RETURN"),
    _traced("lsm", (5, 7), "BPF_LSM_MAC", "LSM", (("CONFIG_BPF_JIT",), ("CONFIG_BPF_LSM",))),
    _traced(
        "lsm_cgroup",
        (6, 0),
        "BPF_LSM_CGROUP",
        "LSM",
        (("CONFIG_BPF_JIT",), ("CONFIG_BPF_LSM",), ("CONFIG_CGROUP_BPF",)),
    ),
    _type(
        "struct_ops",
        "STRUCT_OPS",
        (5, 6),
        config=(("CONFIG_BPF_JIT",),),
        btf=True,
        trampoline=True,
        capabilities=_TRACING,
    ),
    # Its BTF is that of the program which it replaces a function of.
    _type(
        "freplace",
        "EXT",
        (5, 6),
        config=(("CONFIG_BPF_JIT",),),
        trampoline=True,
        capabilities=("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"),
    ),
    # Sockets and packets.
    _type("socket", "SOCKET_FILTER", (3, 19), config=_WITH_NET),
    _net("tc", "SCHED_CLS", (4, 1), (("CONFIG_NET_CLS_BPF",), ("CONFIG_NET_SCH_INGRESS",))),
    _net("action", "SCHED_ACT", (4, 1), (("CONFIG_NET_ACT_BPF",),)),
    _net("tcx", "SCHED_CLS", (6, 6), (("CONFIG_NET_XGRESS",),), attach="BPF_TCX_INGRESS"),
    _net("netkit", "SCHED_CLS", (6, 7), (("CONFIG_NETKIT",),), attach="BPF_NETKIT_PRIMARY"),
    _net("xdp", "XDP", (4, 8)),
    _net("lwt_in", "LWT_IN", (4, 10), (("CONFIG_LWTUNNEL_BPF",),)),
    _net("lwt_out", "LWT_OUT", (4, 10), (("CONFIG_LWTUNNEL_BPF",),)),
    _net("lwt_xmit", "LWT_XMIT", (4, 10), (("CONFIG_LWTUNNEL_BPF",),)),
    _net("lwt_seg6local", "LWT_SEG6LOCAL", (4, 18), (("CONFIG_IPV6_SEG6_BPF",),)),
    _net("sk_skb", "SK_SKB", (4, 14), _WITH_INET),
    _net("sk_msg", "SK_MSG", (4, 17), _WITH_INET),
    _net("flow_dissector", "FLOW_DISSECTOR", (4, 20)),
    _type("sk_reuseport", "SK_REUSEPORT", (4, 19), config=_WITH_INET),
    _net("sk_lookup", "SK_LOOKUP", (5, 9), config=_WITH_INET),
    _net("netfilter", "NETFILTER", (6, 4), config=(("CONFIG_NETFILTER_BPF_LINK",),)),
    # Control groups.
    _type("cgroup_skb", "CGROUP_SKB", (4, 10), config=_CGROUP),
    _net("cgroup_sock", "CGROUP_SOCK", (4, 10), config=_CGROUP),
    _net("cgroup_sock_addr", "CGROUP_SOCK_ADDR", (4, 17), config=_CGROUP),
    _net("sockops", "SOCK_OPS", (4, 13), (("CONFIG_CGROUP_BPF",),)),
    _net("cgroup_device", "CGROUP_DEVICE", (4, 15), config=(("CONFIG_CGROUP_BPF",),)),
    _net("cgroup_sysctl", "CGROUP_SYSCTL", (5, 2), config=(("CONFIG_CGROUP_BPF",),)),
    _net("cgroup_sockopt", "CGROUP_SOCKOPT", (5, 3), config=(("CONFIG_CGROUP_BPF",),)),
    # The rest.
    _type("syscall", "SYSCALL", (5, 14)),
    _type("lirc_mode2", "LIRC_MODE2", (4, 18), config=(("CONFIG_BPF_LIRC_MODE2",),)),
)

PROGRAM_TYPES: Mapping[str, ProgramType] = MappingProxyType({one.name: one for one in _ALL})
"""By the name of the section prefix, or the type's own where several prefixes share it."""

COMMON: Mapping[str, ProgramType] = MappingProxyType(
    {
        {"cgroup_skb": "cgroup", "socket": "socket_filter"}.get(name, name): PROGRAM_TYPES[name]
        for name in (
            *("kprobe", "kretprobe", "uprobe", "tracepoint", "raw_tp", "perf_event", "cgroup_skb"),
            *("socket", "tc", "xdp", "fentry", "lsm", "iter", "struct_ops"),
        )
    }
)
"""The kinds that a report on a kernel speaks of, by the name that it uses."""


def unmet(config: Kconfig | None, options: Options) -> list[tuple[str, ...]]:
    """Return those of `options` that are not on; where no configuration is known, all of them."""
    if config is None:
        return list(options)
    return [names for names in options if not any(config.get(n) in ("y", "m") for n in names)]


def without_trampoline(kernel: KernelIdentity) -> str | None:
    """Return why the kernel has no BPF trampoline, as a clause, "" if it has; None: unclear."""
    if not kernel.machine:
        return None
    since, machine = TRAMPOLINE_SINCE.get(kernel.machine), printable(kernel.machine, 40)
    if since is None:
        return f"{machine} has no BPF trampolines"
    if kernel.number is None:
        return None
    return f"{machine} has BPF trampolines since {since[0]}.{since[1]}" * (kernel.number < since)
