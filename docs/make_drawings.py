# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
"""Draw the figures of ``docs/architecture.md``."""
import json
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patches import FancyBboxPatch  # noqa: E402

DOCS = Path(__file__).resolve().parent
# The colors of the curves that `mmw2s compare` draws.
BASELINE, STUDENT, TEACHER = '#0072B2', '#D55E00', '#009E73'
GREY = '#606060'
# The same file from the same drawing: no random ids, no date.
plt.rcParams.update({'svg.hashsalt': 'mmw2s', 'font.size': 10})


def save(figure, name: str) -> None:
    figure.savefig(
        DOCS / 'images' / name, metadata=dict(Date=None), facecolor='white')
    plt.close(figure)


def draw_run() -> None:
    """One run over time: scores above, the strength below."""
    report = json.loads(
        (DOCS / 'results' / 'bccd_retinanet' / 'report.json').read_text())
    figure, (scores, strength) = plt.subplots(
        2,
        1,
        sharex=True,
        figsize=(9, 5.2),
        height_ratios=(3, 1.2),
        layout='constrained')
    for side, color, label in (('baseline', BASELINE, 'student alone'),
                               ('w2s', STUDENT, 'student with the teacher')):
        rows = report['w2s' if side == 'w2s' else 'baselines'][1]['history']
        scores.plot(
            [0] + [row['epoch'] for row in rows],
            [0] + [row['metrics'][report['metric']] for row in rows],
            color=color,
            label=label,
            marker='.')
    scores.axhline(
        report['teacher_score'],
        color=TEACHER,
        linestyle='--',
        label="the teacher's score, measured once before training")
    scores.set_ylabel('mAP after each epoch')
    scores.set_ylim(0, .56)
    scores.legend(frameon=False, loc='lower right')

    strength.fill_between([0, .4, 3, 6, 20], [0, 1, 1, 0, 0],
                          color=TEACHER,
                          alpha=.35)
    strength.set_ylabel('strength')
    strength.set_ylim(0, 1.3)
    strength.set_yticks([0, 1])
    strength.set_xlabel('epoch')
    strength.set_xlim(0, 20)
    strength.set_xticks(range(0, 21, 2))
    strength.annotate('warm-up, full, fade', (.6, .4), color=TEACHER)
    strength.annotate(
        'no hook, no teacher: bit-equal to training without them', (6.3, .25),
        color=GREY)
    for ax in (scores, strength):
        ax.axvline(6, color=TEACHER, linewidth=1)
        ax.spines[['top', 'right']].set_visible(False)
    scores.annotate(
        'stop: the strength has reached 0, or the student\n'
        'has beaten the teacher in two validations in a row', (6, .53),
        (6.2, .505),
        color=TEACHER)
    save(figure, 'run.svg')


def draw_batch() -> None:
    """The way of one batch through student, teacher and losses."""
    figure = plt.figure(figsize=(11, 5.4))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 110), ylim=(-3, 54))
    ax.axis('off')

    def box(x, y, width, text, color, height=11):
        ax.add_patch(
            FancyBboxPatch((x, y),
                           width,
                           height,
                           boxstyle='round,pad=0,rounding_size=1',
                           facecolor='white',
                           edgecolor=color,
                           linewidth=1.6))
        ax.text(x + width / 2, y + height / 2, text, ha='center', va='center')

    def arrow(start, end, color=GREY, text='', at=None):
        ax.annotate(
            '',
            end,
            start,
            arrowprops=dict(
                arrowstyle='-|>', color=color, shrinkA=0, shrinkB=0))
        if text:
            ax.text(*at, text, color=color, va='center')

    # The student: what it does without the hook, too.
    box(2, 38, 13, 'batch', GREY)
    box(24, 38, 20, 'student forward,\nonce', STUDENT)
    box(57, 38, 17, 'its loss dict', STUDENT)
    box(86, 38, 21, 'backward,\noptimizer step', STUDENT)
    arrow((15, 43.5), (24, 43.5), STUDENT)
    arrow((44, 43.5), (57, 43.5), STUDENT)
    arrow((74, 43.5), (86, 43.5), STUDENT)
    ax.text(2, 51.5, "the runner's own step", color=STUDENT)
    # The teacher: gone after the stop.
    ax.axhspan(-2.5, 33.5, color=TEACHER, alpha=.07, linewidth=0)
    ax.text(
        2,
        -.7,
        'while the strength is above 0 and the stop rule has not spoken',
        va='center',
        color=TEACHER)
    box(2, 18, 17, 'input mapping:\nthe teacher\'s own\nnormalization',
        TEACHER)
    box(2, 3, 17, 'teacher forward:\nno gradients, only\nas deep as asked',
        TEACHER)
    box(31, 3, 21, 'knowledge: pairs of\nstudent and teacher\ntensors',
        TEACHER)
    box(60, 3, 19, 'losses in float32\nx strength', TEACHER)
    box(31, 18, 21, 'recorder: outputs of\nthe named modules', TEACHER)
    arrow((8.5, 38), (8.5, 29), TEACHER)
    arrow((10.5, 18), (10.5, 14), TEACHER)
    arrow((19, 8.5), (31, 8.5), TEACHER)
    arrow((38, 38), (38, 29), STUDENT)
    arrow((41.5, 18), (41.5, 14), TEACHER)
    arrow((52, 8.5), (60, 8.5), TEACHER)
    arrow((69.5, 14), (69.5, 38), TEACHER, 'loss_kd_*', (70.5, 23))
    box(86, 3, 21, 'after a validation:\nstop rule', TEACHER)
    arrow((96.5, 38), (96.5, 14), GREY, 'score', (97.5, 23))
    save(figure, 'batch.svg')


def main() -> None:
    (DOCS / 'images').mkdir(exist_ok=True)
    draw_run()
    draw_batch()


if __name__ == '__main__':
    main()
