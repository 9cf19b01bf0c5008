#!/usr/bin/env python3
"""Makes test/fixtures/models: two small random-weight model pairs and what `transformers` computes with them.

Needs torch, transformers and safetensors (development only; the results are committed).

  bert/base, bert/reference    BertForSequenceClassification, F32
  bert/base-old                the encoder of bert/base as an old checkpoint: BF16, two shards, LayerNorm.gamma/beta,
                               no `bert.` prefix, a position_ids buffer, no head
  gpt2/base, gpt2/reference    GPT2ForSequenceClassification, F32, odd hidden size
  */golden.safetensors         per sequence n and point k of theta_k = base + lambda_k (reference - base):
    ids, types I32 [T]         packed token ids and segment ids (zeros for GPT-2); the last four BERT texts are pairs
    offsets I32 [N+1]          where each sequence starts
    labels I32 [N]             the class of each probe
    lambdas F64 [K]
    logits F32 [N,K,C], head_input F32 [N,K,H]
                               float32, eager attention; head input = pooled output (BERT), last token after ln_f
                               (GPT-2)
    cls F32 [N,K,H]            BERT only: hidden state of [CLS] before the pooler
    logits64, loss64, scores64 F64 [N,K,C], [N,K], [N,K]
                               the same network in float64; scores are -e^T (dW h + db) / ||[dW | db]|| with
                               d = reference - theta_k (for lambda = 1 the limit: d = reference - base)
"""
import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

LAMBDAS = [0.0, 0.05, 0.35, 0.95, 1.0]
VOCABULARY, POSITIONS, CLASSES, PAD = 120, 48, 3, 0
LABELS = {0: "animals", 1: "plants", 2: "stones"}
LENGTHS = [1, 1, 2, 3, 5, 7, 13, 48, 4, 9, 17, 48]


