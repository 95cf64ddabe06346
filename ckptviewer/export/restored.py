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

    A validation casts, and assigns one by one what TensorFlow's own restore refuses, to see how a
    model does with it. A restore that was refused is no restore, whatever bound then.
    """
    restore = report["restore"]
    refused = [
        each["message"]
        for each in restore.get("assertions", ())
        if each["name"] == "restore" and not each["passes"]
    ]
    checks = [check["message"] for check in report["checks"]]
    how = restore.get("how")
    ways = [f"{'Assigned instead' if refused else 'How'}: {how}."] if how else []
    found: dict[str, Any] = {
        "restores": report["verdict"] == "pass" and not refused,
        "model": report["model"],
        "tensorflow": tensorflow,
        **restore,
        "read_back": report["read_back"],
        "message": " ".join((*refused, *ways, *checks) if refused else (*checks, *ways)),
    }
    return replace(receipt, restore_check=found)
