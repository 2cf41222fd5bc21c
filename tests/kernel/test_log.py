"""Lines of logs in which SELinux refuses something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.log import Denial, denials

FIELDS = (
    'comm="cat" name="kheaders.tar.xz" dev="sysfs" ino=612 scontext=u:r:shell:s0'
    " tcontext=u:object_r:sysfs:s0 tclass=file permissive=0"
)
READ = Denial(
    ("read",), "u:r:shell:s0", "u:object_r:sysfs:s0", "file", "cat", "kheaders.tar.xz", False
)


@pytest.mark.parametrize(
    "line",
    [
        f"[   41.2] audit: type=1400 audit(1717000000.123:41): avc:  denied  {{ read }} for  pid=4"
        f" {FIELDS}",
        f"[   41.2] type=1400 audit(1717000000.123:41): avc: denied {{ read }} for pid=4 {FIELDS}",
        f"<36>[   41.2] type=1400 audit(1.1:4): avc:  denied  {{ read }} for  pid=4 {FIELDS}",
        f"[   41.2][  T123] type=1400 audit(1.1:4): avc:  denied  {{ read }} for  pid=4 {FIELDS}",
        f"05-29 10:05:31.326  1002  7336  7336 I auditd  : type=1400 audit(0.0:155): avc:  denied "
        f" {{ read }} for  {FIELDS}",
        f"05-29 10:05:31.326  7336  7336 W cat     : type=1400 audit(0.0:155): avc: denied"
        f" {{ read }} for {FIELDS} app=com.example.app",
        f"W/cat     ( 7336): type=1400 audit(0.0:155): avc: denied {{ read }} for {FIELDS}",
        f"type=AVC msg=audit(1717000000.123:41): avc:  denied  {{ read }} for  pid=4 {FIELDS}",
    ],
)
def test_every_log_has_its_form(line: str) -> None:
    assert denials(line) == [READ]
    assert denials(f"other\r\n{line}\r\n{line}\r\n".encode("utf-16")) == [READ]


def test_bpf() -> None:
    line = (
        'avc:  denied  { map_create prog_load } for  pid=9 comm="bpftool" scontext=u:r:shell:s0'
        " tcontext=u:r:shell:s0 tclass=bpf permissive=1"
    )
    assert denials(line) == [
        Denial(
            ("map_create", "prog_load"), "u:r:shell:s0", "u:r:shell:s0", "bpf", "bpftool", "", True
        )
    ]


def test_a_whole_path_is_better_than_a_name() -> None:
    line = 'avc:  denied  { open } for  path="/sys/kernel/x" name="x" tclass=file'
    (denial,) = denials(line)
    assert denial.path == "/sys/kernel/x"
    assert denial.permissive is None


def test_text_with_blanks_is_in_hex() -> None:
    name = b"my module.ko".hex().upper()
    line = f"avc:  denied  {{ module_load }} for  comm=696E20736D6F path={name} tclass=system"
    (denial,) = denials(line)
    assert (denial.comm, denial.path) == ("in smo", "my module.ko")


@pytest.mark.parametrize(
    "line",
    [
        "",
        f"avc:  granted  {{ read }} for  pid=1 {FIELDS}",
        "avc:  denied  { read } for  pid=1 comm=",
        "avc:  denied  { read",
        "avc:  denied  {} for  tclass=",
        "avc: received setenforce notice (enforcing=0)",
    ],
)
def test_what_is_no_denial(line: str) -> None:
    assert denials(line) == []


@pytest.mark.parametrize(
    "piece",
    [
        "avc: ",
        "avc: denied { ",
        "avc: denied {" + " " * 4000 + "\n",
        "avc: denied { a } for " + "a" * 4000 + "\n",
        "avc: denied { a } for " + "a=" * 2000 + "\n",
        "avc: denied {} for\n",
    ],
)
def test_megabytes_of_anything_end(piece: str) -> None:
    assert denials(piece * ((4 << 20) // len(piece))) == []


PIECES = st.lists(
    st.sampled_from(
        ["avc: ", "denied ", "{ ", "read ", "} ", "for ", "tclass=", "file", ' comm="', '" ',
         "path=", "41", "G", "\n", "\r", "\0", "="]
    )
).map("".join)  # fmt: skip


@given(st.text(max_size=300) | PIECES | st.binary(max_size=300))
def test_any_log_is_taken(log: str | bytes) -> None:
    for denial in denials(log):
        assert denial.tclass
