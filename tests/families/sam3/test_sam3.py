"""SAM 3 with phrases: agreement with transformers' processor, sizes, adapters, losses, official files."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sam3_data import SIZE, TOKENIZER, random_network, tiny_sam3, write_official
from scipy import ndimage
from scipy.special import expit, logit
from torch.nn import functional
from transformers import CLIPTokenizer, Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor, modeling_utils

from defectbench.config.families.sam3 import Sam3Settings
from defectbench.families.sam3 import official
from defectbench.families.sam3.adapters import set_trainable
from defectbench.families.sam3.features import PhraseFeatureCache
from defectbench.families.sam3.logits import logit_of_mean, logit_of_product
from defectbench.families.sam3.loss import Sam3Loss, component_masks, instance_loss, pairwise_bce, pairwise_dice
from defectbench.families.sam3.network import PhraseOutput, PhraseSam3
from defectbench.families.sam3.phrases import PhraseError, letter_tokenizer, tokenize
from defectbench.families.sam3.weights import load_base, nano_config, random_base, read_config, save_base
from defectbench.files import file_sha256
from defectbench.models.adapters import WeightsError, load_trained, merge_lora, read_tensors
from defectbench.models.checkpoint_files import trained_tensors, write_checkpoints
from defectbench.training.run_record import parameter_facts

torch.set_num_threads(1)


def picture(seed: int, n: int = 1, channels: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, channels, *SIZE), dtype=np.uint8))


def test_the_full_size_has_exactly_these_trainable_parameters():
    with torch.device("meta"):
        network = Sam3Model(Sam3Config())
    set_trainable(network, Sam3Settings(tune="lora"))
    facts = parameter_facts(network)
    assert facts["params_trainable"] == 3_883_008
    assert facts["params_total"] - 3_883_008 == 840_376_374
    shares = {name: n / 3_883_008 for name, n in facts["params_by_module"].items()}
    assert sum(facts["params_by_module"].values()) == 3_883_008
    assert (round(100 * shares["vision_encoder"]), round(100 * shares["text_encoder"])) == (54, 30)


@pytest.mark.parametrize("channels", [1, 3])
@torch.no_grad()
def test_outputs_equal_those_of_transformers_processor_and_model(channels):
    phrased = tiny_sam3(["crack"], ["deep scratch on steel"])
    image = picture(0, channels=channels)
    processor = Sam3Processor(
        Sam3ImageProcessor(size={"height": SIZE[0], "width": SIZE[1]}), letter_tokenizer(), target_size=SIZE[0]
    )
    pixels = image[0].permute(1, 2, 0).numpy().repeat(3 // channels, axis=2)
    for number, phrase in enumerate(("crack", "deep scratch on steel")):
        theirs = phrased.network(**processor(images=pixels, text=phrase, return_tensors="pt"))
        text = phrased.text_features([number])[0]
        ours = phrased.segment_phrase(phrased.pyramid(phrased.encode(image)), number, text)
        expected = (theirs.semantic_seg[:, 0], theirs.presence_logits[:, 0], theirs.pred_masks, theirs.pred_logits)
        for value, other in zip(ours, expected, strict=True):
            assert value == pytest.approx(other, abs=2e-5)


@torch.no_grad()
def test_phrases_are_averaged_and_groups_are_maps_or_their_maximum():
    image = picture(2)
    one, two, three = (torch.sigmoid(tiny_sam3([phrase])(image)) for phrase in ("crack", "split", "hole"))
    both = torch.sigmoid(tiny_sam3(["crack", "split"])(image))
    assert both == pytest.approx((one + two) / 2, abs=1e-5)
    apart = torch.sigmoid(tiny_sam3(["crack"], ["hole"], merged=False)(image))
    assert apart.shape == (1, 2, *SIZE)
    assert apart == pytest.approx(torch.cat([one, three], dim=1), abs=1e-5)
    highest = torch.sigmoid(tiny_sam3(["crack"], ["hole"])(image))
    assert highest == pytest.approx(torch.maximum(one, three), abs=1e-5)


LOGIT = st.floats(-12, 12)


@given(st.lists(LOGIT, min_size=1, max_size=4))
def test_products_and_means_in_logits_are_exact(values):
    exact = np.array(values, np.float64)
    tensors = [torch.tensor(value, dtype=torch.float64) for value in values]
    assert float(logit_of_product(*tensors)) == pytest.approx(logit(np.prod(expit(exact))), rel=1e-6, abs=1e-6)
    assert float(logit_of_mean(tensors)) == pytest.approx(logit(np.mean(expit(exact))), rel=1e-6, abs=1e-6)


def test_too_long_a_phrase_is_refused_not_truncated():
    assert tokenize(TOKENIZER, ["a" * 30])[1].sum() == 32
    with pytest.raises(PhraseError, match="33 tokens"):
        tokenize(TOKENIZER, ["crack", "a" * 31])


@pytest.mark.parametrize(
    ("target", "in_training"), [(r".*\.[qkvo]_proj", 2), (r"vision_encoder.*\.[qkvo]_proj", 1), (None, 1)]
)
def test_text_features_are_computed_once_unless_the_text_encoder_is_trained(monkeypatch, target, in_training):
    phrased = tiny_sam3(["crack", "split"], **({"tune": "lora", "lora_target": target} if target else {}))
    calls = []
    made = phrased.network.get_text_features
    monkeypatch.setattr(phrased.network, "get_text_features", lambda *ids: calls.append(1) or made(*ids))
    phrased.train()
    for _ in range(2):
        phrased.text_features([1])
    assert len(calls) == in_training
    phrased.eval()
    with torch.inference_mode():
        before = phrased(picture(0))
        phrased(picture(1))
        assert len(calls) == in_training + 1
        # After a step they are another's.
        for value in trained_tensors(phrased).values():
            value += 0.1
        phrased.train()
        phrased.eval()
        assert (phrased(picture(0)).equal(before)) == (target is None)


@torch.no_grad()
def test_cached_features_change_nothing(tmp_path, monkeypatch):
    phrased, image = tiny_sam3(["crack"]), picture(0)
    plain = phrased(image)
    calls = []
    encode = phrased.encode
    monkeypatch.setattr(phrased, "encode", lambda images: calls.append(1) or encode(images))
    for _ in range(3):
        phrased.use_cache(PhraseFeatureCache(phrased, tmp_path, "a" * 64).encode)
        assert phrased(image) == pytest.approx(plain, abs=1e-5)
    assert len(calls) == 1


@pytest.mark.parametrize("keys", [{}, {"dora": True, "lora_rank": 4}])
def test_saved_adapters_give_the_same_maps_and_leave_the_base_untouched(tmp_path, keys):
    phrased = tiny_sam3(["crack"], tune="lora", **keys)
    base = {name: value.clone() for name, value in random_network().state_dict().items()}
    torch.manual_seed(1)
    for value in trained_tensors(phrased).values():
        value += 0.05 * torch.randn_like(value)
    with torch.no_grad():
        maps = phrased(picture(0))
    state = phrased.network.state_dict()
    for name, value in base.items():
        base_name = name if name in state else f"{name.rpartition('.')[0]}.base_layer.{name.rpartition('.')[2]}"
        assert state[base_name].equal(value)
    path = write_checkpoints(
        tmp_path, {"last": phrased.state_dict()}, {"base_sha256": "digest"}, trained_tensors(phrased)
    )
    saved = load_file(path)
    assert all("lora_" in name for name in saved)
    assert sum(value.numel() for value in saved.values()) == parameter_facts(phrased)["params_trainable"]
    again = tiny_sam3(["crack"], tune="lora", **keys)
    load_trained(again, path, "digest")
    with torch.no_grad():
        assert again(picture(0)).equal(maps)
        merge_lora(again)
        assert again.network.state_dict().keys() == base.keys()
        assert again(picture(0)) == pytest.approx(maps, abs=2e-4)
        assert not tiny_sam3(["crack"])(picture(0)).equal(maps)
    with pytest.raises(WeightsError, match="trained on base weights with the SHA-256 digest"):
        load_trained(tiny_sam3(["crack"], tune="lora", **keys), path, "another")


def test_a_target_that_fits_no_layer_is_refused():
    with pytest.raises(WeightsError, match="lora_target: 'nothing' fits no layer"):
        tiny_sam3(["crack"], tune="lora", lora_target="nothing")


def test_checkpointed_layers_give_the_same_gradients():
    actual = []
    for checkpointed in (False, True):
        phrased = tiny_sam3(["crack"], tune="lora", lora_dropout=0)
        if checkpointed:
            phrased.checkpoint_layers()
        phrased(picture(0)).mean().backward()
        layer = phrased.network.vision_encoder.backbone.layers[0].attention.q_proj
        actual.append(layer.lora_B["default"].weight.grad)
    assert actual[0].abs().max() > 0
    assert actual[0] == pytest.approx(actual[1], rel=1e-4, abs=1e-9)


def test_the_loss_sums_map_and_presence():
    torch.manual_seed(0)
    truth = torch.zeros(2, 1, 16, 16)
    truth[0, 0, 4:9, 3:12] = 1  # the second image is clean
    presence = torch.tensor([[0.7], [1.2]], requires_grad=True)
    semantic = torch.randn(2, 1, 16, 16)
    answer = PhraseOutput(semantic, presence, torch.randn(2, 1, 8, 16, 16), torch.randn(2, 1, 8))
    loss = Sam3Loss(Sam3Settings(presence_weight=2.0, loss="dice"))(answer, semantic, truth)
    p = torch.sigmoid(semantic.double())
    dice = 1 - (2 * (p * truth).sum() + 2) / (p.sum() + truth.sum() + 2)
    bce = (-np.log(expit(0.7)) - np.log(1 - expit(1.2))) / 2
    assert loss.item() == pytest.approx(dice.item() + 2 * bce, abs=1e-5)
    loss.backward()
    # A step down says "more likely" of the first image and "nothing here" of the clean one.
    assert presence.grad[0] < 0 < presence.grad[1]


def test_components_equal_scipys_and_thin_ones_are_not_lost():
    rng = np.random.default_rng(0)
    truth = (rng.random((40, 60)) < 0.05).astype(np.uint8)
    labels, n = ndimage.label(truth, np.ones((3, 3)))
    actual = component_masks(torch.from_numpy(truth), (10, 15))
    assert actual.shape == (n, 10, 15)
    expected = {ndimage.maximum_filter(labels == i + 1, (4, 4))[2::4, 2::4].tobytes() for i in range(n)}
    assert {(plane > 0).numpy().tobytes() for plane in actual} == expected
    assert actual.flatten(1).any(dim=1).all()


def test_pairwise_costs_are_those_of_each_pair():
    torch.manual_seed(0)
    masks, targets = torch.randn(3, 50), (torch.rand(2, 50) < 0.4).float()
    bce, dice = pairwise_bce(masks, targets), pairwise_dice(masks, targets)
    for i in range(3):
        for j in range(2):
            assert bce[i, j] == pytest.approx(functional.binary_cross_entropy_with_logits(masks[i], targets[j]).item())
            p, t = masks[i].sigmoid(), targets[j]
            assert dice[i, j].item() == pytest.approx((1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)).item())


def test_instances_are_matched_one_to_one_in_any_order():
    truth = torch.zeros(16, 16)
    truth[1:5, 1:5] = truth[9:15, 8:14] = 1
    two = component_masks(truth, (16, 16))
    masks = torch.cat([40 * two - 20, torch.full((2, 16, 16), -20.0)])
    right = torch.tensor([9.0, 9.0, -9.0, -9.0])
    assert instance_loss(masks, right, truth) < 1e-3
    order = torch.tensor([2, 1, 3, 0])
    assert instance_loss(masks[order], right[order], truth) < 1e-3
    # Twice the same component: the other one is missed.
    twice = torch.cat([masks[:1], masks[:1], masks[2:]])
    assert instance_loss(twice, right, truth) > 1
    assert instance_loss(masks, -right, truth) > 1


def test_official_files_are_read_and_give_the_same_maps(tmp_path):
    network = random_network(3)
    write_official(tmp_path / "sam3", network)
    base = official.read_official(tmp_path / "sam3")
    assert base.source == "facebook/sam3"
    save_base(tmp_path / "base.safetensors", base)
    loaded, tokenizer, origin = load_base(tmp_path / "base.safetensors", SIZE)
    assert origin["weights_source"] == "facebook/sam3"
    assert origin["official_sha256"] == file_sha256(tmp_path / "sam3" / "model.safetensors")
    assert (loaded.state_dict().keys(), tokenizer) == (network.state_dict().keys(), TOKENIZER)
    with torch.no_grad():
        expected = PhraseSam3(network, TOKENIZER, {"x": ["crack"]}, True, "semantic", 0.0).eval()(picture(0))
        assert PhraseSam3(loaded, tokenizer, {"x": ["crack"]}, True, "semantic", 0.0).eval()(picture(0)).equal(expected)


EVIL = {
    "attn_implementation": "evil/kernel",
    "_attn_implementation": "evil/kernel",
    "experts_implementation": "evil/kernel",
    "quantization_config": {"quant_method": "evil", "load_in_8bit": True},
    "kernel_config": {"a": "evil/kernel"},
    "fusion_config": {"a": True},
    "distributed_config": {"a": 1},
    "transformers_weights": "evil.bin",
    "auto_map": {"AutoModel": "evil--model.Model"},
    "_name_or_path": "evil/model",
}


def everywhere(values, keys):
    """``keys`` in a configuration and in all its parts."""
    return {
        name: everywhere(value, keys) if isinstance(value, dict) else value for name, value in values.items()
    } | keys


@pytest.fixture
def no_code(monkeypatch):
    """Fails if transformers is about to look for code, quantisation or adapters that a file names."""
    for name in ("lazy_import_flash_attention", "is_kernel", "get_hf_quantizer"):
        plain = getattr(modeling_utils, name)

        def check(first, *rest, plain=plain, **more):
            assert "evil" not in str(first)
            return plain(first, *rest, **more)

        monkeypatch.setattr(modeling_utils, name, check)


def attention_of(network):
    return {module.config._attn_implementation for module in network.modules() if hasattr(module, "config")}


def test_a_configuration_chooses_no_code(tmp_path, no_code):
    network = random_network(3)
    write_official(tmp_path / "sam3", network)
    path = tmp_path / "sam3" / "config.json"
    path.write_text(json.dumps(everywhere(json.loads(path.read_text()), EVIL)))
    (tmp_path / "sam3" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "evil/model"}))
    base = official.read_official(tmp_path / "sam3")
    save_base(tmp_path / "base.safetensors", base)
    values, metadata = read_tensors(tmp_path / "base.safetensors")
    assert "evil" not in str(metadata)
    metadata["config"] = json.dumps(everywhere(json.loads(metadata["config"]), EVIL))
    save_file(values, tmp_path / "evil.safetensors", metadata)
    loaded, _, _ = load_base(tmp_path / "evil.safetensors", SIZE)
    assert attention_of(loaded) == {"sdpa"}
    assert "evil" not in json.dumps(loaded.config.to_dict())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_numbers_and_kinds_of_a_configuration_are_kept():
    for config in (Sam3Config(), nano_config()):
        assert read_config(config.to_dict(), "x").to_dict() == config.to_dict()


@pytest.mark.parametrize("change", [{"initializer_range": [1]}, {"vision_config": [1]}])
def test_a_configuration_of_the_wrong_kind_is_named(change):
    with pytest.raises(WeightsError, match=r"config\.json has no configuration of SAM 3"):
        read_config(nano_config().to_dict() | change, "config.json")


def test_the_official_tokenizer_is_read_with_its_merges(tmp_path):
    vocabulary = letter_tokenizer().get_vocab()
    vocabulary |= {token: len(vocabulary) + number for number, token in enumerate(("cr", "cra", "crac", "crack</w>"))}
    merges = [("c", "r"), ("cr", "a"), ("cra", "c"), ("crac", "k</w>")]
    theirs = CLIPTokenizer(vocab=vocabulary, merges=merges)
    write_official(tmp_path / "sam3", random_network())
    theirs.save_pretrained(tmp_path / "sam3")
    ids, valid = tokenize(official.read_official(tmp_path / "sam3").tokenizer, ["Crack in  steel", "crack"])
    expected = theirs(["Crack in  steel", "crack"], padding="max_length", max_length=32)
    assert (ids.tolist(), valid.tolist()) == (expected["input_ids"], expected["attention_mask"])
    assert valid.sum(dim=1).tolist() == [10, 3]


def test_files_of_other_models_are_refused_with_a_reason(tmp_path):
    write_official(tmp_path / "sam3", random_network())
    weights, config = tmp_path / "sam3" / "model.safetensors", tmp_path / "sam3" / "config.json"
    values, settings = load_file(weights), json.loads(config.read_text())
    save_file({name: value for name, value in values.items() if ".text_" not in name}, weights, {"format": "pt"})
    with pytest.raises(WeightsError, match="no text encoder, so it cannot be prompted with phrases"):
        official.read_official(tmp_path / "sam3")
    save_file({name: value for name, value in values.items() if "mask_decoder" not in name}, weights, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"parts are missing: .* the first is mask_decoder"):
        official.read_official(tmp_path / "sam3")
    weights.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=r"model\.safetensors is not used"):
        official.read_official(tmp_path / "sam3")
    config.write_text(json.dumps(settings | {"model_type": "sam2_video"}))
    with pytest.raises(WeightsError, match="belongs to a sam2_video, which takes no phrases"):
        official.read_official(tmp_path / "sam3")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="is no file of base weights of SAM 3"):
        load_base(tmp_path / "other.safetensors", SIZE)


def test_absent_weights_say_which_files_where_from_and_where_to(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(official.huggingface_hub, "hf_hub_download", refused)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(WeightsError) as caught:
        official.fetch_official(tmp_path / "sam3")
    for part in ("config.json", "model.safetensors", "huggingface.co/facebook/sam3", "licence", "HF_TOKEN", "SHA-256"):
        assert part in str(caught.value)
    assert str(tmp_path / "sam3") in str(caught.value)
    assert "init: random" in str(caught.value)


def test_random_weights_follow_from_the_seed():
    one, again, other = (random_base(f"sam3_nano_random_s{seed}").values for seed in (1, 1, 2))
    assert all(one[name].equal(again[name]) for name in one)
    assert not all(one[name].equal(other[name]) for name in one)
