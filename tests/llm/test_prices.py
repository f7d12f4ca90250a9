"""What tokens cost, and what a budget covers."""

from importlib.resources import files

import pytest
import yaml

from limbeck.errors import LimbeckError
from limbeck.llm.prices import cost, coverage, price_of
from limbeck.llm.settings import BudgetSettings, PriceSettings
from limbeck.llm.store import Tokens

DEAR = PriceSettings(input=2, output=10)


def test_a_known_models_price_is_in_the_table_unless_one_is_given():
    table = yaml.safe_load((files("limbeck.llm") / "prices.yaml").read_text())
    assert len(table) > 5
    for model, price in table.items():
        found = price_of(model, None)
        assert found is not None
        assert (found.input, found.output) == (price["input"], price["output"])
    assert price_of("gpt-4o-mini", None) == PriceSettings(input=0.15, output=0.60)
    assert price_of("gpt-4o-mini", DEAR) == price_of("nobody", DEAR) == DEAR
    assert price_of("nobody", None) is None


def test_a_million_tokens_cost_the_price():
    assert cost(Tokens(1_000_000, 0), DEAR) == 2
    assert cost(Tokens(0, 1_000_000), DEAR) == 10
    assert cost(Tokens(300, 40), DEAR) == pytest.approx(0.0006 + 0.0004)


def test_a_budget_covers_what_is_within_both_its_money_and_its_tokens():
    both = coverage(BudgetSettings(money=0.01, tokens=2000), DEAR, "m")
    assert both is not None
    assert both(Tokens(2000, 0))  # 0.004
    assert not both(Tokens(2001, 0))
    assert both(Tokens(0, 1000))  # 0.01
    assert not both(Tokens(0, 1001))
    assert not both(Tokens(1001, 999 + 1))
    tokens = coverage(BudgetSettings(tokens=10), None, "m")
    assert tokens is not None
    assert (tokens(Tokens(4, 6)), tokens(Tokens(5, 6))) == (True, False)
    money = coverage(BudgetSettings(money=0.01), DEAR, "m")
    assert money is not None
    assert (money(Tokens(5000, 0)), money(Tokens(5001, 0))) == (True, False)
    assert coverage(BudgetSettings(), DEAR, "m") is None


@pytest.mark.parametrize("tokens", [None, 100])
def test_a_budget_in_money_without_a_price_is_one_line(tokens):
    with pytest.raises(LimbeckError, match=r"^budget\.money: no price of 'm' is known; .*prices: \{input") as raised:
        coverage(BudgetSettings(money=1, tokens=tokens), None, "m")
    assert "\n" not in str(raised.value)
