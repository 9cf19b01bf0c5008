"""LoRA adapters of tiny random models, and what peft's merge_and_unload makes of them: test/fixtures/adapters.

Development only: needs torch, transformers, peft, safetensors. Run from the repository's root.
"""
import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel)

root = Path(__file__).resolve().parent.parent / "test/fixtures/adapters"
labels = {0: "animals", 1: "plants", 2: "stones"}


def bert_config():
    return BertConfig(
        vocab_size=120, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=48, num_labels=3, id2label=labels, label2id={v: k for k, v in labels.items()})


def gpt2_config():
    return GPT2Config(
        vocab_size=120, n_embd=8, n_layer=2, n_head=2, n_positions=48, num_labels=3, pad_token_id=0, bos_token_id=1,
        eos_token_id=1, id2label=labels, label2id={v: k for k, v in labels.items()})


def train(model, config, dtype=None):
    """Every trainable tensor gets other random numbers; only some rows of an embedding's."""
    adapted = get_peft_model(model, LoraConfig(**{"task_type": "SEQ_CLS", **config}))
    for name, tensor in adapted.named_parameters():
        if not tensor.requires_grad:
            continue
        with torch.no_grad():
            if "lora_embedding_A" in name:
                tensor[:, 5:20] = torch.randn(tensor.shape[0], 15) * 0.3
            elif "embeddings" in name and "lora" not in name:
                tensor[5:20] += torch.randn(15, tensor.shape[1]) * 0.3
            else:
                tensor.add_(torch.randn_like(tensor) * 0.3)
    return adapted.to(dtype) if dtype else adapted


def tidy(folder):
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    if not file.exists():
        return
    config = json.loads(file.read_text())
    kept = {k: v for k, v in config.items() if v not in (None, {}, [], "") and k not in ("peft_version", "inference_mode")}
    kept["base_model_name_or_path"] = "tiny/base"
    kept["target_modules"] = sorted(kept["target_modules"])
    file.write_text(json.dumps(kept, indent=1) + "\n")


def save(name, base, config, dtype=None):
    """base/, adapter/ and merged/; the merged model is made from what was saved."""
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    adapted = train(base(), config, dtype)
    adapted.save_pretrained(folder / "adapter")
    merged = PeftModel.from_pretrained(base(), folder / "adapter").merge_and_unload()
    merged.save_pretrained(folder / "merged")
    for part in ("adapter", "merged"):
        tidy(folder / part)


def seeded(make, dtype=torch.float32):
    def build():
        torch.manual_seed(1)
        return make().to(dtype).eval()
    return build


def main():
    root.mkdir(parents=True, exist_ok=True)
    bert = seeded(lambda: BertForSequenceClassification(bert_config()))
    gpt2 = seeded(lambda: GPT2ForSequenceClassification(gpt2_config()))
    language = seeded(lambda: GPT2LMHeadModel(gpt2_config()))
    half = seeded(lambda: BertForSequenceClassification(bert_config()), torch.bfloat16)
    for name, make in (("bert-base", bert), ("gpt2-base", gpt2), ("bert-base-bf16", half), ("gpt2-language", language)):
        shutil.rmtree(root / name, ignore_errors=True)
        make().save_pretrained(root / name)
    # a base without prefix and head
    shutil.rmtree(root / "bert-bare", ignore_errors=True)
    bare = bert().bert
    bare.config.architectures = None
    bare.save_pretrained(root / "bert-bare")

    torch.manual_seed(2)
    save("plain", bert, dict(r=2, lora_alpha=8, target_modules=["query", "value"]))
    save("patterns", bert, dict(
        r=2, lora_alpha=8, use_rslora=True, bias="lora_only", target_modules=["query", "value", "output.dense"],
        rank_pattern={"layer.0.attention.self.value": 3}, alpha_pattern={"layer.[01].attention.self.query": 5}))
    save("embedding", bert, dict(r=2, lora_alpha=4, target_modules=["word_embeddings", "key"]))
    save("saved", bert, dict(r=2, lora_alpha=4, target_modules=["query"], modules_to_save=["word_embeddings", "classifier"]))
    save("conv", gpt2, dict(r=3, lora_alpha=6, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True))
    save("language", language, dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, task_type="CAUSAL_LM"))
    save("half", half, dict(r=2, lora_alpha=8, target_modules=["query", "value"]))
    save("dora", bert, dict(r=2, lora_alpha=8, target_modules=["query"], use_dora=True))
    shutil.rmtree(root / "dora/merged")
    # never merged: the whole state of the adapted model in one file
    shutil.rmtree(root / "unmerged", ignore_errors=True)
    adapted = train(bert(), dict(r=2, lora_alpha=8, target_modules=["query", "value"]))
    adapted.base_model.model.save_pretrained(root / "unmerged", state_dict=adapted.base_model.model.state_dict())


if __name__ == "__main__":
    main()
