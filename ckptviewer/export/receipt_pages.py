"""The receipt as a page to read: Markdown, or HTML that needs nothing else; and as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ckptviewer.checkpoint.text import (
    THIN_SPACE,
    count_text,
    exact_size_text,
    plural,
    printable,
    size_text,
)
from ckptviewer.export.command import python_to_restore
from ckptviewer.export.receipt import Receipt
from ckptviewer.storage.atomic import NewFile, Staging

Row = Sequence[str]
Table = tuple[str, Row, list[Row]]
"""Title, names of columns, rows."""


def write_receipt(receipt: Receipt, path: str | os.PathLike[str]) -> None:
    """Write the receipt: a page where the name ends in .md or .html, else JSON.

    A receipt that is there already is replaced. Raises UnwritableFileError.
    """
    final = os.path.abspath(os.fspath(path))
    end = os.path.splitext(final)[1].lower()
    if end in (".html", ".htm"):
        text = as_html(receipt)
    elif end in (".md", ".markdown"):
        text = as_markdown(receipt)
    else:
        text = json.dumps(receipt.as_full_document(), indent=1) + "\n"
    with Staging(final) as staging:
        with NewFile(os.path.join(staging.path, os.path.basename(final))) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
        staging.publish([file.path], replace_last=True)


def as_markdown(receipt: Receipt) -> str:
    """The receipt as Markdown."""
    lines = [f"# {_title(receipt)}", "", _verdict(receipt), ""]
    lines += [f"- {label}: {_code(text)}" for label, text in _facts(receipt)]
    for finding in receipt.findings:
        lines.append(f"- {finding.severity}: {_plain(f'{finding.message} {finding.remedy}')}")
    for title, columns, rows in _tables(receipt):
        lines += ["", f"## {title}", ""]
        lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    lines += ["", "## Restoring it", "", "```python", python_to_restore(receipt).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def as_html(receipt: Receipt) -> str:
    """The receipt as one HTML document, light or dark as the reader's system is."""
    body = [f"<h1>{escape(_title(receipt))}</h1>", f"<p>{escape(_verdict(receipt))}</p>"]
    body.append(_html_bar(receipt))
    body.append("<dl>")
    body += [
        f"<dt>{escape(label)}</dt><dd>{escape(_plain(text))}</dd>"
        for label, text in _facts(receipt)
    ]
    body.append("</dl>")
    for finding in receipt.findings:
        text = escape(_plain(f"{finding.message} {finding.remedy}"))
        body.append(f'<p class="{finding.severity}"><b>{finding.severity}</b> {text}</p>')
    for title, columns, rows in _tables(receipt):
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        body.append(f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>")
        body += [_html_row(row) for row in rows]
        body.append("</tbody></table>")
    python = escape(python_to_restore(receipt))
    body.append(f"<h2>Restoring it</h2><pre>{python}</pre>")
    title = escape(_title(receipt))
    return _PAGE.format(title=title, body="\n".join(body))


def _plain(text: str) -> str:
    """`text` on one line, with common blanks."""
    return printable(text.replace(THIN_SPACE, " "))


def _title(receipt: Receipt) -> str:
    return f"Export of {_plain(os.path.basename(receipt.source) or receipt.source)}"


def _verdict(receipt: Receipt) -> str:
    kept, dropped = plural(len(receipt.kept), "variable"), len(receipt.dropped)
    sizes = f"{size_text(receipt.bytes_before)} to {size_text(receipt.bytes_after)}"
    if receipt.verified is None:
        return f"{kept} would be kept and {dropped} dropped: {sizes}. Nothing was written."
    if not receipt.verified:
        return f"Nothing was written; {dropped} dropped."
    return (
        f"{kept} kept and {dropped} dropped: {sizes}. All that was written was read back and found "
        "equal to its source, bit for bit; what was cast, to its cast."
    )


def _facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    yield "Source", receipt.source
    yield "Destination", receipt.destination
    yield "Format", receipt.format
    yield "Before", exact_size_text(receipt.bytes_before)
    yield "After", exact_size_text(receipt.bytes_after)
    timings = receipt.timings
    if timings is not None:
        yield (
            "Time to open",
            f"{timings.open_before:.3f} s before, {timings.open_after:.3f} s after",
        )
        yield (
            "Time to load",
            f"{timings.load_before:.3f} s before, {timings.load_after:.3f} s after",
        )
    if receipt.state_file:
        yield "State file", receipt.state_file
    for key in receipt.added:
        yield "Added", key
    if receipt.restore_check is not None:
        yield "Restore check", _restore_text(receipt.restore_check)


def _tables(receipt: Receipt) -> Iterator[Table]:
    rows: list[Row] = [
        (
            each.key,
            each.key_written if each.key_written != each.key else "",
            each.taken_from,
            size_text(each.written_bytes),
            receipt.checksums.get(each.key_written, ""),
            each.reason,
        )
        for each in receipt.kept
    ]
    columns = ("Key", "Written as", "Values of", "Size", "Checksum", "Why")
    yield "Kept", *_without_empty(columns, rows)
    if receipt.dropped:
        yield "Dropped", ("Key", "Why"), list(receipt.dropped)
    cast: list[Row] = []
    for each in receipt.kept:
        loss = receipt.losses.get(each.key)
        if each.dtype and loss is not None:
            error = f"{loss.relative_error:.3g}"
            counts = (count_text(loss.overflow), count_text(loss.underflow), error)
            cast.append((each.key, each.dtype, *counts))
    if cast:
        yield "Cast", ("Key", "Dtype", "Overflow", "Underflow", "Largest relative error"), cast
    if receipt.duplicates:
        pairs: list[Row] = list(receipt.duplicates.items())
        yield "Written once", ("Key", "Has the bytes of"), pairs
    if receipt.restore_check is not None:
        yield from _restore_tables(receipt.restore_check)
    if receipt.files:
        files: list[Row] = [(name, exact_size_text(size)) for name, size in receipt.files.items()]
        yield "Files", ("Name", "Size"), files


def _restore_text(check: Mapping[str, Any]) -> str:
    by = f"TensorFlow {check['tensorflow']}" if check["tensorflow"] else "TensorFlow"
    does = "restores" if check["restores"] else "does not restore"
    return f"{by} {does} it into {check['model']}: {check['message']}"


def _restore_tables(check: Mapping[str, Any]) -> Iterator[Table]:
    """What bound and what did not, all of it."""
    bound: list[Row] = [(each["name"], each["key"], each["rule"]) for each in check["bound"]]
    if bound:
        yield "Restored by TensorFlow", ("Variable of the model", "Key", "By"), bound
    wrong: list[Row] = [(e["name"], e["key"], e["reason"]) for e in check["mismatched"]]
    wrong += [(name, "", "nothing was written for it") for name in check["missing"]]
    if wrong:
        columns = ("Variable of the model", "Key", "Why")
        yield "Not restored by TensorFlow", *_without_empty(columns, wrong)
    if check["unused"]:
        unused: list[Row] = [(key,) for key in check["unused"]]
        yield "Taken by nothing of the model", ("Key",), unused


def _without_empty(columns: Row, rows: list[Row]) -> tuple[Row, list[Row]]:
    """Without the columns in which nothing stands."""
    used = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    return [columns[n] for n in used], [[row[n] for n in used] for row in rows]


def _cell(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")


def _code(text: str) -> str:
    return f"`{_plain(text).replace('`', '´')}`"


def _html_row(row: Row) -> str:
    return "<tr>" + "".join(f"<td>{escape(_plain(text))}</td>" for text in row) + "</tr>"


def _html_bar(receipt: Receipt) -> str:
    share = min(1.0, receipt.bytes_after / receipt.bytes_before) if receipt.bytes_before else 0.0
    label = f"{size_text(receipt.bytes_after)} of {size_text(receipt.bytes_before)}"
    return (
        f'<div class="bar" role="img" aria-label="{label}"><div style="width:{share:.2%}"></div>'
        "</div>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2em 1.2em; }}
dt {{ opacity: .7; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .25em .8em .25em 0; border-bottom: 1px solid #8884;
  overflow-wrap: anywhere; vertical-align: top; }}
pre {{ padding: 1em; background: #8882; overflow-x: auto; }}
.bar {{ height: .6em; background: #8883; border-radius: .3em; overflow: hidden; }}
.bar div {{ height: 100%; background: #0072b2; }}
.warning b, .error b {{ color: #d55e00; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
