"""How far predictions can be trusted: networks of the recorded tables, from some of them that were trained.

`python scripts/bench_predict.py` writes studies/results/PREDICT.md and PREDICT.json.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import optuna
from results import RESULTS, Row, publish

from phashopt.bench.calibration import BEST, calibration
from phashopt.bench.replay import Replayed

CAP = 0.75
TRAININGS = (0, 10, 20, 40)
DRAWS = 12  # of the networks that are learnt from
PACKAGES = ("optuna", "numpy", "scipy")
NOTES = f"""
## How to read this

- So many configurations are drawn from all under {CAP:.0%} of the dearest one's MACs, trained with a seed of the table
  and learnt from, with their readings. Then the networks of the longest length that are not among them are predicted,
  and judged by what they reached with the seed that is held out. Means over {DRAWS} draws. With none learnt from it is
  the prior that predicts.
- Order is Spearman's correlation, error the root mean square of the difference in nats: 0.05 is 5% of the errors. `Of
  itself` are the same of a training of each of these networks, with the seed that was learnt from: what it takes one
  training of every network to know, and all that a seed can tell.
- Inside are the networks that lie in the 90% interval which `study best` states for one training, `best` those of the
  {BEST:.0%} that most is predicted of. Trainings that came to nothing, which diverged or guess at their end, are left
  out of all these, as the intervals leave them out.
- Survives is the chance to come to anything that was given to those that did, `lost` to those that did not.
- `mnist_mixed` and `mnist_wide` vary rate and decay over decades, the others widths and length alone.
"""


def main() -> None:
    """Every table after every number of trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=RESULTS / "tables", help="a folder of recorded tables")
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = [row(path, trainings) for path in sorted(arguments.tables.glob("*.parquet")) for trainings in TRAININGS]
    publish("PREDICT", "What the model predicts", {"Recorded networks": rows}, PACKAGES, started, notes=NOTES)


def row(path: Path, trainings: int) -> Row:
    """Means over the draws."""
    worlds = Replayed(path, CAP)
    found = [asdict(calibration(worlds(draw), trainings, np.random.default_rng(draw))) for draw in range(DRAWS)]
    mean = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return {
        "table": path.stem,
        "trainings": trainings,
        "order": f"{mean['order']:.2f}",
        "of itself": f"{mean['own_order']:.2f}",
        "error": f"{mean['error']:.3f}",
        "error of itself": f"{mean['own_error']:.3f}",
        "inside": f"{mean['inside']:.0%}",
        "inside, best": f"{mean['best_inside']:.0%}",
        "survives": f"{mean['survives']:.0%}",
        "survives, lost": "" if math.isnan(mean["survives_lost"]) else f"{mean['survives_lost']:.0%}",
    }


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    main()
