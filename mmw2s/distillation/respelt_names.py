# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Class names that are spelt differently by versions of one package."""

__all__ = ['canonical_name']

# onedl-mmpretrain 1.3.6 respelt two of mmpretrain 1.2.0's ImageNet classes,
# nos. 295 and 509. Later spelling -> earlier one.
_RESPELT = {
    'American black bear, black bear, Ursus americans, Euarctos americans':
    'American black bear, black bear, Ursus americanus, Euarctos americanus',
    'confectionery, confectionery, candy store':
    'confectionery, confectionary, candy store',
}


def canonical_name(name: str) -> str:
    """The one spelling that stands for all known ones of a class."""
    return _RESPELT.get(name, name)
