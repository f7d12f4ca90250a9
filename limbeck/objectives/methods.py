"""The table of methods: every objective is one row, a value. To add one, add a row."""

from limbeck.data import View
from limbeck.objectives.terms import AlignmentTerm, Objective, TokenTerm

HSIEH = "Hsieh et al. 2023, Distilling Step-by-Step, Findings of ACL"
WADHWA = "Wadhwa et al. 2024, arXiv:2406.14511"
CHEN = "Chen et al. 2024, Learning to Maximize Mutual Information for CoT Distillation, Findings of ACL"

LABEL = TokenTerm("label", View.PREDICT, 0.5)
RATIONALE = TokenTerm("rationale", View.EXPLAIN, 0.5)

_ROWS = (
    Objective(
        "finetune",
        (TokenTerm("label", View.PREDICT, 1.0),),
        "CE(label)",
        "labels only, the usual fine-tuning",
        f"{CHEN}, Sec. 4.1",
    ),
    Objective(
        "single-task",
        (TokenTerm("joint", View.RATIONALE_FIRST, 1.0),),
        "CE(rationale, label)",
        "rationale then label as one target; with `labels: teacher` also the definition of Sec. 4.1",
        f"{CHEN}, Sec. 4.2",
    ),
    Objective(
        "answer-first",
        (TokenTerm("joint", View.ANSWER_FIRST, 1.0),),
        "CE(label, rationale)",
        "label then rationale as one target: reasons in training, answers at once in use",
        WADHWA,
    ),
    Objective(
        "dss",
        (LABEL, RATIONALE),
        "label_weight CE(label) + rationale_weight CE(rationale)",
        "two tasks, told apart by a prefix",
        HSIEH,
    ),
    Objective(
        "mi",
        (LABEL, RATIONALE, AlignmentTerm(0.1)),
        "dss + alignment_weight CE(v', z'), v and z max-pooled over real tokens, normalised",
        "dss and the paper's alignment of label and rationale, as its equations have it",
        f"{CHEN}, Eq. 9-11",
    ),
    Objective(
        "mi-official",
        (LABEL, RATIONALE, AlignmentTerm(0.1, divergence="double-softmax", mask_padding=False, normalise=False)),
        "dss + alignment_weight (-sum v log softmax(z)), v and z max-pooled over padding too",
        "the released code's term of each example to the bit, faults and all: it depends on how a batch was padded; "
        "its mean is over the training set, as of every term",
        f"{CHEN}, released code",
    ),
    Objective(
        "mi-mean",
        (LABEL, RATIONALE, AlignmentTerm(0.1, pool="mean")),
        "dss + alignment_weight CE(v', z'), mean-pooled",
        "mi with mean pooling",
        f"{CHEN}, Table 4",
    ),
    Objective(
        "kl",
        (LABEL, RATIONALE, AlignmentTerm(0.1, divergence="kl", detach="none")),
        "dss + alignment_weight KL(v' || z'), both sides trained",
        "mi with KL; with the label side detached its gradient would be mi's",
        f"{CHEN}, Table 5",
    ),
)
METHODS = {row.name: row for row in _ROWS}
