# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import builtins
import glob

import pytest

from mmw2s.report import log_to_mlflow, log_to_wandb
from mmw2s.report.trackers import _safe


@pytest.fixture
def page(tmp_path):
    path = tmp_path / 'page.html'
    path.write_text('<p>')
    return str(path)


def test_mlflow_gets_curves_targets_tables_and_the_page(
        report, page, tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    pytest.importorskip('sqlalchemy')
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f'sqlite:///{tmp_path}/mlflow.db')
    try:
        log_to_mlflow(report, page)
        client = mlflow.MlflowClient()
        one, = client.search_experiments(filter_string="name LIKE 'mmw2s%'")
        run, = client.search_runs([one.experiment_id])
        curve = client.get_metric_history(run.info.run_id, 'w2s/coco/bbox_mAP')
        assert [(point.step, point.value) for point in curve] == \
            [(100, .3), (200, .4), (300, .45), (400, .48), (500, .49)]
        reached = run.data.metrics
        assert reached['base/epochs to 0.4 _80_ of baseline_'] == 4
        names = {x.path for x in client.list_artifacts(run.info.run_id)}
        assert names == {'page.html', 'settings.md', 'speed-ups.md'}
    finally:
        mlflow.set_tracking_uri(None)


def test_a_place_that_mlflow_refuses_is_told(report, page, tmp_path,
                                             monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.delenv('MLFLOW_ALLOW_FILE_STORE', raising=False)
    mlflow.set_tracking_uri(f'file://{tmp_path}/mlruns')
    try:
        with pytest.raises(ValueError, match='MLflow does not take'):
            log_to_mlflow(report, page)
    finally:
        mlflow.set_tracking_uri(None)


def test_wandb_gets_them_offline(report, page, tmp_path, monkeypatch):
    wandb = pytest.importorskip('wandb')
    monkeypatch.chdir(tmp_path)
    for name, value in (('MODE', 'offline'), ('DIR', str(tmp_path)),
                        ('SILENT', 'true'), ('DISABLE_CODE', 'true')):
        monkeypatch.setenv(f'WANDB_{name}', value)
    logged = []
    log = wandb.Run.log
    monkeypatch.setattr(
        wandb.Run, 'log', lambda self, data, *args, **kwargs: logged.append(
            (kwargs.get('step'), data)) or log(self, data, *args, **kwargs))
    log_to_wandb(report, page)
    assert logged[0] == (100, {
        'base/coco/bbox_mAP': .1,
        'w2s/coco/bbox_mAP': .3
    })
    assert [step for step, _ in logged] == [100, 200, 300, 400, 500, None]
    assert set(logged[-1][1]) == {'settings', 'speed-ups'}
    kept, = glob.glob(str(tmp_path / 'wandb' / 'offline-run-*' / '*.wandb'))
    with open(kept, 'rb') as file:
        assert b'w2s/coco/bbox_mAP' in file.read()


@pytest.mark.parametrize('log, name', [(log_to_mlflow, 'mlflow'),
                                       (log_to_wandb, 'wandb')])
def test_what_is_not_installed_is_named(log, name, report, page, monkeypatch):
    real = builtins.__import__

    def without(wanted, *args, **kwargs):
        if wanted == name:
            raise ImportError(wanted)
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=f'pip install {name}'):
        log(report, page)


def test_a_name_of_a_metric_is_one_on_every_system():
    assert _safe('a<b>: "c"|d é/0.3 (80%)') == 'a_b__ _c__d _/0.3 _80__'
