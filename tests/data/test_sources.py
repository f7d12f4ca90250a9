"""The released data, its rows and accuracies, and unpacking it; data sets of the Hub, in local folders, offline."""

import hashlib
import json
import os
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from limbeck.data import DataSettings, load, load_split, read, read_rows, sources
from limbeck.data.sources import fetch
from limbeck.errors import LimbeckError
from limbeck.files import REMAINS_SECONDS
from limbeck.schema import Example
from limbeck.tasks import get
from tests.helpers.archives import archive_settings as settings
from tests.helpers.archives import write_rows, write_shards
from tests.helpers.servers import Answer, HttpRequest, Server


def svamp_root(root: Path) -> Path:
    """Write an archive whose row i has the answer i + 1, and whose teacher says so."""
    for split, count in {"train": 24, "test": 5}.items():
        rows = [{"input": f"{split} {i} and one?", "label": f"( {i}.0 + 1.0 )"} for i in range(count)]
        write_rows(root / "svamp" / f"svamp_{split}.json", rows)
        outputs = [f"Why {i}. The answer is ({i} + 1).\n\nQ: more" for i in range(count)]
        write_shards(root / "svamp" / "llm", split, outputs, size=2)
    return root


def test_outputs_meet_their_rows_over_shards_past_nine(tmp_path: Path) -> None:
    splits = read(settings(svamp_root(tmp_path)))  # twelve shards: sorted as text, 10 comes before 2
    assert list(splits) == ["train", "test"]
    for split, rows in splits.items():
        for i, row in enumerate(rows):
            assert (row.id, row.segments) == (f"{split}-{i}", (f"{split} {i} and one?",))
            assert (row.rationale, row.teacher_label, row.label) == (f"Why {i}.", f"({i} + 1)", f"( {i}.0 + 1.0 )")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("svamp_train.json", None, "no split 'train'"),
        ("svamp_test.json", None, "no split 'test'"),
        ("llm/train_CoT_3.json", None, "train_CoT_3.json"),
        ("llm/train_CoT_11.json", '["one. The answer is (1)."]', "svamp_train.json: 24 rows, but 23 outputs"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n{"input', r"svamp_train.json:2: not JSON"),
        ("svamp_train.json", '{"input": "x", "label": "1"}\n\n{"label": "1"}', r"svamp_train.json:3: .*input"),
        ("llm/train_CoT_0.json", '["a", 3]', "train_CoT_0.json"),
    ],
)
def test_a_damaged_copy_is_refused(tmp_path: Path, file: str, content: str | None, reason: str) -> None:
    with pytest.raises(LimbeckError, match=r"looked for svamp_train.json"):
        read(settings(tmp_path))
    path = svamp_root(tmp_path) / "svamp" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(LimbeckError, match=reason):
        load(settings(tmp_path))


def test_choices_are_as_released(tmp_path: Path) -> None:
    """Runs have the digest of their examples; the release has a choice "ice cream " with a blank."""
    write_rows(tmp_path / "cqa" / "cqa_test.json", [{"question": "q", "choices": ["ice ", "b"], "answer": "ice"}])
    write_shards(tmp_path / "cqa" / "llm", "test", ["It is cold. So the answer is ice."], size=1)
    (row,) = read(settings(tmp_path, task="cqa"))["test"]
    assert (row.choices, row.label, row.teacher_label) == (("ice ", "b"), "ice ", "ice ")


def test_splits_say_which_split_plays_which_role(tmp_path: Path) -> None:
    source = {"kind": "archive", "root": svamp_root(tmp_path)}

    def with_roles(**roles: str) -> DataSettings:
        return DataSettings.parse({"task": "svamp", "source": {**source, "splits": roles}, "limit": 4}, "test")

    swapped = with_roles(train="test", test="train")
    splits = read(swapped)
    assert {role: len(rows) for role, rows in splits.items()} == {"train": 5, "test": 24}
    assert splits["train"][1].input == "test 1 and one?"
    assert load_split(swapped, "test") == load(swapped).test
    assert len(load_split(with_roles(test="test"), "test")) == 4
    for roles, reason in [
        ({"test": "test"}, "no split 'train'"),
        ({"train": "test"}, "no split 'test'"),  # it is trained on
        ({"train": "test", "test": "test"}, "splits"),  # a student would be measured on rows that it saw
        ({"train": "train", "valid": "valid"}, "svamp_valid.json"),
    ]:
        with pytest.raises(LimbeckError, match=reason):
            load_split(with_roles(**roles), "valid" if roles == {"test": "test"} else "test")


