"""Which items of a variable tree are open before anybody opens or closes one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ckptviewer.checkpoint.tree import Group, Item, VariableTree

ROWS_SHOWN_AT_FIRST = 60
EXPAND_ALL_MATCHES_BELOW = 2000


def opened_at_first(tree: VariableTree) -> set[Item]:
    """Groups, level by level, while the rows still fit a screen.

    What is alone on its level is open in any case: closed it would say nothing.
    """
    opened: set[Item] = set()
    top = tree.root
    while len(top.children) == 1 and isinstance(top.children[0], Group):
        top = top.children[0]
        opened.add(top)
    shown = len(top.children)
    level = _groups_in(top.children)
    while level:
        below = sum(len(group.children) for group in level)
        if shown + below > ROWS_SHOWN_AT_FIRST:
            break
        shown += below
        opened.update(level)
        level = [child for group in level for child in _groups_in(group.children)]
    for group in level:
        # A level that does not fit as a whole is opened from its top, as far as it fits.
        if shown + len(group.children) <= ROWS_SHOWN_AT_FIRST:
            shown += len(group.children)
            opened.add(group)
    return opened


def opened_for_matches(
    tree: VariableTree,
    matches: Collection[int],
    groups: Iterable[Group],
    before: Collection[Item],
) -> set[Item]:
    """All that hides a match, where these are not too many to be looked through.

    matches: rows of the variables that a filter leaves. groups: those that have one below them.
    before: what was open without the filter, and stays so where there are too many.
    """
    if len(matches) > EXPAND_ALL_MATCHES_BELOW:
        return set(before)
    owners = map(tree.owner_row, matches)
    return {*groups, *(owner for owner in owners if owner is not None)}


def _groups_in(items: Iterable[Item]) -> list[Group]:
    return [item for item in items if isinstance(item, Group)]
