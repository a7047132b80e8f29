# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""What pyproject.toml cannot say: configs and tools go into the wheel."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# What OpenMMLab's tools look for in `<package>/.mim`.
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Put configs, metafiles and tools into the wheel, not the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        shipped = Path(self.build_lib, 'mmw2s', '.mim')
        shutil.rmtree(shipped, ignore_errors=True)
        shipped.mkdir(parents=True)
        for name in SHIPPED:
            if (HERE / name).is_dir():
                shutil.copytree(
                    HERE / name,
                    shipped / name,
                    ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'))
            elif (HERE / name).is_file():
                shutil.copy(HERE / name, shipped / name)


setup(cmdclass=dict(build_py=BuildWithConfigs))
