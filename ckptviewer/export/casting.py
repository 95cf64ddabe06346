"""What a plan's casts would lose: found by reading once, before anything is written."""

from __future__ import annotations

from ckptviewer.checkpoint.casting import CastLoss, cast_loss, cast_values
from ckptviewer.checkpoint.checkpoint import Checkpoint
from ckptviewer.checkpoint.findings import Finding, Severity
from ckptviewer.checkpoint.progress import CancelToken, Progress
from ckptviewer.checkpoint.text import count_text, plural
from ckptviewer.export.execute import Report
from ckptviewer.export.plan import ExportPlan


def predict_cast(
    plan: ExportPlan,
    source: Checkpoint,
    *,
    cancel: CancelToken | None = None,
    report: Report | None = None,
) -> dict[str, CastLoss]:
    """What each variable that the plan casts would lose, by key; empty where it casts none.

    Raises Cancelled, and what reading raises.
    """
    casts = plan.casts
    losses: dict[str, CastLoss] = {}
    variables = [source[each.taken_from or each.key] for each in casts]
    done, total = 0, sum(variable.stored_bytes for variable in variables)
    for each, variable in zip(casts, variables, strict=True):
        loss = CastLoss()
        for values in source.chunks(variable):
            if cancel is not None:
                cancel.raise_if_cancelled()
            loss += cast_loss(values, cast_values(values, each.dtype))
            done += values.nbytes
            if report is not None:
                label = f"Trying the cast of {each.key}"
                report(Progress(done=min(done, total), total=total, label=label))
        losses[each.key] = loss
    return losses


def cast_findings(losses: dict[str, CastLoss], dtype: str) -> list[Finding]:
    """What the losses say for people: overflow is a warning, all else information."""
    if not losses:
        return []
    whole = sum(losses.values(), CastLoss())
    found = []
    if whole.overflow:
        keys = [key for key, loss in losses.items() if loss.overflow]
        found.append(
            Finding(
                code="cast-overflow",
                severity=Severity.WARNING,
                message=f"{plural(whole.overflow, 'value')} of {plural(len(keys), 'variable')} "
                f"would become infinite as {dtype}, of {keys[0]} first.",
                remedy="Leave these out of the cast, or choose bfloat16, whose range is that of "
                "float32.",
                variable=keys[0],
            )
        )
    found.append(
        Finding(
            code="cast-loss",
            severity=Severity.INFO,
            message=f"Of {count_text(whole.count)} values as {dtype}, "
            f"{count_text(whole.overflow)} overflow, {count_text(whole.underflow)} become zero, "
            f"and the others are off by {whole.relative_error:.2g} of themselves at most.",
        )
    )
    return found
