"""SGD of torch, without torch's compiler."""

from __future__ import annotations

import inspect

import torch


class SGD(torch.optim.SGD):
    """`torch.optim.SGD`, whose steps do not import torch's compiler.

    torch wraps these methods so that a compiled training loop leaves them alone. Ours compiles
    the model and nothing else, and without a GPU not even that: there the import would be a fifth
    of the time of a small training. What is under the wrappers is the same.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
