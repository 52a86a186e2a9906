"""What YOLO is shown and what is read from it lie where the image's pixels lie, proven without a trained network.

Ultralytics is imported in functions: before it, models.yolo has to keep it off the network.
"""

import cv2
import numpy as np
import pytest
import torch
from yolo_data import CLASSES, picture, shapes

from defectbench.config.augment import AugmentSettings
from defectbench.config.families.yolo import YoloSettings
from defectbench.data.writers import yolo_polygons
from defectbench.data.yolo_labels import write_dataset
from defectbench.families.yolo import network as yolo
from defectbench.families.yolo.network import YoloPredictor, paint_mask
from defectbench.families.yolo.ultralytics_training import keep_thin_objects, ultralytics_options
from defectbench.metrics.codes import HALF
from defectbench.training.augmentation import make_augmentation

# Height, width and long side of the input: as it is, enlarged, reduced; odd sizes.
SIZES = [(96, 160, 160), (101, 223, 256), (223, 101, 256), (199, 333, 320), (399, 667, 512), (77, 383, 384)]


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def dataset(folder, masks, size, rect, shift=0.0, augment=None):
    """Ultralytics' own dataset of one image, as its validation reads it, masks at the size of the input.

    With ``augment``, as its training does.
    """
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.utils import DEFAULT_CFG

    height, width = masks.shape[1:]
    rows, _ = yolo_polygons.label(masks)
    moved = []
    for row in rows:
        index, *numbers = row.split()
        points = np.array(numbers, float).reshape(-1, 2) + np.array([shift / width, shift / height])
        moved.append(" ".join([index, *(f"{number:.6f}" for number in points.clip(0, 1).ravel())]))
    data = write_dataset(folder, {"a": picture(masks)}, {"a": "\n".join(moved)}, {"train": ["a"]}, CLASSES)
    options = {"mask_ratio": 1, "overlap_mask": False}
    if augment is not None:
        keys = YoloSettings(model="yolov8-seg", augment=augment)
        options = ultralytics_options(keys, 1) | options | {"augmentations": list(make_augmentation(keys.augment))}
    hyp = DEFAULT_CFG.__class__(**{**vars(DEFAULT_CFG), **options})
    return YOLODataset(
        img_path=str(data.parent / "images" / "train"),
        imgsz=size,
        augment=augment is not None,
        rect=rect,
        batch_size=1,
        hyp=hyp,
        task="segment",
        data={"names": dict(enumerate(CLASSES)), "nc": 2, "channels": 3},
    )


def read_back(folder, masks, size, rect, shift=0.0):
    """The masks that ultralytics has of the labels of ``masks``, at the image's pixels again: (2, H, W) bool."""
    height, width = masks.shape[1:]
    sample = dataset(folder, masks, size, rect, shift)[0]
    canvas = np.zeros((2, *sample["masks"].shape[1:]), np.uint8)
    for mask, index in zip(sample["masks"].numpy(), sample["cls"].ravel().int().tolist(), strict=True):
        canvas[index] |= mask
    (gain_y, gain_x), (left, top) = sample["ratio_pad"]
    inside = canvas[:, top : top + round(height * gain_y), left : left + round(width * gain_x)]
    back = [cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) for plane in inside]
    return np.stack(back) >= 0.5


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_labels_of_ultralytics_are_aligned_with_the_masks(tmp_path, height, width, size, rect):
    masks = shapes(height, width)
    assert iou(read_back(tmp_path, masks, size, rect), masks.astype(bool)) >= 0.98


@pytest.mark.parametrize("shift", [0.5, 1.0, -1.0])
def test_labels_shifted_by_half_a_pixel_or_one_are_not(tmp_path, shift):
    masks = shapes(96, 160)
    assert iou(read_back(tmp_path, masks, 160, True, shift), masks.astype(bool)) < 0.98


