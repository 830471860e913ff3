import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import fowlkes_mallows_score
from sklearn.metrics.cluster import pair_confusion_matrix

from lineament.metrics import clustering as m

labelled = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=20).map(np.array)


def test_toy():
    clusters, subjects = np.array([1, 1, 1, 2, 2]), np.array([7, 7, 8, 8, 8])
    pairs = m.pairwise_agreement(clusters, subjects)
    assert (pairs.precision, pairs.recall, pairs.f1) == (0.5, 0.5, 0.5)
    cubed = m.bcubed_agreement(clusters, subjects)
    assert cubed.precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)
    assert cubed.recall == pytest.approx((1 + 1 + 1 / 3 + 2 / 3 + 2 / 3) / 5)


@given(labelled)
def test_pairs_equal_a_double_loop_and_scikit_learn(rows):
    clusters, subjects = rows.T
    joined = belonging = both = 0
    for i, j in itertools.combinations(range(len(rows)), 2):
        same_cluster, same_subject = clusters[i] == clusters[j], subjects[i] == subjects[j]
        joined, belonging = joined + same_cluster, belonging + same_subject
        both += same_cluster and same_subject
    got = m.pairwise_agreement(clusters, subjects)
    assert got.precision == (both / joined if joined else 1)
    assert got.recall == (both / belonging if belonging else 1)
    if joined and belonging:
        (_, wrongly), (missed, right) = pair_confusion_matrix(subjects, clusters)
        assert got.precision == pytest.approx(right / (right + wrongly))
        assert got.recall == pytest.approx(right / (right + missed))
        assert np.sqrt(got.precision * got.recall) == pytest.approx(fowlkes_mallows_score(subjects, clusters))


@given(labelled)
def test_bcubed_equals_a_loop_over_faces(rows):
    clusters, subjects = rows.T
    precision = recall = 0.0
    for i in range(len(rows)):
        cluster, subject = (
            set(np.flatnonzero(clusters == clusters[i])),
            set(np.flatnonzero(subjects == subjects[i])),
        )
        precision += len(cluster & subject) / len(cluster)
        recall += len(cluster & subject) / len(subject)
    got = m.bcubed_agreement(clusters, subjects)
    assert got.precision == pytest.approx(precision / len(rows))
    assert got.recall == pytest.approx(recall / len(rows))
    swapped = m.bcubed_agreement(subjects, clusters)
    assert (swapped.precision, swapped.recall) == pytest.approx((got.recall, got.precision))


@given(labelled)
def test_names_of_clusters_do_not_matter_and_truth_is_perfect(rows):
    clusters, subjects = rows.T
    for agreement in (m.pairwise_agreement, m.bcubed_agreement):
        got, renamed = agreement(clusters, subjects), agreement(100 - 3 * clusters, subjects)
        assert (renamed.precision, renamed.recall) == pytest.approx((got.precision, got.recall))
        assert agreement(subjects, subjects).f1 == pytest.approx(1)


def test_wrong_labels_are_refused():
    with pytest.raises(ValueError, match="non-empty"):
        m.pairwise_agreement(np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(ValueError, match="non-empty"):
        m.bcubed_agreement(np.zeros(0, int), np.zeros(0, int))
