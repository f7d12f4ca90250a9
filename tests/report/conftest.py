"""Reports and runs made once for all tests of the report, and a browser to open a page in."""

from pathlib import Path

import pytest

from limbeck.paper import paper_section
from limbeck.report import write_report
from tests.report.reports import finished, judge, questions

HOSTILE_ANSWER = "</script><img src=x onerror=alert(1)> \u202e\u2028 <b>bold</b>"


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """A folder of three runs that differ in their objective."""
    folder = tmp_path_factory.mktemp("runs")
    for objective, right in (("finetune", 0.4), ("dss", 0.7), ("mi", 0.75)):
        finished(folder / objective, objective, 1, right=right)
    return folder


@pytest.fixture(scope="session")
def two_tasks(tmp_path_factory) -> Path:
    """The folder of a report of two tasks and three run groups, with a judge's scores and a hostile answer."""
    folder = tmp_path_factory.mktemp("two-tasks")
    rows = [
        {"id": f"q{n}", "input": f"Question {n} about {'boats' if n % 3 else 'trains'}", "label": "yes"}
        | {"rationale": f"Because of {n}.", "teacher_label": "yes"}
        for n in range(70)
    ]
    data = questions(folder / "data", rows)
    for objective, right in (("finetune", 0.4), ("dss", 0.6), ("mi", 0.7)):
        path = folder / "runs" / f"custom-{objective}"
        finished(path, objective, 1, data, right=right, answers={"q3": HOSTILE_ANSWER})
        finished(folder / "runs" / f"arithmetic-{objective}", objective, 1, right=right)
    judge(folder / "runs" / "custom-mi", {row["id"]: 1 + n % 5 for n, row in enumerate(rows)})
    return write_report([folder / "runs"], folder / "out", paper_section).parent


@pytest.fixture
def open_page(chromium, two_tasks):
    """`open_page(width=..., scheme=..., fragment=...)`: the page in a fresh window; nothing may go wrong in it."""
    contexts, problems = [], []
    path = two_tasks / "index.html"
    allowed = (path.as_uri(), "data:image/svg+xml;base64,")

    def open_page(*, width=1280, scheme="light", fragment=""):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (problems.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith(allowed) or problems.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
