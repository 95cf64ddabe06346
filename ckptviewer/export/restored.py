"""The restore check in a receipt: what a restore by TensorFlow bound of what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ckptviewer.export.receipt import Receipt


def with_restore_check(
    receipt: Receipt, report: Mapping[str, Any], tensorflow: str | None
) -> Receipt:
    """The receipt with what came of restoring into a model what it is the receipt of.

    report: the validation's report, as scripts get it: `verdict`, `model`, `restore`, `read_back`
    and `checks` of it. tensorflow: the version that restored; None where it did not say.
    """
    found: dict[str, Any] = {
        "restores": report["verdict"] == "pass",
        "model": report["model"],
        "tensorflow": tensorflow,
        **report["restore"],
        "read_back": report["read_back"],
        "message": " ".join(check["message"] for check in report["checks"]),
    }
    return replace(receipt, restore_check=found)
