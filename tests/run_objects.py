"""Objects to be run: compiled with the headers of libbpf and of the device's architecture."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from droidheaders.debian.arch import TRIPLE
from droidheaders.debian.sysroot import sysroot

HEAD = """
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 64);
         __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
const volatile int wanted;
"""

# What the tests' trigger makes fire, whatever else the device does.
MKDIR = """
SEC("tracepoint/syscalls/sys_enter_mkdirat")
int made(void *ctx)
{
    __u32 key = 7;
    __u64 one = 1, *count = bpf_map_lookup_elem(&counts, &key);
    if (count) (*count)++; else bpf_map_update_elem(&counts, &key, &one, 0);
    bpf_printk("made, wanted %d", wanted);
    return 0;
}
"""
TRIGGER = "mkdir /data/local/tmp/made; rmdir /data/local/tmp/made"


@cache
def compiled(body: str, arch: str) -> bytes:
    """Return the object of a program for `arch`; HEAD comes before it."""
    root = sysroot(arch) / "usr/include"
    target = {"arm64": "arm64", "x86_64": "x86"}[arch]
    done = subprocess.run(
        [
            *("clang", "--target=bpf", "-O2", "-g", "-x", "c", "-c", "-o", "-", "-"),
            *(f"-I{root}", f"-I{root / TRIPLE[arch]}", f"-D__TARGET_ARCH_{target}"),
        ],
        input=(HEAD + body).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def write(place: Path, name: str, body: str, arch: str) -> Path:
    """Write such an object into a directory, and return its path."""
    path = place / f"{name}.o"
    path.write_bytes(compiled(body, arch))
    return path
