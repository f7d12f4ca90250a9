"""Kinds of replies that were once misread, each in several wordings, beside the ordinary replies that are like them."""

import pytest

from limbeck.llm import parse
from limbeck.schema import Example
from limbeck.tasks import get
from tests.llm.test_forms import SUBJECTS

SUBJECTS = SUBJECTS | {
    "T": (get("custom"), Example("q", ("Which section?",), "", choices=("world", "sports", "business", "sci/tech"))),
    "R": (get("custom"), Example("q", ("Who handles this?",), "", choices=("software", "hardware", "refunds"))),
    "P": (get("custom"), Example("q", ("How urgent is it?",), "", choices=("low", "medium", "high"))),
}
OTHER_LANGUAGES = [
    ("C", "Hausaufgaben bestehen aus Aufgaben.\n\nDie Antwort lautet: (c)", "math problem"),
    ("C", "Die richtige Antwort ist: C", "math problem"),
    ("C", "Die Antwort auf die Frage ist: **(c) math problem**", "math problem"),
    ("C", "Lösung: c) math problem", "math problem"),
    ("C", "La réponse correcte est : (c)", "math problem"),
    ("C", "La réponse à la question est: C", "math problem"),
    ("C", "La respuesta correcta es: (c)", "math problem"),
    ("C", "La risposta corretta è: (c)", "math problem"),
    ("C", "A resposta correta é: (c)", "math problem"),
    ("C", "正确答案是：C", "math problem"),
    ("B", "Es geht um eine Abbuchung.\nKategorie: billing", "billing"),
    ("B", "Catégorie : refund", "refund"),
    ("B", "La categoría es: refund", "refund"),
    ("B", "类别：billing", "billing"),
    ("E", "Wer schläft, ruht sich aus. Das Urteil lautet: entailment", "entailment"),
    ("E", "Die Beziehung zwischen Prämisse und Hypothese ist: neutral", "neutral"),
    ("E", "Conclusion : contradiction", "contradiction"),
    ("E", "La relación no está clara. La respuesta es: neutral", "neutral"),
    ("E", "Antwort: Widerspruch", "contradiction"),
    ("E", "La etiqueta es: contradicción", "contradiction"),
    ("E", "答案：矛盾", "contradiction"),
    ("N", "Das Ergebnis lautet: 25", "25"),
    ("N", "Le résultat est : 25", "25"),
    ("N", "El resultado es: 25 manzanas", "25"),
    ("N", "结果是：25", "25"),
    ("C", "Die Antwort ist nicht (c).", None),
    ("C", "La réponse n'est pas (c).", None),
    ("C", "Die Antwort lautet: (b) oder (c)", None),
]
DECIMAL_COMMAS = [
    ("N", "Die Antwort ist 3,33.", "3.33"),
    ("N", "La réponse est 12,5 kg.", "12.5"),
    ("N", "La respuesta es: 0,75", "0.75"),
    ("N", "Antwort: 1.234,50 €", "1234.5"),
    ("N", "3 × 500 g = 1.500 g. Die Antwort ist 1.500 g.", "1500"),
    ("N", "500 * 3 = 1.500\n\nAntwort: 1.500", "1500"),
    ("N", "3 / 2 = 1,500. La réponse est 1,500.", "1.5"),
    ("N", "On a 3 * 0,5 = 1.500. La réponse est 1.500 litres.", None),
    ("N", "Die Antwort ist 1.500 g.", None),
    ("N", "La respuesta es 2,125.", None),
    ("N", "Die Antwort ist 0,333.", "0.333"),
    ("N", "Die Antwort ist 3.5.", "3.5"),
    ("N", "Daher bezahlt sie insgesamt 4,20 Euro.", "4.2"),
    ("N", "The answer is 1,500.", "1500"),
    ("N", "The answer is 3,33.", None),
    ("N", "The answer is 0,333.", None),
    ("N", "The answer is 1.500 g.", "1.5"),
]
LABELLED = [
    ("R", "The customer wants money back.\n\n**Team:** refunds", "refunds"),
    ("T", "The text is about a new chip.\n\n**Section:** sci/tech", "sci/tech"),
    ("T", "A match report.\nNewspaper section: Sports", "sports"),
    ("R", "It crashes on start. Decision: route to **software**", "software"),
    ("R", "It crashes on start.\nDecision: route this ticket to software.", "software"),
    ("R", "**Conclusion:** This should be handled by the **refunds** team.", "refunds"),
    ("R", "Conclusion: the ticket belongs to the refunds team.", "refunds"),
    ("P", "Nothing works at all.\n\n**Priority:** high", "high"),
    ("P", "Nothing works at all.\n\n**Priority:** high\n**Confidence:** low", None),
    ("P", "Nothing works at all.\n\nConfidence: high", None),
    ("P", "Impact: high\nUrgency: low", None),
    ("R", "Not suitable: hardware", None),
    ("R", "**Conclusion:** It should not go to the **refunds** team.", None),
    ("R", "Conclusion: route to **software** or **hardware**.", None),
    ("R", "Decision: if it is broken, route to hardware.", None),
    ("F", "We look at the map.\nCity: Paris", None),
]
CHOSEN_NUMBERS = [
    ("N", "25 times 3 is 75, so I'll go with 75.", "75"),
    ("N", "I think I'm going with **75**.", "75"),
    ("N", "Adding up, I will settle on 75", "75"),
    ("N", "I go with 3 friends to the fair.", None),
    ("N", "I'll go with 75. No, that can't be right.", None),
    ("N", "If I had to guess, I'd go with 75.", None),
]
CORRECTIONS = [
    ("N", "The answer is 86.\n\nCorrected answer: 42", "42"),
    ("N", "Answer: 86\nRevised answer: 42", "42"),
    ("C", "Answer: (d)\n\n**Updated answer:** (c)", "math problem"),
    ("N", "The answer is 86. Actually, no. The answer is 42.", "42"),
    ("N", "The answer is 86.\nCorrection: the answer is 42.", "42"),
    ("N", "The answer is 86. Actually, no.", None),
    (
        "N",
        "The answer is 86.\n\nWe add the two.\n\nThen we check. Each has some.\n\nActually, no. We must divide.",
        None,
    ),
    ("N", "The answer is 86.\n\nWhat I said above cannot be right.", None),
    ("N", "**Answer: 86**\n\n84 and 2 are added. That gives the sum.\n\nSo what I wrote can't be right.", None),
    ("N", "The answer is 86. There are two readings. I can't settle on a number.", None),
    ("N", "The answer is 86.\n\nI take that back.", None),
    ("C", "The answer is (c).\n\nHonestly, I cannot decide between (c) and (d).", None),
    ("C", "The answer is (c).\n\nI retract this.", None),
    ("N", "Die Antwort ist 86.\n\nIch habe mich verrechnet.", None),
    ("N", "The answer is 86.\n\nPlease disregard that.", None),
    ("C", "The answer is (c).\n\nThe other answer is not correct.", "math problem"),
    ("E", "The answer is neutral. We cannot tell where he sleeps.", "neutral"),
    ("C", "The answer is (c). Actually, homework is made of problems.", None),
    ("N", "The answer is 42.\n\nThe total cannot be checked further.", "42"),
]
CONTRADICTIONS = [
    ("C", "The answer is (b).\nThe answer is (a).", None),
    ("C", "Answer: (b)\n\nAnswer: (d)", None),
    ("C", "Answer: (b), since water stands there.\nAnswer: (d), since pupils sit there.", None),
    ("N", "The answer is 42. So the answer is 86.", None),
    ("N", "**Answer:** 42\n\n**Final answer:** 86", None),
    ("F", "The answer is Paris. The answer is Rome.", None),
    ("N", "The answer is 84 / 2. The answer is 42.", "42"),
    ("F", "Answer: Paris\nFinal answer: Paris, France", "Paris, France"),
    ("C", "The answer is (d).\nHomework is made of problems, wherever it is done.\nThe answer is (c).", "math problem"),
    ("N", "The answer is 86. But we divide, so the answer is 42.", "42"),
    ("C", "Most say that the answer is (d). The answer is (c).", "math problem"),
]
HTML = [
    ("N", "84 / 2 is 42.<br><br><b>Answer:</b> 42", "42"),
    ("N", "The answer is <strong>42</strong>.", "42"),
    ("C", "<p>Homework has problems.</p><p>The answer is <i>(c)</i>.</p>", "math problem"),
    ("C", "<b>Answer:</b>&nbsp;<b>(c)&nbsp;math problem</b>", "math problem"),
    ("F", "The answer is <em>Paris</em>.<br/>It is on the Seine.", "Paris"),
    ("E", "He sleeps.<br>\n<strong>Entailment</strong>", "entailment"),
    ("C", '<div><span style="color: red">Answer: c</span></div>', "math problem"),
    ("N", "If x<b and b>3, the answer is 42.", None),
]
NO_ANSWERS = [
    ("R", "Refunds: 0.7\nHardware: 0.2\nSoftware: 0.1", None),
    ("R", "Options considered: software", None),
    ("N", "\\boxed{41}\n\n\\boxed{42}", None),
    ("N", "The answer is 80. I'm retracting that.", None),
    ("N", "The answer is 80. Let me take that back.", None),
    ("C", "Since homework consists of problems, (c) is the best choice.", "math problem"),
    ("E", "Sleeping is resting. It cannot be false, so entailment is correct.", "entailment"),
    ("F", "It is one for a good reason.", None),
    ("F", "That is the answer.", None),
    ("F", "This is the best choice.", None),
    ("C", "(c) is one option among several.", None),
]


