"""What verdicts ask of a row of a comparison, taken from its numbers."""

from __future__ import annotations

from dataclasses import replace

from ckptviewer.analysis.comparison import UNCHANGED, Basis, VariableDelta
from ckptviewer.analysis.verdicts import DeltaFacts
from ckptviewer.checkpoint.dtypes import Kind, kind_of


def facts_of(delta: VariableDelta) -> DeltaFacts:
    """The facts of one row; figures are None until its values were read."""
    variable, difference = delta.variable, delta.difference
    a, b = delta.variable_a, delta.variable_b
    key_a, key_b = delta.pair
    comparable = a is not None and b is not None and a.shape == b.shape and not delta.problem
    numeric = kind_of(variable.dtype) not in (Kind.STRING, Kind.OPAQUE)
    same = delta.status in UNCHANGED and not delta.problem
    by_values = delta.basis is Basis.VALUES
    exactly = difference.equal if difference is not None else same
    facts = DeltaFacts(
        key_a=key_a,
        key_b=key_b,
        role=variable.role,
        name=variable.name,
        shape=variable.shape,
        element_count=variable.element_count,
        comparable=comparable and (numeric or same),
        equal_by_checksum=same and delta.basis is Basis.CHECKSUM,
        equal_by_values=comparable and by_values and exactly,
        within_tolerance=same and by_values,
    )
    if difference is None or not comparable:
        return facts
    return replace(
        facts,
        relative_l2=difference.relative_l2,
        cosine=difference.cosine,
        max_abs=difference.max_abs,
        mean_difference=difference.mean_difference,
        std_difference=difference.std_difference,
        std_a=difference.std_a,
        std_b=difference.std_b,
        mean_b=difference.mean_b,
        norm_a=difference.norm_a,
        norm_b=difference.norm_b,
        nan_difference=difference.nonfinite_unequal,
    )