# of each split: rows, accuracy, the answers that cannot be read: two choices named, or none
RELEASED = {
    "svamp": {"train": (800, 0.745, 13), "test": (200, 0.775, 2)},
    "cqa": {"train": (9741, 0.7537, 300), "test": (1221, 0.7838, 29)},
    "esnli": {"valid": (9842, 0.7317, 4), "test": (9824, 0.7299, 0)},
}


@pytest.mark.parametrize("task", ["svamp", *(pytest.param(task, marks=pytest.mark.slow) for task in ("cqa", "esnli"))])
def test_released_rows_and_accuracies(dss: Path, task: str) -> None:
    counts = {}
    for split, rows in read(settings(dss, task)).items():
        right = sum(row.teacher_label is not None and get(task).equal(row.teacher_label, row.label) for row in rows)
        counts[split] = (len(rows), round(right / len(rows), 4), sum(row.teacher_label is None for row in rows))
    assert counts == RELEASED[task]


def test_every_released_anli_row_is_parsed(dss: Path) -> None:
    for split, rows in read(settings(dss, "anli1")).items():
        outputs = json.loads((dss / "anli1" / "llm" / f"{split}_CoT_0.json").read_text())
        # by plain cutting, which these raw texts are regular enough for
        parts = [map(str.strip, output.split("Premise:")[0].split("So the answer is")) for output in outputs]
        assert [(row.rationale, f"{row.teacher_label}.") for row in rows] == list(map(tuple, parts))


FILES = {"svamp/svamp_train.json": b"{}\n", "svamp/llm/train_CoT_0.json": b"[]", "cqa/x": b"y"}


