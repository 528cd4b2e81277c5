"""Spiking circuits: both motifs with populations of N leaky integrate-and-fire neurons.

Every cell of a signed pair is a population of N neurons, so is every comparator. The wiring is that of
`signed_pairs`. A comparator population fires when its drive passes the neurons' threshold, excites itself
and goes on firing when the drive is gone, until the reset shunts its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from brian2 import Equations, NeuronGroup, Quantity, Synapses, linked_var, ms

from circuits.errors import ParameterError
from circuits.lif import SIGNAL_SAMPLES, drive, fit_decoders, mean_rate, rate_table
from circuits.parameters import Parameters, check_number, check_time, check_whole

MOST_NEURONS = 1_000_000  # in a population

HIDDEN_POPULATIONS = """
# what drives the ON and the OFF population: bottom-up current, saturated, then top-down current, shunted
z_on = clip(h_on, 0, upper)*ff + gate*clip(u_on, 0, inf)*fb : 1 (constant over dt)
z_off = clip(h_off, 0, -lower)*ff + gate*clip(u_off, 0, inf)*fb : 1 (constant over dt)
gate = clip(1 - shunt*(fired_up + fired_low), 0, 1) : 1    # eq. 3: open unless a comparator fires
u_on : 1                                                   # net top-down current, ON
u_off : 1                                                  # and OFF
"""

OUTPUT_POPULATIONS = """
# what drives the ON and the OFF population: bottom-up current, not saturated, then the teacher's line, shunted
z_on = clip(h_on, 0, inf)*ff + own*gate_up*fb : 1 (constant over dt)
z_off = clip(h_off, 0, inf)*ff + mu*other*gate_low*fb : 1 (constant over dt)
own = int(teacher > 0) : 1 (constant over dt)              # 1 where the stimulus is of the unit's class
other = int(teacher < 0) : 1 (constant over dt)            # 1 where it is of another class
gate_up = clip(1 - shunt*fired_up, 0, 1) : 1               # eq. 6: shut where own class and x > 1
gate_low = clip(1 - shunt*fired_low, 0, 1) : 1             # eq. 6: shut where other class and x < -1
teacher : 1                                                # +1 own class, -1 other class, 0 no teacher
"""

BOTH_POPULATIONS = """
# activities of the populations: each spike adds its decoder, and they decay
dr_on/dt = -r_on/tau : 1
dr_off/dt = -r_off/tau : 1
r = r_on - r_off : 1                                       # the signed value that the pair stands for
# inhibitory interneurons, as rates: each follows the activity of its population
dinhibitory_on/dt = (-inhibitory_on + r_on)/tau_interneuron : 1
dinhibitory_off/dt = (-inhibitory_off + r_off)/tau_interneuron : 1
# activities of the comparator populations, 1 where they hold themselves
dfired_up/dt = -fired_up/tau_recurrent : 1
dfired_low/dt = -fired_low/tau_recurrent : 1
# input of a comparator population: bottom-up current and its own excitation, both shunted by the reset
drive_up = (clip(h_on, 0, inf)*ff + self_excitation*fired_up)*(1 - reset) : 1 (constant over dt)
drive_low = (clip(h_off, 0, inf)*ff + self_excitation*fired_low)*(1 - reset) : 1 (constant over dt)
h_on : 1                                                   # net bottom-up current, ON
h_off : 1                                                  # and OFF
"""

NEURON = """
# membrane potential in units of the threshold: leak, and the current of a neuron with its own gain and intercept
dv/dt = (clip(1 + gain*(z - intercept), 0, inf) - v)/tau_membrane : 1 (unless refractory)
z : 1 (linked)                  # what the population is driven by
gain : 1 (constant)             # slope of the current
intercept : 1 (constant)        # z at which the neuron begins to fire
decoder : 1 (constant)          # what a spike adds to the activity
"""

COMPARATOR_NEURON = """
# membrane potential in units of the mean threshold: leak, drive of the population, white noise
dv/dt = (drive - v)/tau_membrane + noise*sqrt(2/tau_membrane)*xi : 1 (unless refractory)
drive : 1 (linked)              # drive of the population, with its own excitation
level : 1 (constant)            # threshold of this neuron
"""


@dataclass(frozen=True)
class SpikingParameters:
    """Populations. Potentials and currents in units of a neuron's threshold.

    neurons            neurons in each population
    tau_membrane       membrane time constant (time)
    refractory         refractory period of the units' neurons (time)
    comparator_refractory   and of the comparators' neurons (time)
    tau_recurrent      time constant of the synapses by which a comparator population excites itself (time)
    reset_jitter       after a spike the potential is uniform in [-reset_jitter, reset_jitter]
    gain_low, gain_high     range of the neurons' gains
    largest            largest activity that a population is fitted to carry
    noise              standard deviation of the potential of a comparator's neuron
    spread             standard deviation of the thresholds of a comparator's neurons
    """

    neurons: int = 200
    tau_membrane: Quantity = field(default_factory=lambda: 10 * ms)
    refractory: Quantity = field(default_factory=lambda: 2 * ms)
    comparator_refractory: Quantity = field(default_factory=lambda: 4 * ms)
    tau_recurrent: Quantity = field(default_factory=lambda: 10 * ms)
    reset_jitter: float = 0.5
    gain_low: float = 1.5
    gain_high: float = 2.5
    largest: float = 3.0
    noise: float = 0.005
    spread: float = 0.005

    def __post_init__(self) -> None:
        check_whole("neurons", self.neurons, 1, MOST_NEURONS)
        for name in ("tau_membrane", "refractory", "comparator_refractory", "tau_recurrent"):
            check_time(name, getattr(self, name))
        check_number("reset_jitter", self.reset_jitter, 0, 0.99)
        check_number("gain_low", self.gain_low, 0.1)
        check_number("gain_high", self.gain_high, self.gain_low)
        check_number("largest", self.largest, 0.1)
        check_number("noise", self.noise, 0)
        check_number("spread", self.spread, 0, 0.2)

    def check_times(self, parameters: Parameters) -> None:
        """ParameterError where the time step is too coarse for the neurons, or the inhibition of pairs too slow."""
        parameters.check_inhibition("tau_membrane", self.tau_membrane)
        for name in ("refractory", "comparator_refractory"):
            if float(parameters.dt) > float(getattr(self, name)) * (1 + 1e-9):
                raise ParameterError(
                    f"dt = {parameters.dt!s} must not be longer than {name} = {getattr(self, name)!s} of the neurons"
                )
        if not float(parameters.dt) < float(self.tau_membrane):
            raise ParameterError(f"dt = {parameters.dt!s} must be below tau_membrane = {self.tau_membrane!s}")


def spiking_equations(motif: str) -> Equations:
    """What one unit's populations are driven by and what they carry, for "threshold" or "output-error"."""
    return Equations(HIDDEN_POPULATIONS if motif == "threshold" else OUTPUT_POPULATIONS) + Equations(BOTH_POPULATIONS)


