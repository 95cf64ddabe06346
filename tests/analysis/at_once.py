"""An executor that does each task as it is submitted: nothing runs beside the test."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any


class AtOnce(Executor):
    """Does each task as it is submitted, and remembers them."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def submit(self, work: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
        self.tasks.append(arguments[0])
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future
