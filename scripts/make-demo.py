#!/usr/bin/env python3
"""Makes assets/demo/base: a small BERT, pre-trained here. The demo fine-tunes it itself.

    node scripts/make-demo-texts.mjs --all > texts.jsonl
    python3 scripts/make-demo.py --texts texts.jsonl

Needs torch, transformers, tokenizers; a few minutes on two cores. A development tool: nothing of the package runs it.
"""
import argparse
import json
import random
import shutil
import sys
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, BertModel

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_LENGTH = 128
VOCABULARY = 4096
PRETRAINING = {"epochs": 4, "learningRate": 2e-3, "batch": 32, "masked": 0.2}


def train_tokenizer(texts):
    """Lower-case BERT WordPiece, trained on all the texts given."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, SPECIAL.index(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.enable_truncation(MAX_LENGTH)
    return tokenizer


def padded(batch):
    """Ids and attention mask of a list of id lists, both [texts, longest]."""
    longest = max(map(len, batch))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch])
    return ids, (torch.arange(longest) < torch.tensor([[len(row)] for row in batch])).long()


def batches_by_length(encoded, size, rng):
    """Batches of texts of like length, in random order: little padding."""
    order = sorted(range(len(encoded)), key=lambda i: (len(encoded[i]), rng.random()))
    batches = [order[s : s + size] for s in range(0, len(order), size)]
    rng.shuffle(batches)
    return [[encoded[i] for i in batch] for batch in batches]


def mask_tokens(ids, attention):
    """BERT's corruption: of the chosen tokens 80 % become [MASK], 10 % a random token, 10 % stay."""
    chosen = (torch.rand(ids.shape) < PRETRAINING["masked"]) & (ids >= len(SPECIAL)) & attention.bool()
    kind = torch.rand(ids.shape)
    corrupted = torch.where(chosen & (kind < 0.8), SPECIAL.index("[MASK]"), ids)
    corrupted = torch.where(chosen & (kind >= 0.9), torch.randint(len(SPECIAL), VOCABULARY, ids.shape), corrupted)
    return corrupted, chosen


def pretrain(encoded, config, rng):
    """Masked tokens, told from their place and from the pooled text: the pooler learns what a text is about."""
    model = BertModel(config)
    output = BertForMaskedLM(config).cls
    steps = PRETRAINING["epochs"] * -(-len(encoded) // PRETRAINING["batch"])
    parameters = [*model.parameters(), *output.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PRETRAINING["learningRate"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PRETRAINING["learningRate"], total_steps=steps, pct_start=0.06, cycle_momentum=False)
    start = time.time()
    for epoch in range(PRETRAINING["epochs"]):
        totals = torch.zeros(2)
        batches = batches_by_length(encoded, PRETRAINING["batch"], rng)
        for batch in batches:
            ids, attention = padded(batch)
            corrupted, chosen = mask_tokens(ids, attention)
            result = model(corrupted, attention_mask=attention)
            by_place = torch.nn.functional.cross_entropy(output(result.last_hidden_state[chosen]), ids[chosen])
            pooled = result.pooler_output[chosen.nonzero()[:, 0]]
            by_text = torch.nn.functional.cross_entropy(output(pooled), ids[chosen])
            optimizer.zero_grad()
            (by_place + by_text).backward()
            optimizer.step()
            schedule.step()
            totals += torch.tensor([by_place.item(), by_text.item()]) / len(batches)
        print(f"pre-training epoch {epoch + 1}: by place {totals[0]:.3f}, by text {totals[1]:.3f} nats, "
              f"{time.time() - start:.0f} s", file=sys.stderr, flush=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True, help="JSON lines from scripts/make-demo-texts.mjs --all")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "assets" / "demo" / "base")
    args = parser.parse_args()

    with open(args.texts, encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    reading = [t["text"] for t in texts if t["part"] == "pretraining"]
    tokenizer = train_tokenizer([t["text"] for t in texts])
    torch.manual_seed(0)
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=96, num_hidden_layers=3,
                        num_attention_heads=3, intermediate_size=384, max_position_embeddings=MAX_LENGTH,
                        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    base = pretrain([tokenizer.encode(text).ids for text in reading], config, random.Random(0))
    shutil.rmtree(args.out, ignore_errors=True)
    base.half().save_pretrained(args.out)
    tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)


if __name__ == "__main__":
    main()
