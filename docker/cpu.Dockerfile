# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# mmw2s on CPUs, with the versions of requirements/. From the checkout:
#
#     docker build -f docker/cpu.Dockerfile -t mmw2s:cpu .
#     docker run --rm -it --shm-size=2g mmw2s:cpu bash tools/quickstart.sh
#
# With --build-arg TORCH_INDEX=URL, PyTorch's index of CPU builds, the image is
# gigabytes smaller: without, torch brings CUDA along.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX=
ENV MMW2S_CPU=1 PATH=/mmw2s/.venv/bin:$PATH
WORKDIR /mmw2s
COPY . .
RUN PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL=$TORCH_INDEX bash tools/setup_env.sh \
    && rm -rf ~/.cache/mmw2s
CMD ["bash"]
