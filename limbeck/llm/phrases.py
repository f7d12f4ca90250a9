"""The phrases in which a teacher states an answer, takes one back or is polite: tables, and the patterns made of them.

A language more is a row of `LANGUAGES`, a phrase more a word in a table. `limbeck/llm/replies.py` applies them.
"""

import re
from functools import cache
from typing import NamedTuple

MARKUP = r"[*_]{0,3}"


def table(text: str) -> tuple[str, ...]:
    """Return the phrases of a table, which are separated by a comma and white space."""
    return tuple(re.split(r",\s+", text.strip()))


def spaced(pattern: str) -> str:
    """Return the pattern with up to three blanks where it has one."""
    return pattern.replace(" ", r"\s{1,3}")


def words(*tables: tuple[str, ...] | str) -> str:
    """Return an alternation of the tables' phrases, the longest first, with any white space for a blank."""
    phrases = (phrase for rows in tables for phrase in (table(rows) if isinstance(rows, str) else rows))
    return rf"(?:{'|'.join(sorted({spaced(phrase) for phrase in phrases}, key=len, reverse=True))})"


def _pattern(text: str, flags: re.RegexFlag = re.IGNORECASE) -> re.Pattern[str]:
    return re.compile(text, flags | re.IGNORECASE)


class Language(NamedTuple):
    """The words of "the answer is" in a language; `closed_nouns` count where the answer is a choice or a number."""

    articles: str
    kinds: str
    nouns: str
    closed_nouns: str
    verbs: str
    prepositions: str


REVISED = "corrected, revised, updated, amended, corrigée, corregida, korrigierte"
ENGLISH = Language(
    articles="the, my, our, your, its, this",
    kinds=r"""final, correct, right, best, only, overall, true, proper, appropriate, logical, suitable, likely, obvious,
    closest, predicted, selected, chosen, most\s{1,3}\w{2,20}, definitive, short, one-word""",
    nouns="answer, ans",
    closed_nouns="""solution, result, conclusion, choice, option, label, category, class, classification, verdict,
    decision, prediction, output, judgment, judgement, relationship, relation""",
    verbs="is, was, will be, is therefore, is thus, is hence, is clearly, is simply, is indeed, is likely",
    prepositions="to, for, of, in, between",
)
# These write 3,33 for 3.33.
DECIMAL_COMMA_LANGUAGES = (
    Language(
        articles="die, der, das, meine, unsere, mein",
        kinds="richtige, korrekte, endgültige, finale, beste, wahrscheinlichste",
        nouns="Antwort, Lösung, Ergebnis, Endergebnis",
        closed_nouns="Kategorie, Klasse, Label, Urteil, Entscheidung, Fazit, Wahl, Einordnung, Beziehung",
        verbs="ist, ist also, ist daher, ist somit, lautet, lautet also, lautet daher, wäre",
        prepositions="auf, zu, für, zwischen",
    ),
    Language(
        articles="la, le, ma, mon, notre",
        kinds="bonne, bon, correcte, correct, finale, final, exacte, juste, meilleure",
        nouns="réponse, résultat",
        closed_nouns="catégorie, classe, étiquette, verdict, conclusion, décision, choix",
        verbs="est, est donc, est alors, serait",
        prepositions="à, de, du, pour, entre",
    ),
    Language(
        articles="la, el, mi, nuestra",
        kinds="correcta, correcto, final, mejor, definitiva",
        nouns="respuesta, resultado, solución",
        closed_nouns="categoría, clase, etiqueta, veredicto, conclusión, decisión, opción",
        verbs="es, es entonces, sería",
        prepositions="a la, de, para, entre",
    ),
    Language(
        articles="la, il, mia",
        kinds="corretta, corretto, finale, esatta, migliore",
        nouns="risposta, risultato, soluzione",
        closed_nouns="categoria, classe, etichetta, conclusione, decisione, scelta, opzione",
        verbs="è, è quindi, è dunque, sarebbe",
        prepositions="alla, per, tra",
    ),
    Language(
        articles="a, o, minha",
        kinds="correta, correto, certa, final, melhor",
        nouns="resposta, resultado, solução",
        closed_nouns="categoria, classe, rótulo, conclusão, decisão, escolha, opção",
        verbs="é, é portanto, seria",
        prepositions="à, para, entre",
    ),
)
LANGUAGES = (ENGLISH, *DECIMAL_COMMA_LANGUAGES)
DECIMAL_COMMA = _pattern(
    r"(?<![\w-])(?:"
    + words(
        *(phrases for language in DECIMAL_COMMA_LANGUAGES for phrases in language[2:4] if "verdict," not in phrases)
    )
    + r"|ist (?:die|das) \w{4,20}|daher|somit|deshalb|folglich|insgesamt|donc|ainsi|au total|por lo tanto|por tanto"
    r"|entonces|en total|quindi|portanto|in totale|no total|ergibt|ergeben)(?!\w)"
)
# A guess, unless a letter or a number follows.
MODALS = "must be, should be, would be, has to be, ought to be"
# Other orders of words, and Chinese, which may have no blanks.
OTHER_ORDERS = (
    r"(?:ist|lautet) (?:die|meine) (?:(?:richtige|korrekte|endgültige|finale) ){0,2}Antwort\b:?",
    r"(?:(?:所以|因此|故|最终|最后|正确|的|本题|该题)\s?){0,4}(?:答案|选项|结果|结论|类别|标签)(?:应该|应|就)?\s?(?:(?:是|为|选)\s?:?|:)",
    r"(?:所以|因此|故)?应?该?选择?(?=\s?[(A-Za-z])",
)


