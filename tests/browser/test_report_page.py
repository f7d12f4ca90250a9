"""The report's page in a real browser: by keyboard alone, in both colour schemes, on a phone, on paper."""

import json
import re

import pytest

from limbeck.report.html import data


def count(page):
    return int(page.locator("#count").inner_text().split(" of ")[0].replace(",", ""))


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.closest('ol, fieldset')?.id")


def chosen(page):
    return page.locator("#case h3 bdi").inner_text()


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def enter(page):
    """Put the focus into the case browser."""
    page.focus("#list [aria-current]")


def right(case):
    return {one["arm"] for one in case["said"] if one["right"]}


def test_search_and_filters_by_keyboard_alone(opened, cases):
    page = opened()
    assert count(page) == len(cases) == 130
    enter(page)
    press(page, "/")
    assert focused(page) == "search"
    page.keyboard.type("trains about")
    assert count(page) == sum("trains" in case["input"] for case in cases)
    press(page, "Escape")
    assert (count(page), page.input_value("#search")) == (130, "")
    press(page, "Tab")
    assert focused(page) == "task"
    page.keyboard.type("cus")
    assert count(page) == 70
    press(page, "Tab")
    assert focused(page) == "right"
    for kept in (
        lambda case: len(right(case)) == 3,  # all arms
        lambda case: not right(case),  # none
        lambda case: 0 < len(right(case)) < 3,  # some
        lambda case: not right(case),  # exactly these arms, of which none is ticked yet
    ):
        press(page, "ArrowDown")
        assert count(page) == sum(case["task"] == "custom" and kept(case) for case in cases)
    press(page, "Tab", "Tab", "Tab", "Tab")
    assert focused(page) == "arms"
    press(page, "Space", "Tab", "Tab", "Space")
    ticked = page.locator("#arms label:has(:checked)").all_inner_texts()
    assert len(ticked) == 2
    assert count(page) == sum(case["task"] == "custom" and right(case) == set(ticked) for case in cases) > 0
    press(page, "Escape")
    assert count(page) == 130


def test_the_judges_score_filters(opened, cases):
    page = opened()
    page.focus("#from")
    page.keyboard.type("4")
    press(page, "Tab")
    page.keyboard.type("4")
    assert count(page) == sum(any(one.get("score") == 4 for one in case["said"]) for case in cases) == 14
    assert "4.0 of 5" in page.locator("#case").inner_text()


