# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
# mmw2s on NVIDIA GPUs, with the versions of requirements/. From the checkout:
#
#     docker build -f docker/cuda.Dockerfile -t mmw2s:cuda .
#     docker run --rm -it --gpus all --shm-size=8g mmw2s:cuda
#
# The image is of the CUDA release that torch is built for.
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# No GPU is there to be asked while an image is made.
ARG TORCH_CUDA_ARCH_LIST="8.0;8.6;9.0+PTX"
ENV MMW2S_CUDA=1 TORCH_CUDA_ARCH_LIST=$TORCH_CUDA_ARCH_LIST \
    PATH=/mmw2s/.venv/bin:$PATH
WORKDIR /mmw2s
COPY . .
RUN PIP_NO_CACHE_DIR=1 bash tools/setup_env.sh && rm -rf ~/.cache/mmw2s
CMD ["bash"]