NOTHING = dict.fromkeys(AugmentSettings.STEPS, 0.0)
GEOMETRY = ("hflip", "vflip", "rotate90", "rotate", "elastic")


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("step", GEOMETRY)
def test_the_shared_augmentation_moves_labels_with_the_image(tmp_path, step, rect):
    masks = shapes(96, 160)
    samples = dataset(tmp_path / "a", masks, 160, rect, augment={**NOTHING, step: 1.0})
    plain = dataset(tmp_path / "b", masks, 160, rect)[0]["img"]
    for seed in range(4):
        torch.manual_seed(seed)
        sample = samples[0]
        assert sample["img"].shape == plain.shape
        assert not torch.equal(sample["img"], plain)
        # The defects are bright, so that they can be found without the labels.
        bright, labelled = sample["img"][0].numpy() > 120, sample["masks"].numpy().any(axis=0)
        if step in ("rotate", "elastic"):
            # Edges are interpolated: no label that is a pixel off may fit better.
            moved = [np.roll(labelled, by, axis) for by in (1, -1) for axis in (0, 1)]
            assert iou(bright, labelled) > max(iou(bright, other) for other in moved)
        else:
            np.testing.assert_array_equal(bright, labelled)


@pytest.mark.parametrize("step", ["rotate", "elastic", "tone", "noise", "blur"])
def test_a_grey_picture_stays_grey(tmp_path, step):
    masks = shapes(96, 160)
    samples = dataset(tmp_path / "a", masks, 160, True, augment={**NOTHING, step: 1.0})
    plain = dataset(tmp_path / "b", masks, 160, True)[0]
    for seed in range(4):
        torch.manual_seed(seed)
        sample = samples[0]
        assert (sample["img"] == sample["img"][:1]).all()
        assert not torch.equal(sample["img"], plain["img"])
        if step not in GEOMETRY:
            assert torch.equal(sample["masks"], plain["masks"])


@pytest.mark.parametrize("step", GEOMETRY)
def test_lines_a_pixel_wide_stay_in_the_labels(tmp_path, step):
    masks = np.zeros((2, 96, 160), np.uint8)
    masks[0, 40, 30:120] = masks[1, 20:80, 60] = 1
    samples = dataset(tmp_path, masks, 160, True, augment={**NOTHING, step: 1.0})
    keep_thin_objects(samples)
    assert sorted(samples[0]["cls"].ravel().tolist()) == [0, 1]


def test_rect_pads_no_further_than_a_stride_and_square_to_a_square(tmp_path):
    masks = shapes(77, 383)
    assert dataset(tmp_path / "a", masks, 384, rect=False)[0]["img"].shape == (3, 384, 384)
    predictors = [YoloPredictor(Perfect(None), settings(384, rect), 2, torch.device("cpu")) for rect in (True, False)]
    assert [predictor._forward(picture(masks), False)[3] for predictor in predictors] == [(96, 384), (384, 384)]


def settings(size, rect):
    return YoloSettings(model="yolov8-seg", img_size=str(size), rect=rect)


