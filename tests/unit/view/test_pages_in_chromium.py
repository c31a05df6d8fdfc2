"""The pages in a real browser: read, searched, opened by keyboard, printed, and judged by axe-core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from scaffold.view.graph_page import graph_page, graph_svg
from scaffold.view.report_page import report_page
from tests.browser import PATIENCE, chromium
from tests.unit.view import inventories

Show = Callable[..., Page]

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    shop, estate, hostile = inventories.inventory(), inventories.estate(), inventories.hostile()
    for name, text in {
        "report.html": report_page(shop),
        "graph.html": graph_page(shop),
        "graph.svg": graph_svg(shop),
        "estate.html": graph_page(estate),
        "crowded.html": graph_page(inventories.crowded()),
        "hostile-report.html": report_page(hostile),
        "hostile-graph.html": graph_page(hostile),
    }.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def show(browser: Browser, pages: Path) -> Iterator[Show]:
    """Opens a page without network, and fails for whatever it complains of or asks for."""
    said: list[str] = []
    contexts = []

    def opened(name: str, width: int = 1600, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(_console(message)))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend(_elsewhere(request)))
        page.goto((pages / name).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


def _console(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def _elsewhere(request: Request) -> list[str]:
    return [] if request.url.startswith("file:") else [request.url]


def violations(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found]


@pytest.mark.parametrize("name", ["report.html", "graph.html"])
def test_axe_finds_nothing_and_nothing_is_cut_off(show: Show, name: str) -> None:
    page = show(name)
    for width in (1600, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []


@pytest.mark.parametrize("width", [420, 760])
def test_no_name_is_broken_in_its_middle(show: Show, width: int) -> None:
    page = show("report.html", width=width)
    lines = (
        "(e) => { const r = document.createRange(); r.selectNodeContents(e.firstChild);"
        " return r.getClientRects().length }"
    )
    names = page.locator(".parties tbody th").all()
    assert [name.evaluate(lines) for name in names] == [1] * len(names)
    parts = (
        "(e) => Array.from(e.childNodes).filter((n) => n.nodeType === 3).map((n) => {"
        " const r = document.createRange(); r.selectNodeContents(n); return r.getClientRects().length })"
    )
    for identity in page.locator(".parties p.code").all():
        assert set(identity.evaluate(parts)) == {1}
    if width == 420:
        assert all(name.evaluate("(e) => e.offsetWidth > 300") for name in names)


def test_axe_finds_what_is_wrong(show: Show) -> None:
    page = show("report.html")
    page.evaluate("document.querySelector('h1').style.color = '#ddd'")
    assert [one.partition(":")[0] for one in violations(page)] == ["color-contrast"]


@pytest.mark.parametrize("name", ["hostile-report.html", "hostile-graph.html"])
def test_what_somebody_else_wrote_is_text(show: Show, name: str) -> None:
    page = show(name)
    assert "<script>alert(1)</script>" in page.locator("body").inner_text()


def test_its_policy_lets_no_other_script_run(browser: Browser, pages: Path) -> None:
    (pages / "meddled.html").write_text(
        (pages / "graph.html").read_text("utf-8").replace("</body>", "<script>document.title = 'mine'</script></body>"),
        "utf-8",
    )
    page = browser.new_page()
    page.goto((pages / "meddled.html").as_uri())
    assert page.title() == "shop: who calls whom"
    page.close()


def test_a_dark_page_is_dark(show: Show) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    assert show("report.html").evaluate(background) == "rgb(253, 253, 251)"
    assert show("report.html", scheme="dark").evaluate(background) == "rgb(21, 23, 26)"


def test_on_paper_everything_is_shown(show: Show) -> None:
    page = show("report.html")
    check = page.locator("details td").filter(has_text="false server: wrong name").first
    assert not check.is_visible()
    page.emulate_media(media="print")
    expect(check).to_be_visible()
    expect(page.get_by_role("navigation")).not_to_be_visible()
    drawn = show("graph.html")
    article = drawn.locator("article[id='client.ops']")
    assert not article.is_visible()
    drawn.emulate_media(media="print")
    expect(article).to_be_visible()
    expect(drawn.locator("#tools")).not_to_be_visible()


def test_a_box_is_found_and_opened_by_keyboard(show: Show) -> None:
    page = show("graph.html")
    page.keyboard.press("/")
    page.keyboard.type("web api")
    expect(page.get_by_role("status")).to_have_text("0 of 8 found")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("due")
    expect(page.get_by_role("status")).to_have_text("1 of 8 found")
    lit = page.locator("a.node.lit")
    expect(lit).to_have_attribute("href", "#client.web")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="client.web")).to_be_focused()
    expect(page.locator("article:visible")).to_contain_text("server.api as reader")
    page.keyboard.press("Escape")
    expect(page.locator("a.node[href='#client.web']")).to_be_focused()
    expect(page.locator("article:visible")).to_have_count(0)


def test_arrows_go_from_box_to_box_and_enter_opens(show: Show) -> None:
    page = show("graph.html")
    assert page.locator("a.node[tabindex='0']").count() == 1, "one stop for the whole picture"
    page.locator("a.node[href='#client.web']").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("a.node[href='#server.api']")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="server.api")).to_be_focused()
    expect(page.locator("a.node.chosen")).to_have_attribute("href", "#server.api")
    lit = {one.get_attribute("href") for one in page.locator("a.node.lit").all()}
    assert lit == {"#server.api", "#client.web", "#client.late", "#server.store", "#ca.issuing"}


def test_a_group_opens_and_a_search_finds_into_it(show: Show) -> None:
    page = show("estate.html")
    expect(page.locator("section.view:visible")).to_have_id("by-owner")
    page.get_by_role("link", name="team-1: 8 servers, 8 clients").click()
    expect(page.locator("section.view:visible")).to_have_id("owner-2")
    expect(page.locator("#view")).to_have_value("owner-2")
    page.keyboard.press("/")
    page.keyboard.type("c030")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="client.c030")).to_be_focused()
    expect(page.locator("section.view:visible")).to_have_id("owner-4")


def test_what_needs_attention_is_lit_alone(show: Show) -> None:
    page = show("graph.html")
    page.get_by_label("only what needs attention").check()
    expect(page.locator("a.node.lit")).to_have_count(1)
    expect(page.locator("#matches a")).to_have_text(["client.web"])


def test_it_is_seen_whole_when_it_opens(show: Show) -> None:
    page = show("graph.html", 950)
    drawn = page.locator("section.view:visible svg.picture").bounding_box()
    stage = page.locator("#stage").bounding_box()
    assert drawn is not None
    assert stage is not None
    assert drawn["width"] <= stage["width"]


def test_it_grows_and_fits(show: Show) -> None:
    page = show("graph.html", 400)
    drawn = page.locator("section.view:visible svg.picture")
    before = drawn.bounding_box()
    page.get_by_role("button", name="Larger").click()
    larger = drawn.bounding_box()
    page.get_by_role("button", name="Fit").click()
    fitting = drawn.bounding_box()
    assert before is not None
    assert larger is not None
    assert fitting is not None
    assert larger["width"] > before["width"]
    assert fitting["width"] <= 400


def test_without_a_picture_all_details_are_shown(show: Show) -> None:
    page = show("crowded.html")
    expect(page.locator("article[id='server.api']")).to_be_visible()
    expect(page.locator("article:visible")).to_have_count(8)


def test_the_svg_is_drawn_by_itself(show: Show) -> None:
    page = show("graph.svg")
    assert page.locator("a.node").count() == 8
    box = page.locator("a.node[href='#server.api'] rect").bounding_box()
    assert box is not None
    assert box["width"] > 0
