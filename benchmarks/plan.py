"""How much is measured: sizes, repeats, and which figures."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

CONCURRENCIES = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class Plan:
    """One call of the tool. Counts are of runs unless they say something else."""

    repeats: int = 5
    limit_seconds: float = 0.7
    single_triggers: int = 1000
    batch_triggers: int = 10_000
    runs: int = 5000
    step_runs: int = 500
    latencies: int = 12
    latency_gap: float = 0.25  # seconds
    idle_seconds: float = 5.0
    history: int = 200_000
    curve_repeats: int = 2
    concurrencies: tuple[int, ...] = CONCURRENCIES
    only: tuple[str, ...] = field(default=())

    def scaled(self, factor: float) -> Self:
        """The same with more or fewer runs of everything; the history stays."""
        return replace(
            self,
            single_triggers=_at_least(20, self.single_triggers * factor),
            batch_triggers=_at_least(100, self.batch_triggers * factor),
            runs=_at_least(50, self.runs * factor),
            step_runs=_at_least(20, self.step_runs * factor),
        )

    def quick(self) -> Self:
        """A first impression within a minute or two."""
        return replace(
            self,
            repeats=3,
            limit_seconds=0.3,
            history=20_000,
            idle_seconds=2.0,
            curve_repeats=1,
            concurrencies=(1, 10, 50),
        ).scaled(0.4)

    def wants(self, name: str) -> bool:
        """Whether a figure is to be measured; `runs` names all that begin with `runs.`."""
        return not self.only or any(name == o or name.startswith(f"{o}.") for o in self.only)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})


def _at_least(least: int, number: float) -> int:
    return max(least, round(number))