@cache
def statement(marker: str, nouns: tuple[str, ...], *, closed: bool = False) -> re.Pattern[str]:
    """Return the pattern of what an answer follows: "the answer is", "Label:", the marker, in any language.

    Groups: `modal` ("must be"), `own` (the marker), `line` (a noun alone on its line).
    `closed`: the answers are choices or numbers.
    """
    follows = spaced("(?: as follows)?")
    marker_pattern = r"\s{1,9}".join(re.escape(word) for word in marker.split())
    articles, kinds, _, _, verbs, prepositions = (words(*column) for column in zip(*LANGUAGES, strict=True))
    nouns = (
        *nouns,
        *(noun for row in LANGUAGES for noun in table(row.nouns + (f", {row.closed_nouns}" if closed else ""))),
    )
    kinds = words(*(language.kinds for language in LANGUAGES), REVISED)
    noun = (
        rf"(?<![\w-])(?:{articles}\s{{1,3}}{MARKUP})?(?:{kinds}\s{{1,3}}){{0,3}}{words(nouns)}(?:\s{{1,3}}{kinds}){{0,2}}"
        rf"(?:\s(?:{prepositions}\s[^.,:\n]{{1,60}}?|here|overall))?{MARKUP}"
    )
    verb = rf"\s{{1,3}}{MARKUP}(?:{verbs}|(?P<modal>{words(MODALS)}))(?!\w){follows}{MARKUP}\s?:?"
    return _pattern(
        rf"(?:(?<!\w)(?P<own>{marker_pattern}){follows}{MARKUP}\s?:?"
        rf"|{noun}(?:{verb}|\s{{0,3}}(?:[:=\u2192\u21d2]|->|=>)|(?P<line>[ \t]{{0,3}}$))"
        rf"|(?<![\w-]){words(OTHER_ORDERS)})(?:{MARKUP}(?=\s|$)|(?<=:){MARKUP})?",
        re.MULTILINE,
    )


# What may stand before "the answer is" in its sentence. A last word of these joins it to reasoning before.
CONNECTIVES = """so, thus, therefore, hence, then, finally, consequently, accordingly, and, overall, ultimately,
    which means, which means that, meaning, meaning that, this means, this means that, it follows that, in conclusion,
    to conclude, in summary, as a result, in short, clearly, now, yes, okay, ok, that is why, because, given this,
    based on this, from this, from the above, step by step, daher, also, somit, deshalb, folglich, damit, donc, ainsi,
    par conséquent, entonces, por lo tanto, por tanto, así que, luego, quindi, portanto, logo, 所以, 因此"""
