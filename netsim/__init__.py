"""netsim: a neuron-level simulation engine of deep learning with asymmetric connections and Hebbian updates.

After Amit (2019), Front. Comput. Neurosci. 13:18.

    net = netsim.Network("simpnet", input_shape=(32, 32, 3), classes=10, seed=0)
    trainer = netsim.Trainer(net, protocol="urfb", loss="hinge", step_size=0.1)
    result = trainer.step(images, labels)
    scores = net.scores(images)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netsim.errors import NetsimError

if TYPE_CHECKING:
    from netsim.engine import Trainer
    from netsim.network import Network, load
    from netsim.steps.setting import StepResult

__version__ = "0.1.0"
__all__ = ["NetsimError", "Network", "StepResult", "Trainer", "__version__", "load"]

_HOMES = {"Network": "network", "load": "network", "Trainer": "engine", "StepResult": "steps.setting"}


def __getattr__(name: str):
    """Import what is asked for when it is asked for: the compiler behind the kernels takes a while to load."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"netsim.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'netsim' has no attribute {name!r}")
