# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""The page in a real browser: nothing on its console, and it obeys."""
import re
import shutil
import subprocess
from urllib.parse import quote

import pytest
import recorded
from PIL import Image

from mmw2s.report import gather, make_report, write_page

BROWSER = next(
    filter(
        None,
        map(shutil.which,
            ('chromium', 'chromium-browser', 'google-chrome', 'chrome'))),
    None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason='there is no Chromium')
]
FLAGS = ('--headless --no-sandbox --disable-gpu --disable-quic '
         '--no-first-run --disable-background-networking '
         '--disable-component-update --disable-sync --hide-scrollbars '
         '--enable-logging=stderr --virtual-time-budget=10000').split()
SCRIPT = '''
addEventListener('error', (event) => console.error(event.message));
const wait = (done) => document.documentElement.dataset.shown ? done() :
  setTimeout(wait, 50, done);
wait(async () => { %s; document.title = 'done ' + document.title; });
'''


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """A page of two settings, of which one never reaches a target."""
    pytest.importorskip('vl_convert')
    folder = tmp_path_factory.mktemp('page')
    patch = pytest.MonkeyPatch()
    patch.setenv('MMW2S_CACHE', str(folder / 'cache'))
    other = 'coco/bbox_mAP_50'

    def rows(*scores):
        return [{recorded.METRIC: s, other: min(1., 2 * s)} for s in scores]

    for seed in range(3):
        recorded.write_run(
            folder / f'base_s{seed}',
            rows(.1, .2, .3, .4, .5 + .01 * seed),
            seed=seed)
        recorded.write_run(
            folder / f'fast <b>_s{seed}',
            rows(.3, .4, .45, .48, .5),
            seed=seed,
            teacher=.42,
            stop_epoch=3)
    recorded.write_run(folder / 'slow', rows(.1, .2), teacher=.2)
    recorded.write_run(folder / 'teacher', rows(.2, .42), seconds=5.)
    report = make_report(gather([str(folder)]), 'A title')
    write_page(report, str(folder / 'page.html'))
    patch.undo()
    return folder / 'page.html'


def with_script(page, script, name):
    """The page with more code at its end, as another file."""
    # Vega's own code has the same tag in a text.
    before, end, after = page.read_text().rpartition('</body>')
    changed = page.with_name(name)
    changed.write_text(f'{before}<script>{script}</script>{end}{after}')
    return changed


def browse(page, *flags, fragment='', script=None):
    """What the browser prints; its console is to be empty."""
    if script:
        page = with_script(page, SCRIPT % script, 'scripted.html')
    profile = page.parent / 'profile'
    shutil.rmtree(profile, ignore_errors=True)
    done = subprocess.run([
        BROWSER, *FLAGS, f'--user-data-dir={profile}', *flags,
        f'{page.as_uri()}{fragment}'
    ],
                          capture_output=True,
                          text=True,
                          timeout=240)
    assert done.returncode == 0, done.stderr
    assert 'CONSOLE' not in done.stderr, done.stderr
    return done.stdout


def dom(page, **kwargs):
    return browse(page, '--dump-dom', **kwargs)


def titles(text):
    """The titles of the x axes of both charts."""
    return [
        re.sub('<[^>]*>', '', found) for found in re.findall(
            r'role-axis-title".*?<text[^>]*>(.*?)</text>', text)
    ]


def test_charts_and_tables_are_there(page):
    text = dom(page)
    assert 'data-shown="epochs coco/bbox_mAP"' in text
    assert titles(text) == ['epoch', 'epoch']
    # Three lines, six bars and three open ones; SVG that the code has drawn.
    assert text.count('class="marks"') == 2
    assert len(re.findall('aria-sort|<th scope="col"><button', text)) > 10


