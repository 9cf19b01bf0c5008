#!/usr/bin/env python3
"""Makes assets/demo: a small BERT, pre-trained here, and the same fine-tuned on a secret mixture of domains.

    node scripts/demo-texts.mjs > texts.jsonl
    python3 scripts/make-demo.py --texts texts.jsonl --seed 1

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
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MAX_LENGTH = 128
VOCABULARY = 4096
PRETRAINING = {"epochs": 4, "learningRate": 2e-3, "batch": 32, "masked": 0.2}
FINETUNING = {"texts": 700, "epochs": 4, "learningRate": 2e-4, "batch": 32, "weightDecay": 0.01}


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


def secret_mixture(domains, most, rng):
    """Shares from a flat Dirichlet, drawn again until none is below .03 and none needs more texts than there are."""
    while True:
        draws = [rng.expovariate(1) for _ in domains]
        shares = [draw / sum(draws) for draw in draws]
        counts = [round(share * FINETUNING["texts"]) for share in shares]
        if min(shares) >= 0.03 and all(count <= limit for count, limit in zip(counts, most)):
            return counts


def finetune(base, train, labels, domains, rng):
    """All parameters, AdamW, a head of its own random start."""
    config = BertConfig(**{**base.config.to_dict(), "id2label": dict(enumerate(domains)),
                           "label2id": {name: i for i, name in enumerate(domains)},
                           "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1})
    model = BertForSequenceClassification(config)
    model.bert.load_state_dict(base.state_dict())
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=FINETUNING["learningRate"], weight_decay=FINETUNING["weightDecay"])
    model.train()
    order = list(range(len(train)))
    for epoch in range(FINETUNING["epochs"]):
        rng.shuffle(order)
        total = 0
        for s in range(0, len(order), FINETUNING["batch"]):
            chosen = order[s : s + FINETUNING["batch"]]
            ids, attention = padded([train[i] for i in chosen])
            loss = model(ids, attention_mask=attention, labels=torch.tensor([labels[i] for i in chosen])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        print(f"fine-tuning epoch {epoch + 1}: loss {total / len(train):.3f}", file=sys.stderr)
    return model


def save(model, tokenizer, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True, help="JSON lines from scripts/demo-texts.mjs")
    parser.add_argument("--seed", type=int, default=1, help="of the mixture, the fine-tuning texts and the head")
    parser.add_argument("--base", help="take this base model instead of pre-training one")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "assets" / "demo")
    args = parser.parse_args()

    with open(args.texts, encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    domains = list(dict.fromkeys(t["domain"] for t in texts if t["domain"] is not None))
    if args.base:
        tokenizer = Tokenizer.from_file(str(Path(args.base) / "tokenizer.json"))
        base = BertModel.from_pretrained(args.base, dtype=torch.float32)
    else:
        reading = [t["text"] for t in texts if t["part"] == "pretraining"]
        tokenizer = train_tokenizer([t["text"] for t in texts])
        torch.manual_seed(0)
        config = BertConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=96, num_hidden_layers=3,
                            num_attention_heads=3, intermediate_size=384, max_position_embeddings=MAX_LENGTH,
                            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        base = pretrain([tokenizer.encode(text).ids for text in reading], config, random.Random(0))
        # The fine-tuning starts from the numbers that are stored, not from finer ones.
        base = base.half().float()

    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    pools = [[t["text"] for t in texts if t["domain"] == name and t["part"] == "training"] for name in domains]
    counts = secret_mixture(domains, [len(pool) for pool in pools], rng)
    chosen = [(text, label) for label, pool in enumerate(pools) for text in rng.sample(pool, counts[label])]
    train = [tokenizer.encode(text).ids for text, _ in chosen]
    reference = finetune(base, train, [label for _, label in chosen], domains, rng)

    args.out.mkdir(parents=True, exist_ok=True)
    save(base, tokenizer, args.out / "base")
    save(reference, tokenizer, args.out / "reference")
    total = sum(counts)
    truth = {"domains": domains, "mixture": [count / total for count in counts], "counts": counts, "seed": args.seed,
             "recipe": {"pretraining": PRETRAINING, "finetuning": FINETUNING, "optimizer": "AdamW",
                        "maxLength": MAX_LENGTH},
             "longestText": max(map(len, train)), "trainedTokens": len({i for row in train for i in row})}
    (args.out / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