OPINIONS = """i think, i believe, i would say, i'd say, i conclude, i am confident, i'm confident, i am sure,
    we conclude, we can conclude, i can conclude, we find, we see, we know, we get, we have, we can say, we can see,
    it is clear, it's clear, this tells us, this shows, this suggests, i determine"""
LEAD = _pattern(rf"(?:{words(CONNECTIVES, OPINIONS)}(?:\sthat)?[,:]?\s{{1,3}}){{1,3}}")
OPINION = _pattern(rf"(?:^|(?<=[\s,;:])){words(OPINIONS)}(?:\s(?:that|this))?,?\s{{0,3}}$")
CONNECTIVE = _pattern(rf"(?:(?:^|(?<=[\s,;:(]))(?:{words(CONNECTIVES)}),?|[,;:)\u2192\u2014\u2013]|->|=>)\s{{0,3}}$")
CONCLUDING = _pattern(
    r"[\s*_#>-]{0,9}(?:so|thus|therefore|hence|consequently|in\s(?:total|conclusion|summary|all)|altogether|overall"
    r"|as\sa\sresult|daher|also|somit|donc|ainsi|por\slo\stanto|entonces|所以|因此)\b[,:]?\s{0,3}"
)
REASONING_LINK = _pattern(r"\b(?:so|thus|therefore|hence|consequently|which means|meaning|daher|donc)\b\W*$")

# A sentence that begins with one of the first, or holds one of the second, supposes or doubts what it says.
SUPPOSITION = _pattern(
    r"\W{0,9}(?:(?:but|and|or|so|now|then|well)[\s,]{1,3})?"
    + words("""if, suppose, supposing, assume, assuming, imagine, unless, whether, had, were, say, in that case, wenn,
    falls, angenommen, si, 如果, 假如, 要是, is, isn't, could, can, without, some, someone, many, people, one might,
    you might, a student, students, not because""")
    + r"(?!\w)"
)
DOUBT = _pattern(
    r"(?:\b|(?<=n't)|(?<=[\u4e00-\u9fff]))"
    + words("""might, may, could, would, doubt, unlikely, not, n't, never, cannot, no, wrong, incorrect, tempting,
    tempted, mistakenly, wrongly, instead of, rather than, claim, claims, claimed, thought, assumed, guess, seem, seems,
    think, if, says, said, another, second, possible, alternative, previous, earlier, initial, first, nicht, kein, pas,
    不, 不是""")
    + r"(?!\w)|n't\b"
)
STRONG_DOUBT = _pattern(
    r"\b(?:might|may|could|would)\s(?:be\s)?(?:say|think|argue|believe|assume|guess|conclude|tempt\w*|answer)"
    r"|\b(?:doubt|unlikely|tempting|tempted|mistakenly|wrongly|claims?)\b"
)
HYPOTHESIS = _pattern(
    r"\W{0,9}(?:but\s|now\s|and\s)?(?:suppose|supposing|assume|assuming|imagine|what\sif|if"
    r"|let'?s\s(?:say|suppose|assume|imagine))\b"
)
ASSUMED = _pattern(r"\W{0,3}(?:then|so|thus|in\s(?:that|this|which)\scase)\b")
CONCESSION = _pattern(r"(?:while|although|though|even\sthough|despite|unlike|whereas)\s.*,\s{0,3}\Z", re.DOTALL)
SCOPE = _pattern(r"(?:so,?\s)?(?:of|from|among|given|based\son)\s[^.,:\n]{1,60},\s?")
NUMBERED = _pattern(r"(?:\d{1,2}|[ivx]{1,4})[.)]\s{0,3}|step\s\d{1,2}\s?[:.)]\s{0,3}")

