"""A real browser, the machine's own Chromium, and a report to open in it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from limbeck.files import read_jsonl
from limbeck.paper import paper_results
from limbeck.report import write_report
from tests.report.reports import REASON, finished, questions, write

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HOSTILE = "</script><img src=x onerror=alert(1)> \u202e\u2028 <b>bold</b>"


@pytest.fixture(scope="module")  # while playwright is open, no other test of this process can run an event loop
def chromium():
    """Started once; $LIMBECK_CHROMIUM says where it is, if not at /usr/bin/chromium or on the path."""
    named = os.environ.get("LIMBECK_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(named).is_file():
        pytest.skip(f"no Chromium at {named}: install it, or set LIMBECK_CHROMIUM to where it is")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=named, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """Of two tasks and three arms, with a judge's scores and a hostile answer; its folder."""
    folder = tmp_path_factory.mktemp("report")
    rows = [
        {"id": f"q{n}", "input": f"Question {n} about {'boats' if n % 3 else 'trains'}", "label": "yes"}
        | {"rationale": f"Because of {n}.", "teacher_label": "yes"}
        for n in range(70)
    ]
    data = questions(folder / "data", rows)
    runs = folder / "runs"
    for objective, right in (("finetune", 0.4), ("dss", 0.6), ("mi", 0.7)):
        finished(runs / f"custom-{objective}", objective, 1, data, right=right, said={"q3": HOSTILE})
        finished(runs / f"arithmetic-{objective}", objective, 1, right=right)
    judged = {
        "task": "custom",
        "run": "Ours",
        "rationale": REASON,
        "judge": "large",
        "temperature": 0,
        "replies": ["a"],
    }
    answers = [row for _, row in read_jsonl(runs / "custom-mi" / "predictions" / "test.jsonl")]
    scores = [
        {**judged, "id": row["id"], "label": row["prediction"], "replies": ["a"], "scores": [1 + n % 5]}
        for n, row in enumerate(answers)
    ]
    write(runs / "custom-mi" / "evaluation" / "judge-test.jsonl", scores)
    return write_report([runs], folder / "out", paper_results).parent


@pytest.fixture(scope="session")
def cases(report) -> list[dict]:
    return json.loads((report / "report.json").read_text())["cases"]


@pytest.fixture
def opened(chromium, report):
    """`opened(width=..., scheme=..., ...)`: the report's page in a fresh window; at the end it must have gone well."""
    contexts, wrong = [], []

    def page(width=1280, scheme="light", fragment="", path=report / "index.html", script=None):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        if script:
            context.add_init_script(script)
        tab = context.new_page()
        tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (wrong.append("dialog"), dialog.dismiss()))
        address = path.as_uri()
        tab.on("request", lambda request: request.url.startswith(address) or wrong.append(f"asked for {request.url}"))
        tab.goto(address + fragment)
        return tab

    yield page
    for context in contexts:
        context.close()
    assert wrong == []
