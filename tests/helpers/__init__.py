# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What several tests share; ``tests/conftest.py`` puts it on the path.

========================  ================================================
module                    holds
========================  ================================================
toys, tiny_*              models, data sets and configs of runs of seconds
builders                  models, teachers and batches made of the toys
entries                   entries of a hook's ``distill`` field
runs                      a run: to train it, to watch it, to read it
growing                   a run that writes its files bit by bit
works_with                distilling runs that are changed by a test
ranks                     several processes of one run
========================  ================================================
"""
