"""The device and the type that tests compute with beside an oracle: LIMBECK_TEST_DEVICE and LIMBECK_TEST_DTYPE."""

import os

import torch

DEVICE = torch.device(os.environ.get("LIMBECK_TEST_DEVICE", "cpu"))
DTYPE = getattr(torch, os.environ.get("LIMBECK_TEST_DTYPE", "float32"))
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 3e-3}[DTYPE]
