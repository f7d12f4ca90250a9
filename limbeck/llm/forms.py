"""The forms in which teachers give an answer, take one back and are polite: words in tables, by language.

A row more in a table is a form more. `limbeck/llm/parsing.py` says what is done with them.
"""

import re
from functools import cache

from limbeck.llm.languages import FOREIGN, LANGUAGES, SIGNS, spaced, words

# Nouns that stand for the answer of any task, and those that do where the answer is a choice or a number.
NOUNS = ("answer", "ans")
CLOSED_NOUNS = (
    *("solution", "result", "conclusion", "choice", "option", "label", "category", "class", "classification"),
    *("verdict", "decision", "prediction", "output", "judgment", "judgement", "relationship", "relation"),
)
ARTICLES = ("the", "my", "our", "your", "its", "this")
REVISED = ("corrected", "revised", "updated", "amended")
KINDS = (
    *("final", "correct", "right", "best", "only", "overall", "true", "proper", "appropriate", "logical", "suitable"),
    *(
        "likely",
        "obvious",
        "closest",
        "predicted",
        "selected",
        "chosen",
        r"most\s{1,3}\w{2,20}",
        "definitive",
        "short",
        "one-word",
    ),
    *REVISED,
)
IS = (
    "is",
    "was",
    "will be",
    "is therefore",
    "is thus",
    "is hence",
    "is clearly",
    "is simply",
    "is indeed",
    "is likely",
)
# A mood that can be a guess: it counts before a letter or a number alone.
MODALS = ("must be", "should be", "would be", "has to be", "ought to be")

# What may stand before "the answer is" in its sentence. A last word of these joins it to reasoning before.
CONNECTIVES = (
    *(
        "so",
        "thus",
        "therefore",
        "hence",
        "then",
        "finally",
        "consequently",
        "accordingly",
        "and",
        "overall",
        "ultimately",
    ),
    *("which means", "which means that", "meaning", "meaning that", "this means", "this means that", "it follows that"),
    *("in conclusion", "to conclude", "in summary", "as a result", "in short", "clearly", "now", "yes", "okay", "ok"),
    *("daher", "also", "somit", "deshalb", "folglich", "damit", "donc", "ainsi", "par cons\u00e9quent", "entonces"),
    *(
        "por lo tanto",
        "por tanto",
        "as\u00ed que",
        "luego",
        "quindi",
        "portanto",
        "logo",
        "\u6240\u4ee5",
        "\u56e0\u6b64",
    ),
    *("that is why", "because", "given this", "based on this", "from this", "from the above", "step by step"),
)
OPINIONS = (
    *("i think", "i believe", "i would say", "i'd say", "i conclude", "i am confident", "i'm confident", "i am sure"),
    *(
        "we conclude",
        "we can conclude",
        "i can conclude",
        "we find",
        "we see",
        "we know",
        "we get",
        "we have",
        "we can say",
    ),
    *("we can see", "it is clear", "it's clear", "this tells us", "this shows", "this suggests", "i determine"),
)
# A sentence that begins with one of these, or holds one, supposes or doubts what it says.
SUPPOSITIONS = (
    *(
        "if",
        "suppose",
        "supposing",
        "assume",
        "assuming",
        "imagine",
        "unless",
        "whether",
        "had",
        "were",
        "say",
        "in that case",
    ),
    *(
        "wenn",
        "falls",
        "angenommen",
        "si",
        "\u5982\u679c",
        "\u5047\u5982",
        "\u8981\u662f",
        "is",
        "isn't",
        "could",
        "can",
    ),
    *("without", "some", "someone", "many", "people", "one might", "you might", "a student", "students", "not because"),
)
DOUBTS = (
    *(
        "might",
        "may",
        "could",
        "would",
        "doubt",
        "unlikely",
        "not",
        "n't",
        "never",
        "cannot",
        "no",
        "wrong",
        "incorrect",
    ),
    *(
        "tempting",
        "tempted",
        "mistakenly",
        "wrongly",
        "instead of",
        "rather than",
        "claim",
        "claims",
        "claimed",
        "thought",
    ),
    *(
        "assumed",
        "guess",
        "seem",
        "seems",
        "nicht",
        "kein",
        "pas",
        "\u4e0d",
        "\u4e0d\u662f",
        "think",
        "if",
        "says",
        "said",
    ),
    *("another", "second", "possible", "alternative", "previous", "earlier", "initial", "first"),
)

