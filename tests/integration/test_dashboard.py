"""The dashboard in a real browser: every panel, by keyboard alone, on a narrow screen, in dark and light."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import pqdb
import pqdb_server
from tests.data import clustered
from tests.server.conftest import serving

pytestmark = pytest.mark.integration
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
N, DIM = 6_000, 16


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one by CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(N, DIM, seed=1)


@pytest.fixture(scope="module")
def database(tmp_path_factory, vectors) -> Iterator[pqdb.Database]:
    """A database of a collection with codes and one that is nearly empty and has a hostile payload."""
    with pqdb.open(tmp_path_factory.mktemp("dashboard") / "db", upkeep="manual") as database:
        big = database.create_collection("big", dim=DIM)
        big.upsert(np.arange(N), vectors, [{"page": i, "lang": "en"} for i in range(N)])
        big.optimize()
        vectors_of = {"title": pqdb.VectorConfig(2, "dot"), "body": pqdb.VectorConfig(3, "l2")}
        named = database.create_collection("named", vectors=vectors_of)
        named.upsert([1, 2, 3], {"title": [[1, 0], [0, 1], [1, 0.5]], "body": [[3, 0, 0], [0, 4, 0], None]})
        small = database.create_collection("small & #%20odd", dim=2)
        small.upsert([1], [[1.0, 0.0]], [{"html": "<img src=x onerror=document.title='owned'>"}])
        yield database


@pytest.fixture(scope="module")
def url(database) -> Iterator[str]:
    with serving(pqdb_server.create_app(database, pqdb_server.Settings(recall_share=1.0))) as url:
        yield url


@pytest.fixture
def page(browser, url) -> Iterator:
    """The dashboard, whose console and network must stay clean."""
    page = browser.new_page()
    page.set_default_timeout(120_000)  # machines that test are busy
    troubles, asked = [], []
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/dashboard")
    page.wait_for_selector("#collections a")
    yield page
    page.close()
    assert all(address.startswith((url, "data:")) for address in asked), "nothing from other hosts"
    assert not [text for text in troubles if "400 (Bad Request)" not in text]


def until(page, selector: str, condition: Callable[[str], bool]) -> None:
    """Wait for an element's text. (The page's policy forbids the browser to evaluate what a driver would send it.)"""
    for _ in range(600):
        if condition(text(page, selector)):
            return
        page.wait_for_timeout(100)
    raise AssertionError(text(page, selector))


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


def search(page, by: str, what: str, filter_: str = "") -> None:
    page.select_option("#by", by)
    page.fill("#what", what)
    page.fill("#filter", filter_)
    page.click("#ask button")


def test_collections_and_their_size(page):
    assert page.locator("#collections a").all_inner_texts()[0].split() == ["big", "6,000"]
    until(page, "#facts", lambda told: "6,000" in told)
    assert "cosine" in text(page, "#facts")
    bars = page.locator("#bytes-bars .bar").all_inner_texts()
    assert {bar.split()[0] for bar in bars} >= {"codes", "rerank", "shared", "source"}
    files = page.locator("#files-bars .bar").all_inner_texts()
    assert {bar.split()[0] for bar in files} >= {"points", "index"}
    assert page.locator("#headline dd").all_inner_texts()[0] == "6,000"
    assert text(page, "#status") == "ready"


def test_search_by_id_shows_payloads_and_what_was_done(page):
    search(page, "id", "7")
    page.wait_for_selector("#hits li pre")
    assert page.locator("#hits li").count() == 10
    assert '"page"' in text(page, "#hits")
    until(page, "#did", lambda told: "lists" in told)
    stages = page.locator("#stages .bar").all_inner_texts()
    assert any(stage.startswith("scan") for stage in stages)
    assert all("µs" in stage for stage in stages)


def test_search_by_a_pasted_vector(page, vectors):
    search(page, "vector", json.dumps(vectors[3].tolist()))
    page.wait_for_selector("#hits li pre")
    assert text(page, "#hits li:first-child").startswith("3, score 1.0000")


def test_a_vector_of_several_is_chosen_by_its_name(page):
    assert not page.is_visible("#using"), "where vectors have no names there is nothing to choose"
    page.click("text=named")
    page.wait_for_selector("#using:visible")
    assert page.locator("#using option").all_inner_texts() == ["title", "body"]
    search(page, "vector", "0, 2")
    page.wait_for_selector("#hits li pre")
    assert page.locator("#hits strong").all_inner_texts() == ["2", "3", "1"]
    page.select_option("#using", "body")
    search(page, "vector", "0, 2")
    until(page, "#filter-error", lambda told: "expected dim: 3, got 2" in told)
    assert text(page, "#hits") == "", "no answer of the question before stands beside the error"
    search(page, "vector", "0, 2, 0")
    until(page, "#hits", lambda told: told.startswith("2, score 2.0000"))
    assert page.locator("#hits strong").all_inner_texts() == ["2", "1"]  # the third has no such vector
    until(page, "#did", lambda told: "compared exactly" in told)
    page.click("#draw")
    until(page, "#drawn", lambda told: told == "2 points")
    page.click("#measure")
    until(page, "#measured", lambda told: "stored rows" in told)
    page.wait_for_timeout(4_000)  # the page looks at the service again meanwhile
    assert page.input_value("#using") == "body"
    page.click("text=big")
    page.wait_for_selector("#using", state="hidden")
    search(page, "id", "7")
    page.wait_for_selector("#hits li pre")


def test_errors_are_shown_where_they_were_made(page):
    search(page, "id", "7", "{not json")
    until(page, "#filter-error", lambda told: "not JSON" in told)
    search(page, "vector", "1, 2, 3")
    until(page, "#filter-error", lambda told: "expected dim: 16, got 3" in told)


def test_recall_is_measured_and_real_queries_fill_the_gauge(page):
    until(page, "#upkeep-facts", lambda told: "Generation" in told)  # what comes later moves the button away
    page.click("#measure")
    until(page, "#measured", lambda told: "of 200 stored rows" in told)
    for i in range(3):
        search(page, "id", str(100 + i))
        page.wait_for_selector("#hits li pre")
    page.wait_for_selector("#recall-gauge svg")
    assert "95 %" in text(page, "#recall-gauge")


def test_training_shows_its_progress_and_the_generation(page):
    until(page, "#upkeep-facts", lambda told: "Generation" in told)
    before = text(page, "#upkeep-facts")
    page.click("#train")
    until(page, "#job", lambda told: "done" in told)
    until(page, "#upkeep-facts", lambda told: told != before)


def test_drift_is_told_and_the_generation_before_can_be_gone_back_to(page):
    until(page, "#upkeep-facts", lambda told: "Unevenness of the lists" in told)
    page.click("#train")
    until(page, "#job", lambda told: "done" in told)
    until(page, "#upkeep-facts", lambda told: re.search(r"Kept to go back to\s+\d", told) is not None)
    page.click("#rollback")
    until(page, "#job", lambda told: "back to generation" in told)
    until(page, "#upkeep-facts", lambda told: re.search(r"Kept to go back to\s+none", told) is not None)


def test_the_map_is_coloured_by_list(page):
    page.click("#draw")
    page.wait_for_selector("#drawing circle")
    assert page.locator("#drawing circle").count() == 500
    colours = page.evaluate("[...document.querySelectorAll('circle')].map(dot => dot.getAttribute('fill'))")
    assert len(set(colours)) > 5


def test_hostile_names_and_payloads_are_only_text(page):
    page.click("text=small & #%20odd")
    until(page, "#name", lambda told: told.startswith("small"))
    search(page, "vector", "1, 0")
    page.wait_for_selector("#hits li pre")
    assert "onerror" in text(page, "#hits")
    assert page.title() == "pqdb"
    assert page.locator("#hits img").count() == 0


def test_by_keyboard_alone(page):
    page.wait_for_selector("#main:not([hidden])")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "what":
            break
    assert page.evaluate("document.activeElement.id") == "what"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "focus can be seen"
    page.keyboard.type("9")
    while page.evaluate("document.activeElement.tagName") != "BUTTON":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits li pre")


def test_every_panel_is_reached_by_the_tabulator_and_worked_by_the_space_bar(page):
    page.wait_for_selector("#main:not([hidden])")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if reached[-1] in ("measure", "draw"):
            page.keyboard.press("Space")
        if reached[-1] == "draw":
            break
    wanted = ["measure", "train", "optimize", "by", "limit", "what", "filter", "Search", "draw"]
    assert [name for name in reached if name in wanted] == wanted
    page.wait_for_selector("#drawing circle")
    until(page, "#measured", lambda told: "of 200 stored rows" in told)


def test_every_control_has_a_name(page):
    unnamed = page.evaluate(
        """[...document.querySelectorAll('input, select, textarea, button')]
        .filter(c => !c.labels?.length && !c.innerText && !c.getAttribute('aria-label')).map(c => c.id)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("width", [320, 700, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_any_width_and_both_themes(browser, url, width, scheme, tmp_path):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto(f"{url}/dashboard")
    page.wait_for_selector("#bytes-bars .bar")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] * 1")
    assert (shade > 200) == (scheme == "light")
    page.close()


def test_a_locked_service_asks_for_its_key(browser, database):
    settings = pqdb_server.Settings(read_only_api_key="secret word")
    with serving(pqdb_server.create_app(database, settings)) as url:
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{url}/dashboard")
        page.wait_for_selector("#key:not([hidden])")
        page.fill("#key-word", "secret word")
        page.keyboard.press("Enter")
        page.wait_for_selector("#collections a")
        assert page.evaluate("document.cookie") == ""
        page.close()
