"""The admin socket's protocol: one JSON object a line, one answer for each question.

Question: `{"operation": "domain.add", "arguments": {"name": "example.org"}}`.
Answer: `{"result": …}` or `{"refusal": {"status": "5.1.1", "text": "…"}}`.
"""

from __future__ import annotations

import json
from typing import Any

from ..model.errors import Refusal

MAX_LINE = 8 << 20


def question(operation: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"operation": operation, "arguments": arguments}).encode() + b"\n"


def result(value: Any) -> bytes:
    return json.dumps({"result": value}).encode() + b"\n"


def refusal(error: Refusal) -> bytes:
    return json.dumps({"refusal": {"status": error.status, "text": error.text}}).encode() + b"\n"


def read_answer(line: bytes) -> Any:
    """The result. Raises Refusal with the server's words."""
    answer = json.loads(line)
    if said := answer.get("refusal"):
        raise Refusal(said["text"], status=said["status"])
    return answer["result"]