class Spiking:
    """The populations of a group of units; `attach` makes them and wires them to the group.

    Units with the same number in `identity` (n,) are copies: neurons with the same gains, intercepts, thresholds.
    """

    def __init__(
        self, spiking: SpikingParameters, parameters: Parameters, seed: int, identity: np.ndarray | None = None
    ) -> None:
        self.identity = identity
        self.spiking = spiking
        self.parameters = parameters
        self.random = np.random.default_rng(seed)

    def constants(self) -> Mapping[str, object]:
        """Names that the units' equations refer to, with units."""
        return {"tau_recurrent": self.spiking.tau_recurrent}

    def attach(self, units: NeuronGroup) -> list[object]:
        """Two unit populations and two comparator populations for each of the n units; returns Brian2 objects.

        Populations draw random numbers in the order of their names, which Brian2 would else number on from whatever ran
        before: the units must be named too.
        """
        parts: list[object] = []
        name = f"{units.name}_population"
        for number, sign in enumerate(("on", "off"), 1):
            parts += self._cells(units, f"z_{sign}", f"r_{sign}", f"{name}_{number}")
        levels = {"up": self.parameters.upper, "low": -self.parameters.lower}
        for number, (side, level) in enumerate(levels.items(), 3):
            parts += self._comparators(units, f"drive_{side}", f"fired_{side}", float(level), f"{name}_{number}")
        return parts

    def _cells(self, units: NeuronGroup, source: str, activity: str, name: str) -> list[object]:
        s, p = self.spiking, self.parameters
        n, neurons = len(units), int(s.neurons)
        dt = float(p.dt)
        kinds, of_unit = np.unique(np.arange(n) if self.identity is None else self.identity, return_inverse=True)
        gain = self.random.uniform(s.gain_low, s.gain_high, (len(kinds), neurons))
        intercept = self.random.uniform(0, s.largest, (len(kinds), neurons))
        z = np.linspace(0, s.largest, SIGNAL_SAMPLES)
        factor = float(np.exp(-p.dt / s.tau_membrane))
        decoders = np.empty_like(gain)
        steps = round(float(s.refractory / p.dt))
        currents, rates = rate_table(1 + s.gain_high * s.largest, factor, dt, steps, s.reset_jitter)
        for unit in range(len(kinds)):
            driven = drive(z[:, None], gain[unit], intercept[unit])
            decoders[unit] = fit_decoders(np.interp(driven, currents, rates), z)
        owner = np.repeat(np.arange(n), neurons)
        group = NeuronGroup(
            n * neurons,
            NEURON,
            threshold="v > 1",
            reset="v = reset_jitter*(2*rand() - 1)",
            refractory=s.refractory,
            method="exact",
            dt=p.dt,
            name=name,
            namespace={"tau_membrane": s.tau_membrane, "reset_jitter": s.reset_jitter},
        )
        group.z = linked_var(units, source, index=owner)
        group.gain, group.intercept = gain[of_unit].ravel(), intercept[of_unit].ravel()
        group.v = self.random.uniform(0, 1, n * neurons) * np.clip(1 - group.gain[:] * group.intercept[:], 0, 1)
        # a spike's share of the activity: the decoder over the area that one unit of activity leaves on the grid
        group.decoder = decoders[of_unit].ravel() * (1 - np.exp(-p.dt / p.tau)) / dt
        return [group, self._project(group, units, f"{activity}_post += decoder_pre", owner)]

    def _comparators(self, units: NeuronGroup, source: str, activity: str, level: float, name: str) -> list[object]:
        s, p = self.spiking, self.parameters
        n, neurons = len(units), int(s.neurons)
        dt = float(p.dt)
        owner = np.repeat(np.arange(n), neurons)
        group = NeuronGroup(
            n * neurons,
            COMPARATOR_NEURON,
            threshold="v > level",
            reset="v = reset_jitter*(2*rand() - 1)",
            refractory=s.comparator_refractory,
            method="euler",
            dt=p.dt,
            name=name,
            namespace={"tau_membrane": s.tau_membrane, "noise": s.noise, "reset_jitter": s.reset_jitter},
        )
        group.drive = linked_var(units, source, index=owner)
        kinds, of_unit = np.unique(np.arange(n) if self.identity is None else self.identity, return_inverse=True)
        levels = level * (1 + s.spread * self.random.standard_normal((len(kinds), neurons)))
        group.level = levels[of_unit].ravel()
        # rate of a population that is driven by its own excitation alone: its activity is counted as 1
        hold = float(
            mean_rate(
                np.array(p.self_excitation / level),
                1 - float(p.dt / s.tau_membrane),
                dt,
                round(float(s.comparator_refractory / p.dt)),
                s.reset_jitter,
            )
        )
        share = (1 - float(np.exp(-p.dt / s.tau_recurrent))) / (dt * hold * neurons)
        return [group, self._project(group, units, f"{activity}_post += share", owner, share=share)]

    def _project(
        self, source: NeuronGroup, units: NeuronGroup, effect: str, owner: np.ndarray, **constants: float
    ) -> Synapses:
        synapses = Synapses(source, units, on_pre=effect, dt=self.parameters.dt, namespace=constants)
        synapses.connect(i=np.arange(len(owner)), j=owner)
        return synapses
