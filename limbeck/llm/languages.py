"""Phrases for "the answer is" in languages other than English, and which of these write 3,33 for 3.33."""

import re
from dataclasses import dataclass

SIGNS = r"[*_]{0,3}"


def spaced(pattern: str) -> str:
    """Return the pattern with up to three blanks where it has one."""
    return pattern.replace(" ", r"\s{1,3}")


def words(*tables: tuple[str, ...]) -> str:
    """Return an alternation of the tables' rows, the longest first, blanks as any white space."""
    rows = sorted({spaced(row) for table in tables for row in table}, key=len, reverse=True)
    return rf"(?:{'|'.join(rows)})"


@dataclass(frozen=True, slots=True)
class Language:
    """The words of "the answer is" in one language; `closed_nouns` stand for it where it is a choice or a number."""

    articles: tuple[str, ...]
    kinds: tuple[str, ...]
    nouns: tuple[str, ...]
    closed_nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    prepositions: tuple[str, ...]

    def pattern(self, *, closed: bool) -> str:
        """Return the regular expression of "the answer is", "answer is:" and "answer:"."""
        nouns = words(self.nouns, self.closed_nouns if closed else ())
        return spaced(
            rf"(?:{words(self.articles)} )?(?:{words(self.kinds)} ){{0,2}}{nouns}(?: {words(self.kinds)}){{0,2}}"
            rf"(?: {words(self.prepositions)} [^.,:\n]{{1,60}}?)?{SIGNS}"
            rf"(?: {words(self.verbs)}(?!\w){SIGNS}\s?:?|\s{{0,2}}:)"
        )


# These write 3,33 for 3.33.
LANGUAGES = (
    Language(
        ("die", "der", "das", "meine", "unsere", "mein"),
        ("richtige", "korrekte", "endg\u00fcltige", "finale", "beste", "wahrscheinlichste", "korrigierte"),
        ("Antwort", "L\u00f6sung", "Ergebnis", "Endergebnis"),
        ("Kategorie", "Klasse", "Label", "Urteil", "Entscheidung", "Fazit", "Wahl", "Einordnung", "Beziehung"),
        ("ist", "ist also", "ist daher", "ist somit", "lautet", "lautet also", "lautet daher", "w\u00e4re"),
        ("auf", "zu", "f\u00fcr", "zwischen"),
    ),
    Language(
        ("la", "le", "ma", "mon", "notre"),
        ("bonne", "bon", "correcte", "correct", "finale", "final", "exacte", "juste", "corrig\u00e9e", "meilleure"),
        ("r\u00e9ponse", "r\u00e9sultat", "solution"),
        ("cat\u00e9gorie", "classe", "\u00e9tiquette", "verdict", "conclusion", "d\u00e9cision", "choix"),
        ("est", "est donc", "est alors", "serait"),
        ("\u00e0", "de", "du", "pour", "entre"),
    ),
    Language(
        ("la", "el", "mi", "nuestra"),
        ("correcta", "correcto", "final", "mejor", "corregida", "definitiva"),
        ("respuesta", "resultado", "soluci\u00f3n"),
        ("categor\u00eda", "clase", "etiqueta", "veredicto", "conclusi\u00f3n", "decisi\u00f3n", "opci\u00f3n"),
        ("es", "es entonces", "ser\u00eda"),
        ("a", "de", "para", "entre"),
    ),
    Language(
        ("la", "il", "mia"),
        ("corretta", "corretto", "finale", "esatta", "migliore"),
        ("risposta", "risultato", "soluzione"),
        ("categoria", "classe", "etichetta", "conclusione", "decisione", "scelta", "opzione"),
        ("\u00e8", "\u00e8 quindi", "\u00e8 dunque", "sarebbe"),
        ("a", "alla", "per", "tra"),
    ),
    Language(
        ("a", "o", "minha"),
        ("correta", "correto", "certa", "final", "melhor"),
        ("resposta", "resultado", "solu\u00e7\u00e3o"),
        ("categoria", "classe", "r\u00f3tulo", "conclus\u00e3o", "decis\u00e3o", "escolha", "op\u00e7\u00e3o"),
        ("\u00e9", "\u00e9 portanto", "seria"),
        ("\u00e0", "para", "entre"),
    ),
)
DECIMAL_COMMA = re.compile(
    rf"(?<![\w-])(?:{'|'.join(language.pattern(closed=True) for language in LANGUAGES)}"
    r"|ist (?:die|das) \w{4,20}|(?:daher|somit|deshalb|folglich|insgesamt|donc|ainsi|au total|por lo tanto|por tanto"
    r"|entonces|en total|quindi|portanto|in totale|no total|ergibt|ergeben)(?!\w))",
    re.IGNORECASE,
)
# Other orders of words, and Chinese: \s* where it may have no blank.
FOREIGN = (
    r"(?:ist|lautet) (?:die|meine) (?:(?:richtige|korrekte|endg\u00fcltige|finale) ){0,2}Antwort\b:?",
    r"(?:(?:\u6240\u4ee5|\u56e0\u6b64|\u6545|\u6700\u7ec8|\u6700\u540e|\u6b63\u786e|\u7684|\u672c\u9898|\u8be5\u9898)\s?){0,4}"
    r"(?:\u7b54\u6848|\u9009\u9879|\u7ed3\u679c|\u7ed3\u8bba|\u7c7b\u522b|\u6807\u7b7e)(?:\u5e94\u8be5|\u5e94|\u5c31)?\s?"
    r"(?:(?:\u662f|\u4e3a|\u9009)\s?:?|:)",
    r"(?:\u6240\u4ee5|\u56e0\u6b64|\u6545)?\u5e94?\u8be5?\u9009\u62e9?(?=\s?[(A-Za-z])",
)