# What an answer that corrects another comes after: "Most would say 86, but", "No, wait,".
TURN = _pattern(
    r"\b(?:but|however|yet|whereas)\b,?(?:\s(?:in\sfact|actually|really|here|instead))?,?\s{0,3}|\A\W{0,5}"
    r"(?:(?:no|oh|ah|hmm|actually|wait|sorry|correction|scratch\sthat|hold\son|oops)\b[\s,.!\u2014\u2013-]{0,4}){1,3}"
)
_WRONG = (
    r" (?:(?:is|was|must be|has to be|looks|seems) (?:\w{2,12}ly )?(?:wrong|incorrect|mistaken|off|a mistake|an error)"
    r"|(?:can't|cannot|can not|couldn't|isn't|is not|wasn't|was not|doesn't|does not)(?: (?:be|look|seem|sound))?"
    r" (?:quite )?(?:right|correct|true|possible|hold|work|make sense))"
)
# Denials count in the next sentence or two after an answer, withdrawals in any.
DENIAL = _pattern(
    r"\W{0,6}(?:(?:oh|but|hmm|um|ah|well)[,.\s]{1,3})?"
    + words(
        (
            *(r"no(?=[,.!\u2014-]| -)", r"(?:wrong|incorrect)(?=[.!,])"),
            *table("nope, not quite, oops, sorry, apologies, actually, falsch, nein, non, faux, incorrecto, 不对, 错"),
            r"(?:but )?(?:that|this|it)(?: (?:is|was|must be|seems|looks)|'s) (?:\w{1,12} )?"
            r"(?:wrong|incorrect|off|a mistake|an error)",
            r"(?:but )?(?:that|this|it)(?:'s not| (?:is|was) not|\s\w{2,6}n't(?: (?:be|look|seem|sound))?"
            r"| can\s?not be) (?:quite )?(?:right|correct|it|possible|true)",
        )
    )
    + r"(?!\w)"
)
WITHDRAWAL = _pattern(
    r"\W{0,6}(?:(?:oh|but|ah|well|oops|no|sorry|so|and|hmm|actually|wait|honestly|frankly|in\sfact)[,.\s]{1,3}){0,2}"
    + words(
        (
            *table("scratch that, strike that, correction, my mistake, on second thought, i misread, never mind"),
            r"(?:please )?(?:ignore|disregard|forget) (?:that|this|what|the above|my)",
            r"i (?:made (?:a|an) (?:\w{1,12} )?(?:mistake|error)|was (?:wrong|mistaken)|misspoke|miscalculated"
            r"|misremembered|spoke too soon|got (?:that|it|this) wrong|(?:have )?changed my mind)",
            r"(?:i(?:'m|'ll| am| will| must| should| (?:have|need|want|would like) to|'d like to)?|let me)"
            r" (?:(?:take|took|taking) (?:(?:that|it|this|the above|my answer) back|back)|retract(?:ing)?"
            r"|withdraw(?:ing)?)",
            r"i (?:no longer|do not|don't|cannot|can't|can not) (?:\w{2,12}ly )?(?:stand by|trust|settle (?:on|for)"
            r"|commit to|think|believe|decide(?: (?:on|between|which))?)\b",
            rf"actually,? (?:no|that|this|it)(?:{_WRONG}|(?<=no)(?=[,.!\u2014-]))",
            r"(?:what i (?:said|wrote|gave|stated|claimed|had)|(?:the|my|that|this) (?:(?:final|previous|earlier|last"
            r"|above|initial|stated) )?(?:answer|result|number|value|figure|total))"
            rf"(?: (?:i (?:gave|stated|wrote)|given|above|before|earlier|first)){{0,3}}{_WRONG}",
            r"there(?:'s| is| was) (?:a|an) (?:mistake|error)",
            r"ich (?:nehme (?:das|es) zurück|habe mich (?:geirrt|vertan|verrechnet)|lag falsch)|das war falsch",
            r"je (?:retire|me suis trompée?)|me equivoqué|me he equivocado|我(?:算|搞|说)?错了",
        )
    )
    + r"(?!\w)"
)
RECONSIDERATION = _pattern(
    r"\W{0,6}(?:(?:oh|but|ah|well|hmm|no)[,.\s]{1,3})?(?:"
    + words("wait, hold on, hmm, hm, moment, warte, moment mal, attendez, espera, 等等, 等一下")
    + spaced(
        r"|let (?:me|us) (?:re-?\w{2,20}|correct|fix|start (?:over|again))"
        r"|let's (?:re-?(?:consider|think|do|examine)|correct))(?!\w)"
    )
)
CONFIRMATION = _pattern(
    rf"""\b{
        words('''yes, correct, confirmed, indeed, stands, same answer, consistent, checks out, that's right,
    that is right, was right, holds, matches''')
    }\b"""
)
REVISION = _pattern(rf"\W{{0,6}}(?:(?:the|my)\s)?{words(REVISED)}\b|on\s(?:reflection|closer)\b")
NEXT_QUESTION = _pattern(
    r"(?:^|(?<=[.!?)\]\"'*]\s)|(?<=[.!?)\]\"'*]\s\s))[ \t*_#>\-]{0,12}(?:next\s|new\s)?(?:q|question|premise|human|user"
    r"|problem|example|exercise|input|passage|hypothesis)(?:\s?#?\d{1,3})?[*_]{0,2}\s?:",
    re.MULTILINE,
)

