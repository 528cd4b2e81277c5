"""A trainer for a schedule: the exact engine, the batched one, or, where the schedule is nominal, the phase-locked."""

from __future__ import annotations

from netsim.devices import CPU, Device
from netsim.engine import Trainer
from netsim.errors import OptionError, nearest
from netsim.events.presets import resolve
from netsim.events.schedule import Schedule
from netsim.network import Network

ENGINES = ("exact", "batched")


def trainer(net: Network, schedule: Schedule | str, engine: str = "exact", device: Device = CPU, **options) -> Trainer:
    """`EventTrainer` or `BatchedTrainer`, on a GPU `CudaBatchedTrainer`, with the options of these.

    Raises OptionError for an unknown engine, or one that the device does not have, and what the trainers raise.
    """
    device = on_device(engine, device)
    if engine == "exact":
        from netsim.events.exact import EventTrainer as chosen
    elif device.name == "cuda":
        from netsim.cuda.batched import CudaBatchedTrainer as chosen
    else:
        from netsim.events.batched import BatchedTrainer as chosen
    return chosen(net, resolve(schedule), **options)


def on_device(engine: str, device: Device) -> Device:
    """The device that an engine runs on: the one that was chosen, or the CPU where "auto" chose a GPU for nothing.

    Raises OptionError where a GPU was asked for and the engine has none.
    """
    check_engine(engine)
    if engine != "exact" or device.name == "cpu":
        return device
    if device.why:  # of our choosing
        return Device("cpu", "CPU", "the exact engine runs on the CPU")
    raise OptionError("--device cuda: the exact engine runs on the CPU only; --engine batched runs on a GPU, too")


def compiling(engine: str) -> str:
    """What a user should know where the first use of an engine compiles its kernels: one line; else nothing."""
    from netsim.kernels.jit import is_kept

    module = {"exact": "queue", "batched": "mixing"}[engine]
    return "" if is_kept("events", module) else f"compiling the kernels of the {engine} engine (once, about a minute)"


def check_engine(engine: str) -> None:
    """Raise OptionError for an engine that does not exist."""
    if engine not in ENGINES:
        raise OptionError(f"unknown engine {str(engine)[:40]!r}{nearest(str(engine)[:40], ENGINES)}")


def check_length(schedule: Schedule, presentations: int, streams: int = 1) -> None:
    """Refuse a lag beyond the stream: OptionError if no plasticity event would fall into an epoch.

    presentations : of an epoch, shared out among ``streams``.
    """
    each = presentations // streams
    if schedule.plasticity_lag >= each:
        raise OptionError(
            f"plasticity_lag is {schedule.plasticity_lag:g} presentations, a stream has {each}: no change would come, "
            f"it must be below {each}"
        )