_WRONG = (
    r" (?:(?:is|was|must be|has to be|looks|seems) (?:\w{2,12}ly )?(?:wrong|incorrect|mistaken|off|a mistake|an error)"
    r"|(?:can't|cannot|can not|couldn't|isn't|is not|wasn't|was not|doesn't|does not)(?: (?:be|look|seem|sound))?"
    r" (?:quite )?(?:right|correct|true|possible|hold|work|make sense))"
)
_WRONG_OR_END = rf"(?:{_WRONG}|(?<=no)(?=[,.!\u2014-]))"
# How a sentence after an answer takes it back. The first count in the next sentence or two, the others in any.
DENIALS = (
    *(
        r"no(?=[,.!\u2014-]| -)",
        "nope",
        r"(?:wrong|incorrect)(?=[.!,])",
        r"not quite",
        "oops",
        "sorry",
        "apologies",
        "actually",
    ),
    r"(?:but )?(?:that|this|it)(?: (?:is|was|must be|seems|looks)|'s) (?:\w{1,12} )?"
    r"(?:wrong|incorrect|off|a mistake|an error)",
    r"(?:but )?(?:that|this|it)(?:'s not| (?:is|was) not|\s\w{2,6}n't(?: (?:be|look|seem|sound))?| can\s?not be)"
    r" (?:quite )?(?:right|correct|it|possible|true)",
    *("falsch", "nein", "non", "faux", "incorrecto", "\u4e0d\u5bf9", "\u9519"),
)
WITHDRAWALS = (
    *("scratch that", "strike that", "correction", "my mistake", "on second thought", "i misread", "never mind"),
    r"(?:please )?(?:ignore|disregard|forget) (?:that|this|what|the above|my)",
    r"i (?:made (?:a|an) (?:\w{1,12} )?(?:mistake|error)|was (?:wrong|mistaken)|misspoke|miscalculated|misremembered"
    r"|spoke too soon|got (?:that|it|this) wrong|(?:have )?changed my mind)",
    r"(?:i(?:'m|'ll| am| will| must| should| (?:have|need|want|would like) to|'d like to)?|let me)"
    r" (?:(?:take|took|taking) (?:(?:that|it|this|the above|my answer) back|back)|retract(?:ing)?|withdraw(?:ing)?)",
    r"i (?:no longer|do not|don't|cannot|can't|can not) (?:\w{2,12}ly )?(?:stand by|trust|settle (?:on|for)|commit to"
    r"|decide(?: (?:on|between|which))?)\b",
    r"i no longer (?:think|believe)",
    rf"actually,? (?:no|that|this|it){_WRONG_OR_END}",
    r"(?:what i (?:said|wrote|gave|stated|claimed|had)|(?:the|my|that|this) (?:(?:final|previous|earlier|last|above"
    r"|initial|stated) )?(?:answer|result|number|value|figure|total))"
    rf"(?: (?:i (?:gave|stated|wrote)|given|above|before|earlier|first)){{0,3}}{_WRONG}",
    r"there(?:'s| is| was) (?:a|an) (?:mistake|error)",
    r"ich (?:nehme (?:das|es) zur\u00fcck|habe mich (?:geirrt|vertan|verrechnet)|lag falsch)|das war falsch",
    r"je (?:retire|me suis tromp\u00e9e?)",
    r"me equivoqu\u00e9|me he equivocado|\u6211(?:\u7b97|\u641e|\u8bf4)?\u9519\u4e86",
)
RECONSIDERATIONS = (
    *("wait", "hold on", "hmm", "hm", "moment"),
    r"let (?:me|us) (?:re-?\w{2,20}|correct|fix|start (?:over|again))",
    r"let's (?:re-?(?:consider|think|do|examine)|correct)",
    *("warte", "moment mal", "attendez", "espera", "\u7b49\u7b49", "\u7b49\u4e00\u4e0b"),
)
CONFIRMATIONS = (
    *("yes", "correct", "confirmed", "indeed", "stands", "same answer", "consistent", "checks out", "that's right"),
    *("that is right", "was right", "holds", "matches"),
)


@cache
def answer_places(marker: str, nouns: tuple[str, ...], *, closed: bool = False) -> re.Pattern[str]:
    """Return the pattern of all that an answer follows: "the answer is", "Label:", the marker, in any language.

    Groups: `modal` ("must be"), `own` (the marker), `line` (a noun alone on its line).
    `closed`: the answers are choices or numbers.
    """
    follows = spaced(" as follows")
    own = r"\s{1,9}".join(re.escape(word) for word in marker.split())
    noun = (
        rf"(?<![\w-])(?:{words(ARTICLES)}\s{{1,3}}{SIGNS})?(?:{words(KINDS)}\s{{1,3}}){{0,3}}{words(nouns)}"
        rf"(?:\s(?:(?:to|for|of|in|between)\s[^.,:\n]{{1,60}}?|here|overall))?{SIGNS}"
    )
    is_ = rf"(?:\s{{1,3}}{SIGNS}(?:{words(IS)}|(?P<modal>{words(MODALS)}))\b(?:{follows})?{SIGNS}\s?:?"
    is_ += r"|\s{0,3}(?:[:=\u2192\u21d2]|->|=>)|(?P<line>[ \t]{0,3}$))"
    foreign = "|".join([*(language.pattern(closed=closed) for language in LANGUAGES), words(FOREIGN)])
    return re.compile(
        rf"(?:(?<!\w)(?P<own>{own})(?:{follows})?{SIGNS}\s?:?|{noun}{is_}|(?<![\w-])(?:{foreign}))(?:{SIGNS}(?=\s|$)|(?<=:){SIGNS})?",
        re.IGNORECASE | re.MULTILINE,
    )


