"""Roles by name: what variables are for, and whose slots they are, as naming conventions tell."""

from __future__ import annotations

from typing import NamedTuple

from ckptviewer.checkpoint.variable import Role


class Description(NamedTuple):
    """What is known of a variable beyond its dtype and shape; fields as in Variable."""

    name: str
    role: Role
    slot_of: str | None = None
    slot_name: str = ""
    trainable: bool | None = None
    object_path: str = ""
