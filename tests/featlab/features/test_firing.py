"""Every feature fires on the text it is for, and the near miss beside it leaves it alone."""

from __future__ import annotations

import polars as pl
import pytest

from featlab.battles import BattleSchema, read_battles
from featlab.features import FEATURES, BattleColumns, Feature, Scope
from featlab.features.punctuation import MARKS

PLAIN = BattleSchema(texts="plain")
COLUMNS = BattleColumns()

EXAMPLES: dict[str, tuple[str | None, str, float]] = {
    # feature: (text, near miss, value on the text)
    "characters": ("né👍", "", 3),
    "words": (" a  b\nc\n\n", " \n ", 3),
    "distinct_words": ("A a b", "", 2),
    "distinct_word_share": ("a a b b", "", 0.5),
    "sentences": ("Yes. No?\nOh! 好。", "3.5 a.b", 4),
    "paragraphs": ("\na\n\n\nb\nc\n\nd\n", "\n\n", 3),
    "mean_word_length": ("abc de", "", 3),
    "mean_sentence_length": ("a b. c d.", "", 2),
    "turns": ("a", "", 1),
    "last_turn_characters": ("abc", "", 3),
    "shortest_turn_characters": ("abc", "", 3),
    "is_empty": ("", " ", 1),
    "was_null": (None, "", 1),
    "curly_quotes": ("“a” ‘b’", "\"a\" 'b'", 4),
    "dashes": ("a–b—c", "a-b", 2),
    "ellipses": ("a... b… c......", "a.. b", 4),
    "emphatic_runs": ("a!! b?! c!", "a! b?", 2),
    "marks": ("a.b,c", "ab c", 2),
    "mark_share": ("a.b,", "ab", 0.5),
    "commas_per_sentence": ("a, b, c. d.", "a. b.", 1),
    "newlines": ("a\n\nb\n", "a b", 3),
    "blank_lines": ("a\n\nb\n\n\nc\n\n\n\nd", "a\nb", 4),
    "single_newlines": ("a\nb\n\n\nc", "a\n\nb", 2),
    "mean_line_length": ("abc\nd", "", 2.5),
    "longest_line": ("ab\nabc\na", "", 3),
    "indented_lines": ("  a\n  b\n\tc\n d", " a\nb", 3),
    "trailing_newline": ("a\n", "a\nb", 1),
    "headers": ("# a\n###### b\n####### c\n#", "a # b\n#c\n```\n# d\n```", 3),
    "bullets": ("- a\n * b\n  + c\n\t- d\n      - e\n-", "a - b\n-c\n• d\n```\n- e", 6),
    "numbered_items": ("1. a\n  22. b\n333. c", "a 1. b\n1.5\n2) c", 3),
    "other_items": ("1) a\n • b\na. c\n2、", "a 1) b\n1. c\n- d", 4),
    "block_quotes": ("> a\n> b", "a > b", 2),
    "horizontal_rules": ("---\n***\n___\n-----", "a ---\n--\n--- b", 4),
    "table_rows": ("|a|\n|-|\nb|c", "a | b", 2),
    "bold_spans": ("**a** __b__ **c d**", "**a\nb**", 3),
    "italic_spans": ("*a* and *b c*", "2 * 3 * 4 **a**", 2),
    "fences": ("```\na\n```", "``a``", 2),
    "inline_code_spans": ("`a` or `b c`", "`a\nb", 2),
    "web_links": ("http://a.b https://c.d", "www.a.b", 2),
    "markdown_links": ("[a](b) ![c](d)", "[a] (b)", 2),
    "latex_spans": (r"\(a\) \[b\] $c$ \frac{1}{2}", "$5 and 6 $", 4),
    "html_tags": ("<b>a</b><br/>", "1 < 2 > 0", 3),
    "list_items": ("- a\n1. b", "a", 2),
    "list_line_share": ("- a\nb", "a", 0.5),
    "has_unclosed_fence": ("```\na", "```\na\n```", 1),
    "refusals": ("I can't say. I'm unable to. It is not appropriate.", "I can. It is ethical.", 3),
    "self_references": ("As an AI I am a language model", "As a baker", 2),
    "hedges": ("it might be, perhaps", "almighty", 2),
    "warnings": ("Please note that; keep in mind", "a note thatched", 2),
    "first_person": ("I said my name; My, me", "In myth Meme", 4),
    "second_person": ("you and Your", "young", 2),
    "collective_person": ("We think our; let's", "west hour", 3),
    "connectives": ("However, a. Finally, b.", "however finally", 2),
    "examples": ("For example, such as e.g. this", "example", 3),
    "numbers": ("1 22 a3b", "one", 3),
    "apologies": ("SORRY, I apologize. My apologies", "sorrys", 3),
    "thanks": ("Thanks! THANK YOU", "thank god", 2),
    "opens_agreeably": (" Sure, here", "Surely not", 1),
    "opens_with_refusal": ("Oh, sorry", "x" * 120 + " sorry", 1),
    "opens_with_echo": ("The cat", "Then", 1),
    "opens_with_i": ("I'm", "It", 1),
    "opens_with_announcement": ("Well, here are", "x" * 120 + " here are", 1),
    "opens_with_markup": ("1. a", "a 1. b", 1),
    "closes_with_offer": ("a. LET ME KNOW", "let me know" + "x" * 240, 1),
    "closes_with_question": ('Is it so?" ', "Is it? Yes.", 1),
    "closes_with_summary": ("x. Overall, y", "overall" + " x" * 240, 1),
    "closes_unfinished": ("and then", "and then.", 1),
    "asks_back": ("Fine? Yes.", "Fine?" + "x" * 240, 1),
    "ends_in_clause": ("first, second, ", "first, second", 1),
    "ends_in_list": ("a\n- b\n  2. c\n", "a\n- b\nc", 1),
    "code_characters": ("a ```b\nc``` d", "a `b` c", 9),
    "code_lines": ("```py\na\n\nb\n```\nc\n```\nd", "a ```b``` c", 4),
    "code_share": ("ab ```c```", "abc", 0.7),
    "language_tags": ("```py\na\n```\n```js\nb\n```", "```\npy\n```", 2),
    "comment_share": ("```c\n// a\nb\n  # c\nd\n```", "# a\n```\nb # c\n```", 0.5),
    "repeated_2grams": ("a b A b", "a b b a", 1 / 3),
    "repeated_4grams": ("a b c d a b c d", "a b c d a b c", 0.2),
    "opens_with_yes": ("**Yes**, it is", "Yesterday", 1),
    "opens_with_no": (" Нет, это", "Nobody", 1),
    "disclaimers": ("As an AI, I don't have feelings", "as a baker I have access", 2),
    "closes_with_exclamation": ("Yes!\n", "Yes! No.", 1),
    "refusal_density": ("I can't do this", "I can do this", 25),
    "first_person_density": ("I do", "we do", 50),
    "continuation_byte_share": ("да", "da", 0.5),
    "han_characters": ("漢字かな", "かな", 2),
    "kana_and_hangul": ("かなカ한글", "漢字", 5),
    "cyrillic_letters": ("да", "da", 2),
    "right_to_left_letters": ("שלום سلام", "shalom", 8),
    "emoji": ("😊👍❤", "☃", 3),
    "digits": ("1a23", "٣", 3),
    "capitals": ("ABc", "éÉ", 2),
    "capital_share": ("AbcD", "abc", 0.5),
    "digit_share": ("1a", "a", 0.5),
    "replacement_characters": ("a\ufffd\ufffd", "a?", 2),
    "is_question": (" Could you", "I ask what", 1),
    "asks_what": ("Where is", "Tell me where", 1),
    "asks_how": ("Tell me HOW", "show", 1),
    "asks_why": ("but why?", "whyever", 1),
    "asks_to_write": ("Please write", "the writer", 1),
    "asks_to_explain": ("Explain it", "explained", 1),
    "asks_to_transform": ("Summarise it", "summary", 1),
    "asks_for_list": ("top 10 films", "on top", 1),
    "asks_for_creativity": ("a haiku", "scenery", 1),
    "asks_for_brevity": ("Be brief", "briefcase", 1),
    "asks_for_opinion": ("your opinion", "an opinion", 1),
    "sets_a_role": ("You are a poet", "are you", 1),
    "concerns_code": ("in Python", "pythonic", 1),
    "concerns_mathematics": ("Solve x", "resolve", 1),
    "has_formula": ("2+2", "a+b", 1),
    "concerns_the_model": ("Are you ChatGPT", "bare young", 1),
    "is_sensitive": ("a bomb", "bombastic", 1),
    "is_greeting": ("Hello!", "Oh hello", 1),
    "hints_at_a_language": ("in French", "the French", 1),
    "has_anonymised_names": ("NAME_1", "name", 1),
    "has_choices": ("Which?\nA) x\nB) y", "a) x"[1:], 1),
    "is_polite": ("Please!", "pleased", 1),
    "foreign_function_words": ("der Hund und die Katze ist", "the dog and", 3),
    **{name: (f"a{mark} b{mark}", "ab", 2) for name, mark in MARKS.items()},
}

