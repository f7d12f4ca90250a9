"""Who to cite for runs: the papers of exactly the pieces they used, as text and as BibTeX."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import limbeck
from limbeck.runs.recipe import Recipe
from limbeck.objectives import METHODS
from limbeck.objectives.methods import CHEN, HSIEH, WADHWA


@dataclass(frozen=True)
class Citation:
    """A paper, a data set or a program. `text` is one line, `bibtex` an entry under `key`."""

    key: str
    text: str
    bibtex: str


def citations(recipes: Iterable[Recipe]) -> list[Citation]:
    """What runs of these recipes build on, each once: limbeck, then objectives, teachers' data, data sets."""
    found: dict[str, None] = {}
    for recipe in recipes:
        found |= dict.fromkeys([*_of_objective(recipe), *_of_data(recipe)])
    return [_limbeck(), *(_PAPERS[key] for key in sorted(found, key=list(_PAPERS).index))]


def _of_objective(recipe: Recipe) -> list[str]:
    """The paper that the method's row names; an alignment is added to the two tasks of another's."""
    reference = METHODS[recipe.objective.name].reference
    keys = [key for words, key in _REFERENCES.items() if reference.startswith(words)]
    aligned = recipe.objective.build().alignments
    return [*keys, *(["hsieh2023distilling"] if aligned else [])]


def _of_data(recipe: Recipe) -> list[str]:
    resolved = recipe.resolved()
    source = resolved["data"].get("source", {})
    tasks = [recipe.data.task, *resolved["evaluation"].get("out_of_domain", [])]
    keys = [key for task in tasks for key in _DATA.get(task, ())]
    if "asdiv" in source.get("augment", ()):
        keys += _DATA["asdiv"]
    if source.get("kind") == "archive" or source.get("rationales"):
        keys.append("hsieh2023distilling")
    return keys


_REFERENCES = {CHEN: "chen2024learning", HSIEH: "hsieh2023distilling", WADHWA: "wadhwa2024investigating"}
_DATA = {
    "svamp": ("patel2021nlp",),
    "asdiv": ("miao2020diverse",),
    "cqa": ("talmor2019commonsenseqa", "rajani2019explain"),
    "esnli": ("camburu2018esnli", "bowman2015large"),
    "anli1": ("nie2020adversarial",),
}


def _paper(key: str, authors: str, title: str, venue: str, year: int, arxiv: str) -> Citation:
    """`authors` as BibTeX has them, `Family, Given and Family, Given`."""
    families = [author.partition(",")[0] for author in authors.split(" and ")]
    named = families[0] if len(families) == 1 else " and ".join(families) if len(families) == 2 else None
    fields = {"title": f"{{{title}}}", "author": authors, "booktitle": venue, "year": str(year)}
    fields |= {"eprint": arxiv, "archivePrefix": "arXiv"}
    text = f"{named or f'{families[0]} et al.'} {year}. {title.rstrip('.')}. {venue}. arXiv:{arxiv}"
    return Citation(key, text, _bibtex("inproceedings", key, fields))


def _limbeck() -> Citation:
    version = limbeck.__version__
    title = "limbeck: chain-of-thought distillation into small language models"
    fields: dict[str, Any] = {"title": f"{{{title}}}", "author": "{The limbeck authors}", "version": version}
    return Citation("limbeck", f"{title}, version {version}", _bibtex("software", "limbeck", fields))


def _bibtex(kind: str, key: str, fields: dict[str, str]) -> str:
    return "\n".join([f"@{kind}{{{key},", *(f"  {name} = {{{value}}}," for name, value in fields.items()), "}"])


_ACL, _FINDINGS = "Annual Meeting of the Association for Computational Linguistics", "Findings of the Association for"
_NAACL = "North American Chapter of the Association for Computational Linguistics"
_EMNLP = "Empirical Methods in Natural Language Processing"

_PAPERS = {
    one.key: one
    for one in (
        _paper(
            "chen2024learning",
            "Chen, Xin and Huang, Hanxian and Gao, Yanjun and Wang, Yi and Zhao, Jishen and Ding, Ke",
            "Learning to Maximize Mutual Information for Chain-of-Thought Distillation",
            f"{_FINDINGS} Computational Linguistics: ACL 2024",
            2024,
            "2403.03348",
        ),
        _paper(
            "hsieh2023distilling",
            "Hsieh, Cheng-Yu and Li, Chun-Liang and Yeh, Chih-Kuan and Nakhost, Hootan and Fujii, Yasuhisa and "
            "Ratner, Alex and Krishna, Ranjay and Lee, Chen-Yu and Pfister, Tomas",
            "Distilling Step-by-Step! Outperforming Larger Language Models with Less Training Data and Smaller Model "
            "Sizes",
            f"{_FINDINGS} Computational Linguistics: ACL 2023",
            2023,
            "2305.02301",
        ),
        _paper(
            "wadhwa2024investigating",
            "Wadhwa, Somin and Amir, Silvio and Wallace, Byron C.",
            "Investigating Mysteries of CoT-Augmented Distillation",
            _EMNLP,
            2024,
            "2406.14511",
        ),
        _paper(
            "patel2021nlp",
            "Patel, Arkil and Bhattamishra, Satwik and Goyal, Navin",
            "Are NLP Models really able to Solve Simple Math Word Problems?",
            _NAACL,
            2021,
            "2103.07191",
        ),
        _paper(
            "miao2020diverse",
            "Miao, Shen-yun and Liang, Chao-Chun and Su, Keh-Yih",
            "A Diverse Corpus for Evaluating and Developing English Math Word Problem Solvers",
            _ACL,
            2020,
            "2106.15772",
        ),
        _paper(
            "talmor2019commonsenseqa",
            "Talmor, Alon and Herzig, Jonathan and Lourie, Nicholas and Berant, Jonathan",
            "CommonsenseQA: A Question Answering Challenge Targeting Commonsense Knowledge",
            _NAACL,
            2019,
            "1811.00937",
        ),
        _paper(
            "rajani2019explain",
            "Rajani, Nazneen Fatema and McCann, Bryan and Xiong, Caiming and Socher, Richard",
            "Explain Yourself! Leveraging Language Models for Commonsense Reasoning",
            _ACL,
            2019,
            "1906.02361",
        ),
        _paper(
            "camburu2018esnli",
            'Camburu, Oana-Maria and Rockt{\\"a}schel, Tim and Lukasiewicz, Thomas and Blunsom, Phil',
            "e-SNLI: Natural Language Inference with Natural Language Explanations",
            "Advances in Neural Information Processing Systems",
            2018,
            "1812.01193",
        ),
        _paper(
            "bowman2015large",
            "Bowman, Samuel R. and Angeli, Gabor and Potts, Christopher and Manning, Christopher D.",
            "A large annotated corpus for learning natural language inference",
            _EMNLP,
            2015,
            "1508.05326",
        ),
        _paper(
            "nie2020adversarial",
            "Nie, Yixin and Williams, Adina and Dinan, Emily and Bansal, Mohit and Weston, Jason and Kiela, Douwe",
            "Adversarial NLI: A New Benchmark for Natural Language Understanding",
            _ACL,
            2020,
            "1910.14599",
        ),
    )
}
