"""The report's page: nothing that a model wrote comes alive, and in a real browser it can be filtered and read."""

import json
import re
from html.parser import HTMLParser

import pytest

from limbeck.paper import paper_section
from limbeck.report import write_report
from tests.report.reports import finished, questions

HOSTILE = ["</script><script>alert(1)</script>", '<img src=x onerror="alert(1)">', "line\u2028separator\u2029paragraph"]
HOSTILE += ["\u202eright to left\u2066", "{{ 7 * 7 }} {% raw %}", "<!-- <script>", "lone \ud800", "long " * 200_000]


class Elements(HTMLParser):
    """Every element's name and attributes, and the text of the scripts."""

    def __init__(self, folder):
        super().__init__()
        self.seen, self.scripts = [], []
        self.feed((folder / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    texts = [text.replace("\ud800", "half a pair") for text in HOSTILE]  # refused in data; answers have them
    rows = [
        {"id": f"q{n}", "input": f"{n} {text}", "label": f"yes {text}", "rationale": text, "teacher_label": text}
        for n, text in enumerate(texts)
    ]
    data = questions(folder / "data", rows)
    answers = {f"q{number}": text for number, text in enumerate(HOSTILE)}
    finished(folder / "runs" / "dss", "dss", 1, data, answers=answers, rationale=HOSTILE[0] + HOSTILE[1])
    mi = finished(folder / "runs" / "mi", "mi", 1, data, answers=answers, rationale=HOSTILE[-1])
    origin = json.loads((mi / "provenance.json").read_text()) | {"versions": {"torch": HOSTILE[0] + HOSTILE[1]}}
    (mi / "provenance.json").write_text(json.dumps(origin))
    return write_report([folder / "runs"], folder / "out", paper_section).parent


def test_nothing_that_a_model_wrote_is_an_element_or_a_script(hostile, two_tasks):
    page, harmless = Elements(hostile), Elements(two_tasks)
    assert {tag for tag, _ in page.seen} <= {tag for tag, _ in harmless.seen} | {"noscript", "title"}
    assert [tag for tag, _ in page.seen].count("script") == 2
    assert page.scripts[1] == harmless.scripts[1]
    assert not any(name.startswith("on") for _, attributes in page.seen for name in attributes)
    sources = [attributes["src"] for _, attributes in page.seen if "src" in attributes]
    assert sources and all(source.startswith("data:image/svg+xml;base64,") for source in sources)


def test_cases_show_hidden_characters_and_cut_long_texts(hostile):
    data = Elements(hostile).scripts[0]
    assert not set("<>&\u2028\u2029") & set(data)
    cases = {case["id"]: case for case in json.loads(data)}
    answers = {id: case["answers"][0]["answer"] for id, case in cases.items()}
    assert (answers["q0"], answers["q2"]) == (HOSTILE[0], "line<U+2028>separator<U+2029>paragraph")
    assert (answers["q3"], answers["q6"]) == ("<U+202E>right to left<U+2066>", "lone <U+D800>")
    assert cases["q7"]["input"].endswith("(cut: 1,000,002 characters)")


def test_the_page_allows_itself_nothing(two_tasks):
    (policy,) = [attributes["content"] for _, attributes in Elements(two_tasks).seen if attributes.get("http-equiv")]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(policy.split())
    assert not re.search(
        r"""(src|href)=["'](?!#|data:image/svg)|@import|url\((?!#)""", (two_tasks / "index.html").read_text()
    )


@pytest.fixture
def cases(two_tasks) -> list[dict]:
    return json.loads((two_tasks / "report.json").read_text())["cases"]


def count(page):
    return int(page.locator("#count").inner_text().split(" of ")[0])


def chosen(page):
    return page.locator("#case h3 bdi").inner_text()


def right_groups(case):
    return {answer["group"] for answer in case["answers"] if answer["right"]}


def test_search_and_filters(open_page, cases):
    page = open_page()
    assert count(page) == len(cases) == 130
    page.fill("#search", "trains about")
    assert count(page) == sum("trains" in case["input"] for case in cases)
    page.click("#clear")
    page.select_option("#task", "custom")
    assert count(page) == 70
    for value, sizes in {"all": {3}, "none": {0}, "some": {1, 2}, "exactly": {0}}.items():  # nothing is ticked yet
        page.select_option("#right", value)
        assert count(page) == sum(case["task"] == "custom" and len(right_groups(case)) in sizes for case in cases)
    page.locator("#groups input").nth(0).check()
    page.locator("#groups input").nth(2).check()
    ticked = set(page.locator("#groups label:has(:checked)").all_inner_texts())
    assert count(page) == sum(case["task"] == "custom" and right_groups(case) == ticked for case in cases) > 0
    page.click("#clear")
    page.fill("#from", "4")
    page.fill("#to", "4")
    assert count(page) == sum(any(answer.get("score") == 4 for answer in case["answers"]) for case in cases) == 14
    assert "4.0 of 5" in page.locator("#case").inner_text()
    page.fill("#search", "in none of them")
    assert "No case matches" in page.locator("#case").inner_text()
    page.click("#clear")
    page.fill("#search", "<img src=x")
    assert "</script><img src=x onerror=alert(1)> <U+202E><U+2028> <b>bold</b>" in page.locator("#case").inner_text()
    assert page.locator("#case img, #case b").count() == 0


def test_the_list_has_pages_and_the_address_keeps_the_state(open_page, cases):
    page = open_page()
    page.click("#later")
    page.click("#later")
    assert (chosen(page), page.locator("#page").inner_text()) == (cases[100]["id"], "101 to 130")
    assert page.locator("#later").is_disabled()
    page.fill("#search", "boats")
    page.locator("#list button").nth(2).click()
    state = chosen(page), count(page)
    page.reload()
    assert (chosen(page), count(page), page.input_value("#search")) == (*state, "boats")
    second_page = open_page(fragment=page.evaluate("location.hash"))
    assert (chosen(second_page), count(second_page)) == state


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_too_wide_and_text_has_enough_contrast(open_page, scheme):
    page = open_page(width=390, scheme=scheme)
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    colors = page.evaluate(COLORS)
    assert len(colors) > 200
    pairs = [sorted(map(luminance, pair)) for pair in colors]
    assert min((high + 0.05) / (low + 0.05) for low, high in pairs) >= 4.5
    assert (luminance(colors[0][1]) > 0.5) == (scheme == "light")


COLORS = """() => [...document.querySelectorAll("body *")]
    .filter((node) => node.innerText?.trim() && !node.matches("script, option, :disabled")).map((node) => {
        let ground = node;
        while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        return [getComputedStyle(node).color, getComputedStyle(ground).backgroundColor];
    })"""


def luminance(color):
    """Return the relative luminance of `rgb(r, g, b)` by WCAG 2."""
    channels = [int(channel) / 255 for channel in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_it_can_be_read_without_seeing_it(open_page):
    page = open_page()
    for landmark in ("banner", "navigation", "main", "contentinfo", "search"):
        assert page.get_by_role(landmark).count() == 1
    assert page.locator("table:not(:has(caption)), th:not([scope]), img:not([alt])").count() == 0
