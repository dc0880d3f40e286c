"""The momentum iterative attack (Dong et al., 2018, arXiv:1710.06081) as an attack in one file."""

import torch
import torch.nn.functional as F


def attack(model, x, y, eps, steps=10, decay=1.0):
    """Images within ``eps`` of ``x`` and in [0, 1] that the model should take for another class."""
    adversarial, momentum = x, torch.zeros_like(x)
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(adversarial), y), adversarial)
        length = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
        momentum = decay * momentum + gradient / length.clamp_min(1e-12)
        adversarial = adversarial + eps / steps * momentum.sign()
        adversarial = x + (adversarial - x).clamp(-eps, eps)
        adversarial = adversarial.clamp(0, 1)
    return adversarial
