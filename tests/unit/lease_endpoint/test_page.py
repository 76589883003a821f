# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page in a real browser, on a real endpoint."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.contract.endpoint import Endpoint

playwright = pytest.importorskip("playwright.sync_api")
playwright.expect.set_options(timeout=20_000)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("PAGE_PICTURES")  # a directory: the tests leave pictures there for people to look at

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs the package chromium")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    running = Endpoint(tmp_path_factory.mktemp("page"))
    running.start()
    running.token("ci", "pin")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1000, "height": 900}, locale="en-GB")
    opened = context.new_page()
    opened.troubles = []
    opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
    opened.on("console", lambda said: opened.troubles.append(said.text) if said.type == "error" else None)
    yield opened
    context.close()


def picture(page, name):
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"), full_page=True)


def card(page, name):
    return page.locator(f"li[data-application='{name}']")


def look(page, endpoint):
    page.goto(endpoint.url + "/#token=" + endpoint.tokens["ci"])
    playwright.expect(page.locator("#line")).to_have_text("live")


def test_page_shows_leaders_pins_halts_and_lapsed_pins(endpoint, page):
    for name, units in {"db": 3, "search": 2, "queue": 3, "web": 2, "cache": 1}.items():
        for unit in range(units):
            endpoint.claim(name, f"{name}/{unit}", 60)
    endpoint.pin("search", "to-trixie", who="ci", duration=60)
    endpoint.pass_time(61)
    endpoint.claim("search", "search/0", 60)
    for name in ("queue", "web", "db"):
        endpoint.claim(name, f"{name}/0", 60)
    for name in ("db", "queue"):
        endpoint.pin(name, "to-trixie", who="ci", duration=3600, session="ctl-7")
    endpoint.pin("db", "backup", duration=900)
    endpoint.pass_time(65)
    endpoint.claim("search", "search/0", 60)
    endpoint.renew("db", "db/0", endpoint.lease("db")["term"], 60)
    look(page, endpoint)
    playwright.expect(page.locator("#summary")).to_have_text("5 applications · 2 pinned · 1 halted · 2 without leader")
    db = card(page, "db")
    playwright.expect(db).to_contain_text("db/0 leads")
    playwright.expect(db).to_contain_text("pinned by ci/to-trixie")
    playwright.expect(db).to_contain_text("pinned by admin/backup")
    playwright.expect(db.locator("dd").first).to_have_text("test")
    playwright.expect(db).to_contain_text("in 59 min")
    playwright.expect(card(page, "queue")).to_contain_text("overdue")
    playwright.expect(card(page, "cache")).to_contain_text("no leader")
    playwright.expect(card(page, "search")).to_contain_text("The pin of ci/to-trixie lapsed")
    playwright.expect(page.locator("#lapsed li")).to_have_count(1)
    assert page.locator("#applications li.application").first.get_attribute("data-application") == "search"
    assert page.title() == "(1 halted) Leases"
    picture(page, "light")
    page.emulate_media(color_scheme="dark")
    picture(page, "dark")
    page.set_viewport_size({"width": 380, "height": 800})
    picture(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways on a small screen"
    assert page.troubles == []


def test_page_follows_a_pin_without_being_reloaded(endpoint, page):
    endpoint.claim("live", "live/0", 60)
    look(page, endpoint)
    playwright.expect(card(page, "live").locator(".badge")).to_have_count(0)
    endpoint.pin("live", "r1", who="ci")
    playwright.expect(card(page, "live").locator(".badge")).to_have_text("pinned")
    endpoint.unpin("live", "r1", who="ci")
    playwright.expect(card(page, "live").locator(".badge")).to_have_count(0)
    assert page.troubles == []


def test_page_asks_for_a_token_and_refuses_a_wrong_one(endpoint, page):
    page.goto(endpoint.url)
    playwright.expect(page.locator("#house")).to_be_hidden()
    page.fill("#token", "nonsense")
    page.click("button")
    playwright.expect(page.locator("#refusal")).to_contain_text("not known here")
    page.fill("#token", endpoint.tokens["ci"])
    page.click("button")
    playwright.expect(page.locator("#line")).to_have_text("live")


def test_token_does_not_stay_in_the_address(endpoint, page):
    look(page, endpoint)
    assert endpoint.tokens["ci"] not in page.url


def test_names_are_shown_as_text_and_never_run(endpoint, page):
    endpoint.claim("plain", "plain/0", 60)
    body = {"items": [{"application": "plain"}], "run": "r1", "reason": "<img src=x onerror=document.title='run'>", "duration": 60}
    endpoint.call("POST", "/v1/pin", body)
    look(page, endpoint)
    playwright.expect(card(page, "plain").locator("dd").first).to_have_text(body["reason"])
    assert page.title() != "run"


def test_page_says_when_the_endpoint_is_gone_and_returns_by_itself(endpoint, page):
    look(page, endpoint)
    endpoint.kill()
    playwright.expect(page.locator("#line")).to_contain_text("no answer")
    endpoint.start()
    playwright.expect(page.locator("#line")).to_have_text("live")
