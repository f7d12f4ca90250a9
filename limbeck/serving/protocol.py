"""The requests and responses of the HTTP interface: limbeck's own, and OpenAI's chat completions."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from limbeck.errors import DataError
from limbeck.llm.messages import read_message

MOST_QUESTIONS = 256  # of one request

Question = Annotated[str, Field(min_length=1)] | dict[str, JsonValue]
AnsweredBy = Literal["student", "teacher"]
PassedOn = Annotated[
    Literal["answered", "failed"] | None,
    Field(description="answered: by the teacher; failed: the teacher gave no answer; null: not passed on"),
]


class AnswersRequest(BaseModel):
    """One question or several: a text, or an object with `input` or the task's own fields."""

    model_config = ConfigDict(extra="forbid")

    input: Question | Annotated[list[Question], Field(min_length=1, max_length=MOST_QUESTIONS)]
    rationale: bool = Field(False, description="also write the rationales")

    @property
    def questions(self) -> list[str | dict[str, JsonValue]]:
        return self.input if isinstance(self.input, list) else [self.input]


class ServedAnswer(BaseModel):
    """An answer to one question."""

    answer: str
    confidence: float | None = Field(description="the student's, as `limbeck predict` writes it; null: undefined")
    rationale: str | None = Field(description="null unless it was asked for")
    input_cut: bool = Field(description="the student read only a part of the question")
    answered_by: AnsweredBy = "student"
    passed_on: PassedOn = None


class AnswersResponse(BaseModel):
    """The answers in the order of the questions."""

    model: str
    answers: list[ServedAnswer]
    seconds: float = Field(description="from the request's arrival")


class ChatTurn(BaseModel):
    """A message of a conversation; its content is a text, or parts with texts."""

    role: str
    content: str | list[dict[str, JsonValue]] | None = None


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """OpenAI's request. The last turn of the user is the question; other turns and fields have no effect."""

    messages: Annotated[list[ChatTurn], Field(min_length=1)]
    model: str | None = Field(None, description="ignored: there is one student")
    n: Literal[1] | None = None
    stream: bool | None = Field(None, description="the answer comes in one piece, once it is complete")
    stream_options: StreamOptions | None = None
    rationale: bool = Field(False, description="also write the rationale, as the message's `reasoning_content`")

    def question(self) -> str:
        """Return the text of the last user's turn. Raises DataError where there is none."""
        turn = next((turn for turn in reversed(self.messages) if turn.role == "user"), None)
        message = read_message(turn.model_dump() if turn else {})
        if message.lacking:
            raise DataError(f"a student reads text alone, no {message.lacking!r:.60}", field="messages")
        if not message.words.strip():
            raise DataError("no turn of the user with a text", field="messages")
        return message.words


class CompletionMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None = Field(None, description="the rationale, where it was asked for")


class CompletionChoice(BaseModel):
    index: Literal[0] = 0
    message: CompletionMessage
    finish_reason: Literal["stop"] = "stop"


class Usage(BaseModel):
    """Tokens of the student's tokenizer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(BaseModel):
    """OpenAI's response, with fields of `ServedAnswer`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="seconds since 1970")
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    confidence: float | None
    answered_by: AnsweredBy
    passed_on: PassedOn

    def chunks(self, include_usage: bool) -> list[dict[str, Any]]:
        """Return the events of the stream: the message, its end, and where wanted the usage."""
        head = self.model_dump(include={"id", "created", "model"}) | {"object": "chat.completion.chunk"}
        (choice,) = self.choices
        delta = choice.message.model_dump(exclude_none=True)
        events: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": choice.finish_reason}]},
        ]
        events[0] |= self.model_dump(include={"confidence", "answered_by", "passed_on"})
        if include_usage:
            events.append({"choices": [], "usage": self.usage.model_dump()})
        return [head | event for event in events]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None = Field(None, description="the field that is wrong")
    code: None = None


class ErrorResponse(BaseModel):
    """A refusal, in OpenAI's form."""

    error: ErrorBody


class ModelEntry(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["limbeck"] = "limbeck"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelEntry]
