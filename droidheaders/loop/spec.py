"""A spec: the TOML that says what runs where, read into a plan."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from droidheaders.guest import recipes, userland
from droidheaders.guest.guest import DEFAULT_PERSONA
from droidheaders.loop.plan import Build, Plan, Target, Test, TestKind, User
from droidheaders.loop.table import Table, listed, read
from droidheaders.ui import printable

_KINDS: tuple[TestKind, ...] = ("bpf", "module", "kunit", "script", "kselftest", "host")
_USERS: tuple[User, ...] = ("root", "shell")
_FOR = {
    "bpf": ("set", "expect", "trigger", "for", "user"),
    "module": ("more", "param", "expect", "trigger", "for"),
    "kunit": ("more", "param"),
    "script": ("arguments", "user"),
    "kselftest": ("arguments", "user"),
    "host": (),
}
"""What a kind of test takes, besides what all take."""


def load(path: Path) -> Plan:
    """Return the plan that the spec at `path` describes.

    Raises UsageError naming the file and the key: for what cannot be read or is no TOML, unknown
    keys, values that do not fit, files that are not there, and when there is nothing to run.
    """
    table = read(path)
    personas = table.texts("personas") or (DEFAULT_PERSONA,)
    targets = tuple(_target(name, one, personas) for name, one in table.tables("targets"))
    builds = {name: _build(name, one) for name, one in table.tables("builds")}
    tests = tuple(_test(name, one, targets, builds) for name, one in table.tables("tests"))
    timeout = table.number("timeout") or Plan.timeout
    allow, deny = table.files("allow"), table.files("deny")
    table.close()
    for key, found in (("targets", targets), ("tests", tests)):
        if not found:
            raise table.wrong(key, "has nothing in it, so there is nothing to run")
    return Plan(path, targets, tests, timeout, allow, deny)


def _target(name: str, table: Table, personas: tuple[str, ...]) -> Target:
    if serials := table.texts("serials"):
        table.close()
        return Target(name, serials=serials, personas=("",))
    recipe = table.text("recipe")
    if not recipe:
        raise table.wrong("recipe", "is missing: a recipe, or serials, says where tests run")
    if recipe not in recipes.names():
        near = difflib.get_close_matches(recipe, recipes.names(), 1, 0.3)
        raise table.wrong("recipe", f"is none: {printable(recipe)}; there is {listed(near)}")
    own = table.texts("personas") or personas
    for persona in own:
        if persona not in userland.PERSONAS:
            raise table.wrong("personas", f"has {printable(persona)}; {listed(userland.PERSONAS)}")
    kernel = table.file("kernel")
    target = Target(
        name,
        recipe,
        kernel,
        modules=table.file("modules"),
        extra=table.file("initrd-extra"),
        memory=table.whole("memory", 128),
        cpus=table.whole("cpus", 1) or 2,
        personas=own,
    )
    if kernel is None and (target.modules or target.extra):
        raise table.wrong("kernel", "is missing: modules and initrd-extra belong to one's own")
    table.close()
    return target


def _build(name: str, table: Table) -> Build:
    run, inputs = table.text("run"), table.texts("inputs")
    if not run:
        raise table.wrong("run", "is missing: the command that builds, and leaves files in $OUT")
    if not inputs or any(one.startswith("/") for one in inputs):
        raise table.wrong(
            "inputs", "are the files it is built from, relative to the spec: name them"
        )
    timeout = table.number("timeout") or Build.timeout
    build = Build(name, run, inputs, table.flag("for-kernel"), timeout)
    table.close()
    return build


def _test(
    name: str, table: Table, targets: tuple[Target, ...], builds: Mapping[str, Build]
) -> Test:
    kinds = [kind for kind in _KINDS if kind in table.left]
    if len(kinds) != 1:
        why = f"is two kinds of test: {' and '.join(kinds)}" if kinds else "has nothing to run"
        raise table.wrong("", f"{why}; one of {listed(_KINDS)}")
    kind = kinds[0]
    command = table.text("host") if kind == "host" else ""
    takes = _FOR[kind]
    found = {
        key: table.texts(key)
        for key in ("set", "expect", "trigger", "param", "arguments")
        if key in takes
    }
    build = None
    if named := table.text("build"):
        if named not in builds:
            raise table.wrong("build", f"is {printable(named)}, which is no build")
        build = builds[named]
    only = table.texts("targets")
    for one in only:
        if one not in [target.name for target in targets]:
            raise table.wrong("targets", f"has {printable(one)}, which is no target")
    test = Test(
        name,
        kind,
        source=None if command else table.file(kind, there=build is None),
        command=command,
        more=table.files("more", there=build is None) if "more" in takes else (),
        arguments=found.get("arguments", ()),
        parameters=found.get("param", ()),
        variables=found.get("set", ()),
        expect=found.get("expect", ()),
        triggers=found.get("trigger", ()),
        seconds=table.number("for") if "for" in takes else None,
        timeout=table.number("timeout"),
        user=_user(table) if "user" in takes else None,
        targets=only,
        build=build,
    )
    table.close()
    return test


def _user(table: Table) -> User | None:
    word = table.take("user", f"one of {listed(_USERS)}", lambda v: v in _USERS, None)
    return next((user for user in _USERS if user == word), None)
