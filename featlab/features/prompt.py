"""What kind of prompt it is: a question, a task, code, mathematics, a role, a language."""

from __future__ import annotations

from functools import partial

import polars as pl

from featlab.features.feature import Feature, Scope
from featlab.features.text import Text

FAMILY = "prompt"

KINDS = {
    "is_question": (
        (
            r"^\s*(?:what|who|whom|whose|when|where|why|which|how|is|are|was|were|do|does|did|can|"
            r"could|should|would|will|if)\b"
        ),
        "begins like a question",
    ),
    "asks_what": (r"^\s*(?:what|who|when|where|which)\b", "asks for a fact"),
    "asks_how": (r"\bhow\b", "asks how"),
    "asks_why": (r"\bwhy\b", "asks why"),
    "asks_to_write": (
        r"\b(?:write|compose|draft|create|generate|make)\b",
        "asks for a text to be made",
    ),
    "asks_to_explain": (r"\b(?:explain|describe|elaborate|discuss)\b", "asks for an explanation"),
    "asks_to_transform": (
        r"\b(?:rewrite|rephrase|paraphrase|summari[sz]e|translate|correct|proofread|improve)\b",
        "asks for a given text to be changed",
    ),
    "asks_for_list": (
        r"\b(?:list|top [0-9]+|[0-9]+ (?:ideas|examples|ways|reasons|tips|names)|bullet)\b",
        "asks for a list",
    ),
    "asks_for_creativity": (
        r"\b(?:story|poem|song|lyrics|haiku|joke|novel|script|dialogue|scene|limerick|rap)\b",
        "asks for creative writing",
    ),
    "asks_for_brevity": (
        r"\b(?:brief|briefly|short|concise|one (?:word|sentence)|only answer|tl;dr|yes or no)\b",
        "asks for a short answer",
    ),
    "asks_for_opinion": (
        r"\b(?:your opinion|do you (?:think|like|prefer)|your favou?rite|best|better|recommend)\b",
        "asks for an opinion or recommendation",
    ),
    "sets_a_role": (
        r"\b(?:you are|you're|act as|pretend|role ?play|imagine you|your task)\b",
        "sets a role",
    ),
    "concerns_code": (
        (
            r"```|\bc(?:\+\+|#)|\b(?:code|python|javascript|java|sql|function|html|css|regex|api|bash|"
            r"script|algorithm|compile|rust|golang|typescript|react|linux|docker|excel)\b"
        ),
        "concerns code or computers",
    ),
    "concerns_mathematics": (
        (
            r"\b(?:solve|equation|integral|derivative|probability|calculate|sum of|prove|"
            r"theorem|matrix|how many)\b"
        ),
        "concerns mathematics or counting",
    ),
    "has_formula": (r"[0-9] ?[-+*/^=] ?[0-9]", "holds digits joined by an operator"),
    "concerns_the_model": (
        (
            r"\b(?:are you|who (?:made|created) you|chatgpt|gpt-?[34]|openai|claude|llama|"
            r"your name|language model)\b"
        ),
        "concerns the model itself",
    ),
    "is_sensitive": (
        (
            r"\b(?:sex|sexual|porn|nude|kill|suicide|murder|drug|bomb|weapon|hack|racis[tm]|nazi|"
            r"illegal|steal|rape|politic\w*|religio\w*|abortion)\b"
        ),
        "touches what models tend to refuse",
    ),
    "is_greeting": (
        r"^\s*(?:hi|hello|hey|good (?:morning|evening)|test)\b",
        "begins with a greeting",
    ),
    "hints_at_a_language": (
        (
            r"\b(?:in|into|to|from) (?:english|spanish|french|german|italian|portuguese|russian|"
            r"chinese|japanese|korean|arabic|hindi|polish|dutch|turkish|latin)\b"
        ),
        "names a language to write in",
    ),
    "has_anonymised_names": (r"name_[0-9]", "holds names that the Arena replaced"),
    "has_choices": (r"(?:^|\n) *(?:[a-d][.)]|\([a-d]\)) ", "offers choices A, B, C or D"),
    "is_polite": (r"\b(?:please|pls|kindly|thanks|thank you)\b", "says please or thanks"),
}
"""Feature name -> (regular expression on the prompt in lower case, meaning)."""

_FUNCTION_WORDS = (
    r"\b(?:el|los|las|que|una|por|der|das|und|ist|nicht|les|des|est|une|pour|como|não|uma|che|"
    r"della|sono|con|del)\b"
)

_of_prompt = partial(Feature, family=FAMILY, scopes=(Scope.PROMPT,))

FEATURES = (
    *(
        _of_prompt(
            name,
            partial(Text.has, pattern=pattern, ignore_case=True),
            pl.UInt8,
            meaning=f"1 where the prompt {meaning}",
        )
        for name, (pattern, meaning) in KINDS.items()
    ),
    _of_prompt(
        "foreign_function_words",
        partial(Text.count, pattern=_FUNCTION_WORDS, ignore_case=True),
        pl.UInt32,
        meaning="frequent Spanish, Portuguese, French, German and Italian words, English ones "
        "left out",
    ),
)
