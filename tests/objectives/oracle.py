"""The plain version of the objectives: logits made whole, every gradient by automatic differentiation.

Legend: B batch, T target tokens, D hidden size, V vocabulary.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from limbeck.data import View
from limbeck.models.tokenization import IGNORE, numbered
from limbeck.objectives import DIVERGENCES, AlignmentTerm
from limbeck.objectives.fused import Targets


def packed(objective, hidden, labels):
    """Return the target tokens of padded states `[B, T, D]` and ids `[B, T]` by view; with padding if it counts."""
    targets = {}
    for view, ids in labels.items():
        real = ids != IGNORE
        read = real | real.any(1, keepdim=True) if objective.reads_padding else real
        sizes = read.sum(1).tolist()
        weights, rows = torch.ones(sum(sizes)), torch.zeros(sum(sizes), dtype=torch.long)
        if view is View.CHOICES:  # a choice is up to four tokens, of which each has another weight
            rows = torch.cat([torch.arange(size) // 4 for size in sizes])
            weights = 0.5 ** rows.float()
        targets[view] = Targets(hidden[view][read], ids[read], weights, rows, numbered(sizes), sizes)
    return targets


def targets(student, batch):
    """Return the target tokens of a batch that the student's collator made."""
    states = student.hidden_states(batch)
    return {
        view: Targets(states[view], *(batch[name][view] for name in ("labels", "weights", "rows", "index", "sizes")))
        for view in states
    }


def losses(objective, targets, *, head, counts):
    """Compute the objective's value and each term's, all differentiable."""
    padded = {}
    for view, tokens in targets.items():
        states, labels, sizes = tokens.states, tokens.labels, tokens.sizes
        logits = pad_sequence(head.logits(states).split(sizes), batch_first=True)
        if not logits.shape[1]:  # of a view without any token
            logits = head.logits(states.new_zeros(len(sizes), 1, states.shape[1]) + states.sum())
        ids = pad_sequence(labels.split(sizes), batch_first=True, padding_value=IGNORE)
        padded[view] = logits, nn.functional.pad(ids, (0, logits.shape[1] - ids.shape[1]), value=IGNORE)
    values = {}
    for term in objective.terms:
        sides = [tensor for view in term.views for tensor in padded[view]]
        if isinstance(term, AlignmentTerm):
            complete = (sides[1] != IGNORE).any(1) & (sides[3] != IGNORE).any(1)
            total = (alignment(term, *sides) * complete).sum()
        elif term.name == "contrast":
            total = contrast(term, *(targets[view].states.split(targets[view].sizes) for view in term.views))
        elif term.name == "margin":
            total = margin(term, *sides)
        elif term.name == "soft":
            total = soft(term, *sides, targets[View.CHOICES])
        else:
            total = token_loss(*sides, term.smoothing).sum()
        values[term.name] = total / counts[term.name] if counts[term.name] else total
    return sum(term.weight * values[term.name] for term in objective.terms), values


def contrast(term, labels, rationales):
    """Compute InfoNCE's sum over the examples with both sides, given their tokens' states, one example at a time."""
    pairs = [(a.mean(0), b.mean(0)) for a, b in zip(labels, rationales, strict=True) if len(a) and len(b)]
    total = labels[0].sum() * 0
    for label, rationale in pairs:
        scores = [torch.cosine_similarity(label, other, 0) / term.temperature for _, other in pairs]
        total = (
            total + torch.stack(scores).logsumexp(0) - torch.cosine_similarity(label, rationale, 0) / term.temperature
        )
    return total


def margin(term, *sides):
    """Compute the sum of hinges over the examples with right and wrong rationales, one example at a time."""
    total = sides[0].sum() * 0
    for right_logits, right, wrong_logits, wrong in zip(*sides, strict=True):
        if (right != IGNORE).any() and (wrong != IGNORE).any():
            losses = [nn.functional.cross_entropy(*pair) for pair in ((right_logits, right), (wrong_logits, wrong))]
            total = total + (term.margin + losses[0] - losses[1]).clamp(min=0)
    return total


def soft(term, logits, labels, tokens):
    """Compute the sum over examples of the divergence from softened weights, one example and one choice at a time."""
    total, begin = logits.sum() * 0, 0
    for row_logits, row_labels, size in zip(logits, labels, tokens.sizes, strict=True):
        span = slice(begin, begin + size)
        begin += size
        log_q, weights = [], []
        for number in tokens.rows[span].unique():
            mine = tokens.rows[span] == number
            losses = nn.functional.cross_entropy(row_logits[:size][mine], row_labels[:size][mine], reduction="sum")
            log_q.append(-losses / term.temperature)
            weights.append(tokens.weights[span][mine][0].to(logits.dtype) ** (1 / term.temperature))
        if log_q:
            p, log_q = torch.stack(weights) / sum(weights), torch.stack(log_q).log_softmax(0)
            total = total + term.temperature**2 * nn.functional.kl_div(log_q, p, reduction="sum")
    return total


def token_loss(logits_BTV, labels_BT, smoothing=0.0):
    options = {"ignore_index": IGNORE, "reduction": "none", "label_smoothing": smoothing}
    flat = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), **options)
    return flat.view_as(labels_BT).sum(1)


def alignment(term, *sides):
    """Compute the alignment of every example, `[B]`, from the logits and labels of either side."""
    log_v, log_z = pooled(term, *sides[:2]), pooled(term, *sides[2:])

    def directed(first, second):
        return DIVERGENCES[term.divergence](first.detach() if term.detach == "label" else first, second)

    return (directed(log_v, log_z) + directed(log_z, log_v)) / 2 if term.symmetric else directed(log_v, log_z)


def pooled(term, logits_BTV, labels_BT):
    mask = labels_BT != IGNORE if term.mask_padding else torch.ones_like(labels_BT, dtype=torch.bool)
    mask = mask | ~mask.any(1, keepdim=True)
    log_p = logits_BTV.log_softmax(-1).masked_fill(~mask.unsqueeze(-1), float("-inf"))
    pools = {"max": log_p.amax(1), "mean": log_p.logsumexp(1) - mask.sum(1, keepdim=True).to(log_p.dtype).log()}
    return pools[term.pool].log_softmax(-1) if term.normalise else pools[term.pool]
