"""Politeness at either end of a reply, which says nothing of its question."""

import re

from limbeck.llm.languages import words
from limbeck.llm.sentences import ending, sentence_start

GREETINGS = (
    *(
        "sure",
        "sure thing",
        "certainly",
        "of course",
        "absolutely",
        "okay",
        "ok",
        "alright",
        "hello",
        "hi",
        r"(?:hi|hello|hey) (?:there|all|everyone)",
    ),
    *("hey", "no problem", "no worries", "got it", "gladly", "with pleasure", "understood", "my pleasure"),
    *("gerne", "nat\u00fcrlich", "klar", "bien s\u00fbr", "claro", "por supuesto", "\u597d\u7684", "\u5f53\u7136"),
    r"(?:(?:what|that's|that is|this is) an? )?(?:(?:really|very|great|good|nice|fun|lovely|interesting|excellent"
    r"|classic|cool|tricky|neat|fantastic|wonderful|thoughtful|little) ){1,3}(?:question|problem|puzzle|one)",
    r"(?:i'd be |i would be |i'm |i am |always )?(?:happy|glad|delighted) to (?:help|assist)"
    r"(?: (?:you )?(?:out|with (?:this|that)))?",
    r"(?:many )?(?:thanks|thank you)(?: (?:so|very) much| a lot)?(?: for [^.!?\d\n]{1,80})?",
)
INTRODUCTIONS = (
    r"(?:i'll|i will|let me|let us|let's) (?:take|have) (?:a|another) (?:\w{2,12} )?look\b",
    r"here(?:'s| is| are) (?:the|my|a|your|how|an)\b",
    r"(?:i'm |i am |i'd be |always )?(?:happy|glad) to (?:help|walk|work|go|explain|assist|solve)\b",
    r"here (?:goes|we go)\b",
    r"let's (?:solve|work|think|break|go|figure|look|tackle|analy[sz]e|reason|find|start|see)\b",
    r"let (?:me|us) (?:solve|work|think|break|walk|go|explain|help|analy[sz]e|reason|see|look|show|lay)\b",
    r"(?:i'll|i will|i can|i'd be|i would be) (?:solve|help|walk|explain|work|think|happy|glad|be happy)\b",
    r"(?:to )?(?:solve|answer) this (?:problem|question)?(?:,? step by step)?[.:]?$",
)
FAREWELLS = (
    r"let me know\b",
    r"(?:i )?hope (?:this|that|it|you)\b",
    r"(?:please )?(?:feel free|don't hesitate|do not hesitate)\b",
    r"(?:is there|was there) anything else\b",
    r"(?:enjoy|cheers|best of luck|all the best|have fun|just ask|ask away|does (?:that|this) (?:make sense|help))\b",
    r"(?:would|do) you (?:like|want|need|have)\b[^.!]{0,120}\?",
    r"(?:i'm|i am|i'd be|i would be)?\s?(?:always )?(?:happy|glad|here) to (?:help|explain|assist|clarify)\b",
    r"if (?:you(?:'d| would) like|you (?:have|need|want) (?:any|more|further|other|additional|me|help|a different)"
    r"|anything (?:is|remains) unclear)\b",
    r"(?:thank you for|thanks for|you're welcome|have a (?:great|nice|good)|good luck|happy (?:learning|studying))\b",
    r"(?:any|do you have any) (?:other|more|further)?\s?questions\b|(?:need|want) (?:any )?(?:more|further)\b",
)

_GREETING = re.compile(rf"\W{{0,5}}{words(GREETINGS)}\W{{0,5}}$", re.IGNORECASE)
_INTRODUCTION = re.compile(rf"\W{{0,5}}(?:{words(GREETINGS)}[,!.]?\s)?{words(INTRODUCTIONS)}", re.IGNORECASE)
# "Sure, I can walk you through this." Of a sentence with a number, or a word of the question, nobody knows.
_ADDRESS = re.compile(
    rf"\W{{0,5}}{words(GREETINGS)}[,!.\u2014\u2013 -]{{1,3}}"
    r"(?=[^\n]*\b(?:you|your|me|i'll|i'd|i\scan|i\swill|happy|glad)\b)"
    r"[^.!?:\d\n]{1,140}[.!:]\W{0,3}\Z",
    re.IGNORECASE,
)
_CONTENT_WORD = re.compile(r"[^\W\d_]{5,}")
_FAREWELL = re.compile(rf"\W{{0,5}}{words(FAREWELLS)}", re.IGNORECASE)
_FAREWELL_WITHIN = re.compile(rf"(?<=\s)(?=[A-Z])(?i:{words(FAREWELLS)})")
_MOST_COURTESIES = 4
_LONGEST_COURTESY = 160
_HEADING = re.compile(
    r"[ \t*_#>`-]{0,12}(?:A|answer|analysis|because|explanation|justification|rationale|reason(?:ing)?s?|solution"
    r"|assistant|thoughts?|thought process|step-by-step (?:solution|reasoning|explanation))"
    r"(?:[*_]{0,3}:[*_]{0,3}|[*_ \t]{0,3}\n)\s{0,9}",
    re.IGNORECASE,
)
_LAST_HEADING = re.compile(
    r"\s{0,9}(?:#{1,6}\s[^\n]{1,60}|\*\*(?:step\s\d{1,2}[:.]?\s)?[^\W\d][^*\d=.!?\n]{0,40}\*\*:?)[ \t]*", re.IGNORECASE
)


def civil(text: str, question: str = "") -> tuple[int, int]:
    """Return where the text begins and ends without the politeness around it; no word of the question is polite."""
    known = set(_CONTENT_WORD.findall(question.casefold()))
    begin, end = 0, len(text)
    for _ in range(_MOST_COURTESIES):
        begin += len(text[begin:end]) - len(text[begin:end].lstrip())
        stop = _courtesy_end(text, begin, end)
        sentence = text[begin:stop]
        if not (
            _GREETING.match(sentence)
            or (_ADDRESS.match(sentence) and known.isdisjoint(_CONTENT_WORD.findall(sentence.casefold())))
            or (_INTRODUCTION.match(sentence) and not re.search(r"\banswer\b.{0,30}:\s*\S|\banswer is\b", sentence))
        ):
            break
        begin = stop
    for _ in range(_MOST_COURTESIES):
        end = begin + len(text[begin:end].rstrip())
        start = max(begin, sentence_start(text, max(begin, end - 2)))
        farewell = _FAREWELL.match(text, start, end) or _FAREWELL_WITHIN.search(text, start, end)
        if farewell is None or end - farewell.start() > _LONGEST_COURTESY:
            break
        end = farewell.start()
    return begin, end


def _courtesy_end(text: str, begin: int, end: int) -> int:
    stop = ending(text, begin, min(end, begin + _LONGEST_COURTESY))
    colon = text.find(":", begin, stop)
    return colon + 1 if colon >= 0 and _INTRODUCTION.match(text[begin:colon]) else stop


def reasoning(text: str, question: str) -> str | None:
    """Return the text without politeness and headings around it, None where nothing is left.

    Half a surrogate pair becomes `?`.
    """
    begin, end = civil(text, question)
    text = text[begin:end].lstrip()
    heading = _HEADING.match(text)
    text = text[heading.end() :] if heading else text
    lines = text.strip().split("\n")
    while lines and (not lines[-1].strip(" \t*_#>-=`$\u27a1\u2192\u2705\ufe0f") or _LAST_HEADING.fullmatch(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip().encode(errors="replace").decode() or None
