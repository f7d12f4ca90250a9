"""What a teacher's tokens cost, and whether a budget still covers them."""

from collections.abc import Callable
from importlib.resources import files

from limbeck.errors import LimbeckError
from limbeck.llm.settings import BudgetSettings, PriceSettings
from limbeck.llm.store import Tokens
from limbeck.settings import yaml_value


def price_of(model: str, given: PriceSettings | None) -> PriceSettings | None:
    """What `model` costs: as given, or as the table has it; None: nobody says."""
    if given is not None:
        return given
    text = (files("limbeck.llm") / "prices.yaml").read_text(encoding="utf-8")
    table = {name: PriceSettings.parse(price, name) for name, price in yaml_value(text, "prices.yaml").items()}
    return table.get(model)


def cost(tokens: Tokens, price: PriceSettings) -> float:
    """The price of so many tokens."""
    return (tokens.prompt * price.input + tokens.completion * price.output) / 1e6


def coverage(budget: BudgetSettings, price: PriceSettings | None, model: str) -> Callable[[Tokens], bool] | None:
    """Whether a budget covers so many tokens, past requests' and the next ones'; None: there is none.

    Raises:
        LimbeckError: it is in money, and no price is known.
    """
    if budget.money is not None and price is None:
        raise LimbeckError(
            f"budget.money: no price of {model!r} is known; give it, for a million tokens, "
            "as prices: {input: ..., output: ...}"
        )

    def covers(spent: Tokens) -> bool:
        if budget.tokens is not None and sum(spent) > budget.tokens:
            return False
        return budget.money is None or price is None or cost(spent, price) <= budget.money

    return None if budget.tokens is None and budget.money is None else covers
