"""SAM 2 at any size: the same answers as the package's own predictor, and as image by image."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from sam2_reference import official, picture

from defectbench.config.families.sam2 import Sam2Settings
from defectbench.data.prompts import INSIDE, OUTSIDE, Prompt, box_prompt, join_prompts
from defectbench.data.rle import encode_coco
from defectbench.families.sam2.adapters import set_trainable, unfreeze_part
from defectbench.families.sam2.embeddings import EmbeddingCache
from defectbench.families.sam2.network import DecoderOutput, NativeSam2, best_masks, cut_masks, upsample_masks
from defectbench.families.sam2.predictor import PromptedPredictor
from defectbench.families.sam2.prompting import NO_DEFECT, decode_prompts, predict_maps, prompt_tensors, scale_prompts
from defectbench.inference import encoder_clock
from defectbench.inference.encoder_clock import TimedEncoder
from defectbench.inference.geometry import Geometry
from defectbench.inference.tiling import Tiling
from defectbench.metrics.codes import codes_from_logits

BOX = box_prompt(10, 6, 60, 40)
POINTS = Prompt(np.array([[20, 10], [50, 30], [5, 60]], np.float32), np.array([INSIDE, INSIDE, OUTSIDE], np.int8))
POINT = Prompt(POINTS.points[:1], POINTS.labels[:1])
MASK = np.zeros((64, 96), np.uint8)
MASK[8:40, 12:60] = 1
NATIVE, CPU = Geometry.of("native", "native"), torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> NativeSam2:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return NativeSam2("2.1", "tiny").eval()


@pytest.mark.parametrize(
    ("version", "size", "side"),
    [
        ("2.1", "tiny", 256),
        ("2", "tiny", 256),
        ("2.1", "nano", 1024),
        pytest.param("2.1", "tiny", 1024, marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_on_square_images_the_maps_are_those_of_the_package(version, size, side):
    torch.manual_seed(1)
    network = NativeSam2(version, size).eval()
    image = picture(0, side, side, 3)
    theirs = official(network, side, version, size)
    theirs.set_image(image.permute(1, 2, 0).numpy())
    embedding = network.encode(image[None])
    mask = np.zeros((side, side), np.uint8)
    mask[:64, :96] = MASK
    given = np.where(cv2.resize(mask, (side // 4, side // 4), interpolation=cv2.INTER_AREA), 10.0, -10.0)[None]
    box, points = BOX.points.ravel(), {"point_coords": POINTS.points, "point_labels": POINTS.labels}
    for prompt, keys in (
        (BOX, {"box": box}),
        (POINTS, points),
        (join_prompts([BOX, POINTS]), {"box": box, **points}),
        (replace(BOX, rle=encode_coco(mask)), {"box": box, "mask_input": given}),
        (POINT, {"point_coords": POINT.points, "point_labels": POINT.labels}),
    ):
        # Three masks for one click; one where it is clear what is meant.
        masks, iou, _ = theirs.predict(**keys, multimask_output=prompt is POINT, return_logits=True)
        scaled = scale_prompts([prompt], NATIVE, mask.shape)
        output = decode_prompts(network, embedding, [0], scaled)
        assert upsample_masks(output.masks[0]).numpy() == pytest.approx(masks, abs=1e-4)
        assert output.iou[0].numpy() == pytest.approx(iou, abs=1e-4)
        # The predictor knows no object score.
        actual = predict_maps(network, embedding, [scaled], object_score_cut=False)
        assert actual[0, 0].numpy() == pytest.approx(masks[iou.argmax()], abs=1e-4)


@pytest.mark.parametrize(("prompt", "n"), [(POINT, 3), (BOX, 1), (POINTS, 1), (join_prompts([BOX, POINT]), 1)])
def test_three_masks_for_at_most_one_point_as_the_package_counts_them(network, prompt, n):
    points, labels = prompt_tensors([prompt], CPU)
    sam = official(network, 64).model
    assert sam._use_multimask(True, {"point_coords": points, "point_labels": labels}) == (n == 3)
    output = network.decode(network.encode(picture(0)[None]), points, labels)
    assert output.masks.shape[1] == output.iou.shape[1] == n


@pytest.mark.parametrize("stable", [True, False])
@torch.no_grad()
def test_an_unstable_single_mask_gives_way_to_the_best_of_three_in_evaluation_alone(network, stable):
    network = copy.deepcopy(network)
    if stable:
        # Few pixels of token 0 are then near the threshold.
        network.sam_mask_decoder.output_hypernetworks_mlps[0].layers[-1].weight *= 1000
    embedding = network.encode(picture(0)[None])
    kept = {}
    decoder, plain = network.sam_mask_decoder, network.sam_mask_decoder.predict_masks
    decoder.predict_masks = lambda **keys: kept.setdefault("all", plain(**keys))
    output = decode_prompts(network, embedding, [0], [BOX])
    masks, iou, *_ = kept["all"]
    expected = decoder._dynamic_multimask_via_stability(masks, iou)
    assert torch.equal(output.masks, expected[0])
    assert torch.equal(output.iou, expected[1])
    chosen = 0 if stable else 1 + int(iou[0, 1:].argmax())
    assert torch.equal(output.masks[0, 0], masks[0, chosen])
    assert torch.equal(decode_prompts(network.train(), embedding, [0], [BOX]).masks, masks[:, :1])


@pytest.mark.parametrize(("prompt", "trained"), [(BOX, [0]), (POINT, [1, 2, 3])])
def test_the_token_that_answers_is_the_one_that_trains(network, prompt, trained):
    network = copy.deepcopy(network).train()
    output = decode_prompts(network, network.encode(picture(0)[None]), [0], [prompt])
    output.masks.square().sum().backward()
    layers = network.sam_mask_decoder.output_hypernetworks_mlps
    moved = [any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()) for layer in layers]
    assert [token for token, moves in enumerate(moved) if moves] == trained


@torch.no_grad()
def test_a_batch_is_answered_as_its_images_one_by_one(network):
    images = torch.stack([picture(seed) for seed in range(3)])
    prompts = [[BOX, POINTS], [], [box_prompt(0, 0, 95, 63), BOX, POINTS]]
    together = predict_maps(network, network.encode(images), prompts, False)
    for number in range(3):
        alone = predict_maps(network, network.encode(images[number : number + 1]), prompts[number : number + 1], False)
        assert together[number] == pytest.approx(alone[0], abs=1e-4)
    assert (together[1] == NO_DEFECT).all()


@torch.no_grad()
def test_an_image_has_the_highest_of_its_prompts_masks_in_each_pixel(network):
    embedding = network.encode(picture(0)[None])
    single = [predict_maps(network, embedding, [[prompt]], False) for prompt in (BOX, POINTS)]
    both = predict_maps(network, embedding, [[BOX, POINTS]], False)
    assert both == pytest.approx(torch.maximum(*single), abs=1e-5)


def test_the_mask_with_the_best_predicted_iou_is_taken_and_not_the_true_one():
    masks = torch.randn(2, 3, 4, 4)
    output = DecoderOutput(masks, torch.tensor([[0.1, 0.9, 0.3], [0.5, 0.2, 0.4]]), torch.tensor([4.0, 4.0]))
    assert torch.equal(best_masks(output), torch.stack([masks[0, 1], masks[1, 0]]))


def test_where_the_model_sees_no_object_no_pixel_is_predicted_if_it_is_cut():
    masks = torch.randn(2, 4, 4).abs() + 1
    actual = cut_masks(masks, torch.tensor([-0.5, 0.5]))
    assert (actual[0] == -0.5).all()
    assert torch.equal(actual[1], masks[1])


@torch.no_grad()
def test_maps_are_cut_at_the_object_score_on_request(network):
    network = copy.deepcopy(network)
    network.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-20)
    embedding = network.encode(picture(0)[None])
    score = decode_prompts(network, embedding, [0], [BOX]).object_score
    plain, cut = (predict_maps(network, embedding, [[BOX]], object_score_cut=value) for value in (False, True))
    assert (plain > 0).any()
    torch.testing.assert_close(cut, plain.clamp(max=score.item()))


@pytest.mark.parametrize("size", [(50, 70), (33, 200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_is_padded_and_cropped_back(network, size, channels):
    image = picture(0, *size, channels).permute(1, 2, 0).numpy().squeeze()
    predictor = PromptedPredictor(network, NATIVE, CPU, False)
    codes = predictor(image, [box_prompt(3, 3, 30, 20)])
    assert (codes.shape, codes.dtype) == ((1, *size), np.uint16)


def test_prompts_are_scaled_with_the_image(network):
    image = picture(0, 64, 64).numpy()[0]
    predictor = PromptedPredictor(network, Geometry.of("128", "squash"), CPU, False)
    codes = predictor(image, [box_prompt(8, 4, 40, 30)])
    geometry = predictor.geometry
    with torch.no_grad():
        embedding = network.encode(torch.from_numpy(geometry.apply(image))[None, None])
        logits = predict_maps(network, embedding, [[box_prompt(16, 8, 80, 60)]], False)
    assert np.array_equal(codes, codes_from_logits(geometry.restore(logits[0].numpy(), 64, 64)))


def test_tiles_are_prompted_with_the_parts_of_prompts_inside(network):
    image = picture(5)[0].numpy()
    whole = PromptedPredictor(network, NATIVE, CPU, False)
    assert (
        PromptedPredictor(network, NATIVE, CPU, False, tiling=Tiling((64, 96), 0))(image, [BOX]) == whole(image, [BOX])
    ).all()
    # The left half has the left part of the box, the right half the right part; the third tile has none.
    image = np.hstack([image, image])[:, :144]
    actual = PromptedPredictor(network, NATIVE, CPU, False, tiling=Tiling((64, 48), 0))(image, [BOX])
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
    image = picture(5)[0].numpy()
    plain = PromptedPredictor(network, NATIVE, CPU, False)(image, [BOX])
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
        predictor = PromptedPredictor(network, NATIVE, CPU, False, encoder)
        for _ in range(4):
            assert np.abs(predictor(image, [BOX]).astype(int) - plain.astype(int)).max() <= 2
            assert predictor.seconds == 7
    assert len(calls) == 4
    # Two of the three tiles have a part of the box; each is encoded.
    tiled = PromptedPredictor(network, NATIVE, CPU, False, encoder, Tiling((64, 48), 0))
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
        ({"lora_target": "encoder"}, 220_416),
        ({"lora_target": "encoder", "size": "small"}, 294_144),
        ({"lora_target": "decoder"}, 94_208),
        ({}, 220_416 + 94_208),
        ({"lora_target": "encoder", "lora_rank": 4}, 110_208),
    ],
)
def test_adapters_have_the_parameters_expected_of_them(network, keys, expected):
    settings = Sam2Settings(tune="lora", **keys)
    network = copy.deepcopy(network) if settings.size == "tiny" else NativeSam2(settings.version, settings.size)
    set_trainable(network, settings)
    trained = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    heads = {name: n for name, n in trained.items() if "lora_" not in name}
    assert sum(trained.values()) - sum(heads.values()) == expected
    # Upscaling, four hypernetworks of three layers, the predictions of IoU and of an object.
    layer = 256 * 256 + 256
    upscaling = (256 * 64 * 4 + 64) + 2 * 64 + (64 * 32 * 4 + 32)
    expected_heads = upscaling + 4 * (2 * layer + 256 * 32 + 32) + 2 * layer + 4 * 257 + 2 * layer + 257
    assert sum(heads.values()) == expected_heads == 897_637


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
