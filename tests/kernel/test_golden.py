"""What eleven generations of kernels say, each in its own words.

The files below golden/VERSION are made up after public formats: builds that do not exist, with the
options, the headers and the quirks of their time.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from droidheaders.kernel.compiler import Compiler, disagreement, of_banner, of_config
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.kernel.log import denials
from droidheaders.kernel.properties import parse

GOLDEN = Path(__file__).parent / "golden"
VERSIONS = ["3.18", "4.4", "4.9", "4.14", "4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.12"]

# One row an option, one column a version; "-" is absent.
OPTIONS = """
                       3.18 4.4 4.9 4.14 4.19 5.4 5.10 5.15 6.1 6.6 6.12
BPF_SYSCALL            n    y   y   y    y    y   y    y    y   y   y
BPF_JIT                n    y   y   y    y    y   y    y    y   y   y
BPF_JIT_ALWAYS_ON      -    -   -   y    y    y   y    y    y   y   y
HAVE_BPF_JIT           y    y   -   -    -    -   -    -    -   -   -
HAVE_EBPF_JIT          -    -   y   y    y    y   y    y    y   y   y
CGROUP_BPF             -    -   y   y    y    y   y    y    y   y   y
BPF_EVENTS             -    y   y   y    y    y   y    y    y   y   y
BPF_LSM                -    -   -   -    -    -   n    n    n   y   y
KPROBE_EVENT           n    y   y   -    -    -   -    -    -   -   -
KPROBE_EVENTS          -    -   -   y    y    y   y    y    y   y   y
UPROBE_EVENT           -    n   n   -    -    -   -    -    -   -   -
UPROBE_EVENTS          -    -   -   y    y    y   y    y    y   y   y
FTRACE_SYSCALLS        n    n   n   n    n    n   n    n    n   n   n
FUNCTION_TRACER        n    n   n   n    n    n   n    n    y   y   y
DEBUG_INFO_BTF         -    -   -   -    -    n   y    y    y   y   y
DEBUG_INFO_BTF_MODULES -    -   -   -    -    -   -    n    y   y   y
IKCONFIG_PROC          y    y   y   y    y    y   y    y    y   y   y
IKHEADERS              -    -   -   -    -    y   y    y    m   m   m
MODULES                y    y   y   y    y    y   y    y    y   y   y
MODVERSIONS            y    y   y   y    y    y   y    y    y   y   y
EXTENDED_MODVERSIONS   -    -   -   -    -    -   -    -    -   -   y
MODULE_SIG             n    y   y   y    y    y   y    y    y   y   y
MODULE_SIG_FORCE       -    y   n   n    n    n   n    n    n   n   n
MODULE_SIG_PROTECT     -    -   -   -    -    -   -    -    y   y   y
TRIM_UNUSED_KSYMS      -    -   n   n    n    n   y    y    y   y   y
LTO_CLANG              -    -   y   y    y    y   y    y    y   -   -
LTO_CLANG_FULL         -    -   -   -    -    -   y    n    y   n   n
LTO_CLANG_THIN         -    -   -   -    -    -   n    y    n   n   n
CFI_CLANG              -    -   y   y    y    y   y    y    y   -   y
SHADOW_CALL_STACK      -    -   -   -    y    y   y    y    y   -   y
KASAN                  -    n   n   n    n    n   n    y    y   n   y
KASAN_HW_TAGS          -    -   -   -    -    -   -    y    y   -   y
RANDSTRUCT_NONE        -    -   -   -    -    -   -    -    y   y   y
SECURITY_LOCKDOWN_LSM  -    -   -   -    -    n   n    n    n   n   n
DEBUG_RODATA           -    -   y   -    -    -   -    -    -   -   -
STRICT_KERNEL_RWX      -    -   -   y    y    y   y    y    y   y   y
CC_VERSION_TEXT        -    -   -   -    -    -   *    *    *   *   *
"""

CLANG = {
    "4.4": (5, 0, 300080),
    "4.9": (6, 0, 2),
    "4.14": (10, 0, 1),
    "4.19": (10, 0, 7),
    "5.4": (11, 0, 1),
    "5.10": (14, 0, 7),
    "5.15": (17, 0, 2),
    "6.1": (17, 0, 2),
    "6.6": (18, 0, 0),
    "6.12": (19, 0, 1),
}
# The linker, as the banner names it and as the configuration does.
LINKERS = {
    "4.19": ("GNU ld 2.27.0", ""),
    "5.4": ("", "LLD"),
    "5.10": ("LLD 14.0.7", "LLD 14.0.7"),
    "5.15": ("LLD 17.0.2", "LLD 17.0.2"),
    "6.1": ("LLD 17.0.2", "LLD 17.0.2"),
    "6.6": ("LLD 18.0.0", "LLD 18.0.0"),
    "6.12": ("LLD 19.0.1", "LLD 19.0.1"),
}


def config(version: str) -> Kconfig:
    return Kconfig.parse((GOLDEN / version / "config").read_bytes())


def table() -> dict[str, dict[str, str]]:
    head, *rows = [line.split() for line in OPTIONS.strip().splitlines()]
    assert head == VERSIONS
    return {row[0]: dict(zip(VERSIONS, row[1:], strict=True)) for row in rows}


@pytest.mark.parametrize("version", VERSIONS)
def test_options(version: str) -> None:
    options = config(version)
    expected = {name: row[version] for name, row in table().items()}
    found = {name: options.get(name, "-") for name in expected}
    found |= {name: "*" for name, value in expected.items() if value == "*" and name in options}
    assert found == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_every_line_of_a_configuration_is_understood(version: str) -> None:
    text = (GOLDEN / version / "config").read_text()
    options = config(version)
    named = re.findall(r"^(?:# )?(CONFIG_\w+)(?:=| is not set)", text, re.MULTILINE)
    assert list(options) == named
    assert re.search(rf"^# Linux/\w+ {re.escape(version)}\.\d+ Kernel", text, re.MULTILINE)


def test_values_that_are_no_switch() -> None:
    assert config("4.9")["CMDLINE"] == 'console=ttyS0 androidboot.note="a\\b"'
    assert config("6.12")["LOCALVERSION"] == "-4k"
    assert config("5.10")["LSM"].startswith("lockdown,yama,")
    assert config("3.18")["DEFAULT_SECURITY"] == "selinux"
    assert config("3.18")["NR_CPUS"] == "32"
    assert config("4.9")["ILLEGAL_POINTER_VALUE"] == "0xdead000000000000"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_compiler_of_a_banner(version: str) -> None:
    found = of_banner((GOLDEN / version / "version").read_text())
    assert found is not None
    family = "clang" if version in CLANG else "gcc"
    assert (found.family, found.version) == (family, CLANG.get(version, (4, 9)))
    assert found.linker == LINKERS.get(version, ("", ""))[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_compiler_of_a_configuration(version: str) -> None:
    found = of_config(config(version))
    if version in ("3.18", "4.4", "4.9", "4.14"):
        assert found is None
    else:
        text = config(version).get("CC_VERSION_TEXT", "")
        assert found == Compiler("clang", CLANG[version], LINKERS[version][1], text)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_name_the_same(version: str) -> None:
    named = {
        "/proc/version": of_banner((GOLDEN / version / "version").read_text()),
        "IKCONFIG": of_config(config(version)),
    }
    assert disagreement({source: c for source, c in named.items() if c}) == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_log_begins_with_the_banner(version: str) -> None:
    banner = (GOLDEN / version / "version").read_text()
    log = (GOLDEN / version / "dmesg").read_text()
    assert banner in log
    assert of_banner(log) == of_banner(banner)


@pytest.mark.parametrize("version", VERSIONS)
def test_symbols(version: str) -> None:
    lines = (GOLDEN / version / "kallsyms").read_text().splitlines()
    symbols = [re.fullmatch(r"([0-9a-f]{16}) ([a-zA-Z]) (\S+)(?:\t\[(\w+)\])?", s) for s in lines]
    assert None not in symbols
    found = [match.groups() for match in symbols if match]
    names = {name for _, _, name, _ in found}
    assert {"_text", "__ksymtab_filp_open", "__kstrtab_filp_open"} <= names
    assert any(module not in (None, "bpf") for *_, module in found)
    zeroed = {address for address, *_ in found} == {"0" * 16}
    assert zeroed == (version == "4.14")
    # Jump tables of CFI before 6.1, and names that link-time optimisation made unique.
    assert any(name.endswith(".cfi_jt") for name in names) == (
        version in ("4.9", "4.14", "4.19", "5.4", "5.10", "5.15")
    )
    assert any(re.search(r"\$[0-9a-f]{32}", name) for name in names) == (version in ("5.4", "5.15"))
    assert any(".llvm." in name for name in names) == (version in ("5.10", "6.1"))


@pytest.mark.parametrize("version", VERSIONS)
def test_properties(version: str) -> None:
    properties = parse((GOLDEN / version / "getprop").read_bytes())
    user = version not in ("5.15", "6.6")
    assert properties["ro.build.type"] == ("user" if user else "userdebug")
    assert properties["ro.debuggable"] == ("0" if user else "1")
    assert properties["ro.secure"] == "1"
    assert properties["ro.product.cpu.abi"] == ("x86_64" if version == "6.6" else "arm64-v8a")
    lines = "first line\nsecond [line]\n\nlast line" if version in ("4.14", "5.15", "6.12") else ""
    assert properties["persist.example.notice"] == lines


def test_a_list_that_was_written_by_powershell() -> None:
    raw = (GOLDEN / "6.1" / "getprop").read_bytes()
    assert raw.startswith(b"\xff\xfe[\0")
    assert b"\r\0\n\0" in raw
    assert parse(raw)["sys.boot_completed"] == "1"


def test_values_that_mean_harm() -> None:
    properties = parse((GOLDEN / "5.15" / "getprop").read_bytes())
    assert properties["persist.example.forged"] == "x"
    assert properties["persist.example.escape"] == "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_selinux_refused(version: str) -> None:
    found = denials((GOLDEN / version / "dmesg").read_bytes())
    asked, *_ = found
    assert asked.scontext == "u:r:shell:s0"
    assert (asked.permissions, asked.tclass, asked.comm) == (("read",), "file", "cat")
    assert asked.permissive is False
    headers = "IKHEADERS" in config(version)
    assert asked.path == ("kheaders.tar.xz" if headers else "config.gz")
    bpf = [denial for denial in found if denial.tclass == "bpf"]
    assert [denial.permissions for denial in bpf] == (
        [] if version in ("3.18", "4.4", "4.9", "4.14") else [("map_create",)]
    )
    if version in ("3.18", "4.4"):
        assert found[-1].permissions == ("sys_module",)
        assert found[-1].path == ""
    else:
        assert found[-1].permissions == ("module_load",)
        assert found[-1].path == "/data/local/tmp/hello.ko"
        assert found[-1].permissive is True
