"""Which modules a run is given, in which order they go in, and with which parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from droidheaders.errors import UsageError
from droidheaders.ordering import ordered
from tests.modules import module

EXPORT = (1, "", False)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """`user` needs a symbol of `base`, `top` names `user`; `left` and `right` need each other."""

    def made(name: str, *more: str, undefined: Sequence[str] = (), exports: str = "") -> Path:
        info = ("license=GPL", f"name={name}", *more)
        exported = {exports: EXPORT} if exports else {}
        path = tmp_path / f"{name}.ko"
        path.write_bytes(module(info=info, undefined=undefined, exports=exported))
        return path

    return {
        "base": made("base", "parmtype=times:int", "parmtype=who_is:charp", exports="base_call"),
        "user": made("user", undefined=["base_call", "_printk"]),
        "top": made("top", "depends=user", "parmtype=times:int"),
        "left": made("left", undefined=["right_call"], exports="left_call"),
        "right": made("right", undefined=["left_call"], exports="right_call"),
    }


def test_each_after_what_it_needs(files: dict[str, Path]) -> None:
    found = ordered([files["top"], files["user"], files["base"]], [])
    assert [one.name for one in found] == ["base", "user", "top"]


def test_parameters_are_the_last_ones_or_of_whom_they_name(files: dict[str, Path]) -> None:
    words = ["times=3", "base.times=1", "base.who-is=a b", "top.dyndbg=+p"]
    found = ordered([files["base"], files["user"], files["top"]], words)
    parameters = {one.name: one.parameters for one in found}
    assert parameters == {
        "base": ("times=1", 'who-is="a b"'),
        "user": (),
        "top": ("times=3", "dyndbg=+p"),
    }


@pytest.mark.parametrize(
    ("names", "word", "says", "hint"),
    [
        (["base"], "time=3", "base has no parameter named time", "did you mean times?"),
        (["user"], "times=3", "user has no parameter named times", "it has none"),
        (["base"], "other.times=3", "no module other is given", "base"),
        (["base"], "=3", "is no NAME=VALUE", "--param"),
    ],
)
def test_a_parameter_that_is_none(
    files: dict[str, Path], names: list[str], word: str, says: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=says) as e:
        ordered([files[name] for name in names], [word])
    assert hint in e.value.hint


def test_what_cannot_go_in_together(files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"in a circle: (left right left|right left right)"):
        ordered([files["left"], files["right"]], [])
    with pytest.raises(UsageError, match="2 modules are given, and 1 names"):
        ordered([files["base"], files["base"]], [])


@pytest.mark.parametrize("name", ["a$(id)", "../up", "x" * 56, ""])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / "$.ko"
    path.write_bytes(module(info=("license=GPL", f"name={name}")))
    with pytest.raises(UsageError, match="which is no module's name"):
        ordered([path], [])


def test_no_module_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        ordered([tmp_path / "gone.ko"], [])
    (tmp_path / "text.ko").write_text("text")
    with pytest.raises(UsageError, match=r"text\.ko is no kernel module"):
        ordered([tmp_path / "text.ko"], [])
