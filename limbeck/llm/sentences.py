"""The sentences around an answer: what leads to it, doubts it or takes it back, and where the reply really ends."""

import re

from limbeck.llm import forms
from limbeck.llm.languages import words

_LONGEST_SENTENCE = 400
_NO_END = "".join(
    rf"(?<!{abbreviation})" for abbreviation in (r"\n\d", r"\n\d\d", r"\be\.g", r"\bi\.e", "vs", "St", "Mr", "Dr")
)
_SENTENCE_END = re.compile(rf"(?:{_NO_END}[.!?][\"'*_)\]]{{0,4}}(?=\s|$)|\n)")
SIGNS = " \t*_#>`~-\"'([\u2022\u2705\u2714\u27a1\u2192\ufe0f\U0001f449\U0001f3af"
_NUMBERED = re.compile(r"(?:\d{1,2}|[ivx]{1,4})[.)]\s{0,3}|step\s\d{1,2}\s?[:.)]\s{0,3}", re.IGNORECASE)
_OPINION = re.compile(rf"(?:^|(?<=[\s,;:])){words(forms.OPINIONS)}(?:\s(?:that|this))?,?\s{{0,3}}$", re.IGNORECASE)
_CONNECTIVE = re.compile(
    rf"(?:(?:^|(?<=[\s,;:(]))(?:{words(forms.CONNECTIVES)}),?|[,;:)\u2192\u2014\u2013]|->|=>)\s{{0,3}}$", re.IGNORECASE
)
# What an answer that corrects another comes after: "Most would say 86, but", "No, wait,".
_TURN = re.compile(
    r"\b(?:but|however|yet|whereas)\b,?(?:\s(?:in\sfact|actually|really|here|instead))?,?\s{0,3}"
    r"|\A\W{0,5}(?:(?:no|oh|ah|hmm|actually|wait|sorry|correction|scratch\sthat|hold\son|oops)\b[\s,.!\u2014\u2013-]{0,4}){1,3}",
    re.IGNORECASE,
)
_CONCESSION = re.compile(
    r"(?:while|although|though|even\sthough|despite|unlike|whereas)\s.*,\s{0,3}\Z", re.IGNORECASE | re.DOTALL
)
_ASSUMED = re.compile(r"\W{0,3}(?:then|so|thus|in\s(?:that|this|which)\scase)\b", re.IGNORECASE)
_HYPOTHESIS = re.compile(
    r"\W{0,9}(?:but\s|now\s|and\s)?(?:suppose|supposing|assume|assuming|imagine|let'?s\s(?:say|suppose|assume|imagine)|what\sif|if)\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(r"(?:so,?\s)?(?:of|from|among|given|based\son)\s[^.,:\n]{1,60},\s?", re.IGNORECASE)
_SUPPOSITION = re.compile(
    rf"\W{{0,9}}(?:(?:but|and|or|so|now|then|well)[\s,]{{1,3}})?{words(forms.SUPPOSITIONS)}(?!\w)", re.IGNORECASE
)
_DOUBT = re.compile(rf"(?:\b|(?<=n't)|(?<=[\u4e00-\u9fff])){words(forms.DOUBTS)}(?!\w)|n't\b", re.IGNORECASE)
_STRONG_DOUBT = re.compile(
    r"\b(?:might|may|could|would)\s(?:be\s)?(?:say|think|argue|believe|assume|guess|conclude|tempt\w*|answer)"
    r"|\b(?:doubt|unlikely|tempting|tempted|mistakenly|wrongly|claims?)\b",
    re.IGNORECASE,
)
_REASONING_LINK = re.compile(
    r"\b(?:so|thus|therefore|hence|consequently|which means|meaning|daher|donc)\b\W*$", re.IGNORECASE
)
_DENIAL = re.compile(
    rf"\W{{0,6}}(?:(?:oh|but|hmm|um|ah|well)[,.\s]{{1,3}})?{words(forms.DENIALS)}(?![\w])", re.IGNORECASE
)
_WITHDRAWAL = re.compile(
    r"\W{0,6}(?:(?:oh|but|ah|well|oops|no|sorry|so|and|hmm|actually|wait|honestly|frankly|in\sfact)[,.\s]{1,3}){0,2}"
    rf"{words(forms.WITHDRAWALS)}(?!\w)",
    re.IGNORECASE,
)
_RECONSIDERATION = re.compile(
    rf"\W{{0,6}}(?:(?:oh|but|ah|well|hmm|no)[,.\s]{{1,3}})?{words(forms.RECONSIDERATIONS)}(?!\w)", re.IGNORECASE
)
_CONFIRMATION = re.compile(rf"\b{words(forms.CONFIRMATIONS)}\b", re.IGNORECASE)
_ERROR = re.compile(r"\b(?:wrong|incorrect|mistake|error|not\s(?:right|correct))\b", re.IGNORECASE)
_REVISION = re.compile(
    rf"\W{{0,6}}(?:(?:the|my)\s)?{words(forms.REVISED)}\b|on\s(?:reflection|closer)\b", re.IGNORECASE
)
_MOST_SENTENCES = 100
_ADJACENT = 2

_QUESTION_NOUN = r"(?:next\s|new\s)?(?:q|question|premise|human|user|problem|example|exercise|input|passage|hypothesis)"
_NEXT = re.compile(
    r"(?:^|(?<=[.!?)\]\"'*]\s)|(?<=[.!?)\]\"'*]\s\s))[ \t*_#>\-]{0,12}"
    rf"{_QUESTION_NOUN}(?:\s?#?\d{{1,3}})?[*_]{{0,2}}\s?:",
    re.IGNORECASE | re.MULTILINE,
)
_SHORTEST_QUESTION = 4  # words; a shorter one before any answer is no question of the teacher's own
_ALIKE = 0.5  # of its words stand in the example's question


def sentence_start(text: str, place: int) -> int:
    """Return where the sentence of `place` begins; a line that goes on in small letters belongs to the one before."""
    low = max(0, place - _LONGEST_SENTENCE)
    start = low
    for end in _SENTENCE_END.finditer(text, low, place):
        if end[0] == "\n":
            before = text[low : end.start()].rstrip(" *_")
            following = text[end.end() : place + 1].lstrip(" \t")
            goes_on = before[-1:] not in (*".!?:;", "") and following[:1].islower()
            if goes_on and before.rpartition("\n")[2].strip():
                continue
        start = end.end()
    return start


def ending(text: str, start: int, limit: int) -> int:
    """Return where the sentence that begins at `start` ends, at most at `limit`."""
    end = _SENTENCE_END.search(text, start, min(limit, len(text)))
    return end.end() if end else min(limit, len(text))


def begins_sentence(text: str, place: int) -> bool:
    """Return whether nothing but signs stands before `place` in its line."""
    return not text[text.rfind("\n", 0, place) + 1 : place].strip(SIGNS)


def leads_to_answer(text: str, place: int, *, capital: bool) -> int | None:
    """Return where the clause that gives an answer at `place` begins; None where what leads to it is not known to.

    Known are nothing, an opinion ("I think that"), a connective ("so") or a sign after reasoning that neither supposes
    nor doubts. A capital letter amid a sentence begins another, without a full stop before it.
    """
    start = opening = sentence_start(text, place)
    before = text[start:place]
    opening += len(before) - len(before.lstrip(" \t"))
    signs = len(before) - len(before.lstrip(SIGNS))
    number = _NUMBERED.match(before, signs)
    start += number.end() if number else signs
    before = text[start:place].rstrip(" *_")
    *_, turn = (None, *_TURN.finditer(before))
    if turn is not None:
        start, before = start + turn.end(), before[turn.end() :]
        opening = opening if turn.start() == 0 else start
    if _ASSUMED.match(before) and _HYPOTHESIS.match(text, _previous(text, opening)):
        return None
    for _ in range(3):
        opinion = _OPINION.search(before)
        if opinion is None:
            break
        before = before[: opinion.start()].rstrip()
    if not before.strip(SIGNS) or _SCOPE.fullmatch(before):
        return opening
    if _CONCESSION.match(before):
        return start + len(before)
    if _SUPPOSITION.match(before):
        return None
    connective = _CONNECTIVE.search(before)
    if connective is None and not (capital and text[place].isupper() and not text[:place].isupper()):
        return None
    doubt = _STRONG_DOUBT if _REASONING_LINK.search(before) else _DOUBT
    if doubt.search(before):
        return None
    while (connective := _CONNECTIVE.search(before)) is not None:
        before = before[: connective.start()].rstrip()
    return start + len(before)


def _previous(text: str, start: int) -> int:
    """Return where the sentence before the one that begins at `start` begins."""
    return sentence_start(text, max(0, len(text[:start].rstrip()) - 1))


def concludes(before: str) -> bool:
    """Return whether the words before a verb such as "classified as" neither suppose nor doubt."""
    doubt = _STRONG_DOUBT if _REASONING_LINK.search(before) else _DOUBT
    return not _SUPPOSITION.match(before) and not doubt.search(re.sub(r"\bwould\b", "", before))


def withdrawn(text: str, end: int) -> bool:
    """Return whether the sentences after an answer, which ends at `end`, take it back without giving it again."""
    place = end
    for index in range(_MOST_SENTENCES):
        if place >= len(text):
            return False
        following = ending(text, place, place + _LONGEST_SENTENCE)
        sentence = text[place:following]
        if not sentence.strip():
            place = following
            continue
        if _WITHDRAWAL.match(sentence) or (index < _ADJACENT and _DENIAL.match(sentence)):
            return True
        if _RECONSIDERATION.match(sentence):
            rest = text[place : place + _LONGEST_SENTENCE]
            return _ERROR.search(rest) is not None or _CONFIRMATION.search(rest) is None
        place = following
    return False


def corrects(text: str, start: int) -> bool:
    """Return whether the sentence that begins at `start` says that it corrects what stands before."""
    return any(pattern.match(text, start) for pattern in (_TURN, _WITHDRAWAL, _DENIAL, _RECONSIDERATION, _REVISION))


def invented_question(text: str, answered: int | None, stop: str, question: str) -> int:
    """Return where the teacher began a question of its own; `answered`: the end of its first answer.

    Before any answer the task's question told again, or a few words, is none.
    """
    own = re.compile(rf"(?<!\w){re.escape(stop)}")
    starts = sorted({match.start(): match for pattern in (_NEXT, own) for match in pattern.finditer(text)}.items())
    for start, match in starts:
        if answered is not None and start >= answered:
            return start
        if "hypothesis" not in match[0].casefold() and not _retold(
            text[match.end() : match.end() + _LONGEST_SENTENCE], question
        ):
            return start
    return len(text)


def _retold(text: str, question: str) -> bool:
    told = re.findall(r"\w+", text[: ending(text, len(text) - len(text.lstrip()), len(text))].casefold())
    known = set(re.findall(r"\w+", question.casefold()))
    return len(told) < _SHORTEST_QUESTION or sum(word in known for word in told) >= _ALIKE * len(told)
