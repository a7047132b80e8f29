# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
import hashlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from mmw2s.utils import checkpoint, downloads
from mmw2s.utils.checkpoint import load_weights


def content(value, **options):
    file = io.BytesIO()
    torch.save(dict(a=torch.full((100, ), float(value))), file, **options)
    return file.getvalue()


class Server:
    """Answers on loopback as ``answers`` say: path -> function or bytes."""

    def __init__(self):
        self.answers, self.asked, stop = {}, [], threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):

            def do_GET(self):
                server.asked.append(self.path)
                answer = server.answers[self.path]
                if callable(answer):
                    return answer(self, stop)
                self.send_response(200)
                self.send_header('Content-Length', str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.stop = stop
        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.root = f'http://127.0.0.1:{self.http.server_port}'

    def close(self):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(downloads, 'TIMEOUT', 0.3)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    server = Server()
    yield server
    server.close()


def kept(tmp_path):
    return [p for p in (tmp_path / 'hub').rglob('*') if p.is_file()]


def short(handler, stop):
    handler.send_response(200)
    handler.send_header('Content-Length', '2000')
    handler.end_headers()
    handler.wfile.write(content(1)[:1000])


def stalling(handler, stop):
    short(handler, stop)
    stop.wait(20)


def dripping(handler, stop):
    handler.send_response(200)
    handler.end_headers()
    while not stop.wait(0.05):
        handler.wfile.write(b'P')


def silent(handler, stop):
    stop.wait(20)


def test_two_urls_of_one_name_are_two_files(server):
    server.answers = {
        '/a/epoch_12.pth': content(1),
        '/b/epoch_12.pth': content(2)
    }
    values = [
        load_weights(f'{server.root}{path}')[0]['a'][0].item()
        for path in ('/a/epoch_12.pth', '/b/epoch_12.pth', '/a/epoch_12.pth')
    ]
    assert values == [1, 2, 1]
    assert server.asked == ['/a/epoch_12.pth', '/b/epoch_12.pth']


def test_the_query_of_a_url_is_part_of_its_name(server):
    server.answers = {'/x.pth?v=1': content(1), '/x.pth?v=2': content(2)}
    for value in (1, 2):
        weights, _ = load_weights(f'{server.root}/x.pth?v={value}')
        assert weights['a'][0] == value


@pytest.mark.parametrize('answer', [short, stalling, dripping, silent])
def test_what_does_not_arrive_whole_is_refused_and_not_kept(
        server, tmp_path, answer):
    server.answers = {'/x.pth': answer}
    began = time.monotonic()
    with pytest.raises(RuntimeError, match='could not be downloaded.*by hand'):
        load_weights(f'{server.root}/x.pth')
    assert time.monotonic() - began < 15  # not for ever
    assert kept(tmp_path) == []
    server.answers = {'/x.pth': content(3)}
    assert load_weights(f'{server.root}/x.pth')[0]['a'][0] == 3


def test_a_login_page_is_refused_by_the_url_and_not_kept(server, tmp_path):

    def redirect(handler, stop):
        handler.send_response(302)
        handler.send_header('Location', '/login')
        handler.end_headers()

    server.answers = {
        '/x.pth': redirect,
        '/login': b'<!doctype html><html>Please log in</html>'
    }
    with pytest.raises(ValueError, match='http.*/x.pth is a web page.*login'):
        load_weights(f'{server.root}/x.pth')
    assert kept(tmp_path) == []


def test_what_was_read_to_check_it_is_not_read_again(server, monkeypatch):
    read, read_file = [], checkpoint.read_weight_file
    monkeypatch.setattr(checkpoint, 'read_weight_file',
                        lambda *args: read.append(1) or read_file(*args))
    server.answers = {'/x.pth': content(1)}
    for times in (1, 2):  # downloaded, and found in the cache
        load_weights(f'{server.root}/x.pth')
        assert len(read) == times


def test_a_redirect_to_the_file_is_followed(server):

    def redirect(handler, stop):
        handler.send_response(302)
        handler.send_header('Location', '/real')
        handler.end_headers()

    server.answers = {'/x.pth': redirect, '/real': content(4)}
    assert load_weights(f'{server.root}/x.pth')[0]['a'][0] == 4


def test_a_file_in_the_cache_that_is_damaged_is_fetched_again(
        server, tmp_path):
    server.answers = {'/x.pth': content(5)}
    load_weights(f'{server.root}/x.pth')
    (path, ) = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    assert load_weights(f'{server.root}/x.pth')[0]['a'][0] == 5
    assert len(server.asked) == 2


def test_a_file_is_held_against_the_hash_in_its_name(server, tmp_path):
    right = content(6, _use_new_zipfile_serialization=False)
    name = f'/r18-{hashlib.sha256(right).hexdigest()[:8]}.pth'
    server.answers = {name: content(7)}
    with pytest.raises(RuntimeError, match='sha256'):
        load_weights(server.root + name)
    assert kept(tmp_path) == []
    server.answers = {name: right}
    assert load_weights(server.root + name)[0]['a'][0] == 6


def test_a_published_file_that_torch_hub_has_is_not_fetched(server, tmp_path):
    data = content(8)
    name = f'r18-{hashlib.sha256(data).hexdigest()[:8]}.pth'
    path = tmp_path / 'hub' / 'checkpoints' / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert load_weights(f'{server.root}/{name}')[0]['a'][0] == 8
    assert server.asked == []


def test_a_missing_file_names_url_and_answer(server):

    def missing(handler, stop):
        handler.send_error(404)

    server.answers = {'/x.pth': missing}
    with pytest.raises(RuntimeError, match='/x.pth .*404'):
        load_weights(f'{server.root}/x.pth')


def test_a_later_process_waits_for_the_first_and_says_where_to_look(
        server, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(RuntimeError, match='first process of this machine'):
        load_weights(f'{server.root}/x.pth')
    assert server.asked == []
