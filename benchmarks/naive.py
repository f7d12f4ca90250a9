"""The naive way, as plain Hugging Face code does it: two forward passes, whole logits, softmaxes over them again.

Written from the description of the method, for its losses to be those of limbeck's `dss` and `mi` to rounding.
Every example has both targets. Legend: B batch, T target tokens, D hidden size, V vocabulary.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

IGNORE = -100
VIEWS = ("predict", "explain")
WEIGHT = 0.1  # of the alignment


def model_loss(model: nn.Module, batch: dict[str, dict[str, Tensor]], method: str) -> Tensor:
    """The loss `dss` or `mi` of a batch as `NaiveCollator` makes it; the model is called once for each view."""
    predict, explain = (model(**batch[view]) for view in VIEWS)
    loss = 0.5 * predict.loss + 0.5 * explain.loss
    if method == "mi":
        labels, rationales = (batch[view]["labels"] for view in VIEWS)
        loss = loss + WEIGHT * alignment(predict.logits, labels, explain.logits, rationales)
    return loss


def head_loss(hidden: dict[str, Tensor], labels: dict[str, Tensor], weight: Tensor, method: str) -> Tensor:
    """What `model_loss` does after the decoder, from its states: `hidden` `[B, T, D]`, `labels` `[B, T]` by view.

    Args:
        weight: of the vocabulary head, `[V, D]`.
    """
    logits = {view: linear(hidden[view], weight) for view in VIEWS}
    tokens = [cross_entropy(logits[view].flatten(0, 1), labels[view].flatten(), ignore_index=IGNORE) for view in VIEWS]
    loss = 0.5 * tokens[0] + 0.5 * tokens[1]
    if method == "mi":
        loss = loss + WEIGHT * alignment(logits["predict"], labels["predict"], logits["explain"], labels["explain"])
    return loss


def alignment(label_logits: Tensor, labels: Tensor, rationale_logits: Tensor, rationales: Tensor) -> Tensor:
    """The mean over examples of the cross-entropy between the two sides' pooled distributions (Eq. 9-11)."""
    # -sum_k v'_k log z'_k, v' constant
    v = pooled(label_logits, labels).detach()
    z = pooled(rationale_logits, rationales)
    return -(v * z.log()).sum(-1).mean()


def pooled(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """The largest probability of every vocabulary entry over the real tokens, made to sum to one: `[B, V]`."""
    probabilities = logits_BTV.float().softmax(-1)
    largest = probabilities.masked_fill((labels_BT == IGNORE).unsqueeze(-1), 0).max(1).values
    return largest / largest.sum(-1, keepdim=True)


class NaiveCollator:
    """Transformers' own collator, once for each view: lists of dicts, padded to the longest by `tokenizer.pad`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORE)

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, dict[str, Tensor]]:
        """For each view `input_ids`, `attention_mask` and `labels`, of features that hold ids and labels by view."""
        return {view: dict(self.collator([dict(feature[view]) for feature in features])) for view in VIEWS}
