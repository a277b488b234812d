from __future__ import annotations

import json

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from phashopt.service.summary import NUMBERS, summarize

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OURS = [*sorted(NUMBERS), "decision", "parent", "kernels", "role", "feasible", "redundancy.mean", "dead.width_00"]
ATTRS = st.dictionaries(st.sampled_from(OURS) | st.text(max_size=8), JSON, max_size=4)
SYSTEM_ATTRS = st.dictionaries(st.sampled_from(["trace", "decision", "parent", "lease", "start"]), JSON, max_size=3)


@given(attrs=ATTRS, noted=SYSTEM_ATTRS, state=st.sampled_from(list(TrialState)), second=ATTRS)
def test_whatever_anybody_wrote_into_a_study_it_is_shown(
    attrs: dict[str, object], noted: dict[str, object], state: TrialState, second: dict[str, object]
) -> None:
    study = optuna.create_study()
    value = 0.5 if state == TrialState.COMPLETE else None
    study.add_trial(create_trial(state=state, value=value, user_attrs=attrs, system_attrs=noted))
    study.add_trial(create_trial(value=0.25, user_attrs=second))
    summary = summarize(study)
    json.dumps(summary.to_json(), allow_nan=False)
    assert len(summary.table()) == 2
    assert set(summary.front) <= {0, 1}
