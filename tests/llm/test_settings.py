"""Settings of a teacher: values that may hold a key or a password are refused unseen; prices and budgets."""

from importlib.resources import files

import pytest
import yaml

from limbeck.errors import EndpointError, LimbeckError, RecipeError
from limbeck.llm.messages import Tokens
from limbeck.llm.settings import (
    BudgetSettings,
    PriceSettings,
    SamplingSettings,
    TeacherSettings,
    cost,
    coverage,
    price_of,
)

SECRET = "Hunter2hunter"  # in every value that is refused below
URLS = [
    "https://me:{}@host/v1",
    "https://{}@host/v1",
    "http://host/v1?key={}",
    "http://host/v1#{}",
    "me:{}@host/v1",  # malformed, in one way or another
    "https:/me:{}@host/v1",
    "ftp://me:{}@host/v1",
    "http://me:{}@[host/v1",
    "http://me:{}@/v1",
    "https://me:{}@host:port/v1",
    "https://me:{}@ho st/v1",
    "https://me:{}@\u2100.example/v1",
    "http://{}..b/v1",
]
PRICES = PriceSettings(input=2, output=10)


def refusal(**values) -> str:
    with pytest.raises(LimbeckError) as raised:
        TeacherSettings.parse({"name": "m"} | values, "annotate.yaml")
    assert raised.value.__cause__ is None
    return str(raised.value)


@pytest.mark.parametrize("key", ["sk-{}", "sk-proj-{}_x", "{}", "SK-{}", "X_{}", "OPENAI_API_KEY {}", "{}\nKEY"])
def test_a_key_instead_of_a_variables_name_is_not_shown(key):
    message = refusal(key=key.format(SECRET))
    assert message == "annotate.yaml: key: the name of an environment variable was expected, like OPENAI_API_KEY"


@pytest.mark.parametrize("url", URLS)
def test_an_address_with_a_password_is_not_shown(url, monkeypatch):
    message = refusal(base_url=url.format(SECRET))
    assert message.startswith("annotate.yaml: base_url: ")
    monkeypatch.setenv("OPENAI_BASE_URL", url.format(SECRET))
    with pytest.raises(EndpointError) as raised:
        TeacherSettings(name="m").endpoint()
    assert raised.value.field == "$OPENAI_BASE_URL"
    for text in (message, str(raised.value)):
        assert "unter2" not in text.casefold()
        assert "\n" not in text


@pytest.mark.parametrize("values", [{"batch_size": 0}, {"base_url": f"https://me:{SECRET}@host"}, {"api_key": SECRET}])
def test_another_mistake_beside_it_does_not_show_it(values):
    assert SECRET not in refusal(key=f"sk-{SECRET}", **values)


def test_well_formed_values_are_taken():
    settings = TeacherSettings(name="m", key="MY_KEY_2", base_url="http://[::1]:8000/v1/")
    assert (settings.key, settings.endpoint()) == ("MY_KEY_2", "http://[::1]:8000/v1")


@pytest.mark.parametrize("extra", [{"seed": float("nan")}, {"day": {1, 2}}, {"n": 3}])
def test_extra_fields_that_cannot_be_sent(extra):
    with pytest.raises(LimbeckError, match="extra: "):
        SamplingSettings.parse({"extra": extra}, "annotate.yaml")


def test_prices():
    table = yaml.safe_load((files("limbeck.llm") / "prices.yaml").read_text())
    assert len(table) > 5
    for model, price in table.items():
        assert price_of(model, None) == PriceSettings(**price)
    assert price_of("gpt-4o-mini", PRICES) == price_of("nobody", PRICES) == PRICES
    assert price_of("nobody", None) is None
    assert cost(Tokens(1_000_000, 0), PRICES) == 2
    assert cost(Tokens(300, 40), PRICES) == pytest.approx(0.0006 + 0.0004)


def test_a_budget_covers_both_its_money_and_its_tokens():
    both = coverage(BudgetSettings(money=0.01, tokens=2000), PRICES, "m")
    assert both is not None
    covered = {Tokens(2000, 0): True, Tokens(2001, 0): False, Tokens(0, 1000): True, Tokens(0, 1001): False}
    assert {tokens: both(tokens) for tokens in covered} == covered
    tokens = coverage(BudgetSettings(tokens=10), None, "m")
    assert tokens is not None
    assert (tokens(Tokens(4, 6)), tokens(Tokens(5, 6))) == (True, False)
    assert coverage(BudgetSettings(), PRICES, "m") is None
    with pytest.raises(RecipeError) as raised:
        coverage(BudgetSettings(money=1), None, "m")
    assert raised.value.field == "budget.money"