def test_a_run_alone_leaves_layers_empty_and_says_nothing(page):
    alone = page.with_name('alone.html')
    recorded.write_run(page.parent / 'alone' / 'x', [.1, .2])
    patch = pytest.MonkeyPatch()
    patch.setenv('MMW2S_CACHE', str(page.parent / 'cache'))
    write_page(
        make_report(gather([str(page.parent / 'alone')]), targets=[.9]),
        str(alone))
    patch.undo()
    assert titles(dom(alone)) == ['epoch', 'epoch']


def test_a_link_opens_the_state_that_its_sender_saw(page):
    text = dom(
        page,
        fragment=f'#x={quote("time+teacher")}&metric='
        f'{quote("coco/bbox_mAP_50", safe="")}')
    assert 'data-shown="time+teacher coco/bbox_mAP_50"' in text
    assert titles(text) == ["wall clock (s), teacher's training included"] * 2
    assert re.search(r'<b data-metric.*?>coco/bbox_mAP_50</b>', text)


def test_the_switch_changes_the_charts_and_the_address(page):
    text = dom(
        page,
        script="document.querySelector('[value=iterations]').click(); "
        "await new Promise((done) => setTimeout(done, 500)); "
        "document.title = location.hash")
    assert 'data-shown="iterations coco/bbox_mAP"' in text
    assert titles(text) == ['iteration'] * 2
    assert '<title>done #x=iterations&amp;metric=coco%2Fbbox_mAP' in text


def test_a_setting_can_be_hidden(page):
    lines = r'class="mark-line role-mark.*?</g>'

    def drawn(text):
        return sum(part.count('<path') for part in re.findall(lines, text))

    every = drawn(dom(page))
    text = dom(
        page,
        script="document.querySelector('.legend [value=base]').click(); "
        'await new Promise((done) => setTimeout(done, 500))')
    assert drawn(text) == every - 1 >= 2


def test_a_click_sorts_the_table_and_another_one_back(page):
    click = "document.querySelectorAll('[data-sorts] th button')[2].click();"
    order = r'(?s)<tbody>(.*?)</tbody>'

    def rows(clicks):
        text = dom(page, script=click * clicks)
        table = next(
            part for part in re.findall(order, text)
            if 'slow' in part and 'base' in part and '%' in part)
        return re.findall(r'<th scope="row"[^>]*>([a-z]+)', table)

    assert rows(1) == ['slow', 'fast', 'base']
    assert rows(2) == ['base', 'fast', 'slow']


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1400])
def test_it_fits_a_phone_and_a_desk_in_light_and_dark(page, width, scheme):
    # A window is never as narrow as a phone, so the page is put into a frame.
    frame = page.with_name(f'frame_{width}.html')
    frame.write_text(
        '<!DOCTYPE html><body style="margin:0"><iframe src="page.html" '
        f'style="border:0;width:{width}px;height:1600px"></iframe>')
    shot = page.with_name(f'{width}_{scheme}.png')
    browse(
        frame, f'--screenshot={shot}', '--window-size=1400,1600',
        '--blink-settings=preferredColorScheme='
        f'{int(scheme == "light")}')
    with Image.open(shot) as image:
        corner = image.convert('RGB').getpixel((5, 5))
        colors = len(image.crop((0, 0, width, 1600)).getcolors(1 << 24))
    assert (sum(corner) < 150) == (scheme == 'dark')
    assert colors > 50  # not an empty page


def test_nothing_is_wider_than_a_phone(page):
    with_script(
        page, 'setTimeout(() => { parent.document.title = `wide ${document.'
        'documentElement.scrollWidth}`; }, 3000)', 'narrow.html')
    frame = page.with_name('phone.html')
    frame.write_text('<!DOCTYPE html><body><iframe src="narrow.html" '
                     'style="border:0;width:390px;height:900px"></iframe>')
    text = browse(frame, '--dump-dom', '--allow-file-access-from-files')
    assert '<title>wide 390</title>' in text


def test_on_paper_all_is_open(page):
    path = page.with_name('page.pdf')
    browse(page, f'--print-to-pdf={path}', '--no-pdf-header-footer')
    assert path.stat().st_size > 20_000