PAIRS: dict[str, tuple[tuple[str, str], tuple[str, str], float]] = {
    "words_of_prompt": (("b a C a", "a c x"), ("ab", "a"), 2),
    "prompt_coverage": (("a b", "a x y z"), ("b", "a"), 0.25),
    "prompt_echo": (("a b c d", "a x"), ("b", "a"), 0.25),
    "jaccard": (("a b c", "B c d"), ("a", "b"), 0.5),
    "length_ratio": (("abcd", "ab"), ("", "abc"), 0.5),
    "same_verdict": (("Yes.", "yes, so"), ("Yes.", "No."), 1),
    "other_verdict": (("Yes.", "No, so"), ("No", "No."), 1),
    "words_missed": (("a b c", "write 15 words"), ("a b c", "write words"), 1.3862943649291992),
    "list_missing": (("a, b", "List it"), ("- a\n- b", "List it"), 1),
    "code_missing": (("a", "write code"), ("```\na\n```", "write code"), 1),
    "are_identical": (("a b", "a b"), ("a b", "a b "), 1),
    "are_nearly_identical": (("a b\n", " a b"), ("a b", "a  b"), 1),
    "begin_alike": (("x" * 20 + "a", "x" * 20 + "b"), ("x" * 19 + "a", "x" * 19 + "b"), 1),
    "end_alike": (("a" + "x" * 20, "b" + "x" * 20), ("a" + "x" * 19, "b" + "x" * 19), 1),
    "are_both_empty": (("", ""), ("", "a"), 1),
}


