"""Where in an image a class's score comes from: Grad-CAM, guided backpropagation and both together."""

from phashopt.attribution.cam import end_convolutions, grad_cam, guided_grad_cam, upsampled
from phashopt.attribution.gradients import gradient, guided_backprop
from phashopt.attribution.scores import logits

__all__ = [
    "end_convolutions",
    "grad_cam",
    "gradient",
    "guided_backprop",
    "guided_grad_cam",
    "logits",
    "upsampled",
]