def test_keys_go_from_case_to_case_and_from_page_to_page(opened, cases):
    page = opened()
    assert chosen(page) == cases[0]["id"]
    enter(page)
    press(page, "j", "j", "j", "k")
    assert (chosen(page), focused(page)) == (cases[2]["id"], "list")
    press(page, "ArrowDown", "ArrowUp")
    assert chosen(page) == cases[2]["id"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    assert page.locator("#list li").count() == 50
    press(page, "PageDown")
    assert (chosen(page), page.locator("#page").inner_text()) == (cases[52]["id"], "51 to 100")
    press(page, "End")
    assert (chosen(page), page.locator("#list li").count()) == (cases[-1]["id"], 30)
    press(page, "j", "Home", "ArrowUp")
    assert chosen(page) == cases[0]["id"]
    assert page.locator("#list button[tabindex='0']").count() == 1


def test_single_keys_are_of_the_case_browser_alone(opened, cases):
    page = opened()
    for outside in ("document.activeElement.blur()", "document.querySelector('nav a').focus()"):
        page.evaluate(outside)
        before = focused(page)
        press(page, "j", "j", "k", "/")
        assert (chosen(page), focused(page)) == (cases[0]["id"], before)
    page.click("#count")  # anywhere in it
    press(page, "j", "/")
    assert (chosen(page), focused(page)) == (cases[1]["id"], "search")


def test_the_focus_stays_in_the_case_browser(opened, cases):
    page = opened()
    page.focus("#later")
    press(page, "Enter", "Enter")
    last = chosen(page)
    assert (last, page.locator("#page").inner_text()) == (cases[100]["id"], "101 to 130")
    assert (focused(page), page.get_attribute("#later", "aria-disabled")) == ("later", "true")
    press(page, "Enter")
    assert (chosen(page), focused(page)) == (last, "later")
    press(page, "Shift+Tab", "Space", "Space")
    assert (chosen(page), focused(page)) == (cases[0]["id"], "earlier")
    press(page, "Space")
    assert (chosen(page), page.get_attribute("#earlier", "aria-disabled")) == (cases[0]["id"], "true")
    enter(page)
    press(page, "j", "Escape")
    assert focused(page) == "search"
    page.select_option("#right", "these")
    page.focus("#arms input")
    press(page, "Escape")
    assert focused(page) == "search"


def test_the_case_that_is_shown_is_announced(opened, cases):
    page = opened()
    enter(page)
    press(page, "j")
    said, one = page.get_by_role("status").filter(has_text="Case 2"), cases[1]
    assert said.inner_text() == f"Case 2 of 130: {one['task']} {one['id']}, {len(right(one))} of 3 right"
    page.click("#later")
    assert page.locator("#shown").inner_text().startswith("Case 51 of 130: ")
    page.fill("#search", "in none of them")
    assert page.locator("#shown").inner_text() == ""


def test_the_address_keeps_the_state(opened, cases):
    page = opened()
    enter(page)
    press(page, "/")
    page.keyboard.type("boats")
    press(page, "ArrowDown", "j", "j")
    before = (chosen(page), count(page))
    page.reload()
    assert (chosen(page), count(page), page.input_value("#search")) == (*before, "boats")
    other = opened(fragment=page.evaluate("location.hash"))
    assert (chosen(other), count(other)) == before


def test_what_a_model_wrote_stays_text(opened):
    page = opened()
    enter(page)
    press(page, "/")
    page.keyboard.type("<img src=x")
    assert count(page) == 1
    assert "</script><img src=x onerror=alert(1)> <U+202E><U+2028> <b>bold</b>" in page.locator("#case").inner_text()
    assert page.locator("img, #case b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(opened, scheme):
    page = opened(width=390, scheme=scheme)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    out = page.evaluate(
        "[...document.querySelectorAll('body *')].filter((one) => !one.closest('.scroll, pre, .skip, svg'))"
        ".filter((one) => one.getBoundingClientRect().right > 390.5).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert out == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 :
    ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (one) => { for (; one; one = one.parentElement) { const c = rgb(getComputedStyle(one).backgroundColor);
    if (c[3] === 255) return c; } return [255, 255, 255]; };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || one.closest("svg title, script, option, noscript") || !one.getClientRects().length) continue;
    const style = getComputedStyle(one);
    const own_colour = light(rgb(one.closest("svg") ? style.fill : style.color));
    const [a, b] = [own_colour, light(behind(one))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), one.outerHTML.slice(0, 90)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_enough(opened, scheme):
    page = opened(scheme=scheme)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 200
    assert [one for one in ratios if one[0] < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 600) == (scheme == "light")


def test_the_colours_are_chosen_and_kept(opened):
    page = opened(scheme="light")
    page.focus("#theme")
    press(page, "Enter", "Enter")
    assert page.locator("#theme").inner_text() == "Colours: dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 19, 18)"


def test_where_storage_is_refused_the_colours_change_all_the_same(opened):
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
    page = opened(script=refuse)
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_on_paper_it_is_light_and_open_and_without_controls(opened):
    page = opened(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(29, 27, 24)"
    for hidden in ("#filters", "#list", "#theme", "nav"):
        assert not page.locator(hidden).is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".recipe pre").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".recipe[open]").count() == 0
    assert page.pdf().startswith(b"%PDF")


def test_ten_thousand_cases_are_a_page_of_the_list_at_a_time(opened, report, cases, tmp_path):
    many = [{**cases[n % len(cases)], "id": f"case {n}"} for n in range(10_000)]
    before, mark, rest = (report / "index.html").read_text().partition(' id="data">')
    (tmp_path / "many.html").write_text(before + mark + str(data(many)) + rest[rest.index("</script>") :])
    page = opened(path=tmp_path / "many.html")
    assert (count(page), page.locator("#list li").count()) == (10_000, 50)
    enter(page)
    press(page, "/")
    page.keyboard.type("trains")
    assert count(page) == sum("trains" in json.dumps(case) for case in many)
    press(page, "ArrowDown", "End")
    assert page.locator("#list li").count() <= 50


def test_it_can_be_found_through_without_seeing_it(opened):
    page = opened()
    for landmark in ("banner", "navigation", "main", "contentinfo", "search"):
        assert page.get_by_role(landmark).count() == 1
    assert page.locator("table:not(:has(caption)), th:not([scope]), svg:not([role=img])").count() == 0
    assert page.locator("svg:not(:has(> title))").count() == 0
    unnamed = "[...document.querySelectorAll('input, select')].filter((one) => !one.labels.length).length"
    assert page.evaluate(unnamed) == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
