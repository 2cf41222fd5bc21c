"""report.html in a real browser: filtered, opened, in the dark, on a phone, with 10,000 cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from droidheaders.loop import html
from droidheaders.loop.results import Case, Report, Result
from tests.loop.reporting import attempt, report


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    profile = tmp_path_factory.mktemp("chromium")
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, Service("/usr/bin/chromedriver")) as chrome:
        yield chrome


class Page:
    """The report in the browser; at the end nothing went wrong there, and nothing was fetched."""

    def __init__(self, browser: webdriver.Chrome, directory: Path) -> None:
        self.browser = browser
        self.url = (directory / "report.html").as_uri()
        for log in ("browser", "performance"):
            browser.get_log(log)  # type: ignore[no-untyped-call]
        browser.get(self.url)

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def names(self) -> list[str]:
        return [one.text for one in self.all("#results summary .name")]

    def emulate(self, width: int, height: int, scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        for command, words in (
            ("Emulation.setEmulatedMedia", {"features": [feature]}),
            ("Emulation.setDeviceMetricsOverride", metrics),
        ):
            self.browser.execute_cdp_cmd(command, words)

    def close(self) -> None:
        assert self.browser.get_log("browser") == []  # type: ignore[no-untyped-call]
        events = self.browser.get_log("performance")  # type: ignore[no-untyped-call]
        messages = [json.loads(event["message"])["message"] for event in events]
        fetched = {
            one["params"]["request"]["url"].partition("#")[0]
            for one in messages
            if one["method"] == "Network.requestWillBeSent"
            and one["params"]["documentURL"].startswith("file:")  # else it is the browser's own
        }
        assert fetched == {self.url}


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Page]:
    html.write(report(tmp_path), tmp_path)
    shown = Page(browser, tmp_path)
    shown.emulate(1200, 900, "light")
    yield shown
    shown.close()


def test_it_is_filtered_and_opened(page: Page, tmp_path: Path) -> None:
    assert page.browser.title == "a run – droidheaders loop"  # and not what the device says
    assert page.one("#about").text.endswith("14 of 15 cases, interrupted, shuffled by 7")
    assert len(page.names()) == 14
    assert page.one("#shown").text == "14 of 14 results"
    page.one("#text").send_keys("WARN")
    assert page.names() == ["arm/userdebug/warn"]
    row = page.one("#results details")
    assert row.get_attribute("open")
    assert "✗ fail (flaky)" in row.text
    assert "trouble_make+0x78/0x164 [trouble]" in page.one("#results pre.splat").text
    assert "the last line" in page.one("#results pre.excerpt").text
    links = [str(link.get_attribute("href")) for link in row.find_elements(By.TAG_NAME, "a")]
    assert links[0].endswith("/arm-userdebug-warn/1/console.log")
    page.one("#text").clear()
    page.one("#text").send_keys(" ")
    page.one('button[data-word="pass"]').click()
    page.one('button[data-word="skip"]').click()
    assert page.one('button[data-word="pass"]').get_attribute("aria-pressed") == "false"
    assert len(page.names()) == 8
    page.one('#target option[value="phone"]').click()
    assert len(page.names()) == 1
    assert page.browser.save_screenshot(str(tmp_path / "filtered.png"))
    assert (tmp_path / "filtered.png").stat().st_size > 10000


def test_the_grid_leads_to_a_row_also_from_the_keyboard(page: Page) -> None:
    heads = [one.text.split("\n")[0] for one in page.all("#grid thead th")]
    assert heads == ["Test", "arm", "phone", "x86", "old"]
    [cell] = [one for one in page.all("#grid td a") if one.text == "⏱ timeout"]
    cell.send_keys("\n")
    opened = page.run("return document.activeElement.parentElement.open")
    assert opened is True
    assert "slow" in page.run("return document.activeElement.textContent")
    page.run("document.activeElement.click()")
    assert page.run("return document.activeElement.parentElement.open") is False


def test_a_complaint_is_told_once_with_where_it_was(page: Page) -> None:
    [box] = page.all("#complaints details")
    assert "WARNING: CPU: 0 at trouble.c:65 trouble_make" in box.text
    assert "2×" in box.text
    box.find_element(By.TAG_NAME, "summary").click()
    assert [one.text for one in page.all("#complaints li")] == [
        "arm/userdebug/warn",
        "arm/userdebug/twice",
    ]


def _luminance(colour: str) -> float:
    red, green, blue = (int(part) / 255 for part in colour.strip("rgba()").split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_the_dark(page: Page, tmp_path: Path, scheme: str) -> None:
    page.emulate(360, 740, scheme)
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    ink = page.run("return getComputedStyle(document.body).color")
    assert (_luminance(ground) < 0.1) == (scheme == "dark")
    assert abs(_luminance(ground) - _luminance(ink)) > 0.6
    wide = page.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1], wide
    assert page.browser.save_screenshot(str(tmp_path / f"phone-{scheme}.png"))


def test_ten_thousand_cases(browser: webdriver.Chrome, tmp_path: Path) -> None:
    words = ["pass"] * 9 + ["fail"]
    results = tuple(
        Result(Case(f"k{n % 10}", "user", f"t{n // 10}"), "6.1", (attempt(words[n % 10]),))  # type: ignore[arg-type]
        for n in range(10000)
    )
    html.write(Report("many", 1.8e9, 1.0, 10000, results), tmp_path)
    page = Page(browser, tmp_path)
    assert len(page.names()) == 300
    page.one("#more").click()
    assert len(page.all("#results summary")) == 600
    page.one("#text").send_keys("/t77")
    assert page.one("#shown").text == "110 of 10000 results"
    page.close()
