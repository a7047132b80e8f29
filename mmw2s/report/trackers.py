# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Log what a report shows to MLflow or to Weights & Biases."""
import re
from typing import Dict, List, Tuple

from mmw2s.analysis.table import Table
from .chart_data import curve_rows
from .content import Report
from .gains import gains
from .summary import summary

__all__ = ['log_to_mlflow', 'log_to_wandb']

_NAME = 'mmw2s-report'


def _curves(report: Report) -> List[Tuple[int, Dict[str, float]]]:
    """The medians of all groups, by iteration, in ascending order."""
    found: Dict[int, Dict[str, float]] = {}
    names = {group.name for group in report.groups}
    for row in curve_rows(report):
        if row['g'] in names and 'off' not in row and 'iterations' in row:
            step = found.setdefault(int(row['iterations']), {})
            step[_safe(f'{row["g"]}/{row["m"]}')] = row['y']
    return sorted(found.items())


def _targets(report: Report) -> Dict[str, float]:
    """The median cost of each target that was reached, on every axis."""
    found = {}
    for group in report.groups:
        side = report.side(group)
        for target in report.targets[report.metric]:
            for axis in report.axes:
                spent, is_bound = side.median_cost(target.value, axis.unit)
                if axis.counted or is_bound or spent != spent:
                    continue
                found[_safe(f'{group.name}/{axis.key} to {target.label}')] = \
                    spent / axis.scale
    return found


def _safe(name: str) -> str:
    """A name that MLflow takes on every system."""
    return re.sub(r'[^\w\-. /]', '_', name, flags=re.ASCII)


def _tables(report: Report) -> Dict[str, Table]:
    found = {'settings': summary(report).plain()}
    if report.comparisons:
        found['speed-ups'] = gains(report)[0]
    return found


def log_to_mlflow(report: Report, page: str) -> None:
    """Log a report as a run of MLflow.

    Where it goes is MLflow's own setting, ``MLFLOW_TRACKING_URI``.

    Args:
        report (Report): What is logged: curves as metrics by iteration, costs
            of targets, tables.
        page (str): The page, which becomes an artifact.

    Raises:
        ImportError: If MLflow is not installed.
        ValueError: If it does not take the place that it is to write to.
    """
    try:
        import mlflow
    except ImportError:
        raise ImportError(
            '--mlflow needs MLflow: pip install mlflow') from None
    try:
        mlflow.set_experiment(_NAME)
    except mlflow.MlflowException as error:
        raise ValueError(f'MLflow does not take the report: {error}') from None
    with mlflow.start_run(run_name=report.title):
        for step, scores in _curves(report):
            mlflow.log_metrics(scores, step=step)
        mlflow.log_metrics(_targets(report))
        for name, table in _tables(report).items():
            mlflow.log_text(table.to_markdown() + '\n', f'{name}.md')
        mlflow.log_artifact(page)


def log_to_wandb(report: Report, page: str) -> None:
    """Log a report as a run of Weights & Biases.

    Where it goes is W&B's own setting; ``WANDB_MODE=offline`` keeps it here.

    Args:
        report (Report): See :func:`log_to_mlflow`.
        page (str): The page, which becomes an artifact.

    Raises:
        ImportError: If wandb is not installed.
        ValueError: If it cannot be begun, as where nobody is logged in.
    """
    try:
        import wandb
    except ImportError:
        raise ImportError('--wandb needs W&B: pip install wandb') from None
    try:
        started = wandb.init(project=_NAME, name=report.title)
    except wandb.Error as error:
        raise ValueError(f'W&B does not take the report: {error}') from None
    with started as run:
        for step, scores in _curves(report):
            run.log(scores, step=step)
        run.summary.update(_targets(report))
        run.log({
            name: wandb.Table(columns=table.header, data=table.rows)
            for name, table in _tables(report).items()
        })
        artifact = wandb.Artifact(_NAME, type='report')
        artifact.add_file(page)
        run.log_artifact(artifact)
