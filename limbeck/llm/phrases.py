"""Phrases in which a teacher states an answer, doubts it, takes it back or is polite.

An answer in a missing phrase is not read, which is counted and shown; a phrase too many may read a wrong one.
"""

import re
from functools import cache

SIGNS = " \t*_#>`~-\"'([\u2022\u2705\u2714\u27a1\u2192\ufe0f\U0001f449\U0001f3af"
_MARKUP = r"[*_]{0,3}"


def _terms(table: str) -> list[str]:
    return re.split(r",\s+", table)


def _words(table: str) -> str:
    return rf"(?:{'|'.join(sorted(_terms(table), key=len, reverse=True))})"


def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern whose blanks stand for one to three."""
    return re.compile(text.replace(" ", r"[^\S\n]{1,3}"), re.IGNORECASE | re.MULTILINE)


NOUNS = ("answer", "ans", "label", "category")
# the answer where it is a choice or a number
CLOSED_NOUNS = _terms(
    """solution, result, conclusion, choice, option, class, classification, verdict, decision, prediction, output,
    judgment, judgement, relationship, relation, Kategorie, Urteil, Beziehung, catégorie, categoría, etiqueta"""
)
_FOREIGN_NOUNS = "Antwort, Lösung, Ergebnis, réponse, résultat, respuesta, resultado"
_ARTICLES = _words("the, my, our, your, its, this, die, das, der, meine, la, le, el")
_VERBS = _words("is, was, will be, ist, lautet, est, es") + r"(?: (?:therefore|thus|hence|clearly|also|daher|donc))?"
# a guess ("must be a place") unless a letter or number follows
_MODALS = r"(?:must|should|would|has to) be(?=\W{1,5}(?:(?:option|choice) )?(?:[(\[]?[a-z][)\].]|\d))"
_OTHER_ORDERS = (
    r"(?:ist|lautet) (?:die|meine) Antwort\b:?"
    r"|(?:(?:所以|因此|最终|正确|的)\s?){0,4}(?:答案|选项|结果|结论|类别|标签)应?该?就?\s?(?:(?:是|为|选)\s?:?|:)|应?该?选择?(?=\s?[(A-Za-z])"
)
# "I'd go with (c)", "should be classified as billing"
_CHOSEN = (
    r"(?P<choice>\b(?:I|we)(?:'d|'ll| would| will)? (?:\w{2,12}ly )?(?:go(?:ing)? with|choose|pick|select|opt for|say) "
    r"|\b(?:(?:I(?:'d| would)|(?:the|this|it)(?: \w{2,12})?) )?(?:(?:should|would) be )?"
    r"(?:classif\w{1,5}|categori[sz]ed?|label(?:l?ed)?)(?: (?:it|this|as|under)){1,2} (?:an? )?)"
)
# `\boxed{42}`; GSM8K's last line, `#### 42` (elsewhere a heading)
_MARKS = (
    r"(?P<sign>(?:(?:\$\$?|\\\[|\\\()\s{0,3})?(?=\\boxed\s?\{)|^[^\S\n]{0,3}####[^\S\n]{1,9}(?=\S)(?![^\n]*\n\s*\S))"
)


@cache
def statement(marker: str, nouns: tuple[str, ...], *, closed: bool) -> re.Pattern[str]:
    """Return the pattern of what precedes an answer; that is a choice or number if `closed`.

    Groups: `own` (the marker), `line` (a noun alone on its line), `sign` (a box, hashes), `choice` ("I'd go with").
    """
    noun = _words(", ".join((*nouns, *NOUNS, _FOREIGN_NOUNS, *(CLOSED_NOUNS if closed else ()))))
    verb = rf"(?:{_VERBS}|{_MODALS})" if closed else _VERBS
    return _pattern(
        rf"(?:(?<!\w)(?P<own>{' '.join(map(re.escape, marker.split()))})(?: as follows)?{_MARKUP}\s?:?"
        rf"|(?<![\w-])(?:{_ARTICLES} {_MARKUP}(?:[\w-]{{1,20}} ){{0,3}}?)?(?<!each\s)(?<!every\s){noun}"
        r"(?: (?:correcte|correcta|correct|finale|final|here)){0,2}"
        rf"(?: (?:to|for|of|in|between|auf|zwischen|à|de|entre) [^.,:\n]{{1,60}}?)?{_MARKUP}"
        rf"(?: {_MARKUP}{verb}(?!\w)(?: as follows)?{_MARKUP}\s?:?|\s{{0,3}}(?:[:=\u2192\u21d2]|->|=>)"
        rf"|(?P<line>(?<!solution)(?<!solution\*\*)[^\S\n]{{0,3}}$))"
        rf"|(?<![\w-])(?:{_OTHER_ORDERS})|{_CHOSEN if closed else '(?P<choice>(?!))'})"
        rf"(?:{_MARKUP}(?=\s|$)|(?<=:){_MARKUP})?|{_MARKS}"
    )


TAGGED = _pattern(
    r"<(?P<tag>(?:final_?|correct_?)?(?:answer|label|output|result|choice))>(?P<answer>[^<]{1,500})</(?P=tag)>"
)
# "C is correct", "42 is the answer"
AFTER_ANSWER = _pattern(
    r" (?:is|must be|would be) (?:(?:the|my) (?:[\w-]{1,20} ){0,3}?(?:answer|choice|option)|correct|right)\b"
    r"|\s?(?:ist richtig|est correcte?|es correct[ao]|是正确的)"
)
# with these in a reply, a comma may be decimal
FOREIGN = _pattern(rf"\b(?:{_words(_FOREIGN_NOUNS)}|daher|somit|insgesamt|donc|au total|por lo tanto|en total)\b")

_SO = "so|thus|therefore|hence|consequently|daher|somit|donc|entonces|por lo tanto|所以|因此"
CONCLUDING = _pattern(rf"\W{{0,3}}(?:{_SO}|overall|altogether|in (?:total|all|conclusion|summary))(?!\w),?\s{{0,3}}")
# before "the answer is"
_CONNECTIVES = rf"""(?:{_SO}|{
    _words('''then, finally, and, overall, ultimately, meaning, which means, this means, it follows, in conclusion,
    in summary, as a result, in short, clearly, now, yes, okay, because, given this, based on this, from this, that,
    only, but, however, it is clear, this shows, this suggests''')
})"""
_OPINION = (
    r"(?:I|we)(?:'d|'m| would| am| can)? (?:say|think|believe|conclude|find|see|know|get|have|confident|sure|determine)"
)
LEAD_END = _pattern(
    rf"(?:(?:\b|(?<=\W)|\A)(?:{_CONNECTIVES}|{_OPINION})(?!\w)|\A\s*(?:of|from|among|given|based on) [^.,:\n]{{1,60}},"
    r"|[\s,;:(*_\"'\u2192\u2014\u2013-])*\Z"
)
# a doubt before these is not about the answer after them
LINK = _pattern(rf"(?:\b(?:{_SO}|which means|but|however|yet)\b|\A(?:no|wait)\b)\W*")

# A sentence that begins with the first supposes, one that holds the second doubts what it says.
SUPPOSED = _pattern(
    r"\W{0,9}(?:(?:but|and|or|so|now|then|well)\W{1,3})?(?:if|what if|suppos\w+|assum\w+|imagine|unless|whether|had"
    r"|were|say|let'?s (?:say|suppose|assume|imagine)|in that case|wenn|si|如果|is|isn't|could|can|without|some|someone"
    r"|many|people|one might|you might|a student|students)(?!\w)"
)
THEN = _pattern(r"\W{0,3}(?:then|in (?:that|this|which) case)\b")
DOUBT = _pattern(
    r"(?:\b(?:might|may|could|doubt|unlikely|not|never|cannot|no|neither|wrong\w*|incorrect|tempt\w+|mistake\w*"
    r"|instead of|rather than|other|claim\w*|thought|assumed|guess|seems?|think|if|says?|said|another|second|possible"
    r"|alternative|previous|earlier|initial|first|nicht|kein|pas)\b|不|n't\b)"
)
UNSURE = _pattern(
    rf"{DOUBT.pattern}|\b(?:or|nor|either|both|between|more|less|fewer|than|least|most|of|half|twice|step|but|unless|only"
    r"|one|two|three|four|five|six|seven|eight|nine|ten)\b|\?"
)
QUALIFIED = _pattern(r"\b(?:if|but|however|unless|only|except)\b|\?")

# begins a sentence that takes the answer back
_IT = (
    r"(?:that|this|it|what i (?:said|wrote)(?: above)?"
    r"|(?:the|my|that|this) (?:(?:final|previous|earlier|above) )?(?:answer|result|number|value|total))"
)
CORRECTION = _pattern(
    r"\W{0,6}(?:(?:oh|but|ah|well|so|and|honestly|in fact),? ){0,2}(?:"
    r"(?:no|nope|wrong|incorrect|falsch|nein|non)(?=\s?[,.!\u2014-])|no wait\b"
    r"|(?:the |my )?(?:corrected|revised|updated)\b"
    r"|(?:wait|hm+|hold on|oops|sorry|actually|scratch|strike that|correction|my mistake|never mind"
    r"|not quite|on (?:second|closer|reflection)|there(?:'s| is| was) an? (?:mistake|error)"
    r"|let me (?:re-?\w{2,20}|correct|fix)|(?:please )?(?:ignore|disregard|forget) (?:that|this|what|the above|my))\b"
    rf"|{_IT}(?:'s|\s\w{{2,5}}){{1,2}} (?:\w{{2,12}} )?(?:wrong|incorrect|mistaken|off|an error|a mistake)\b"
    rf"|{_IT}(?:(?:'s| is| was)? not|\s?\w{{2,6}}n't| can\s?not)(?: \w{{2,5}}){{0,2}}"
    r" (?:right|correct|true|possible)\b(?!\s\w)"
    r"|(?:i|i'm|i'll|let me|ich)\b[^.!?\n]{0,30}?\b(?:mistake|error|wrong|mis(?:read|spoke|calculated)|retract\w*"
    r"|withdraw\w*|(?:that|it|this|my answer) back|changed my mind|no longer|verrechnet|geirrt"
    r"|(?:cannot|can't|don't) (?:\w{2,12}ly )?(?:decide|settle|commit|stand by|trust|think|believe))\b|我(?:算)?错了)"
)
NEXT_QUESTION = _pattern(
    r"(?:^|(?<=[.!?)\]\"'*]\s)|(?<=[.!?)\]\"'*]\s\s))[\s*_#>\"'\-]{0,12}(?:next\s|new\s)?(?:q|question|premise|human|user"
    r"|problem|example|exercise|input|passage)(?:\s?#?\d{1,3})?[*_]{0,2}\s?:"
)

COURTESY = _pattern(  # of the first sentences
    r"\W{0,5}(?:(?:sure|certainly|of course|absolutely|okay|ok|alright|hello|hi|great)(?: (?:thing|there|question))?"
    r"\W{0,3}(?=\Z|let\b|i\b|here|happy)|let(?:'s| me| us) (?:solve|work|think|break|go|look|analy[sz]e|find|walk)\b"
    r"|here(?:'s| is| are| goes)\b|(?:i'd be |i'm )?(?:happy|glad) to\b|i(?:'ll| can) (?:solve|help|walk|explain)\b"
    r"|(?:that's |what )?an? (?:\w+ ){1,3}(?:question|problem|puzzle)\W|thanks? (?:you )?for\b)"
)
FAREWELL = re.compile(  # of the last sentences
    r"(?<!\w)(?=[A-Z])(?i:(?:i )?(?:let me know|hope (?:this|that|it|you)|feel free|don't hesitate)"
    r"|(?:please|happy to) (?:feel|don't|help|explain)|is there anything else|(?:would|do) you (?:like|want|need|have)"
    r"|if you(?:'d like| need| want| have (?:any|more|further))|thanks? (?:you )?for)\b"
)
HEADING = _pattern(
    r"\A[\s*_#>`-]{0,12}(?:A|answer|analysis|because|explanation|justification|rationale|reason(?:ing)?s?|solution"
    r"|response|assistant|thoughts?|step-by-step (?:solution|reasoning|explanation))"
    r"(?:[*_]{0,3}:[*_]{0,3}|[*_\t]{0,3}\n)\s*"
)
LAST_HEADING = _pattern(
    r"\s{0,9}(?:#{1,6}\s[^\n]{1,60}|\*\*(?:step \d{1,2}[:.]?\s)?[^\W\d][^*\d=.!?\n]{0,40}\*\*:?|(?:final )?answer:)\s*"
)
