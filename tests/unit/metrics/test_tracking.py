import itertools
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineament.metrics import tracking as m


def frame(truth, found, overlaps):
    return m.TrackFrame(
        np.array(truth, np.int64),
        np.array(found, np.int64),
        np.array(overlaps, float).reshape(len(truth), len(found)),
    )


def perfect_frame(tracks):
    """Faces 1 and 2 with perfect boxes under the given ids; None for no box."""
    found = [t for t in tracks if t is not None]
    overlaps = np.array([[float(t == f) for f in found] for t in tracks])
    return frame([1, 2], found, overlaps)


GOLDEN = [perfect_frame(t) for t in [(10, 20), (10, 20), (20, 10), (20, 10), (20, None), (20, 30)]]


def random_sequence(seed, n_frames=12):
    """Faces and tracks that come and go, wander, swap and split; overlaps are those of real boxes."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 60, (4, 2))
    names = {face: 10 + face for face in range(4)}
    frames = []
    for t in range(n_frames):
        places += rng.normal(0, 2, places.shape)
        truth = [face for face in range(4) if rng.random() < 0.8]
        if rng.random() < 0.3:
            a, b = rng.choice(4, 2, replace=False)
            names[a], names[b] = names[b], names[a]
        if rng.random() < 0.2:
            names[int(rng.integers(4))] = 20 + t
        found = [face for face in truth if rng.random() < 0.85]
        boxes = [places[f] + rng.normal(0, 2.5, 2) for f in found]
        ids = [names[f] for f in found]
        if rng.random() < 0.3:
            boxes, ids = [*boxes, rng.uniform(0, 60, 2)], [*ids, 90]
        overlaps = [[slow_iou(places[f], box) for box in boxes] for f in truth]
        frames.append(frame(truth, ids, overlaps))
    return frames


def slow_iou(a, b, side=20):
    w, h = (max(0.0, side - abs(a[k] - b[k])) for k in (0, 1))
    return w * h / (2 * side * side - w * h)


def test_golden_sequence():
    identity, clear = m.identity_counts(GOLDEN), m.clear_mot(GOLDEN)
    assert (identity.true_positives, identity.false_positives, identity.false_negatives) == (6, 5, 6)
    assert identity.precision == pytest.approx(0.5455, abs=1e-4)
    assert identity.recall == 0.5
    assert identity.f1 == pytest.approx(0.5217, abs=1e-4)
    assert (clear.id_switches, clear.fragmentations, clear.mostly_tracked) == (3, 1, 2)
    assert clear.mota == pytest.approx(0.6667, abs=1e-4)
    assert clear.motp == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_identity_equals_trying_every_assignment(seed):
    frames = random_sequence(seed, 4)
    agreeing = Counter()
    for f in frames:
        for (i, face), (j, track) in itertools.product(
            enumerate(f.truth_ids.tolist()), enumerate(f.found_ids.tolist())
        ):
            agreeing[face, track] += f.overlaps[i, j] >= 0.5
    faces = sorted({i for f in frames for i in f.truth_ids.tolist()})
    tracks = sorted({i for f in frames for i in f.found_ids.tolist()})
    tracks += [-1 - k for k in range(len(faces))]  # so that a face may have no track
    best = max(
        sum(agreeing[pair] for pair in zip(faces, chosen, strict=True))
        for chosen in itertools.permutations(tracks, len(faces))
    )
    counts = m.identity_counts(frames)
    assert counts.true_positives == best
    assert counts.true_positives + counts.false_negatives == sum(len(f.truth_ids) for f in frames)
    assert counts.true_positives + counts.false_positives == sum(len(f.found_ids) for f in frames)


def test_equals_trackeval():
    trackeval = pytest.importorskip("trackeval")
    clear, identity = (
        metric({"THRESHOLD": 0.5, "PRINT_CONFIG": False})
        for metric in (trackeval.metrics.CLEAR, trackeval.metrics.Identity)
    )
    for seed in range(60):
        frames = random_sequence(seed)
        faces = np.unique(np.concatenate([f.truth_ids for f in frames]))
        tracks = np.unique(np.concatenate([f.found_ids for f in frames]))
        data = {
            "num_tracker_dets": sum(len(f.found_ids) for f in frames),
            "num_gt_dets": sum(len(f.truth_ids) for f in frames),
            "num_gt_ids": len(faces),
            "num_tracker_ids": len(tracks),
            "num_timesteps": len(frames),
            "gt_ids": [np.searchsorted(faces, f.truth_ids) for f in frames],
            "tracker_ids": [np.searchsorted(tracks, f.found_ids) for f in frames],
            "similarity_scores": [f.overlaps for f in frames],
        }
        expected, got = clear.eval_sequence(data), m.clear_mot(frames)
        names = ("CLR_TP", "CLR_FP", "CLR_FN", "IDSW", "Frag", "MT", "ML")
        counts = (got.matches, got.false_positives, got.misses, got.id_switches, got.fragmentations)
        assert (*counts, got.mostly_tracked, got.mostly_lost) == tuple(int(expected[n]) for n in names)
        assert got.mota == pytest.approx(expected["MOTA"])
        assert got.motp == pytest.approx(expected["MOTP"])
        expected, ids = identity.eval_sequence(data), m.identity_counts(frames)
        assert (ids.true_positives, ids.false_positives, ids.false_negatives) == tuple(
            int(expected[n]) for n in ("IDTP", "IDFP", "IDFN")
        )
        assert ids.f1 == pytest.approx(expected["IDF1"])


def test_identity_equals_motmetrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        motmetrics = pytest.importorskip("motmetrics")
        for seed in range(10):
            frames = random_sequence(seed)
            events = motmetrics.MOTAccumulator(auto_id=True)
            for f in frames:
                distances = np.where(f.overlaps >= 0.5, 1 - f.overlaps, np.nan)
                events.update(f.truth_ids.tolist(), f.found_ids.tolist(), distances)
            names = ["idtp", "idfp", "idfn", "num_misses", "num_false_positives"]
            summary = motmetrics.metrics.create().compute(events, metrics=names, name="s").loc["s"]
            ids, clear = m.identity_counts(frames), m.clear_mot(frames)
            assert (ids.true_positives, ids.false_positives, ids.false_negatives) == tuple(
                int(summary[n]) for n in names[:3]
            )
            assert (clear.misses, clear.false_positives) == tuple(int(summary[n]) for n in names[3:])


def slow_clear(frames):
    """Matches, switches and fragmentations, trying every assignment of a frame."""
    before, last, starts, matches, switches = {}, {}, {}, 0, 0
    for f in frames:
        truth, found = f.truth_ids.tolist(), f.found_ids.tolist()
        if not truth or not found:
            continue
        options = []
        slots = [*range(len(found)), *[None] * len(truth)]
        for chosen in set(itertools.permutations(slots, len(truth))):
            pairs = [(i, j) for i, j in enumerate(chosen) if j is not None and f.overlaps[i, j] >= 0.5]
            kept = sum(before.get(truth[i]) == found[j] for i, j in pairs)
            options.append((kept * 1000 + sum(f.overlaps[i, j] for i, j in pairs), pairs))
        pairs = max(options)[1]
        now = {truth[i]: found[j] for i, j in pairs}
        matches += len(now)
        for face, track in now.items():
            switches += face in last and last[face] != track
            starts[face] = starts.get(face, 0) + (face not in before)
        last.update(now)
        before = now
    return matches, switches, sum(starts.values()) - len(starts)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_clear_equals_trying_every_assignment(seed):
    frames = [f for f in random_sequence(seed, 8) if len(f.found_ids) < 5]
    got = m.clear_mot(frames)
    assert (got.matches, got.id_switches, got.fragmentations) == slow_clear(frames)


def test_a_kept_pair_goes_before_a_larger_overlap():
    frames = [frame([1], [10], [[0.9]]), frame([1], [10, 11], [[0.6, 0.95]])]
    counts = m.clear_mot(frames)
    assert (counts.id_switches, counts.matches, counts.false_positives) == (0, 2, 1)


def test_an_empty_frame_does_not_break_a_track():
    frames = [frame([1], [10], [[1]]), frame([1], [], []), frame([1], [10], [[1]])]
    counts = m.clear_mot(frames)
    assert (counts.fragmentations, counts.id_switches, counts.misses) == (0, 0, 1)


def test_perfect_empty_and_absent_tracks():
    perfect = [frame([1, 2], [7, 8], np.eye(2))] * 4
    assert m.clear_mot(perfect).mota == m.identity_counts(perfect).f1 == 1
    missed = [frame([1, 2], [], [])] * 4
    assert m.clear_mot(missed).mota == m.identity_counts(missed).f1 == 0
    assert m.clear_mot(missed).mostly_lost == 2
    invented = [frame([], [7], [])] * 3
    assert m.identity_counts(invented).false_positives == 3
    assert math.isnan(m.clear_mot(invented).mota)
    assert math.isnan(m.identity_counts([]).f1)


def test_sequences_are_summed_not_averaged():
    short, long = [frame([1], [7], [[1]])], [frame([1], [], [])] * 9
    assert m.sum_clear([m.clear_mot(short), m.clear_mot(long)]).mota == 0.1
    total = m.sum_identity([m.identity_counts(short), m.identity_counts(long)])
    assert (total.true_positives, total.false_negatives) == (1, 9)


def test_wrong_frames_are_refused():
    with pytest.raises(ValueError, match=r"overlaps must be \(1, 2\)"):
        m.TrackFrame(np.array([1]), np.array([2, 3]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="must differ"):
        frame([1, 1], [2], np.zeros((2, 1)))
