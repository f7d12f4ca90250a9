"""Settings of a teacher: values that may hold a key or a password are refused unseen; prices and budgets."""

from importlib.resources import files

import pytest
import yaml

from limbeck.errors import EndpointError, LimbeckError, RecipeError
from limbeck.llm.messages import Tokens
from limbeck.llm.settings import AskingSettings, SamplingSettings, TeacherSettings

SECRET = "Hunter2hunter"  # in every value that is refused below
PRICES = {"input": 2, "output": 10}


URLS = (f"https://me:{SECRET}@host/v1", f"http://host/v1?key={SECRET}", f"me:{SECRET}@host/v1")
SECRETS = [("key", f"sk-{SECRET}"), ("key", f"OPENAI_API_KEY {SECRET}"), *(("base_url", url) for url in URLS)]


@pytest.mark.parametrize(("field", "value"), SECRETS)
@pytest.mark.parametrize("mistake", [{}, {"batch_size": 0}, {"api_key": SECRET}])
def test_what_may_be_a_key_or_a_password_is_refused_and_not_shown(field, value, mistake, monkeypatch):
    with pytest.raises(RecipeError) as raised:
        TeacherSettings.parse({"name": "m", field: value, **mistake}, "annotate.yaml")
    assert raised.value.field == field or mistake
    monkeypatch.setenv("OPENAI_BASE_URL", value)
    with pytest.raises(RecipeError) as of_variable:
        TeacherSettings(name="m").endpoint()
    assert str(of_variable.value.path) == "$OPENAI_BASE_URL"
    for error in (raised.value, of_variable.value):
        assert error.__cause__ is None and "unter2" not in str(error)


@pytest.mark.parametrize(
    ("teacher", "environment", "sent"),
    [
        ({}, {}, True),
        ({}, {"OPENAI_BASE_URL": "https://proxy.example/v1"}, True),  # the user's environment names both
        ({}, {"OPENAI_BASE_URL": "http://node2:8000/v1"}, False),
        ({}, {"OPENAI_BASE_URL": "http://node2:8000/v1", "LIMBECK_KEYS": "OPENAI_API_KEY@http://node2"}, True),
        ({"key": "AWS_SECRET_ACCESS_KEY"}, {}, False),
        ({"key": "AWS_SECRET_ACCESS_KEY"}, {"OPENAI_BASE_URL": "https://proxy.example/v1"}, False),
        ({"key": "AWS_SECRET_ACCESS_KEY", "base_url": "http://127.0.0.1:8000/v1"}, {}, True),
        ({"base_url": "https://evil.example/v1"}, {}, False),
        ({"base_url": "https://api.openai.com.evil.example/v1"}, {}, False),
        ({"base_url": "https://api.openai.com/v1"}, {}, True),
        ({"base_url": "http://api.openai.com/v1"}, {}, False),
        ({"base_url": "http://localhost.evil.example/v1"}, {}, False),
        ({"key": "OPENROUTER_API_KEY", "base_url": "https://openrouter.ai/api/v1"}, {}, True),
        ({"key": "OPENROUTER_API_KEY", "base_url": "https://api.openai.com/v1"}, {}, False),
        ({"key": "MY_KEY", "base_url": "https://mine.example/v1"}, {"LIMBECK_KEYS": "A@b MY_KEY@mine.example"}, True),
        ({"key": "MY_KEY", "base_url": "http://mine.example/v1"}, {"LIMBECK_KEYS": "MY_KEY@mine.example"}, False),
    ],
)
def test_a_job_alone_sends_no_key_to_a_host_that_is_not_its_own(teacher, environment, sent, monkeypatch):
    settings = TeacherSettings.parse({"name": "m", **teacher}, "job")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name, value in {settings.key: SECRET, **environment}.items():
        monkeypatch.setenv(name, value)
    if sent:
        assert settings.allowed_key() == SECRET
    else:
        with pytest.raises(EndpointError) as refused:
            settings.allowed_key()
        assert refused.value.field == "teacher.key" and "unter2" not in str(refused.value)
    for value in ("", "EMPTY"):  # no secrets
        monkeypatch.setenv(settings.key, value)
        assert settings.allowed_key() == (value or None)


def test_well_formed_values_are_taken():
    settings = TeacherSettings(name="m", key="MY_KEY_2", base_url="http://[::1]:8000/v1/")
    assert (settings.key, settings.endpoint()) == ("MY_KEY_2", "http://[::1]:8000/v1")


@pytest.mark.parametrize("values", [{"extra": {"day": {1, 2}}}, {"extra": {"n": 3}}, {"samples": 2, "temperature": 0}])
def test_samplings_that_cannot_be(values):
    with pytest.raises(LimbeckError, match=r"annotate\.yaml: "):
        SamplingSettings.parse(values, "annotate.yaml")


def terms(name="nobody", **fields) -> AskingSettings:
    return AskingSettings.parse({"teacher": name, **fields}, "annotate.yaml")


def test_prices():
    table = yaml.safe_load((files("limbeck.llm") / "prices.yaml").read_text())
    assert len(table) > 5
    for model, price in table.items():
        assert terms(model).cost(Tokens(10**6, 0)) == pytest.approx(price["input"])
        assert terms(model, prices=PRICES).cost(Tokens(300, 40)) == pytest.approx(0.0006 + 0.0004)
    assert terms().cost(Tokens(1, 1)) is None


def test_a_budget_covers_both_its_money_and_its_tokens():
    budget = terms(prices=PRICES, budget={"money": 0.01, "tokens": 2000})
    covered = {Tokens(2000, 0): True, Tokens(2001, 0): False, Tokens(0, 1000): True, Tokens(0, 1001): False}
    assert {tokens: budget.covers(tokens) for tokens in covered} == covered
    assert [terms(budget={"tokens": 10}).covers(Tokens(4, count)) for count in (6, 7)] == [True, False]
    assert terms().covers(Tokens(10**12, 10**12))
    with pytest.raises(RecipeError, match=r"budget\.money"):
        terms(budget={"money": 1})
