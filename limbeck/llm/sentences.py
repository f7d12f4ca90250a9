"""The sentences around an answer: what leads to it, doubts it or takes it back, and the politeness around all of it."""

import re

from limbeck.llm import phrases

SIGNS = " \t*_#>`~-\"'([\u2022\u2705\u2714\u27a1\u2192\ufe0f\U0001f449\U0001f3af"
LONGEST_SENTENCE = 400
_ABBREVIATIONS = "".join(rf"(?<!{word})" for word in (r"\n\d", r"\n\d\d", r"\be\.g", r"\bi\.e", "vs", "St", "Mr", "Dr"))
_SENTENCE_END = re.compile(rf"(?:{_ABBREVIATIONS}[.!?][\"'*_)\]]{{0,4}}(?=\s|$)|\n)")
_MAX_SENTENCES = 100
_DENIAL_SENTENCES = 2
_SHORTEST_QUESTION = 4  # words; a shorter one before any answer is no question of the teacher's own
_RETOLD_SHARE = 0.5  # of a question's words that stand in the example's
_MAX_COURTESIES = 4
_LONGEST_COURTESY = 160


def sentence_start(text: str, position: int) -> int:
    """Return the start of the sentence at `position`; every line begins one."""
    start = low = max(0, position - LONGEST_SENTENCE)
    for end in _SENTENCE_END.finditer(text, low, position):
        start = end.end()
    return start


def sentence_end(text: str, start: int, limit: int) -> int:
    """Return the end of the sentence that begins at `start`, at most `limit`."""
    limit = min(limit, len(text))
    end = _SENTENCE_END.search(text, start, limit)
    return end.end() if end else limit


def begins_line(text: str, position: int) -> bool:
    """Return whether nothing but signs stands before `position` in its line."""
    return not text[text.rfind("\n", 0, position) + 1 : position].strip(SIGNS)


def clause_start(text: str, position: int, *, capital: bool) -> int | None:
    """Return the start of the clause that states an answer at `position`; None where other words lead to it.

    An opinion ("I think that"), a connective ("so") and a sign may lead to it, after reasoning that neither supposes
    nor doubts. A capital letter amid a sentence begins another one, without a full stop before it.
    """
    start = opening = sentence_start(text, position)
    before = text[start:position]
    opening += len(before) - len(before.lstrip(" \t"))
    signs = len(before) - len(before.lstrip(SIGNS))
    number = phrases.NUMBERED.match(before, signs)
    start += number.end() if number else signs
    before = text[start:position].rstrip(" *_")
    *_, turn = (None, *phrases.TURN.finditer(before))
    if turn is not None:
        start, before = start + turn.end(), before[turn.end() :]
        opening = opening if turn.start() == 0 else start
    previous = sentence_start(text, max(0, len(text[:opening].rstrip()) - 1))
    if phrases.ASSUMED.match(before) and phrases.HYPOTHESIS.match(text, previous):
        return None
    for _ in range(3):
        before = phrases.OPINION.sub("", before).rstrip()
    if not before.strip(SIGNS) or phrases.SCOPE.fullmatch(before):
        return opening
    if phrases.CONCESSION.match(before):
        return start + len(before)
    sentence_within = capital and text[position].isupper() and not text[:position].isupper()
    if _supposes_or_doubts(before) or not (phrases.CONNECTIVE.search(before) or sentence_within):
        return None
    while (connective := phrases.CONNECTIVE.search(before)) is not None:
        before = before[: connective.start()].rstrip()
    return start + len(before)


def asserts(before: str) -> bool:
    """Return whether the words before a verb such as "classified as" neither suppose nor doubt."""
    return not _supposes_or_doubts(re.sub(r"\bwould\b", "", before))


def _supposes_or_doubts(before: str) -> bool:
    doubt = phrases.STRONG_DOUBT if phrases.REASONING_LINK.search(before) else phrases.DOUBT
    return phrases.SUPPOSITION.match(before) is not None or doubt.search(before) is not None


