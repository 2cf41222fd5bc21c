"""Reports for others: KTAP that reads back, JUnit that is valid, a page that is safe."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.loop import html, junit, ktap, record, told
from droidheaders.loop.results import Attempt, Case, Report, Result, Subtest
from droidheaders.run.verdict import Verdict, Word
from tests.loop.reporting import HOSTILE, report

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
WORDS: list[Word] = ["pass", "fail", "skip", "timeout", "panic", "lost", "infra"]


def one(text: str, word: Word, more: Word | None) -> Report:
    attempts = [
        Attempt(Verdict(word, text, text, (text,)), 1.0, subtests=(Subtest(text, word, text),))
    ]
    attempts += [Attempt(Verdict(more, text), 1.0)] if more else []
    result = Result(Case(text, "", text), text, tuple(attempts))
    return Report(text, 0.0, 1.0, 1, (result,))


def test_junit_is_valid_and_says_what_was(tmp_path: Path) -> None:
    junit.write(report(tmp_path), tmp_path / "junit.xml")
    SCHEMA.validate(tmp_path / "junit.xml")
    root = Xml.parse(tmp_path / "junit.xml").getroot()
    assert {k: root.get(k) for k in ("tests", "failures", "errors")} == {
        "tests": "14",
        "failures": "4",
        "errors": "4",
    }
    cases = {(c.get("classname"), c.get("name")): c for c in root.iter("testcase")}
    warn = cases["arm.userdebug", "warn"]
    [failure] = warn.findall("failure")
    assert (failure.get("type"), failure.get("message")) == ("fail", "it was fail")
    assert "trouble_make+0x78/0x164 [trouble]" in str(failure.text)
    assert warn.findall("rerunFailure") == []
    assert str(warn.findtext("system-out")).startswith("flaky: ")
    assert len(cases["arm.userdebug", "slow"].findall("rerunFailure")) == 1
    assert cases["arm.userdebug", "cut"].find("error").get("type") == "interrupted"  # type: ignore[union-attr]
    skipped = cases["x86.userdebug", "other"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "this kernel cannot"
    assert [one.tag for one in cases["x86.userdebug", "good"]] == ["system-out"]
    assert "6.0.0-arm" in [p.get("value") for p in root.iter("property")]
    assert [path.name for path in tmp_path.glob("junit*")] == ["junit.xml"]


@given(st.text(max_size=40), st.sampled_from(WORDS), st.sampled_from([None, *WORDS]))
def test_junit_takes_any_text(text: str, word: Word, more: Word | None) -> None:
    document = Xml.tostring(junit.document(one(text, word, more)), encoding="unicode")
    SCHEMA.validate(document)


def test_ktap_reads_back(tmp_path: Path) -> None:
    made = report(tmp_path)
    lines = [*told.lines(made)]
    assert lines[:2] == ["KTAP version 1", "1..15"]
    assert "ok 1 arm/userdebug/good" in lines
    assert "ok 2 arm/userdebug/other # SKIP this kernel cannot" in lines
    assert "# flaky" in lines
    assert "# 1. c0ffee123456 WARNING: CPU: 0 at trouble.c:65 trouble_make" in lines
    assert all(line.isprintable() for line in lines)
    parsed = ktap.parse(lines)
    assert parsed.missing  # one was not run
    words = {subtest.name: subtest.word for subtest in parsed.subtests}
    assert words["arm/userdebug/slow"] == "fail"
    assert words["x86/userdebug/good/a/b"] == "pass"
    assert words["arm/userdebug/kunit/e"] == "skip"


@given(st.text(min_size=1, max_size=30), st.sampled_from(WORDS))
def test_ktap_has_one_result_for_any_text(text: str, word: Word) -> None:
    [line] = [line for line in told.lines(one(text, word, None)) if re.match(r"(not )?ok ", line)]
    assert line.startswith("ok") == (word in ("pass", "skip"))
    assert ("# SKIP" in line) == (word == "skip")


def test_the_page_holds_all_of_it_and_nothing_breaks_out(tmp_path: Path) -> None:
    made = report(tmp_path)
    html.write(made, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("</script>") == page.count("<script") == 2
    assert "{{DATA}}" not in page
    for word in ("http:", "https:", "src=", "url(", "@import", "innerHTML"):
        assert word not in page.replace('"http://www.w3.org/2000/svg"', ""), word
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    found = json.loads(data)
    excerpts = [
        attempt.pop("excerpts", None)
        for result in found["results"]
        for attempt in result["attempts"]
    ]
    assert found == json.loads(json.dumps(record.describe(made)))
    [console] = [one["console"] for one in excerpts if one and "console" in one]
    assert console[0] == "booted"
    assert console[-1] == "the last line"
    assert all(line.isprintable() for line in console)


@given(st.text())
def test_no_text_ends_the_data(text: str) -> None:
    made = html.escaped({"text": text + HOSTILE})
    assert not set(made) & set("<>&\u2028")
    assert json.loads(made) == {"text": text + HOSTILE}


def test_a_log_without_end_is_cut(tmp_path: Path) -> None:
    made = report(tmp_path)
    log = tmp_path / "arm-userdebug-warn/1/console.log"
    log.write_bytes(b"\xff\x00" * (1 << 20) + b"\n" * 100000)
    html.write(made, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1 << 20


@pytest.mark.parametrize("planned", [0, 3])
def test_nothing_was_run(tmp_path: Path, planned: int) -> None:
    empty = Report("nothing", 0.0, 0.0, planned, (), True)
    html.write(empty, tmp_path)
    junit.write(empty, tmp_path / "junit.xml")
    SCHEMA.validate(tmp_path / "junit.xml")
    assert [*told.lines(empty)] == ["KTAP version 1", f"1..{planned}"]