AFTER_ANSWER = _pattern(
    spaced(  # "C is correct", "(c) is the best answer", "42 is the answer"
        r" (?:is|must be|seems|would be) (?:(?:therefore|thus|clearly|definitely) )?(?:(?P<noun>(?:the|my) "
        rf"(?:(?:{words(ENGLISH.kinds)} ){{0,2}}(?:answer|choice|option)|(?:{words(ENGLISH.kinds)} ){{1,2}}one))"
        r"|correct|right)\b|\s?(?:ist (?:die )?(?:richtige?|korrekte?)(?: Antwort)?"
        r"|est (?:la )?(?:bonne réponse|réponse|correcte?)"
        r"|es (?:la )?(?:respuesta )?(?:correcta|correcto|respuesta)|是正确(?:的|答案)|正确(?!答))(?!\w)"
    )
)
CHOSEN_NUMBER = _pattern(
    spaced(r"\bI(?:'ll| will|'d|'m| would| am)? (?:\w{2,12}ly )?(?:go(?:ing)? with|settle on|answer(?: with)?) ")
)
CHOSEN = _pattern(
    spaced(  # "I'd go with (c)", "should be classified as billing"
        r"\b(?:I|we)(?:'d|'ll| would| will| should| must)? (?:\w{2,12}ly |have to )?"
        r"(?:go(?:ing)? with|choose|pick|select|opt for|settle on|answer(?: with)?|say)(?: (?:is|option|choice))? "
        r"|\b(?:classif\w{1,5}|categori[sz]ed?|labell?(?:ed)?|tag(?:ged)?|filed?|marked?)"
        r"(?:\s\w{2,12}){0,4}? (?:as|under) (?:an? )?"
        r"|\bfalls (?:under|into) (?:the )?(?:category (?:of )?)?|\bbelongs (?:to|in|under) (?:the )?"
        r"|\bmy (?:choice|pick) is "
    )
)
BOXED = re.compile(r"(?:(?:\$\$?|\\\[|\\\()\s{0,3})?(?=\\boxed\s?\{)")
HASHES = re.compile(r"^[ \t]{0,3}####[ \t]{1,9}(?=\S)", re.MULTILINE)
TAGGED = _pattern(
    r"<\s{0,3}(?P<tag>(?:final_?|correct_?)?(?:answer|label|output|result|choice))(?:\s[^<>\n]{0,60})?>\s{0,9}"
    r"(?P<answer>[^<]{1,500}?)\s{0,9}<\s{0,3}/\s{0,3}(?P=tag)\s{0,3}>"
    r"|\[ANSWER\]\s{0,9}(?P<bracketed>[^\[]{1,500}?)\s{0,9}\[/ANSWER\]"
)

