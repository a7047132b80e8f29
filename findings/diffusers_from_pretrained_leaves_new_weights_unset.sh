#!/usr/bin/env bash
# diffusers 0.42.1: a model that from_pretrained makes larger than its
# checkpoint has weights that nobody has set.
#
# Behavior: from_pretrained(folder, num_class_embeds=10) of a model without
# classes, or layers_per_block=2 and ignore_mismatched_sizes=True of one with
# 1, logs that what the checkpoint lacks is "newly initialized". It is not: the
# model is built with torch's initializers switched off, and convolutions,
# linear layers and embeddings hold what was in memory before, which may be 0,
# 1e18 or NaN. A norm is right. With accelerate installed, or
# low_cpu_mem_usage=True, they are on the device "meta" instead, without
# values, and the first .to() or forward fails.
# For whom: who starts a larger or a conditional model from a smaller one. A
# remedy: Model.from_config(dict(small.config, num_class_embeds=10)), then its
# load_state_dict with the tensors that fit.
#
# torch is asked to fill memory that nobody has set with NaN, so that it shows.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install -q torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
cd "$dir"
cat > run.py <<'PYTHON'
import logging
import sys
import warnings
from importlib.metadata import version

import diffusers
import torch

warnings.simplefilter('ignore')
logging.getLogger('diffusers').setLevel(logging.ERROR)
where = sys.argv[1]
print('diffusers', version('diffusers'), ' torch', torch.__version__,
      ' accelerate', version('accelerate') if where == 'meta' else 'none')
torch.use_deterministic_algorithms(True)
assert torch.utils.deterministic.fill_uninitialized_memory
small = diffusers.UNet2DModel(
    sample_size=8,
    block_out_channels=(16, 32),
    layers_per_block=1,
    norm_num_groups=4,
    attention_head_dim=8,
    down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
    up_block_types=('AttnUpBlock2D', 'UpBlock2D'))
small.save_pretrained('small')
for change in (dict(num_class_embeds=10), dict(layers_per_block=2),
               dict(block_out_channels=(32, 64)), dict(in_channels=4)):
    large, told = diffusers.UNet2DModel.from_pretrained(
        'small',
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **change)
    new = {key for key in told['missing_keys']}
    new |= {key for key, *_ in told['mismatched_keys']}
    tensors = {key: large.state_dict()[key] for key in new}
    meta = sum(t.is_meta for t in tensors.values())
    unset = {key for key, t in tensors.items()
             if not t.is_meta and t.isnan().all()}
    print(f'{change}: {len(new)} tensors "newly initialized", {len(unset)} '
          f'were never set, {meta} are on meta')
    if where == 'meta':
        assert meta == len(new)
    else:
        # All but the norms.
        assert meta == 0 and unset == {k for k in new if 'norm' not in k}
    # The class itself initializes all of it.
    right = diffusers.UNet2DModel.from_config(dict(small.config, **change))
    assert all(p.isfinite().all() for p in right.parameters())
PYTHON
"$dir/env/bin/python" -W ignore run.py memory
"$dir/env/bin/pip" install -q accelerate==1.15.0
"$dir/env/bin/python" -W ignore run.py meta
echo "as described"