AFTER_ANSWER = re.compile(
    spaced(  # "C is correct", "(c) is the best answer", "42 is the answer"
        rf" (?:is|must be|seems|would be) (?:(?:therefore|thus|clearly|definitely) )?"
        rf"(?:(?P<noun>(?:the|my) "
        rf"(?:(?:{words(KINDS)} ){{0,2}}(?:answer|choice|option)|(?:{words(KINDS)} ){{1,2}}one))|correct|right)\b"
        r"|\s?(?:ist (?:die )?(?:richtige?|korrekte?)(?: Antwort)?"
        r"|est (?:la )?(?:bonne r\u00e9ponse|r\u00e9ponse|correcte?)"
        r"|es (?:la )?(?:respuesta )?(?:correcta|correcto|respuesta)"
        r"|\u662f\u6b63\u786e(?:\u7684|\u7b54\u6848)|\u6b63\u786e(?!\u7b54))(?!\w)"
    ),
    re.IGNORECASE,
)
CHOSEN_NUMBER = re.compile(
    spaced(r"\bI(?:'ll| will|'d|'m| would| am)? (?:\w{2,12}ly )?(?:go(?:ing)? with|settle on|answer(?: with)?) "),
    re.IGNORECASE,
)
CHOSEN = re.compile(
    spaced(  # "I'd go with (c)", "should be classified as billing"
        r"\b(?:I|we)(?:'d|'ll| would| will| should| must)? (?:\w{2,12}ly |have to )?"
        r"(?:go(?:ing)? with|choose|pick|select|opt for|settle on|answer(?: with)?|say)(?: (?:is|option|choice))? "
        r"|\b(?:classif\w{1,5}|categori[sz]ed?|labell?(?:ed)?|tag(?:ged)?|filed?|marked?)"
        r"(?:\s\w{2,12}){0,4}? (?:as|under) (?:an? )?"
        r"|\bfalls (?:under|into) (?:the )?(?:category (?:of )?)?|\bbelongs (?:to|in|under) (?:the )?"
        r"|\bmy (?:choice|pick) is "
    ),
    re.IGNORECASE,
)
BOXED = re.compile(r"(?:(?:\$\$?|\\\[|\\\()\s{0,3})?(?=\\boxed\s?\{)")
HASHES = re.compile(r"^[ \t]{0,3}####[ \t]{1,9}(?=\S)", re.MULTILINE)
TAGGED = re.compile(
    r"<\s{0,3}(?P<tag>(?:final_?|correct_?)?(?:answer|label|output|result|choice))(?:\s[^<>\n]{0,60})?>\s{0,9}(?P<answer>[^<]{1,500}?)"
    r"\s{0,9}<\s{0,3}/\s{0,3}(?P=tag)\s{0,3}>|\[ANSWER\]\s{0,9}(?P<bracketed>[^\[]{1,500}?)\s{0,9}\[/ANSWER\]",
    re.IGNORECASE,
)
LEAD = re.compile(rf"(?:{words(CONNECTIVES, OPINIONS)}(?:\sthat)?[,:]?\s{{1,3}}){{1,3}}", re.IGNORECASE)
CONCLUDING = re.compile(
    r"[\s*_#>-]{0,9}(?:so|thus|therefore|hence|consequently|in\s(?:total|conclusion|summary|all)|altogether|overall|as\sa\sresult"
    r"|daher|also|somit|donc|ainsi|por\slo\stanto|entonces|\u6240\u4ee5|\u56e0\u6b64)\b[,:]?\s{0,3}",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:option\s|choice\s)?(?:[(\[][a-z][)\]]|[a-z](?:[).:]|\s[-\u2013\u2014]|\s(?:because|since)\b|$))", re.IGNORECASE
)
_BRIEF_CHOICE = 5  # characters: "yes", "false"


def opens(line: str, choices: tuple[str, ...]) -> bool:
    """Return whether a line opens with an answer: a letter with a sign, or a choice with one or a line of its own."""
    if _OPENING.match(line):
        return True
    for choice in choices:
        if line[: len(choice)].casefold() == choice.casefold():
            signs = ",.:;!\u2013\u2014-" if len(choice) <= _BRIEF_CHOICE else ".:;!\u2013\u2014"
            after = line[len(choice) :].lstrip(" *_")
            if not after or after[0] in signs:
                return True
    return False
