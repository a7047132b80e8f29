# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Class names whose spelling differs between versions of a package."""

__all__ = ['canonical_name']

# onedl-mmpretrain 1.3.6 changed the spelling of two ImageNet classes of
# mmpretrain 1.2.0, nos. 295 and 509. Later spelling -> earlier one.
_RESPELT = {
    'American black bear, black bear, Ursus americans, Euarctos americans':
    'American black bear, black bear, Ursus americanus, Euarctos americanus',
    'confectionery, confectionery, candy store':
    'confectionery, confectionary, candy store',
}


def canonical_name(name: str) -> str:
    """The earliest known spelling of a class name."""
    return _RESPELT.get(name, name)
