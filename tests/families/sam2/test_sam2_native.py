"""SAM 2 at any size: the same answers as the package's own predictor, and as image by image."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sam2_reference import official, picture

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import INSIDE, OUTSIDE, Prompt, box_prompt
from defectbench.families.sam2.adapters import add_adapters, unfreeze_part
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.network import DecoderOutput, NativeSam2, best_masks, upsample_masks
from defectbench.families.sam2.predictor import PromptedPredictor
from defectbench.families.sam2.prompting import NO_DEFECT, decode_prompts, predict_maps
from defectbench.inference import encoder_clock
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.geometry import Geometry
from defectbench.inference.tiling import Tiling
from defectbench.metrics.codes import codes_from_logits

BOX = box_prompt(10, 6, 60, 40)
POINTS = Prompt(np.array([[20, 10], [50, 30], [5, 60]], np.float32), np.array([INSIDE, INSIDE, OUTSIDE], np.int8))


@pytest.fixture(scope="module")
def network() -> NativeSam2:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return NativeSam2("2.1", "tiny").eval()


@pytest.mark.parametrize(
    ("version", "side"), [("2.1", 256), ("2", 256), pytest.param("2.1", 1024, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("prompt", [BOX, POINTS], ids=["box", "points"])
@torch.no_grad()
def test_on_square_images_the_answers_are_those_of_the_package(version, side, prompt):
    torch.manual_seed(1)
    network = NativeSam2(version, "tiny").eval()
    image = picture(0, side, side, 3)
    theirs = official(network, side, version)
    theirs.set_image(image.permute(1, 2, 0).numpy())
    keys = (
        {"box": prompt.points.ravel()}
        if prompt is BOX
        else {"point_coords": prompt.points, "point_labels": prompt.labels}
    )
    masks, iou, _ = theirs.predict(**keys, multimask_output=True, return_logits=True)
    answer = decode_prompts(network, network.encode(image[None]), [0], [prompt])
    ours = upsample_masks(answer.masks[0])
    assert np.abs(ours.numpy() - masks).max() < 1e-4
    assert answer.iou[0].numpy() == pytest.approx(iou, abs=1e-4)


@torch.no_grad()
def test_a_batch_is_answered_as_its_images_one_by_one(network):
    images = torch.stack([picture(seed) for seed in range(3)])
    prompts = [[BOX, POINTS], [], [box_prompt(0, 0, 95, 63), BOX, POINTS]]
    together = predict_maps(network, network.encode(images), prompts)
    for number in range(3):
        alone = predict_maps(network, network.encode(images[number : number + 1]), prompts[number : number + 1])
        assert together[number] == pytest.approx(alone[0], abs=1e-4)
    assert (together[1] == NO_DEFECT).all()


@torch.no_grad()
def test_an_image_has_the_highest_of_its_prompts_masks_in_each_pixel(network):
    embedding = network.encode(picture(0)[None])
    single = [predict_maps(network, embedding, [[prompt]]) for prompt in (BOX, POINTS)]
    both = predict_maps(network, embedding, [[BOX, POINTS]])
    assert both == pytest.approx(torch.maximum(*single), abs=1e-5)


def test_the_mask_with_the_best_predicted_iou_is_taken_and_not_the_true_one():
    masks = torch.randn(2, 3, 4, 4)
    answer = DecoderOutput(masks, torch.tensor([[0.1, 0.9, 0.3], [0.5, 0.2, 0.4]]), torch.tensor([4.0, 4.0]))
    assert torch.equal(best_masks(answer), torch.stack([masks[0, 1], masks[1, 0]]))


def test_where_the_model_sees_no_object_no_pixel_is_predicted():
    answer = DecoderOutput(torch.randn(2, 3, 4, 4).abs() + 1, torch.rand(2, 3), torch.tensor([-0.5, 0.5]))
    actual = best_masks(answer)
    assert (actual[0] == -0.5).all()
    assert (actual[1] >= 1).all()


@pytest.mark.parametrize("size", [(50, 70), (33, 200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_is_padded_and_cropped_back(network, size, channels):
    image = picture(0, *size, channels).permute(1, 2, 0).numpy().squeeze()
    predictor = PromptedPredictor(network, Geometry.of("native", "native"), torch.device("cpu"))
    codes = predictor(image, [box_prompt(3, 3, 30, 20)])
    assert (codes.shape, codes.dtype) == ((1, *size), np.uint16)


def test_prompts_are_scaled_with_the_image(network):
    image = picture(0, 64, 64).numpy()[0]
    predictor = PromptedPredictor(network, Geometry.of("128", "squash"), torch.device("cpu"))
    codes = predictor(image, [box_prompt(8, 4, 40, 30)])
    geometry = predictor.geometry
    with torch.no_grad():
        embedding = network.encode(torch.from_numpy(geometry.apply(image))[None, None])
        logits = predict_maps(network, embedding, [[box_prompt(16, 8, 80, 60)]])
    assert np.array_equal(codes, codes_from_logits(geometry.restore(logits[0].numpy(), 64, 64)))


def test_tiles_are_prompted_with_the_parts_of_prompts_inside(network):
    geometry, cpu = Geometry.of("native", "native"), torch.device("cpu")
    image = picture(5)[0].numpy()
    whole = PromptedPredictor(network, geometry, cpu)
    assert (
        PromptedPredictor(network, geometry, cpu, tiling=Tiling((64, 96), 0))(image, [BOX]) == whole(image, [BOX])
    ).all()
    # The left half has the left part of the box, the right half the right part; the third tile has none.
    image = np.hstack([image, image])[:, :144]
    actual = PromptedPredictor(network, geometry, cpu, tiling=Tiling((64, 48), 0))(image, [BOX])
    for start, box in ((0, box_prompt(10, 6, 47, 40)), (48, box_prompt(0, 6, 12, 40))):
        part = np.s_[:, start : start + 48]
        assert (actual[0][part] == whole(image[part], [box])[0]).all()
    assert (actual[0, :, 96:] == codes_from_logits(np.float32(NO_DEFECT))).all()


@torch.no_grad()
def test_cached_embeddings_equal_the_encoders(network, tmp_path):
    images = torch.stack([picture(seed) for seed in range(3)])
    plain = network.encode(images)
    cache = EmbeddingCache(network, tmp_path, "a" * 64)
    cache.encode(images[:1])
    again = EmbeddingCache(network, tmp_path, "a" * 64)
    for ours, level in zip(again.encode(images), plain, strict=True):
        assert ours == pytest.approx(level, abs=1e-5)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3


def test_a_prediction_from_cached_embeddings_is_the_same_and_includes_the_encoders_time(network, tmp_path, monkeypatch):
    geometry, cpu = Geometry.of("native", "native"), torch.device("cpu")
    image = picture(5)[0].numpy()
    plain = PromptedPredictor(network, geometry, cpu)(image, [BOX])
    now, calls, encode = [0.0], [], network.encode
    monkeypatch.setattr(encoder_clock, "MEASURED", 2)
    monkeypatch.setattr(encoder_clock, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def slow(images):
        calls.append(len(images))
        now[0] += 7
        return encode(images)

    monkeypatch.setattr(network, "encode", slow)
    for _ in range(2):
        encoder = TimedEncoder(EmbeddingCache(network, tmp_path, "a" * 64))
        predictor = PromptedPredictor(network, geometry, cpu, encoder)
        for _ in range(4):
            assert np.abs(predictor(image, [BOX]).astype(int) - plain.astype(int)).max() <= 2
            assert predictor.seconds == 7
    assert len(calls) == 4
    # Two of the three tiles have a part of the box; each is encoded.
    tiled = PromptedPredictor(network, geometry, cpu, encoder, Tiling((64, 48), 0))
    tiled(np.hstack([image, image])[:, :144], [BOX])
    assert tiled.seconds == 14


@torch.no_grad()
def test_no_embedding_is_taken_for_that_of_other_pixels_sizes_or_weights(network, tmp_path, monkeypatch):
    cache = EmbeddingCache(network, tmp_path, "a" * 64)
    image = picture(0)[None]
    before = cache.encode(image)
    brighter = image.clone()
    brighter[0, 0, 0, 0] ^= 1
    assert not torch.equal(cache.encode(brighter).image, before.image)
    flat = image.reshape(1, 1, 32, 192)
    assert cache.encode(flat).image.shape[-2:] == (2, 12)
    calls = []
    monkeypatch.setattr(network, "encode", lambda images: calls.append(len(images)) or before)
    cache.encode(image)
    assert not calls
    EmbeddingCache(network, tmp_path, "b" * 64).encode(image)
    assert calls == [1]


def test_checkpointed_blocks_give_the_same_gradients(network):
    actual = []
    for checkpointed in (False, True):
        copied = copy.deepcopy(network)
        if checkpointed:
            copied.checkpoint_blocks()
        copied.encode(picture(0, 32, 32)[None]).image.square().mean().backward()
        actual.append(copied.image_encoder.trunk.blocks[0].attn.qkv.weight.grad)
    assert actual[0] == pytest.approx(actual[1], rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, 220_416),
        ({"size": "small"}, 294_144),
        ({"lora_target": "decoder"}, 94_208),
        ({"lora_target": "both"}, 220_416 + 94_208),
        ({"lora_rank": 4}, 110_208),
    ],
)
def test_adapters_have_the_parameters_expected_of_them(network, keys, expected):
    settings = Sam2Settings(tune="lora", **keys)
    network = copy.deepcopy(network) if settings.size == "tiny" else NativeSam2(settings.version, settings.size)
    add_adapters(network, settings)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected


@pytest.mark.parametrize("part", ["decoder", "encoder", "prompt_encoder", "all"])
def test_a_part_trains_alone(network, part):
    network = copy.deepcopy(network)
    unfreeze_part(network, part)
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    expected_parts = {
        "decoder": {"sam_mask_decoder"},
        "encoder": {"image_encoder", "no_mem_embed", "sam_mask_decoder"},
        "prompt_encoder": {"sam_prompt_encoder"},
        "all": {"image_encoder", "no_mem_embed", "sam_mask_decoder", "sam_prompt_encoder"},
    }
    assert trained == expected_parts[part]
    projections = network.sam_mask_decoder.conv_s0.weight.requires_grad
    assert projections == (part in ("encoder", "all"))