FURTHER = (
    ("block_quotes", (">a\n>\nb > c",), 2),
    ("hedges", ("Perhaps so. Generally yes. It seems fine.",), 3),
    ("collective_person", ("Let’s go",), 1),
    ("opens_with_markup", ("3.5 million people",), 0),
    ("opens_with_yes", ("是的，没错",), 1),
    ("opens_with_yes", ("はいそうです",), 1),
    ("opens_with_yes", ("是否",), 0),
    ("opens_with_yes", ("네트워크",), 0),
    ("opens_with_no", ("不是的",), 1),
    ("closes_with_question", ("**Is it so?**",), 1),
    ("closes_with_question", ("“Is it so?”",), 1),
    ("code_characters", ("```\na```\nb\n```\nc```",), 16),
    ("code_share", ("```\na``````\nb```",), 1),
    ("right_to_left_letters", ("שלום، ؟",), 4),
    ("concerns_code", ("write a c++ program",), 1),
    ("concerns_code", ("in C#",), 1),
    ("concerns_code", ("a c program",), 0),
    ("words_missed", ("a " * 1_000, "Write a 1,000 words essay"), 0),
    ("words_missed", ("a " * 12_000, "12000-word story"), 0),
    ("list_missing", ("• a\n• b", "List it"), 0),
)
"""Feature, text or texts, value: what else it must tell, or leave alone."""


def value(feature: Feature, first: str | None, second: str = "") -> float:
    """The feature's value for the first text (and the second, where it needs two)."""
    scope = feature.scopes[0]
    match scope:
        case Scope.PROMPT:
            texts, column = {"prompt": first}, feature.column("prompt")
        case Scope.RESPONSE:
            texts, column = {"response_a": first}, feature.column("response_a")
        case Scope.RESPONSE_TO_PROMPT:
            texts = {"response_a": first, "prompt": second}
            column = feature.column("response_a")
        case Scope.RESPONSES:
            texts = {"response_a": first, "response_b": second}
            column = feature.column("responses")
    row = {"id": 1, "prompt": "", "response_a": "", "response_b": "", **texts}
    battles = read_battles(pl.DataFrame([row]), PLAIN)
    return float(BattleColumns().compute(battles).select(column).collect().item())


def test_every_feature_has_its_example() -> None:
    assert {feature.name for feature in FEATURES} == EXAMPLES.keys() | PAIRS.keys()


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_it_fires_and_the_near_miss_does_not(feature: Feature) -> None:
    if feature.name in PAIRS:
        pair, miss, expected = PAIRS[feature.name]
        assert value(feature, *pair) == expected
        assert value(feature, *miss) == 0
    else:
        text, near_miss, expected = EXAMPLES[feature.name]
        assert value(feature, text) == pytest.approx(expected, rel=1e-6)
        floor = 1 if feature.name == "turns" else 0
        assert value(feature, near_miss) == floor


@pytest.mark.parametrize(("name", "texts", "expected"), FURTHER)
def test_further_texts(name: str, texts: tuple[str, ...], expected: float) -> None:
    (feature,) = (feature for feature in FEATURES if feature.name == name)
    assert value(feature, *texts) == expected


def test_turns_that_are_all_empty_are_no_text() -> None:
    row = {"id": 1, "prompt": '["a", "b"]', "response_a": '["", null]', "response_b": '["", ""]'}
    columns = ["response_a__is_empty", "responses__are_both_empty", "responses__begin_alike"]
    found = BattleColumns().compute(read_battles(pl.DataFrame([row]))).select(columns).collect()
    assert found.row(0) == (1, 1, 0)


def test_line_ends_of_windows_change_no_feature() -> None:
    text = "# a\n\n- b\n  c.\n---\n\nd\n\n\n```\ne\n```\n"
    battles = [
        {"id": 1, "prompt": each, "response_a": each, "response_b": "x"}
        for each in (text, text.replace("\n", "\r\n"))
    ]
    found = BattleColumns().compute(read_battles(pl.DataFrame(battles), PLAIN), keep=()).collect()
    assert found[0].equals(found[1])