@pytest.mark.parametrize(
    ("subject", "reply", "label"),
    [
        *(*OTHER_LANGUAGES, *DECIMAL_COMMAS, *LABELLED, *CHOSEN_NUMBERS),
        *(*CORRECTIONS, *CONTRADICTIONS, *HTML, *NO_ANSWERS),
    ],
)
def test_an_answer_is_read_or_left(subject: str, reply: str, label: str | None) -> None:
    task, example = SUBJECTS[subject]
    answer = parse(reply, task, example).label
    assert (answer is None) == (label is None), answer
    assert answer is None or label is None or task.equal(answer, label), answer


DIVIDED = "We divide 84 by 2."


@pytest.mark.parametrize(
    ("subject", "reply", "rationale"),
    [
        ("S", f"Thanks for sharing this problem! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Thank you for the details. {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Sure thing! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Sure, let me walk you through it. {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Sure, I can help you with that!\n\n{DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"What a fun question! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Great question — {DIVIDED} The answer is 42.", f"Great question — {DIVIDED}"),
        ("S", f"Hello there! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Sure! Happy to walk through this one. {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"Ok, here goes: {DIVIDED} The answer is 42.", DIVIDED),
        ("S", "Thanks to the 2 boxes, we halve. The answer is 42.", "Thanks to the 2 boxes, we halve."),
        ("S", "**Solution**\n\nIt is 42 each.\n\n**Answer**\n\n**42**", "It is 42 each."),
        ("N", "<div class='x'><p>3 times 25</p><p>Answer: <strong>75</strong></p></div>", "3 times 25"),
        ("S", f"Great question. Happy to help! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"That's a really good question! {DIVIDED} The answer is 42.", DIVIDED),
        ("S", f"{DIVIDED} The answer is 42. Thanks for the fun puzzle!", DIVIDED),
        ("S", f"{DIVIDED} The answer is 42. Happy to explain further!", DIVIDED),
        ("S", "Sure, your 84 apples go into 2 boxes. The answer is 42.", "Sure, your 84 apples go into 2 boxes."),
        ("S", "Sure, your apples are shared out. The answer is 42.", "Sure, your apples are shared out."),
        ("S", "This is a division problem. The answer is 42.", "This is a division problem."),
        ("C", "Homework is made of problems, so (c) is the answer.", "Homework is made of problems"),
        ("C", "Homework is made of problems, therefore (c) is correct.", "Homework is made of problems"),
        ("S", f"{DIVIDED}\n\n**Final Answer**\n\n42", DIVIDED),
        ("S", f"{DIVIDED}\n\n## Final Answer\n\n\\boxed{{42}}", DIVIDED),
        ("S", f"{DIVIDED}\n\n**Step 3: Conclusion**\n\nThe answer is 42.", DIVIDED),
        ("S", f"{DIVIDED}\n\n**It gives 42.**\n\nThe answer is 42.", f"{DIVIDED}\n\n**It gives 42.**"),
        ("S", f'{{"step_by_step_reasoning": "{DIVIDED}", "answer": 42}}', DIVIDED),
        ("S", f'{{"Detailed explanation": "{DIVIDED}", "answer": 42}}', DIVIDED),
        (
            "S",
            "1. Take the apples.\n2. Divide by the boxes:\n\\[\\frac{84}{2} = 42\\]\n\nThe answer is 42.",
            "1. Take the apples.\n2. Divide by the boxes:\n\\[\\frac{84}{2} = 42\\]",
        ),
        ("S", "1. Divide by the boxes:\n$$\\boxed{42}$$", "1. Divide by the boxes:"),
        ("S", "Step 1: Find the share.\n84 / 2 = \\boxed{42}", "Step 1: Find the share.\n84 / 2 ="),
    ],
)
def test_a_rationale_holds_the_reasoning_alone(subject: str, reply: str, rationale: str) -> None:
    assert parse(reply, *SUBJECTS[subject]).rationale == rationale
