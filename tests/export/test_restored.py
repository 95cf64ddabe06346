"""The restore check in a receipt: what it says as JSON, and on the pages."""

from __future__ import annotations

from typing import Any

import pytest

from ckptviewer.export.receipt import Receipt
from ckptviewer.export.receipt_pages import as_html, as_markdown
from ckptviewer.export.restored import with_restore_check

RECEIPT = Receipt(
    source="/run/model.ckpt-9",
    destination="/run/slim",
    format="tf-bundle",
    kept=(),
    dropped=(),
    bytes_before=10,
    bytes_after=5,
    verified=True,
)


def report(**restore: Any) -> dict[str, Any]:
    """A validation's report, as scripts get it."""
    found = {
        "how": "model.load_weights",
        "bound": [{"key": "a", "name": "net/a", "rule": "its name"}],
        "missing": [],
        "unused": [],
        "mismatched": [],
        "assertions": [{"name": "assert_consumed", "passes": False, "message": "fails: more."}],
        **restore,
    }
    is_whole = not (found["missing"] or found["mismatched"])
    return {
        "verdict": "pass" if is_whole else "fail",
        "model": "/run/net.keras",
        "restore": found,
        "read_back": {"equal": is_whole, "different": [], "unchanged": []},
        "checks": [{"message": "All 1 variable bound." if is_whole else "0 of 1 bound."}],
    }


def test_what_bound_is_on_the_receipt() -> None:
    receipt = with_restore_check(RECEIPT, report(), "2.21.0")
    check = receipt.as_full_document()["restore_check"]
    assert check["restores"] is True  # what asserts fail on is the optimizer's, as a rule
    assert check["message"] == "All 1 variable bound. How: model.load_weights."
    text = as_markdown(receipt)
    assert "TensorFlow 2.21.0 restores it into /run/net.keras: All 1 variable bound." in text
    assert "| net/a | a | its name |" in text.split("## Restored by TensorFlow")[1]
    assert "Not restored" not in text
    assert RECEIPT.restore_check is None


def test_all_that_did_not_bind_is_on_the_receipt() -> None:
    missing = [f"layer_{number}/kernel" for number in range(30)]
    found = report(
        bound=[],
        missing=missing,
        unused=["other/kernel"],
        mismatched=[{"key": "k", "name": "net/k", "reason": "the <shapes> differ"}],
    )
    receipt = with_restore_check(RECEIPT, found, None)
    assert receipt.as_full_document()["restore_check"]["restores"] is False
    text, page = as_markdown(receipt), as_html(receipt)
    assert "TensorFlow does not restore it into /run/net.keras" in text
    assert "## Restored by TensorFlow" not in text
    wrong, unused = text.split("## Not restored by TensorFlow")[1].split("## Taken by nothing")
    assert "| net/k | k | the <shapes> differ |" in wrong
    assert all(f"| {name} |" in wrong for name in missing)
    assert "| other/kernel |" in unused
    assert all(f"<td>{name}</td>" in page for name in missing)
    assert "the &lt;shapes&gt; differ" in page


@pytest.mark.parametrize("passes", [True, False])
def test_a_restore_that_is_refused_is_none(passes: bool) -> None:
    said = {"name": "restore", "passes": passes, "message": "It would stop: the dtypes differ."}
    receipt = with_restore_check(RECEIPT, report(assertions=[said]), "2.21.0")
    check = receipt.restore_check
    assert check is not None
    assert check["restores"] is passes
    assert check["message"].startswith("It would stop") is not passes
    assert ("Assigned instead: model.load_weights." in check["message"]) is not passes
