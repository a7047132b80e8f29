# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
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


EXTRAS = {
    'tests': ['pytest', 'hypothesis', 'scikit-learn'],
    'diffusion': ['diffusers', 'torchmetrics', 'scipy', 'scikit-learn'],
    'quickstart': ['scikit-learn'],
}

setup(
    name='mmw2s',
    version=runpy.run_path(str(HERE / 'mmw2s' / 'version.py'))['__version__'],
    description='Weak-to-strong knowledge distillation for MMEngine: a frozen '
    'weaker teacher speeds up early training, then removes itself',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='mmw2s contributors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, knowledge distillation, object detection',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
    ],
    packages=find_packages(include=['mmw2s', 'mmw2s.*']),
    python_requires='>=3.9',
    # MMEngine, MMCV and MMDetection are left out on purpose: the original
    # packages and the maintained onedl forks share their import names, and
    # naming one would install it over the other. mmw2s checks for them when
    # it is imported.
    install_requires=[
        'torch>=2.5', 'numpy', 'matplotlib', 'rich', 'packaging'
    ],
    extras_require=EXTRAS,
    entry_points=dict(console_scripts=['mmw2s=mmw2s.cli:main']),
    cmdclass=dict(build_py=BuildWithConfigs),
    zip_safe=False)