def fill(model, generator):
    """Weights large enough that every layer matters: unit gain, biases and LayerNorm parameters not trivial."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() == 1:
            norm_weight = name.endswith("weight")
            p.data = noise * 0.1 + (1.0 if norm_weight else 0.0)
        elif "embeddings" in name or name.endswith(("wte.weight", "wpe.weight")):
            p.data = noise * 0.5
        else:
            p.data = noise * (1.0 / min(p.shape)) ** 0.5


def moved(base, make, generator):
    model = make()
    model.load_state_dict(base.state_dict())
    for p in model.parameters():
        p.data += 0.2 * p.data.std(correction=0) * torch.randn(p.shape, generator=generator)
    return model


def at_point(make, base, reference, lam, dtype):
    model = make().to(dtype).eval()
    b, r = base.state_dict(), reference.state_dict()
    model.load_state_dict({n: b[n].to(dtype) + lam * (r[n].to(dtype) - b[n].to(dtype)) for n in b})
    return model


def run(model, ids, types):
    ids = ids.long()[None]
    if hasattr(model, "bert"):
        out = model.bert(input_ids=ids, token_type_ids=types.long()[None])
        return model.classifier(out.pooler_output)[0], out.pooler_output[0], out.last_hidden_state[0, 0]
    h = model.transformer(input_ids=ids).last_hidden_state[0, -1]
    return model.score(h), h, None


def head(state):
    parts = [state[n].double() for n in ("classifier.weight", "classifier.bias", "score.weight") if n in state]
    return parts[0], parts[1] if len(parts) > 1 else torch.zeros(CLASSES, dtype=torch.float64)


@torch.no_grad()
def golden(make, base, reference, generator, pairs):
    ids = torch.randint(1, VOCABULARY, (sum(LENGTHS),), generator=generator, dtype=torch.int32)
    offsets = torch.tensor([0] + LENGTHS).cumsum(0).int()
    types = torch.zeros_like(ids)
    if pairs:
        for n in range(len(LENGTHS) - 4, len(LENGTHS)):
            types[offsets[n] + LENGTHS[n] // 2 : offsets[n + 1]] = 1
    labels = torch.randint(0, CLASSES, (len(LENGTHS),), generator=generator, dtype=torch.int32)
    w0, b0 = head(base.state_dict())
    w1, b1 = head(reference.state_dict())
    dw, db = w1 - w0, b1 - b0
    norm = (dw.square().sum() + db.square().sum()).sqrt()
    out = {n: [] for n in ("logits", "head_input", "cls", "logits64", "loss64", "scores64")}
    for lam in LAMBDAS:
        single = at_point(make, base, reference, lam, torch.float32)
        double = at_point(make, base, reference, lam, torch.float64)
        rows = {n: [] for n in out}
        for n, label in enumerate(labels.tolist()):
            part = slice(int(offsets[n]), int(offsets[n + 1]))
            z, h, cls = run(single, ids[part], types[part])
            rows["logits"].append(z)
            rows["head_input"].append(h)
            if cls is not None:
                rows["cls"].append(cls)
            z, h, _ = run(double, ids[part], types[part])
            e = z.softmax(-1)
            rows["loss64"].append(-e[label].log())
            e[label] -= 1
            rows["logits64"].append(z)
            rows["scores64"].append(-(e @ (dw @ h + db)) / norm)
        for n, values in rows.items():
            if values:
                out[n].append(torch.stack(values))
    tensors = {n: torch.stack(v, dim=1).contiguous() for n, v in out.items() if v}
    lambdas = torch.tensor(LAMBDAS, dtype=torch.float64)
    return {**tensors, "ids": ids, "types": types, "offsets": offsets, "labels": labels, "lambdas": lambdas}


def save_old(base, folder):
    """The encoder under the names of the first BERT checkpoints, cut into two shards."""
    folder.mkdir(parents=True)
    old = {}
    for name, value in base.bert.state_dict().items():
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        old[name] = value.to(torch.bfloat16).contiguous()
    old["embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    names = sorted(old)
    half = len(names) // 2
    shards = {f"model-0000{i}-of-00002.safetensors": part for i, part in ((1, names[:half]), (2, names[half:]))}
    index = {"metadata": {"total_size": sum(v.numel() * v.element_size() for v in old.values())}, "weight_map": {}}
    for file, part in shards.items():
        save_file({n: old[n] for n in part}, folder / file, metadata={"format": "pt"})
        index["weight_map"].update({n: file for n in part})
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    left_out = ("id2label", "label2id", "problem_type", "dtype")
    config = {k: v for k, v in base.config.to_dict().items() if k not in left_out}
    config |= {"architectures": ["BertModel"], "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_pair(folder, make, seed, pairs):
    generator = torch.Generator().manual_seed(seed)
    base = make()
    fill(base, generator)
    reference = moved(base, make, generator)
    shutil.rmtree(folder, ignore_errors=True)
    base.save_pretrained(folder / "base")
    reference.save_pretrained(folder / "reference")
    save_file(golden(make, base, reference, generator, pairs), folder / "golden.safetensors")
    return base


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures" / "models"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    common = {"vocab_size": VOCABULARY, "id2label": LABELS, "label2id": {v: k for k, v in LABELS.items()},
              "pad_token_id": PAD, "attn_implementation": "eager"}
    bert = BertConfig(hidden_size=36, num_attention_heads=3, intermediate_size=50, num_hidden_layers=2,
                      max_position_embeddings=POSITIONS, type_vocab_size=2, **common)
    gpt2 = GPT2Config(n_embd=27, n_head=3, n_layer=2, n_positions=POSITIONS, bos_token_id=1, eos_token_id=1, **common)
    base = save_pair(out / "bert", lambda: BertForSequenceClassification(bert), 11, pairs=True)
    save_old(base, out / "bert" / "base-old")
    save_pair(out / "gpt2", lambda: GPT2ForSequenceClassification(gpt2), 12, pairs=False)


if __name__ == "__main__":
    main()
