"""Reports of a comparison: a page that stands for itself, Markdown, a table, a document."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

from ckptviewer.analysis.comparison import (
    LETTERS,
    UNCHANGED,
    Basis,
    Comparison,
    Pair,
    Status,
    VariableDelta,
)
from ckptviewer.analysis.comparison_document import (
    ORDER,
    as_csv,
    as_document,
    conclusion_text,
    summary_text,
    verdicts_of,
)
from ckptviewer.checkpoint.errors import CkptviewerError
from ckptviewer.checkpoint.text import count_text, number_text, plural, printable, shape_text

if TYPE_CHECKING:
    from ckptviewer.analysis.side_by_side import Sides
    from ckptviewer.analysis.thresholds import Thresholds
    from ckptviewer.analysis.verdicts import Judgement
    from ckptviewer.checkpoint.checkpoint import Checkpoint

    Verdicts = Mapping[Pair, Judgement | None]

__all__ = ["as_csv", "as_html", "as_json", "as_markdown", "store"]

MOST_PICTURED = 12
"""So many of the variables that changed most have pictures of their own."""

MOST_BARS = 24

_HEAD = (
    "",
    "Variable",
    "Shape",
    "Dtype",
    "max |b−a|",
    "mean |b−a|",
    "relative L2",
    "cosine",
    "Verdict",
    "",
)

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --muted: #63676d; --line: #dcdfe3;
  --page: #ffffff; --panel: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8ea; --muted: #9aa0a6; --line: #3a3e44;
  --page: #1b1d20; --panel: #24272b; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; } h3 { font-size: .95rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--muted); font-weight: 500; } td.number { text-align: right; white-space: nowrap; }
td.key { overflow-wrap: anywhere; } td.note, .muted { color: var(--muted); }
.letter { display: inline-block; width: 1.4em; text-align: center; border-radius: 3px;
  color: #fff; font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.panel { overflow-x: auto; } figure { margin: 0; } figcaption { color: var(--muted); }
svg text { font: 11px system-ui, sans-serif; fill: var(--text); }
svg text.end { text-anchor: end; }
svg text.on { fill: #fff; text-anchor: middle; font-weight: 600; }
svg .axis { stroke: var(--muted); } svg .paper { fill: var(--panel); }
"""


def as_json(comparison: Comparison) -> str:
    """The document of `compare --json`."""
    return json.dumps(as_document(comparison), indent=1) + "\n"


