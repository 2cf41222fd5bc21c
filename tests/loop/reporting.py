"""Reports as a run makes them, with text in them as hostile devices have it."""

from __future__ import annotations

from pathlib import Path

from droidheaders.loop.results import Attempt, Case, Complaint, Report, Result, Subtest
from droidheaders.run.verdict import Verdict, Word

HOSTILE = "</script><script>document.title='owned'</script><!-- ]]> & \" ' \x00\x1b[31m\u2028 #SKIP"
SPLAT = Complaint(
    "c0ffee123456",
    "warning",
    "WARNING: CPU: 0 at trouble.c:65 trouble_make",
    ("trouble_make+0x78/0x164 [trouble]", "do_one_initcall+0x64/0x26c"),
    "trouble",
)
TIMES = {"guest": 0.4, "headers": 1.0, "build": 2.5, "run": 1.25}


def attempt(word: Word | None, message: str = "", **more: object) -> Attempt:
    text = message or f"it was {word}"
    return Attempt(Verdict(word, text, "look"), 5.25, TIMES, **more)  # type: ignore[arg-type]


def report(place: Path, targets: int = 3) -> Report:
    """Return a report with every verdict; the files of one that failed are in `place`."""
    path = "arm-userdebug-warn/1"
    (place / path).mkdir(parents=True)
    (place / path / "console.log").write_text(f"booted\n{HOSTILE}\nthe last line\n")
    files = {"console": f"{path}/console.log", "stdout": f"{path}/gone"}
    subtests = (Subtest("a/b", "pass"), Subtest("a/c # d", "fail", "no"), Subtest("e", "skip", "n"))
    results = []
    for number in range(targets):
        name = ("arm", "x86", "old")[number % 3] + (str(number) if number > 2 else "")

        def case(test: str, *attempts: Attempt, name: str = name, minor: int = number) -> Result:
            return Result(Case(name, "userdebug", test), f"6.{minor}.0-{name}", attempts)

        results += [
            case("good", attempt("pass", subtests=subtests[:1])),
            case("other", attempt("skip", "this kernel cannot")),
        ]
        if number == 0:
            results += [
                case("warn", attempt("fail", complaints=(SPLAT,), files=files), attempt("pass")),
                case("twice", attempt("fail", complaints=(SPLAT,)), attempt("panic", HOSTILE)),
                case(
                    "kunit", attempt("fail", subtests=subtests), attempt("fail", subtests=subtests)
                ),
                case("slow", attempt("timeout"), attempt("timeout")),
                case("gone", attempt("lost")),
                case("broken", attempt("infra", HOSTILE)),
                case("cut", attempt(None)),
                Result(Case("phone", "", HOSTILE, 2), "", (attempt("infra"),)),
            ]
    return Report("a run", 1.8e9, 61.5, len(results) + 1, tuple(results), True, 7)