GREETINGS = (
    *table("""sure, sure thing, certainly, of course, absolutely, okay, ok, alright, hello, hi, hey, no problem,
    no worries, got it, gladly, with pleasure, understood, my pleasure, gerne, natürlich, klar, bien sûr, claro,
    por supuesto, 好的, 当然"""),
    r"(?:hi|hello|hey) (?:there|all|everyone)",
    r"(?:(?:what|that's|that is|this is) an? )?(?:(?:really|very|great|good|nice|fun|lovely|interesting|excellent"
    r"|classic|cool|tricky|neat|fantastic|wonderful|thoughtful|little) ){1,3}(?:question|problem|puzzle|one)",
    r"(?:i'd be |i would be |i'm |i am |always )?(?:happy|glad|delighted) to (?:help|assist)"
    r"(?: (?:you )?(?:out|with (?:this|that)))?",
    r"(?:many )?(?:thanks|thank you)(?: (?:so|very) much| a lot)?(?: for [^.!?\d\n]{1,80})?",
)
INTRODUCTIONS = (
    r"(?:i'll|i will|let me|let us|let's) (?:take|have) (?:a|another) (?:\w{2,12} )?look\b",
    r"here(?:'s| is| are) (?:the|my|a|your|how|an)\b|here (?:goes|we go)\b",
    r"(?:i'm |i am |i'd be |always )?(?:happy|glad) to (?:help|walk|work|go|explain|assist|solve)\b",
    r"(?:let's|let (?:me|us)) (?:solve|work|think|break|go|figure|look|tackle|analy[sz]e|reason|find|start|see|walk"
    r"|explain|help|show|lay)\b",
    r"(?:i'll|i will|i can|i'd be|i would be) (?:solve|help|walk|explain|work|think|happy|glad|be happy)\b",
    r"(?:to )?(?:solve|answer) this (?:problem|question)?(?:,? step by step)?[.:]?$",
)
FAREWELLS = (
    r"let me know\b|(?:i )?hope (?:this|that|it|you)\b|(?:please )?(?:feel free|don't hesitate|do not hesitate)\b",
    r"(?:is there|was there) anything else\b|(?:would|do) you (?:like|want|need|have)\b[^.!]{0,120}\?",
    r"(?:enjoy|cheers|best of luck|all the best|have fun|just ask|ask away|does (?:that|this) (?:make sense|help))\b",
    r"(?:i'm|i am|i'd be|i would be)?\s?(?:always )?(?:happy|glad|here) to (?:help|explain|assist|clarify)\b",
    r"if (?:you(?:'d| would) like|you (?:have|need|want) (?:any|more|further|other|additional|me|help|a different)"
    r"|anything (?:is|remains) unclear)\b",
    r"(?:thank you for|thanks for|you're welcome|have a (?:great|nice|good)|good luck|happy (?:learning|studying))\b",
    r"(?:any|do you have any) (?:other|more|further)?\s?questions\b|(?:need|want) (?:any )?(?:more|further)\b",
)
GREETING = _pattern(rf"\W{{0,5}}{words(GREETINGS)}\W{{0,5}}$")
INTRODUCTION = _pattern(rf"\W{{0,5}}(?:{words(GREETINGS)}[,!.]?\s)?{words(INTRODUCTIONS)}")
FAREWELL = _pattern(rf"\W{{0,5}}{words(FAREWELLS)}")
FAREWELL_WITHIN = re.compile(rf"(?<=\s)(?=[A-Z])(?i:{words(FAREWELLS)})")
HEADING = _pattern(
    r"\A"
    r"[ \t*_#>`-]{0,12}(?:A|answer|analysis|because|explanation|justification|rationale|reason(?:ing)?s?|solution"
    r"|assistant|thoughts?|thought process|step-by-step (?:solution|reasoning|explanation))"
    r"(?:[*_]{0,3}:[*_]{0,3}|[*_ \t]{0,3}\n)\s{0,9}"
)
LAST_HEADING = _pattern(
    r"\s{0,9}(?:#{1,6}\s[^\n]{1,60}|\*\*(?:step\s\d{1,2}[:.]?\s)?[^\W\d][^*\d=.!?\n]{0,40}\*\*:?)[ \t]*"
)
