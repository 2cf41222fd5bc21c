"""What libbpf takes the name of a section for: the rules of section_defs in its libbpf.c, of 1.7.

Before 1.0 a prefix was enough (SEC("kprobe_foo")); such names are not known here either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Kind of program: its sections. `+` is where /SOMETHING may follow, or .s and that; `=` is before
# the expected attach type of one that a kernel may lack though it has the type.
_RULES = """
socket socket
sk_reuseport sk_reuseport sk_reuseport/migrate=BPF_SK_REUSEPORT_SELECT_OR_MIGRATE
kprobe kprobe+
kretprobe kretprobe+
uprobe uprobe+ uprobe.s+ uretprobe+ uretprobe.s+
kprobe.multi kprobe.multi+=BPF_TRACE_KPROBE_MULTI kretprobe.multi+=BPF_TRACE_KPROBE_MULTI
kprobe.session kprobe.session+=BPF_TRACE_KPROBE_SESSION
uprobe.multi uprobe.multi+=BPF_TRACE_UPROBE_MULTI uretprobe.multi+=BPF_TRACE_UPROBE_MULTI
uprobe.multi uprobe.multi.s+=BPF_TRACE_UPROBE_MULTI uretprobe.multi.s+=BPF_TRACE_UPROBE_MULTI
uprobe.session uprobe.session+=BPF_TRACE_UPROBE_SESSION
uprobe.session uprobe.session.s+=BPF_TRACE_UPROBE_SESSION
ksyscall ksyscall+ kretsyscall+
usdt usdt+ usdt.s+
tc tc tc/ingress tc/egress classifier
tcx tcx/ingress=BPF_TCX_INGRESS tcx/egress=BPF_TCX_EGRESS
action action
netkit netkit/primary=BPF_NETKIT_PRIMARY netkit/peer=BPF_NETKIT_PEER
tracepoint tracepoint+ tp+ tracepoint.s+ tp.s+
raw_tp raw_tracepoint+ raw_tp+ raw_tracepoint.s+ raw_tp.s+
raw_tp.w raw_tracepoint.w+ raw_tp.w+
tp_btf tp_btf+=BPF_TRACE_RAW_TP tp_btf.s+=BPF_TRACE_RAW_TP
fentry fentry+=BPF_TRACE_FENTRY fentry.s+=BPF_TRACE_FENTRY
fexit fexit+=BPF_TRACE_FEXIT fexit.s+=BPF_TRACE_FEXIT
fmod_ret fmod_ret+=BPF_MODIFY_RETURN fmod_ret.s+=BPF_MODIFY_RETURN
freplace freplace+
lsm lsm+=BPF_LSM_MAC lsm.s+=BPF_LSM_MAC
lsm_cgroup lsm_cgroup+=BPF_LSM_CGROUP
iter iter+=BPF_TRACE_ITER iter.s+=BPF_TRACE_ITER
syscall syscall
xdp xdp xdp.frags xdp/devmap=BPF_XDP_DEVMAP xdp.frags/devmap=BPF_XDP_DEVMAP
xdp xdp/cpumap=BPF_XDP_CPUMAP xdp.frags/cpumap=BPF_XDP_CPUMAP
perf_event perf_event
lwt_in lwt_in
lwt_out lwt_out
lwt_xmit lwt_xmit
lwt_seg6local lwt_seg6local
sockops sockops
sk_skb sk_skb sk_skb/stream_parser sk_skb/stream_verdict sk_skb/verdict=BPF_SK_SKB_VERDICT
sk_msg sk_msg
lirc_mode2 lirc_mode2
flow_dissector flow_dissector
cgroup_skb cgroup/skb cgroup_skb/ingress cgroup_skb/egress
cgroup_sock cgroup/sock cgroup/sock_create cgroup/sock_release=BPF_CGROUP_INET_SOCK_RELEASE
cgroup_sock cgroup/post_bind4=BPF_CGROUP_INET4_POST_BIND
cgroup_sock cgroup/post_bind6=BPF_CGROUP_INET6_POST_BIND
cgroup_sock_addr cgroup/bind4=BPF_CGROUP_INET4_BIND cgroup/bind6=BPF_CGROUP_INET6_BIND
cgroup_sock_addr cgroup/connect4=BPF_CGROUP_INET4_CONNECT cgroup/connect6=BPF_CGROUP_INET6_CONNECT
cgroup_sock_addr cgroup/sendmsg4=BPF_CGROUP_UDP4_SENDMSG cgroup/sendmsg6=BPF_CGROUP_UDP6_SENDMSG
cgroup_sock_addr cgroup/recvmsg4=BPF_CGROUP_UDP4_RECVMSG cgroup/recvmsg6=BPF_CGROUP_UDP6_RECVMSG
cgroup_sock_addr cgroup/getpeername4=BPF_CGROUP_INET4_GETPEERNAME
cgroup_sock_addr cgroup/getpeername6=BPF_CGROUP_INET6_GETPEERNAME
cgroup_sock_addr cgroup/getsockname4=BPF_CGROUP_INET4_GETSOCKNAME
cgroup_sock_addr cgroup/getsockname6=BPF_CGROUP_INET6_GETSOCKNAME
cgroup_sock_addr cgroup/connect_unix=BPF_CGROUP_UNIX_CONNECT
cgroup_sock_addr cgroup/sendmsg_unix=BPF_CGROUP_UNIX_SENDMSG
cgroup_sock_addr cgroup/recvmsg_unix=BPF_CGROUP_UNIX_RECVMSG
cgroup_sock_addr cgroup/getpeername_unix=BPF_CGROUP_UNIX_GETPEERNAME
cgroup_sock_addr cgroup/getsockname_unix=BPF_CGROUP_UNIX_GETSOCKNAME
cgroup_sysctl cgroup/sysctl
cgroup_sockopt cgroup/getsockopt cgroup/setsockopt
cgroup_device cgroup/dev
struct_ops struct_ops+ struct_ops.s+
sk_lookup sk_lookup
netfilter netfilter
"""


@dataclass(frozen=True)
class ProgramSection:
    """What a section's programs are.

    `kind` is such as kprobe, `attach` an enum bpf_attach_type or "", `target` what follows the
    prefix. An `optional` one is loaded only when it is asked for: its name begins with `?`.
    """

    kind: str
    attach: str
    target: str
    sleepable: bool
    optional: bool


def _rules(with_target: bool) -> Mapping[str, tuple[str, str]]:
    rules = {}
    for kind, *sections in map(str.split, _RULES.strip().splitlines()):
        for section in sections:
            prefix, _, attach = section.partition("=")
            if prefix.endswith("+") == with_target:
                rules[prefix.rstrip("+")] = kind, attach
    return rules


_EXACT, _PREFIXES = _rules(False), _rules(True)


def program_section(name: str) -> ProgramSection | None:
    """Return what the programs of a section are, or None when libbpf does not know its name."""
    optional = name.startswith("?")
    name = name.removeprefix("?")
    prefix, _, target = name.partition("/")
    found = _EXACT.get(name) or _PREFIXES.get(prefix)
    if found is None:
        return None
    if name in _EXACT:
        target = ""
    return ProgramSection(*found, target, prefix.endswith(".s"), optional)


def kinds() -> set[str]:
    """Return every kind there is."""
    return {kind for kind, _ in (*_EXACT.values(), *_PREFIXES.values())}
