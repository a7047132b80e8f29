# Copyright (c) mmw2s contributors. Licensed under Apache-2.0.
from .diffusion import *  # noqa: F401,F403
from .hidden_layer import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .shallow_resnet import *  # noqa: F401,F403
