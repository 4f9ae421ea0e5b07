"""Tokenizers in the shapes of the DeepSeek, GLM and Kimi ones, trained on a few lines, and texts that
tell them apart. The patterns are those of the releases."""
import base64
import json
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN, END, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CASED = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ"
         "Ὗ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯ"
         "ꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
WIDE = "[一-龥\u0800-一가-\ud7ff]+"
V3_WORDS = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
GLM = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
       r"|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]", r"\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]"
KIMI = [r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{CONTRACTIONS}?",
        r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]


def split(*regexes):
    return [pre_tokenizers.Split(Regex(regex), "isolated") for regex in regexes]


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


SHAPES = {
    "v3": [*split(r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", V3_WORDS), byte_level()],
    "v2": [*split("[\r\n]", rf"\s?[{CASED}]+", "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", WIDE),
           pre_tokenizers.Digits(individual_digits=True), byte_level()],
    "coder": [*split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", WIDE),
              pre_tokenizers.Digits(individual_digits=True), byte_level()],
    "glm": [*split(GLM), byte_level()],
    "gpt2": [pre_tokenizers.Digits(individual_digits=False), byte_level(use_regex=True)],
}

TEXTS = [
    "", " ", "\n", "Hello, world!", "The quick brown fox can't jump; it's THEY'LL we'Ve I'ſ 'Re",
    "你好，世界。深度求索：一二三四五", "日本語のテキスト、カタカナとひらがな。ー々〆〇", "한국어 텍스트와 English",
    "def f(x):\n\treturn x ** 2  # squared\r\n\r\n    if x:\r\n        pass\n", "#include <vector>\n#define X(a) (a)",
    "1 12 123 1234 12345 123456 1234567 3.14159 1,000,000 ١٢٣٤ ⅣⅫ ²³ ½",
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪🇨🇳 ❤️‍🔥 🚀🚀🚀 ☺", "a b  c   d    e     f      ", "\t\tx\t \ty \t\n \t\n\n\n  z",
    "   leading", "trailing   ", "\u00a0\u3000\u2003x\u180ey\u0085z\u200b\ufeffw", "e\u0301 a\u0300\u0323 Zͣ̈̒ กิน นั้น हिन्दी",
    "x" * 700, "ab" * 300, " " * 500 + "x", "=" * 300, "é" * 200, "永" * 300, "A" * 400 + "a",
    f"{BEGIN}Hi{END}", f"a {END}  b<think>\nhm\n</think> c {PAD}", "<|User|><｜User｜>q<｜Assistant｜><｜User", "<thin", "</think",
    "x <strip>  y  <left>z <right>  w<right><left> <strip> \u3000<strip>", "aUSERbUSERUSERLONG USE", "\x00\x01\x1c\x1f\x7f",
    "Straße ẞ ŉ İstanbul ı ǅ ﬀ ﬁ Å K Ω ͅ", "//comment\\n path/to/file.txt C:\\dir $PATH ${x} `code` ~tilde~ a_b-c", "....!!!???;;;",
    "http://example.org/?q=1&r=2#frag user@host", "\r\r\n\n\r", " \r\n \n x\n\n\n", "Ωmega ΑΒΓ кириллица ქართული ᲐᲑᲒ Ꭰ հայ עברית العربية",
]

CORPUS = [t for t in TEXTS if 0 < len(t) < 400] * 2 + [
    "the quick brown fox jumps over the lazy dog and the other things that are in the house " * 3,
    "def main(argc, argv):\n    return 0\n\nfor i in range(10):\n    print(i)\n" * 3,
    "我们在这里看到的是一个新的世界，这是我们的世界。" * 3, "これはテストです。日本語の文章を書きます。" * 3]


def fuzz(seed, count):
    """Random mixtures of what tokenizers care about, in characters that Unicode 3.2 had."""
    draw = random.Random(seed)
    old = unicodedata.ucd_3_2_0

    def any_character():
        while True:
            c = chr(draw.choice([draw.randrange(0x300), draw.randrange(0x3000), draw.randrange(0x20000)]))
            if old.category(c) not in ("Cn", "Cs"):
                return c

    pieces = [
        lambda: draw.choice(["the", "Foo", "BAR", "isn't", "I'LL", "we'vE", "'s", "'", "ſ", "naïve", "ß", "İ"]),
        lambda: draw.choice(" \t\n\r\u00a0\u3000\u0085\u180e\u2028\x0b\x0c\x1c") * draw.choice([1, 1, 2, 3, 7]),
        lambda: draw.choice(["\r\n", "\n\n", " \n", "\n ", "\r"]),
        lambda: "".join(chr(draw.randrange(0x4E00, 0x9FA6)) for _ in range(draw.randrange(1, 5))),
        lambda: "".join(chr(draw.randrange(0x3041, 0x30FF)) for _ in range(draw.randrange(1, 5))),
        lambda: "".join(draw.choice("0123456789٣४²Ⅷ㊿") for _ in range(draw.randrange(1, 9))),
        lambda: draw.choice("aeoxЖक") + draw.choice("\u0301\u0323\u0951\u20dd\ufe0f") * draw.randrange(1, 3),
        lambda: draw.choice(["👩‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "☃", "々", "〇", "ー", "ǅ", "ʰ"]),
        lambda: "".join(draw.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡§«—…、。「」￥") for _ in range(draw.randrange(1, 4))),
        lambda: draw.choice([BEGIN, END, PAD, "<think>", "</think>", "<｜User｜>", "<strip>", "<left>", "<right>",
                             "USER", "USERLONG", "<｜", "｜>", "<th"]),
        any_character, any_character,
    ]
    return ["".join(draw.choice(pieces)() for _ in range(draw.randrange(1, 30))) for _ in range(count)]


def make_json(folder, shape, vocab_size=640, string_merges=False, changes=None):
    """Writes tokenizer.json; returns the tokenizer, read back from it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(SHAPES[shape])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=[AddedToken(t, normalized=False) for t in (BEGIN, END, PAD)]))
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ("<｜User｜>", "<｜Assistant｜>")])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False),
                          AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False),
                          AddedToken("<left>", lstrip=True, normalized=False),
                          AddedToken("<right>", rstrip=True, normalized=False),
                          AddedToken("USER", normalized=True), AddedToken("USERLONG", normalized=True)])
    document = json.loads(tokenizer.to_str())
    document["normalizer"] = {"type": "Sequence", "normalizers": []}
    if string_merges:
        document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    document.update(changes or {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False))
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def bytes_of(spelled):
    """The bytes of a piece in byte spelling."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    table = {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}
    return bytes(table[c] for c in spelled)


def make_kimi(folder, module="tokenization_kimi", vocab_size=640):
    """Writes tiktoken.model, tokenizer_config.json and a program with the pattern; returns the ranks and
    the special tokens' ids."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(SHAPES["v3"])
    made.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    pieces = sorted(made.get_vocab(), key=made.get_vocab().get)
    ranks = {bytes_of(piece): rank for rank, piece in enumerate(pieces)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiktoken.model").write_bytes(
        b"".join(base64.b64encode(piece) + b" %d\n" % rank for piece, rank in ranks.items()))
    first = len(ranks)
    names = {first: "[BOS]", first + 1: "[EOS]", first + 2: "<|im_end|>", first + 3: "<|im_user|>",
             first + 254: "[UNK]", first + 255: "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "added_tokens_decoder": {str(i): {"content": name, "lstrip": False, "normalized": False, "rstrip": False,
                                          "single_word": False, "special": True} for i, name in names.items()},
        "auto_map": {"AutoTokenizer": [f"{module}.TikTokenTokenizer", None]},
        "bos_token": "[BOS]", "eos_token": "[EOS]", "pad_token": "[PAD]", "unk_token": "[UNK]",
        "tokenizer_class": "TikTokenTokenizer", "chat_template": "{{ messages }}"}))
    alternatives = "".join(f'            r"""{regex}""",\n' for regex in KIMI)
    (folder / f"{module}.py").write_text(
        f'class TikTokenTokenizer:\n    pat_str = "|".join(\n        [\n{alternatives}        ]\n    )\n')
    special = {names.get(i, f"<|reserved_token_{i}|>"): i for i in range(first, first + 258)}
    return ranks, special