def as_html(
    comparison: Comparison,
    a: Checkpoint | None = None,
    b: Checkpoint | None = None,
    thresholds: Thresholds | None = None,
) -> str:
    """One page without any other file: the answer, pictures, and a table of all variables.

    a, b: what was compared, still open: of the variables that changed most, values are read for
    histograms and heat maps. Without them the page has only what the comparison itself tells.
    thresholds: of the verdicts, if not the usual ones.
    """
    from ckptviewer.analysis import comparison_svg as svg

    verdicts = verdicts_of(comparison, thresholds)
    title = f"{_name(comparison.a.path)} and {_name(comparison.b.path)} compared"
    differing = _most_changed([each for each in comparison.deltas if not each.unchanged])
    same = [each for each in comparison.deltas if each.unchanged]
    bars = svg.change_bars(differing[:MOST_BARS])
    body = [
        f"<h1>{_text(conclusion_text(comparison))}</h1>",
        _sides_table(comparison),
        f"<p>{_text(summary_text(comparison))}.</p>",
        svg.status_bar(comparison),
        _legend(comparison),
    ]
    if bars:
        body += ["<h2>What changed most, by relative L2</h2>", f'<div class="panel">{bars}</div>']
    if a is not None and b is not None:
        body += _pictures(comparison, differing, a, b)
    if differing:
        body += ["<h2>What differs</h2>", _table(differing, verdicts)]
    if same:
        label = f"{plural(len(same), 'variable')} the same"
        body.append(
            f"<h2>What does not</h2><details><summary>{label}</summary>{_table(same, verdicts)}"
        )
        body.append("</details>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def as_markdown(comparison: Comparison, thresholds: Thresholds | None = None) -> str:
    """The answer and a table of what differs, for an issue or a pull request."""
    verdicts = verdicts_of(comparison, thresholds)
    lines = [f"# {conclusion_text(comparison)}", ""]
    lines += [
        f"- {letter}: {_code(side.path)} ({side.format_name})"
        for letter, side in (("A", comparison.a), ("B", comparison.b))
    ]
    lines += ["", f"{summary_text(comparison)}.", ""]
    shown = [each for each in comparison.deltas if each.status is not Status.SAME or each.problem]
    if shown:
        titles = ("Status", *(title.replace("|", "\\|") for title in _HEAD[1:-1]), "Note")
        lines.append(f"| {' | '.join(titles)} |")
        lines.append(f"|{' --- |' * 4}{' ---: |' * 4} --- | --- |")
        for delta in _in_order(shown):
            words = (_verdict(delta, verdicts), _in_cell(_note(delta)))
            cells = (str(delta.status), _names(delta, _code), *_cells(delta), *words)
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def store(path: str, text: str) -> None:
    """Write a report; a file that is there is replaced at once. Raises UnwritableFileError."""
    from ckptviewer.storage.atomic import NewFile, Staging

    with Staging(path) as staging:
        staged = f"{staging.path}/report"
        with NewFile(staged) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            file.rename(f"{staging.path}/{_name(path)}")
        staging.publish([f"{staging.path}/{_name(path)}"], replace_last=True)


def _most_changed(deltas: list[VariableDelta]) -> list[VariableDelta]:
    """What became NaN or infinite first, then by relative difference, then as they come."""
    from ckptviewer.analysis.comparison_svg import relative_change

    def urgency(delta: VariableDelta) -> tuple[bool, float]:
        broken = delta.difference is not None and delta.difference.nonfinite_unequal > 0
        return not broken, -(relative_change(delta) or 0.0)

    return sorted(_in_order(deltas), key=urgency)


def _in_order(deltas: list[VariableDelta]) -> list[VariableDelta]:
    return sorted(deltas, key=lambda delta: ORDER.index(delta.status))


def _pictures(
    comparison: Comparison, differing: list[VariableDelta], a: Checkpoint, b: Checkpoint
) -> list[str]:
    """A section for each of the variables that changed most."""
    sections: list[str] = []
    for delta in differing:
        if len(sections) == MOST_PICTURED:
            break
        try:
            section = _pictures_of(comparison, delta, a, b)
        except CkptviewerError:
            continue  # it was read a moment ago; the table has its numbers
        sections += [section] if section else []
    return [f"<h2>The {len(sections)} that changed most</h2>", *sections] if sections else []


def _pictures_of(comparison: Comparison, delta: VariableDelta, a: Checkpoint, b: Checkpoint) -> str:
    from ckptviewer.analysis import comparison_svg as svg
    from ckptviewer.analysis.comparison_pictures import difference_map, pair_histograms

    sides = _sides(comparison, delta, a, b)
    if sides is None or delta.difference is None or delta.status in UNCHANGED:
        return ""
    histograms = pair_histograms(sides, delta.difference)
    if histograms is None:
        return ""
    sample = ""
    if histograms.sampled:
        sample = f" (of {count_text(histograms.seen)} values, a sample)"
    figures = [
        ("A and B" + sample, svg.overlaid(histograms)),
        ("B − A" + sample, svg.of_difference(histograms)),
    ]
    if (cells := difference_map(sides)) is not None:
        lost = ", vermilion: not finite on one side" if math.isinf(cells.max()) else ""
        figures.append((f"where: largest |b−a| of each cell{lost}", svg.heat_map(cells)))
    drawn = "".join(
        f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>"
        for caption, picture in figures
    )
    return f'<h3>{_names(delta, _text)}</h3><div class="pictures">{drawn}</div>'


def _sides(
    comparison: Comparison, delta: VariableDelta, a: Checkpoint, b: Checkpoint
) -> Sides | None:
    from ckptviewer.analysis.side_by_side import Sides
    from ckptviewer.checkpoint.progress import CancelToken

    if delta.variable_a is None or delta.variable_b is None:
        return None
    return Sides(
        a=a,
        b=b,
        variable_a=delta.variable_a,
        variable_b=delta.variable_b,
        tolerance=comparison.options.tolerance,
        cancel=CancelToken(),
    )


def _sides_table(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><th>{letter}</th><td class=key>{_text(side.path)}</td><td>{side.format_name}</td>"
        f"<td class=muted>{_text(side.written_by or '')}</td></tr>"
        for letter, side in (("A", comparison.a), ("B", comparison.b))
    )
    return f"<table>{rows}</table>"


def _legend(comparison: Comparison) -> str:
    parts = [f"{_letter(status)} {status}" for status, count in comparison.summary.items() if count]
    return f"<p class=muted>{' &nbsp; '.join(parts)}</p>"


def _letter(status: Status) -> str:
    from ckptviewer.analysis.comparison_svg import COLOURS

    return f'<span class="letter" style="background:{COLOURS[status]}">{LETTERS[status]}</span>'


def _table(deltas: list[VariableDelta], verdicts: Verdicts) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in _HEAD)
    rows = []
    for delta in deltas:
        shape, dtype, *numbers = _cells(delta)
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(
            f'<tr><td title="{delta.status}">{_letter(delta.status)}</td>'
            f'<td class="key">{_names(delta, _text)}</td><td>{shape}</td><td>{dtype}</td>{cells}'
            f"<td>{_verdict(delta, verdicts)}</td>"
            f'<td class="note">{_text(_note(delta))}</td></tr>'
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cells(delta: VariableDelta) -> tuple[str, ...]:
    """Shape, dtype and numbers of a row, as text."""
    a, b = delta.variable_a, delta.variable_b
    shapes = [shape_text(each.shape) for each in (a, b) if each is not None]
    dtypes = [each.dtype for each in (a, b) if each is not None]
    found = delta.difference
    numbers = [""] * 4
    if found is not None:
        values = (found.max_abs, found.mean_abs, found.relative_l2, found.cosine)
        numbers = [number_text(value) for value in values]
    return " → ".join(dict.fromkeys(shapes)), " → ".join(dict.fromkeys(dtypes)), *numbers


def _verdict(delta: VariableDelta, verdicts: Verdicts) -> str:
    judged = verdicts[delta.pair]
    return str(judged.verdict) if judged is not None and delta.paired else ""


def _note(delta: VariableDelta) -> str:
    if delta.problem:
        return f"could not be compared: {delta.problem}"
    if delta.unchanged and delta.basis is Basis.CHECKSUM:
        return "equal by checksum"
    return delta.note


def _names(delta: VariableDelta, dressed: Callable[[str], str]) -> str:
    names = dict.fromkeys(key for key in delta.pair if key is not None)
    return " → ".join(dressed(name) for name in names)


def _name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def _text(text: str) -> str:
    return escape(printable(text))


def _in_cell(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return printable(text).replace("|", "\\|")


def _code(text: str) -> str:
    """Text as code in a cell of a Markdown table, whatever is in it."""
    return f"`{_in_cell(text).replace('`', chr(39))}`"