class Perfect(torch.nn.Module):
    """A segmentation network that has found each part of ``truth``, given at the size of the input, (C, h, w)."""

    end2end = True

    def __init__(self, truth):
        super().__init__()
        self.truth = truth

    def forward(self, batch):
        if self.truth is None:
            return (torch.zeros(1, 0, 7), torch.zeros(1, 1, *(side // 4 for side in batch.shape[2:]))), None
        prototypes, rows = [], []
        for index, mask in enumerate(self.truth):
            # Signed distance to the edge, at the centres of the prototypes' pixels.
            inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
            inside = inside + np.where(mask, -0.5, 0.5).astype(np.float32)
            prototypes.append(cv2.resize(inside, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA))
            left, top, width, height = cv2.boundingRect(mask)
            rows.append([left, top, left + width, top + height, 1.0, index, *np.eye(len(self.truth))[index]])
        return (torch.tensor([rows], dtype=torch.float32), torch.from_numpy(np.stack(prototypes))[None]), None


def predicted(masks, size, rect, shift=0):
    """Masks of a perfect network's maps at the image's pixels; ``shift`` moves what it found on the input, pixels."""
    predictor = YoloPredictor(Perfect(None), settings(size, rect), 2, torch.device("cpu"))
    placed = [predictor.letterbox(image=np.repeat(255 * mask[:, :, None], 3, axis=2))[:, :, 0] for mask in masks]
    place = predictor._forward(picture(masks), False)[2]
    truth = np.zeros((2, *placed[0].shape), np.uint8)
    rows = slice(place.top, place.top + place.inner[0])
    columns = slice(place.left, place.left + place.inner[1])
    truth[:, rows, columns] = np.stack(placed)[:, rows, columns] > 127
    predictor.network = Perfect(np.roll(truth, (shift, shift), axis=(1, 2)))
    return predictor.predict_maps(picture(masks)) >= HALF


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_maps_are_aligned_with_the_defects_in_the_input(height, width, size, rect):
    masks = shapes(height, width)[:1]
    masks = np.concatenate([masks, masks[:, ::-1, ::-1]])
    assert iou(predicted(masks, size, rect), masks.astype(bool)) >= 0.98


@pytest.mark.parametrize("shift", [1, -1])
def test_maps_shifted_by_a_pixel_are_not(shift):
    masks = shapes(96, 160)[:1]
    masks = np.concatenate([masks, masks[:, ::-1, ::-1]])
    assert iou(predicted(masks, 160, True, shift), masks.astype(bool)) < 0.98


@pytest.mark.parametrize("rect", [True, False])
def test_boxes_come_back_to_the_images_pixels(rect):
    masks = shapes(101, 223)
    predictor = YoloPredictor(Perfect(None), settings(256, rect), 2, torch.device("cpu"))
    _, _, place, _ = predictor._forward(picture(masks), False)
    scale = np.array([place.inner[1] / 223, place.inner[0] / 101] * 2)
    true = np.array([[10, 20, 100, 90], [150, 5, 223, 101]])
    rows = torch.tensor([[*(box * scale + [place.left, place.top] * 2), 0.5, 1] for box in true])

    class Detector(torch.nn.Module):
        end2end = True

        def forward(self, batch):
            return rows[None].float(), None

    predictor.network = Detector()
    actual = predictor.predict_boxes(picture(masks))
    np.testing.assert_allclose(actual.xyxy, true, atol=1e-4)
    assert actual.classes.tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_paint_mask_is_ultralytics_upsampling_and_cropping_of_the_whole_map(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rng.integers(2, 9), rng.integers(2, 12))).astype(np.float32) * 3
    height, width = (side * 4 for side in logits.shape)
    box = np.sort(rng.uniform(-5, [width + 5, height + 5], (2, 2)), axis=0).ravel()
    canvas = rng.random((height, width)).astype(np.float32) * 0.3
    whole = torch.nn.functional.interpolate(torch.from_numpy(logits)[None, None], (height, width), mode="bilinear")
    soft = whole.sigmoid()[0].clamp(max=0.6)
    expected = np.maximum(canvas, yolo_crop(soft, box))
    paint_mask(canvas, logits, tuple(box), 0.6)
    np.testing.assert_allclose(canvas, expected, atol=1e-6)


def yolo_crop(masks, box):
    from ultralytics.utils.ops import crop_mask

    return crop_mask(masks.clone(), torch.from_numpy(box[None]))[0].numpy()


def test_instances_of_one_class_are_joined_by_the_maximum():
    canvas = np.zeros((8, 8), np.float32)
    certain = np.full((2, 2), 60, np.float32)
    paint_mask(canvas, certain, (0, 0, 6, 8), 0.4)
    paint_mask(canvas, certain, (2, 0, 8, 8), 0.7)
    np.testing.assert_allclose(canvas[0], [0.4] * 2 + [0.7] * 6, atol=1e-6)


def test_no_instance_is_no_probability():
    predictor = YoloPredictor(Perfect(None), settings(160, True), 2, torch.device("cpu"))
    assert predictor.predict_maps(picture(shapes(96, 160))).max() == 0


def test_instances_below_ultralytics_default_confidence_are_predicted():
    assert yolo.CONFIDENCE <= 0.001
