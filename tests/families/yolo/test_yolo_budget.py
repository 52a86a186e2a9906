"""The common budget inside ultralytics' loop: its batches, its intervals and its early stopping."""

from itertools import islice

import numpy as np
import pytest

from defectbench.families.yolo.budget import IntervalBatches, Stopping, make_batches


class Images:
    """What ultralytics' datasets tell of their images: the batch that each is in, and the shape of each batch."""

    def __init__(self, batch, shapes):
        self.batch, self.batch_shapes = np.array(batch), np.array(shapes)

    def __len__(self):
        return len(self.batch)


def test_every_pass_shows_every_image_once_in_another_order():
    batch = make_batches(Images([0, 0, 0, 0, 1, 1, 1, 1], [[64, 96], [64, 96]]), 4, 1)
    passes = [[item for number in numbers for item in batch(number)] for numbers in ((0, 1), (2, 3))]
    assert [sorted(items) for items in passes] == [[(number, index) for index in range(8)] for number in range(2)]
    assert [index for _, index in passes[0]] != [index for _, index in passes[1]]


def test_images_of_several_shapes_share_batches_of_one_shape():
    images = Images([0, 0, 0, 1, 1, 1, 2], [[64, 96], [96, 64], [96, 64]])
    batch = make_batches(images, 3, 1)
    groups = {(0, 1, 2), (3, 4, 5), (6,)}
    for pass_number in range(3):
        batches = [batch(number) for number in range(3 * pass_number, 3 * pass_number + 3)]
        assert {tuple(index for _, index in items) for items in batches} == groups
        assert {number for items in batches for number, _ in items} == {pass_number}
    assert len({tuple(index for _, index in batch(number)) for number in (0, 3, 6, 9, 12)}) > 1


def test_intervals_are_whole_batches_and_the_last_ends_with_the_budget():
    batches = IntervalBatches(lambda number: [number], 3, 8)
    lengths = []
    while batches.done < 8:
        lengths.append(len(batches.sampler))
        batches.done += lengths[-1]
    assert lengths == [3, 3, 2]
    assert list(islice(batches, 10)) == [[number] for number in range(10)]


@pytest.mark.parametrize(("patience", "peak", "stops"), [(2, 1, 3), (2, 4, 6), (None, 1, None)])
def test_evaluations_before_the_peak_do_not_count(patience, peak, stops):
    evaluation = 0
    stopping = Stopping(patience, lambda: evaluation >= peak)
    stopped = []
    for evaluation in range(1, 10):
        stopped += [evaluation] * stopping(evaluation, 1 / evaluation)
    assert (stopped[0] if stopped else None) == stops
