#!/usr/bin/env bash
# lifelines 0.30.0, statsmodels 0.15.0: the median of four times, 5 or 9.
#
# Behavior: with an even number of runs the curve of Kaplan and Meier passes
# exactly through 0.5. The median of 3, 5, 9 and 11 is 5 by lifelines, which
# takes the first time at which the curve is 0.5 or less, 9 by statsmodels,
# which wants it below 0.5, and 7 by numpy, which takes the middle. Where the
# other half of the runs never got there (two reached it after 3 and 5, two
# are censored at 12), lifelines says 5, statsmodels nan.
# For whom: times to a target, of two or four seeds a side, for which such a
# choice moves a speed-up by a factor of nearly two. Say which median it is,
# or take an odd number of seeds.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q lifelines==0.30.0 statsmodels==0.15.0 \
    scipy==1.17.1 numpy==2.4.6 pandas==2.3.3
cd "$dir"
"$dir/env/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from lifelines import KaplanMeierFitter
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight


def medians(times, reached):
    by_lifelines = KaplanMeierFitter().fit(times, reached)
    by_statsmodels = SurvfuncRight(times, reached)
    return (float(by_lifelines.median_survival_time_),
            float(by_statsmodels.quantile(0.5)))


print(*(f'{name} {version(name)}'
        for name in ('lifelines', 'statsmodels', 'scipy', 'numpy')))
times = [3, 5, 9, 11]
curve = stats.ecdf(stats.CensoredData(uncensored=times)).sf
print('the curve by scipy:', dict(zip(curve.quantiles.tolist(),
                                      curve.probabilities.tolist())))
assert curve.probabilities[1] == 0.5
first, below = medians(times, [1, 1, 1, 1])
print(f'median of {times}: lifelines {first}, statsmodels {below}, numpy',
      np.median(times))
assert (first, below, np.median(times)) == (5, 9, 7)
first, below = medians([3, 5, 12, 12], [1, 1, 0, 0])
print(f'of 3, 5 and two that never got there in 12: lifelines {first}, '
      f'statsmodels {below}')
assert first == 5 and np.isnan(below)
odd = medians([3, 5, 9], [1, 1, 1])
print('of three:', *odd)
assert odd == (5, 5)
PYTHON
echo "as described"
