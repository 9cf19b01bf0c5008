#!/usr/bin/env python3
"""Writes test/fixtures/directories.json: what `transformers` saves for many architectures, as names and shapes.

Needs torch and transformers (development only; the result is committed). For each kind the configuration and the tensors
of a base class and of a class fine-tuned from it, tiny; the tests fill the tensors with numbers of their own.
"""
import json
import pathlib
import tempfile

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM,
    AutoModelForPreTraining, AutoModelForSequenceClassification)

SMALL = dict(
    vocab_size=96, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, num_labels=3,
    max_position_embeddings=32, pad_token_id=1, bos_token_id=0, eos_token_id=2, num_key_value_heads=1, head_dim=4)
TEXT = {k: v for k, v in SMALL.items() if k != "num_labels"}
VISION = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)


def config(model_type, **more):
    return AutoConfig.for_model(model_type, **{**SMALL, **more})


def multimodal(model_type, text, vision, **more):
    return AutoConfig.for_model(
        model_type, text_config={**TEXT, "model_type": text}, vision_config={**VISION, "model_type": vision},
        image_token_index=5, image_token_id=5, **more)


KINDS = {
    "xlm-roberta": (config("xlm-roberta"), AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "camembert": (config("camembert"), AutoModel, AutoModelForSequenceClassification),
    "deberta-v2": (
        config("deberta-v2", relative_attention=True, position_buckets=4, pos_att_type=["p2c", "c2p"], norm_rel_ebd="layer_norm",
               position_biased_input=False, share_att_key=True),
        AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "modernbert": (config("modernbert"), AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "big_bird": (config("big_bird", attention_type="original_full"), AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "data2vec-text": (config("data2vec-text"), AutoModel, AutoModelForSequenceClassification),
    "xlnet": (
        AutoConfig.for_model("xlnet", vocab_size=96, d_model=8, n_layer=1, n_head=2, d_inner=12, num_labels=3),
        AutoModelForCausalLM, AutoModelForSequenceClassification),
    "electra": (config("electra", embedding_size=8), AutoModelForPreTraining, AutoModelForSequenceClassification),
    "distilbert": (
        AutoConfig.for_model("distilbert", vocab_size=96, dim=8, n_layers=1, n_heads=2, hidden_dim=12, num_labels=3,
                             max_position_embeddings=32),
        AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "distilbert-bare": (
        AutoConfig.for_model("distilbert", vocab_size=96, dim=8, n_layers=1, n_heads=2, hidden_dim=12, num_labels=3,
                             max_position_embeddings=32),
        AutoModel, AutoModelForSequenceClassification),
    "albert": (config("albert", embedding_size=4), AutoModelForMaskedLM, AutoModelForSequenceClassification),
    "mamba": (
        AutoConfig.for_model("mamba", vocab_size=96, hidden_size=8, num_hidden_layers=1, state_size=2, conv_kernel=2),
        AutoModelForCausalLM, AutoModel),
    "rwkv": (
        AutoConfig.for_model("rwkv", vocab_size=96, hidden_size=8, num_hidden_layers=2, attention_hidden_size=8,
                             intermediate_size=12, context_length=16),
        AutoModelForCausalLM, AutoModel),
    "gemma3": (multimodal("gemma3", "gemma3_text", "siglip_vision_model", mm_tokens_per_image=4),
               AutoModelForImageTextToText, AutoModelForImageTextToText),
    "llava": (multimodal("llava", "llama", "clip_vision_model"), AutoModelForImageTextToText, AutoModelForImageTextToText),
    "mistral3": (multimodal("mistral3", "mistral", "pixtral"), AutoModelForImageTextToText, AutoModelForImageTextToText),
    "t5": (
        AutoConfig.for_model("t5", vocab_size=96, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2, num_labels=3),
        AutoModel, AutoModelForSequenceClassification),
    "opt": (config("opt", ffn_dim=12, word_embed_proj_dim=8), AutoModelForCausalLM, AutoModelForSequenceClassification),
    "bart": (
        AutoConfig.for_model("bart", vocab_size=96, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=12,
                             decoder_ffn_dim=12, encoder_attention_heads=2, decoder_attention_heads=2, num_labels=3,
                             max_position_embeddings=32),
        AutoModel, AutoModelForSequenceClassification),
}


def saved(settings, auto):
    """The configuration and the tensors' names and shapes as save_pretrained writes them."""
    model = auto.from_config(settings)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        found = json.loads((pathlib.Path(folder) / "config.json").read_text())
        with safe_open(pathlib.Path(folder) / "model.safetensors", "pt") as file:
            tensors = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}
    found.pop("transformers_version", None)
    return {"config": found, "tensors": tensors}


def main():
    torch.manual_seed(0)
    made = {}
    for kind, (settings, base, reference) in KINDS.items():
        made[kind] = {"base": saved(settings, base), "reference": saved(settings, reference)}
    target = pathlib.Path(__file__).resolve().parent.parent / "test/fixtures/directories.json"
    lines = [f"{json.dumps(kind)}: {json.dumps(value)}" for kind, value in made.items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
