"""Where a training went wrong, told from its checkpoints."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ckptviewer.checkpoint.findings import Finding
from ckptviewer.runs.run import find_run
from ckptviewer.runs.timeline import Timeline
from ckptviewer.runs.timeline_findings import timeline_findings
from ckptviewer.runs.timeline_table import TimelineTable
from tests.builders import save

RNG = np.random.default_rng(3)
COUNT = 8


def findings_of(directory: Path, columns: dict[str, list[np.ndarray]]) -> list[Finding]:
    for step in range(COUNT):
        values = {key: each[step].astype(np.float32) for key, each in columns.items()}
        save(directory / f"model.ckpt-{100 * step}", values)
    entries = find_run(directory).checkpoints
    table = TimelineTable(entries)
    with ThreadPoolExecutor(2) as executor:
        for event in Timeline(entries).run(executor):
            table.take(event)
    return timeline_findings(table)


def moving(shape: tuple[int, ...] = (6, 5)) -> list[np.ndarray]:
    steps = RNG.standard_normal((COUNT, *shape)) * 0.01
    return list(RNG.standard_normal(shape) + np.cumsum(steps, axis=0))


def test_healthy_training_has_no_findings(tmp_path: Path) -> None:
    columns = {
        "a/kernel": moving(),
        "a/bias": [step * np.ones(5) for step in range(COUNT)],  # begins with zeros
        "global_step": [np.array(step) for step in range(COUNT)],
    }
    assert findings_of(tmp_path, columns) == []


def test_each_fate_at_its_first_step(tmp_path: Path) -> None:
    nan, dead, exploding, frozen = moving(), moving(), moving(), moving()
    for step in (5, 6, 7):
        nan[step] = np.where(np.arange(30).reshape(6, 5) < step, np.nan, nan[step])
    dead[4:] = [np.zeros((6, 5))] * 4
    exploding[6:] = [50 * exploding[6], 60 * exploding[6]]
    frozen[3:] = [frozen[3]] * 5
    found = findings_of(
        tmp_path,
        {
            "ok/kernel": moving(),
            "nan/kernel": nan,
            "dead/kernel": dead,
            "explodes/kernel": exploding,
            "frozen/kernel": frozen,
            "frozen/bias": [np.ones(5)] * 2 + [np.zeros(5), *[np.ones(5)] * 5],
        },
    )
    told = [(finding.code, finding.variable) for finding in found]
    assert told == [
        ("nan-appears", "nan/kernel"),
        ("layer-dies", "dead/kernel"),
        ("norm-explodes", "explodes/kernel"),
        ("layer-frozen", "frozen/bias"),
        ("layer-frozen", "dead/kernel"),
    ]
    messages = [finding.message for finding in found]
    assert "step 500 (model.ckpt-500)" in messages[0]
    assert "5 NaN of 30 values" in messages[0]
    assert "from step 400" in messages[1]
    assert "at step 600" in messages[2]
    assert "frozen (2 variables)" in messages[3]
    assert "from step 400" in messages[3]


def test_training_that_stands_still_is_not_said_to_be_frozen(tmp_path: Path) -> None:
    still = moving()
    still[4:] = [still[4]] * 4
    found = findings_of(tmp_path, {"a/kernel": still, "b/kernel": [still[0]] * COUNT})
    assert [(each.code, each.variable) for each in found] == [("layer-frozen", "b/kernel")]