def withdrawn(text: str, end: int) -> bool:
    """Return whether the sentences after an answer, which ends at `end`, take it back without giving it again."""
    count = 0
    while end < len(text) and count < _MAX_SENTENCES:
        start, end = end, sentence_end(text, end, end + LONGEST_SENTENCE)
        sentence = text[start:end]
        if phrases.WITHDRAWAL.match(sentence) or (count < _DENIAL_SENTENCES and phrases.DENIAL.match(sentence)):
            return True
        if phrases.RECONSIDERATION.match(sentence):
            return phrases.CONFIRMATION.search(text, start, start + LONGEST_SENTENCE) is None
        count += bool(sentence.strip())
    return False


def corrects(text: str, start: int) -> bool:
    """Return whether the sentence that begins at `start` corrects what stands before it."""
    patterns = (phrases.TURN, phrases.WITHDRAWAL, phrases.DENIAL, phrases.RECONSIDERATION, phrases.REVISION)
    return any(pattern.match(text, start) for pattern in patterns)


def invented_question(text: str, first_answer: int | None, *, stop: str, question: str) -> int:
    """Return where the teacher began a question of its own; `first_answer` is the end of its first answer.

    Before any answer, the task's question told again and a few words are no question of its own.
    """
    task_stop = re.compile(rf"(?<!\w){re.escape(stop)}")
    openings = {
        match.start(): match for pattern in (phrases.NEXT_QUESTION, task_stop) for match in pattern.finditer(text)
    }
    for start, match in sorted(openings.items()):
        if first_answer is not None and start >= first_answer:
            return start
        opening_words = text[match.end() : match.end() + LONGEST_SENTENCE]
        if "hypothesis" not in match[0].casefold() and not _retold(opening_words, question):
            return start
    return len(text)


def _retold(text: str, question: str) -> bool:
    sentence = text[: sentence_end(text, len(text) - len(text.lstrip()), len(text))]
    words, question_words = (re.findall(r"\w+", text.casefold()) for text in (sentence, question))
    common = sum(word in question_words for word in words)
    return len(words) < _SHORTEST_QUESTION or common >= _RETOLD_SHARE * len(words)


def without_courtesies(text: str) -> tuple[int, int]:
    """Return where the text begins and ends without the politeness around it."""
    begin, end = 0, len(text.rstrip())
    for _ in range(_MAX_COURTESIES):
        begin += len(text[begin:end]) - len(text[begin:end].lstrip())
        stop = sentence_end(text, begin, min(end, begin + _LONGEST_COURTESY))
        colon = text.find(":", begin, stop)
        if colon >= 0 and phrases.INTRODUCTION.match(text[begin:colon]):
            stop = colon + 1
        sentence = text[begin:stop]
        if not (
            phrases.GREETING.match(sentence)
            or (
                phrases.INTRODUCTION.match(sentence)
                and not re.search(r"\banswer\b.{0,30}:\s*\S|\banswer is\b", sentence)
            )
        ):
            break
        begin = stop
    for _ in range(_MAX_COURTESIES):
        end = begin + len(text[begin:end].rstrip())
        start = max(begin, sentence_start(text, max(begin, end - 2)))
        farewell = phrases.FAREWELL.match(text, start, end) or phrases.FAREWELL_WITHIN.search(text, start, end)
        if farewell is None or end - farewell.start() > _LONGEST_COURTESY:
            break
        end = farewell.start()
    return begin, end


def reasoning(text: str) -> str | None:
    """Return the text without politeness and headings around it, None where nothing is left.

    Half a surrogate pair becomes `?`.
    """
    begin, end = without_courtesies(text)
    lines = phrases.HEADING.sub("", text[begin:end].lstrip(), count=1).strip().split("\n")
    while lines and (
        not lines[-1].strip(" \t*_#>-=`$\u27a1\u2192\u2705\ufe0f") or phrases.LAST_HEADING.fullmatch(lines[-1])
    ):
        lines.pop()
    return "\n".join(lines).strip().encode(errors="replace").decode() or None
