"""`--json` of every kind of check has the keys that docs/check.md promises, and no others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cache import Cache
from tests import bpf_objects, images
from tests.cache.making import make
from tests.check.conftest import Check
from tests.check.phone import CONFIG, driver, phone
from tests.check.schema import NULL, REPORTS, keys, violations, whole
from tests.fake_device import FakeDevice
from tests.modules import signed

DOCS = Path(__file__).parent.parent.parent / "docs"
CAPABILITIES = ("headers", "bpf", "modules")


def valid(told: Any, *reports: str) -> None:
    assert [*violations(told, whole(reports))] == []


def test_of_a_device(device: FakeDevice, check: Check) -> None:
    ended = check(device, "--json")
    valid(ended.json, *REPORTS)
    assert ended.json["schema"] == 1
    assert (ended.json["serial"], ended.json["bundle"]) == ("fake-1", None)
    assert ended.json["kernel"]["exact"] is True
    assert ended.err == ""


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_of_one_capability(device: FakeDevice, check: Check, capability: str) -> None:
    valid(check(device, "--json", "--for", capability).json, capability)


def test_of_a_device_that_tells_nothing(tmp_path: Path, check: Check) -> None:
    with FakeDevice(tmp_path / "device", None, su=False, build_id=b"") as device:
        told = check(device, "--json").json
    valid(told, *REPORTS)
    assert told["kernel"]["build_id"] == ""
    assert told["config"]["options"] is None
    assert set(told["modules"]["options"].values()) == {None}


def test_of_a_denial(tmp_path: Path, check: Check) -> None:
    log = (
        b'avc:  denied  { getattr } for  pid=1 comm="sh" path="/sys/kernel/kheaders.tar.xz"'
        b" scontext=u:r:shell:s0 tcontext=u:object_r:sysfs:s0 tclass=file permissive=0\n"
    )
    with phone(tmp_path / "device", loaded=True, files={"dmesg": log}) as device:
        told = check(device, "--json", "--for", "headers").json
    valid(told, "headers")
    [denial] = told["headers"]["denials"]
    assert denial["tcontext"] == "u:object_r:sysfs:s0"


def test_of_options(device: FakeDevice, check: Check) -> None:
    told = check(device, "--json", "--config", "HZ=250", "--config", "ABSENT=n").json
    valid(told, "config")
    assert told["config"]["asked"] == {
        "CONFIG_HZ": {"value": "250", "wanted": "250"},
        "CONFIG_ABSENT": {"value": None, "wanted": "n"},
    }
    valid(check(device, "--json", "--config", "HZ", "--for", "bpf").json, "config", "bpf")


def test_of_a_bundle(tmp_path: Path, check: Check) -> None:
    bundle = make(Cache(tmp_path / "cache"))
    told = check(None, "--json", "--bundle", bundle.name).json
    valid(told, *REPORTS)
    assert (told["serial"], told["bundle"]) == (None, bundle.name)


@pytest.mark.parametrize(
    ("content", "exact"), [(CONFIG.encode(), False), (images.IMAGE, True), (images.VMLINUX, True)]
)
def test_of_a_file_that_tells(tmp_path: Path, check: Check, content: bytes, exact: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    told = check(None, "--json", file).json
    valid(told, *REPORTS)
    assert (told["serial"], told["bundle"]) == (None, None)
    assert told["kernel"]["exact"] is exact


MODULES = {
    "plain": driver(),
    "signed": signed(driver()),
    "bare": driver(info=("license=Proprietary",), undefined=(), this_module=0, comment=b""),
    "missing": driver(undefined=["nobody_has_it"], versions={"nobody_has_it": 1}),
}


@pytest.mark.parametrize("name", MODULES)
def test_of_a_module(tmp_path: Path, device: FakeDevice, check: Check, name: str) -> None:
    file = tmp_path / f"{name}.ko"
    file.write_bytes(MODULES[name])
    told = check(device, "--json", file).json
    valid(told)
    [one] = told["files"]
    assert (one["path"], one["kind"]) == (str(file), "module")
    assert (one["signature"] is not None) is (name == "signed")
    assert (one["missing"] == ["nobody_has_it"]) is (name == "missing")


def test_of_crcs_that_differ(tmp_path: Path, check: Check) -> None:
    names = ("x.ko", "Module.symvers", "config")
    module, symvers, config = (tmp_path / name for name in names)
    module.write_bytes(driver(versions={"filp_open": 0x11111111}))
    symvers.write_text("0x22222222\tfilp_open\tvmlinux\tEXPORT_SYMBOL\t\n")
    config.write_text(CONFIG.replace("# CONFIG_MODVERSIONS is not set", "CONFIG_MODVERSIONS=y"))
    told = check(None, "--json", module, symvers, config).json
    valid(told)
    assert told["files"][0]["crc_differs"] == [
        {"name": "filp_open", "module": "0x11111111", "kernel": "0x22222222"}
    ]


def test_of_an_object(tmp_path: Path, device: FakeDevice, check: Check) -> None:
    file = tmp_path / "prog.o"
    types = "struct task_struct { int foo; };"
    file.write_bytes(bpf_objects.program("READS(&x, 4, &t->foo)", types))
    device.write(
        "sys/kernel/btf/vmlinux", bpf_objects.btf_of(bpf_objects.compiled(bpf_objects.KERNEL))
    )
    told = check(device, "--json", file).json
    valid(told)
    [one] = told["files"]
    assert (one["kind"], one["btf"]) == ("bpf", True)
    assert one["relocations"]["failing"]
    assert [program["name"] for program in one["programs"]] == ["prog"]


@pytest.mark.parametrize("content", [driver()[:900], bpf_objects.program("")[:900]])
def test_of_a_damaged_file(
    tmp_path: Path, device: FakeDevice, check: Check, content: bytes
) -> None:
    file = tmp_path / "damaged"
    file.write_bytes(content)
    told = check(device, "--json", file).json
    valid(told)
    [one] = told["files"]
    assert one["verdict"] == "no"
    assert one.keys() == {"path", "kind", "verdict", "because", "hint", "answers"}


def test_of_several_files_and_a_capability(
    tmp_path: Path, device: FakeDevice, check: Check
) -> None:
    files = [tmp_path / name for name in ("a.ko", "b.o")]
    for file, content in zip(files, (driver(), bpf_objects.program("")), strict=True):
        file.write_bytes(content)
    told = check(device, "--json", *files, "--for", "headers").json
    valid(told, "headers")
    assert [one["kind"] for one in told["files"]] == ["module", "bpf"]


def test_every_key_is_documented() -> None:
    """In backticks, in the section about them; `schema` is common to all commands."""
    section = (DOCS / "check.md").read_text().partition("\n## `--json`\n")[2]
    named = set(re.findall(r"`([a-z_0-9]+)`", section))
    assert keys(whole(REPORTS)) - named == {"schema"}
    assert '`"schema": 1`' in (DOCS / "json.md").read_text()


def test_the_shape_is_strict() -> None:
    shape = {"a": [int], "b": (str, NULL)}
    assert [*violations({"a": [1], "b": None}, shape)] == []
    wrongs: list[Any] = [
        {"a": [1]},
        {"a": [True], "b": ""},
        {"a": 1, "b": ""},
        [],
        {"a": [], "b": 1},
    ]
    for wrong in wrongs:
        assert [*violations(wrong, shape)], wrong
    assert [*violations({"a": [], "b": "", "c": 1}, shape)] == ["it has c, which nobody knows"]
