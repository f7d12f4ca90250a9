"""The page to try a student, in a real browser."""

import pytest

from tests.serving.conftest import serving

KEY = "a-key-of-the-tests"


@pytest.fixture
def opened(chromium, trained):
    """`opened(act=...)`: do `act(page)` in a fresh window; nothing may go wrong in it."""
    problems = []

    def check(scheme="light", width=1280, token=None, act=lambda page: None):
        with serving(trained, token=token) as served:
            context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("request", lambda r: r.url.startswith(served.url) or problems.append(r.url))
            page.goto(served.url)
            act(page)
            context.close()
        assert problems == []

    return check


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_a_question_is_asked_by_keyboard_and_answered(opened, scheme, width, tmp_path):
    def act(page):
        page.keyboard.type("<img src=x onerror=alert(1)> What is 2 + 3?")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#result:not([hidden])")
        assert page.inner_text("#name") == "dss" and "the student" in page.inner_text("#by")
        assert page.inner_text("#rationale") and page.inner_text("#confidence").endswith("%")
        assert page.locator("#result img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / "page.png")

    opened(scheme, width, act=act)


def test_a_key_is_asked_for(opened):
    def act(page):
        page.fill("#question", "What is 2 + 3?")
        page.click("#ask")
        page.wait_for_selector("#error:not([hidden])")
        page.fill("#key", KEY)
        page.click("#ask")
        page.wait_for_selector("#result:not([hidden])")
        assert not page.is_visible("#error")

    opened(token=KEY, act=act)