def pack(path: Path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def test_unpacking_the_release(tmp_path: Path) -> None:
    def tree(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    archive, root = tmp_path / "datasets.zip", tmp_path / "a" / "root"
    release = pack(archive, {f"datasets/{name}": content for name, content in FILES.items()})
    with pytest.raises(LimbeckError, match="SHA-256"):
        fetch(release, root, "0" * 64)
    assert not root.exists()
    assert fetch(release, root, hashlib.sha256(archive.read_bytes()).hexdigest().upper()) == ["cqa", "svamp"]
    assert tree(root) == FILES
    (root / "cqa" / "x").write_text("mine")
    with pytest.raises(LimbeckError, match="cqa, svamp: there already"):
        fetch(release, root)
    assert tree(root) == {**FILES, "cqa/x": b"mine"}
    fetch(pack(archive, {**FILES, "__MACOSX/svamp/._x": b"", "read.me": b"hi"}), tmp_path / "b")
    assert tree(tmp_path / "b") == FILES


@pytest.mark.parametrize(
    "name", ["../escape/x", "svamp/../../escape", "/tmp/escape/x", "datasets/../escape/x", "svamp/a\x00b", "svamp/link"]
)
def test_nothing_lands_outside_the_root(tmp_path: Path, name: str) -> None:
    path = tmp_path / "datasets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("svamp/good", b"1")
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name  # as a hostile writer would
        info.external_attr = 0o120777 << 16  # a link
        archive.writestr(info, b"/etc/passwd")
    fetch(str(path), tmp_path / "root")
    assert {path.name for path in tmp_path.iterdir()} == {"datasets.zip", "root"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_damaged_missing_and_large_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_UNPACKED", 150_000)
    good = Path(pack(tmp_path / "good.zip", {"svamp/x": os.urandom(5000)})).read_bytes()
    unusable = [{"svamp/x": b"0" * 200_000}, {"x": b"1"}, {}]  # too large, and without a folder
    paths = [pack(tmp_path / f"{number}.zip", files) for number, files in enumerate(unusable)]
    for content in (b"", b"PK\x03\x04 nothing", good[:-100], good[:500] + b"!!!!" + good[504:]):
        paths.append(str(tmp_path / f"{len(paths)}.zip"))
        Path(paths[-1]).write_bytes(content)
    for address in (*paths, "http://127.0.0.1:1/x.zip", "http://[bad", "https://", "nowhere.zip", "", "a\0b"):
        with pytest.raises(LimbeckError, match="cannot be unpacked"):
            fetch(address, tmp_path / "root")
        assert not (tmp_path / "root").exists()


def test_an_archive_of_very_many_files_is_refused_before_its_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(60_000):
            archive.writestr(f"svamp/{number:030d}", b"")
    begun = time.process_time()
    with pytest.raises(LimbeckError, match="more files"):
        fetch(str(path), tmp_path / "root")
    assert time.process_time() - begun < 0.5  # reading the list takes longer


def test_the_next_fetch_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    release = pack(tmp_path / "good.zip", FILES)
    for name, age in ((".limbeck-fetch-old", 2 * REMAINS_SECONDS), (".limbeck-fetch-now", 0)):
        (tmp_path / name / "unpacked").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    fetch(release, tmp_path / "root")
    assert [path.name for path in tmp_path.glob(".limbeck-fetch-*")] == [".limbeck-fetch-now"]


def test_downloads_end_and_are_not_redirected_to_what_is_less_safe(tmp_path: Path, monkeypatch: Any) -> None:
    archive = Path(pack(tmp_path / "good.zip", FILES)).read_bytes()

    def behave(_: int, request: HttpRequest) -> Answer:
        where = {"/ftp": "ftp://127.0.0.1/x.zip", "/file": f"file://{tmp_path}/good.zip", "/good": "/there.zip"}
        if target := where.get(request.path):
            return Answer(302, headers={"location": target})
        return Answer(200, archive, mode="dribble" if request.path == "/slow" else "whole")

    with Server(behave) as server:
        url = server.url.removesuffix("/v1")
        assert fetch(f"{url}/good", tmp_path / "root") == ["cqa", "svamp"]
        monkeypatch.setattr(sources, "FETCH_SECONDS", 1)
        for path in ("/ftp", "/file", "/slow"):
            with pytest.raises(LimbeckError, match="(?i)redirect" if path != "/slow" else "1 seconds"):
                fetch(url + path, tmp_path / "other")
    request = urllib.request.Request("https://safe.example/x.zip")
    with pytest.raises(ValueError, match="less safe"):
        sources._Redirects().redirect_request(request, None, 302, "", {}, "http://safe.example/x.zip")
    assert not (tmp_path / "other").exists() and not list(tmp_path.glob(".limbeck-fetch-*"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read_hub(task: str = "custom", **source: Any) -> dict[str, list[Example]]:
    return read(DataSettings.parse({"task": task, "source": {"kind": "hub", **source}}, "x"))


def test_a_data_set_that_cannot_be_had_is_one_line(tmp_path: Path, offline: None) -> None:
    write_rows(tmp_path / "set" / "train.jsonl", [{"premise": "p", "hypothesis": "h", "label": 0}])
    write_rows(tmp_path / "bad" / "train.jsonl", []).write_text("{nothing")
    path = str(tmp_path / "set")
    for source, reason in [
        ({"path": path, "splits": {"test": "tset"}}, r"tset .*\['train'\]"),
        ({"path": path, "columns": {"input": "premis"}}, "no column 'premis'"),
        ({"path": path}, r"\[train\]: row 1: input: missing"),
        ({"path": str(tmp_path / "bad")}, "cannot be loaded"),
        ({}, "task 'custom' has no data set of its own"),
        ({"task": "cqa"}, "'Salesforce/cos_e' cannot be loaded"),
    ]:
        with pytest.raises(LimbeckError, match=reason) as caught:
            read_hub(**source)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_saved_data_sets_with_class_labels(tmp_path: Path, offline: None) -> None:
    import datasets

    text, classes = datasets.Value("string"), datasets.ClassLabel(names=["no", "yes", "perhaps"])
    columns = {"input": [f"q{i}" for i in range(4)], "label": [1, 0, -1, None]}
    rows = datasets.Dataset.from_dict(columns, features=datasets.Features({"input": text, "label": classes}))
    rows.save_to_disk(tmp_path / "single")
    datasets.DatasetDict({"train": rows, "dev": rows}).save_to_disk(tmp_path / "dict")
    (tmp_path / "folder").mkdir()
    rows.to_parquet(tmp_path / "folder" / "train.parquet")
    for path in ("single", "dict", "folder"):
        splits = read_hub(path=str(tmp_path / path))
        assert [(row.id, row.label) for row in splits["train"]] == [("train-0", "yes"), ("train-1", "no")]
        assert splits.keys() == ({"train", "valid"} if path == "dict" else {"train"})
    file = read_rows(tmp_path / "folder" / "train.parquet", labelled=False)
    assert [row.label for row in file] == ["yes", "no", "", ""]
