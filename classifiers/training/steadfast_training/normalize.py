"""Undoes what is done to a text so that a classifier does not recognise it. The gateway's `src/normalize` is the same algorithm, rule for
rule: a change here is one there, and `tests/normalisation.jsonl` holds both to it. The gateway maps spans back; this side needs text only.

The stages, in their order: invisible characters and overlays out; compatibility forms (NFKC); spaced letters joined; look-alikes of Latin
letters in a Latin word; digits and signs in the place of letters; letters repeated more than three times.
"""

from __future__ import annotations

import re
import unicodedata

# Characters that show nothing, or nothing that is said: controls, soft hyphens, joiners, bidi marks, variation selectors, tags, fillers,
# trade marks (NFKC would glue "TM" to the name), overlays and enclosing marks.
_UNSEEN = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2120\u2122\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0334-\u0338\u0488\u0489\u20dd-\u20e0\u20e2-\u20e4"
)
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_UNSEEN_RE = re.compile(f"[{_UNSEEN}]")
_ZALGO_RE = re.compile(f"[{_MARKS}]{{3,}}")

# What NFKC leaves as it is, or makes worse: the acute accent typed as an apostrophe (NFKC: a space and a mark), letters in circles,
# boxes and parentheses.
_PREPARED = {0x00B4: "'", 0x1FFD: "'"}
for _first, _count, _letter in ((0x249C, 26, "a"), (0x1F110, 26, "A"), (0x1F150, 26, "A"), (0x1F170, 26, "A")):
    _PREPARED.update({_first + n: chr(ord(_letter) + n) for n in range(_count)})

_CYRILLIC = "аaеeоoрpсcуyхxіiјjѕsһhԁdԛqԝwӏlкkмmтtнhвbгrёeїiАAВBЕEКKМMНHОOРPСCТTУYХXІIЈJЅSҺHԀDԚQԜWӀIЁEЇI"
_OTHERS = (
    "αaεeιiκkνvοoρpτtυuχxγyηnωwζzάaέeίiόoύuώwήnΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXςcϳj"
    "օoոnսuհhցgᎪAᏴBᏟCᎠDᎬEᎻHᎫJᏦKᏞLᎷMᏢPᎡRᏚSᎢTᏙVᎳWᏃZ"
    "ɑaɡgᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz"
)
_SMALL = set("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ")
_TWIN = {pair[n]: pair[n + 1] for pair in (_OTHERS, _CYRILLIC) for n in range(0, len(pair), 2)}
_FOREIGN_CYRILLIC = set(_CYRILLIC[::2])

# Characters of words: ASCII letters and digits, and letters and marks of the alphabets. Ideographs and kana bound words.
_WORDISH = "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff\u20d0-\u20ff\u2c00-\u2dff\u302a-\u302f\u3099\u309a\ua640-\ua69f\ua720-\ua7ff\ufe20-\ufe2f"
_WORD_RE = re.compile(f"[{_WORDISH}]+")
_WORDISH_RE = re.compile(f"[{_WORDISH}]")
_SPACE = " \t\n\r\x0b\x0c\x85\u1680\u2028\u2029"
# What white space and ideographs bound: printable ASCII and the other characters of words (without the Ogham space).
_CHUNK_RE = re.compile(f"[!-~{_WORDISH}]+".replace("\u1fff", "\u167f\u1681-\u1fff"))

_SEPARATORS = " .-_*\u00b7\u2022"
_SEPARATOR_SET = frozenset(_SEPARATORS)
_SPACED_RE = re.compile(f"([{re.escape(_SEPARATORS)}])[^\\s](?:\\1[^\\s]){{2}}")
_EDGES = "()[]{}\"'*,.;:?!-"
_DIGITS = "013457"
_VOWELS = "aeiou"
_LEET_RE = re.compile(r"[A-Za-z][013457@$!]{1,2}[A-Za-z]|@[A-Za-z]{2}|[A-Za-z]\$\$")
_REPEAT_RE = re.compile(r"([A-Za-z])\1{3,}", re.IGNORECASE | re.ASCII)
_LEET_CORE_RE = re.compile(r"[0-9A-Za-z@$!'\-]+")
_REPEAT_CORE_RE = re.compile(r"[A-Za-z\-',.;?\u0080-\U0010ffff]+")
_DOMAIN_RE = re.compile(r"[A-Za-z]\.[A-Za-z]")
_HEX_RE = re.compile(r"[0-9A-Fa-f]+")
_UNITS_RE = re.compile(r"(?:[0-9]+[dhms])+", re.IGNORECASE)
_FLU_RE = re.compile(r"h[0-9]+n[0-9]+")

# Names and abbreviations that only look like it.
_KEPT = frozenset("a11y c3po c4d d3js g4s h1b i3wm k3s l3harris l4d m1a1 m3gan se7en t1d w3c w3schools".split())
_KEPT_BEFORE = frozenset("ddr gpt gtx http ipv llama log md mp oauth ps python rtx sha slf ssl tls usb utf vec web wpa".split())
_KEPT_AFTER_FOUR = frozenset("all j me net u you".split())
# After "@" at a word's beginning: what makes it an "a" and no mention.
_AFTER_AT = frozenset("ll nd rs ss".split())


def normalize(text: str) -> str:
    """The text that is judged in place of `text`. Twice is the same as once."""
    if not text.isascii() or _UNSEEN_RE.search(text):
        text = _compatible(text)
    if _SPACED_RE.search(text):
        text = _joined(text)
    if not text.isascii():
        # Once more: marks may combine with a Latin letter that did not with its twin.
        text = unicodedata.normalize("NFKC", _WORD_RE.sub(_latin, text))
    if _LEET_RE.search(text):
        text = _CHUNK_RE.sub(lambda found: _core(found, _spelled), text)
    if _REPEAT_RE.search(text):
        text = _CHUNK_RE.sub(lambda found: _core(found, _shortened), text)
    return text


def _compatible(text: str) -> str:
    for _ in range(8):
        seen = _ZALGO_RE.sub("", _UNSEEN_RE.sub("", text)).translate(_PREPARED)
        composed = unicodedata.normalize("NFKC", seen)
        if composed == text:
            break
        text = composed
    return text


def _wordish(text: str, at: int) -> bool:
    return at < len(text) and _WORDISH_RE.match(text, at) is not None


def _symbol(c: str) -> bool:
    return c.isascii() and c.isalpha() or c in _TWIN or c in _DIGITS


def _joined(text: str) -> str:
    out, at = [], 0
    while at < len(text):
        joined, end = _spaced(text, at)
        out.append(text[at:joined:2] + text[joined:end])
        at = end
    return "".join(out)


def _spaced(text: str, first: int) -> tuple[int, int]:
    """The run of single letters that begins at `first`: up to where it is to be joined, and where it ends. Joined or left as a whole."""
    if text[first] in _DIGITS or not _symbol(text[first]) or text[first + 1 : first + 2] not in _SEPARATOR_SET or not _opens(text, first):
        return first, first + 1
    separator = text[first + 1]
    last = first
    while last + 2 < len(text) and text[last + 1] == separator and _symbol(text[last + 2]):
        # A letter that begins something else ("k i l l a.b") ends the run before it.
        if text[last + 3 : last + 4] != separator and not _closes(text, last + 3):
            break
        last += 2
    end = last + 1
    while text[last] in _DIGITS:
        last -= 2
    letters = text[first : last + 1 : 2]
    digits = sum(c in _DIGITS for c in letters)
    latin = sum(c.isascii() for c in letters) - digits
    fits = len(letters) >= 4 and 2 * latin >= len(letters) and 3 * digits <= len(letters)
    word = fits and len(set(letters)) > 1 and _closes(text, last + 1)
    return last if word else first, end


def _opens(text: str, first: int) -> bool:
    if first == 0:
        return True
    before = text[first - 1]
    if before.isascii():
        return before in _SPACE or before in "([{\"*>"
    return before != "\u2019" and not _wordish(text, first - 1)


def _closes(text: str, end: int) -> bool:
    if end == len(text) or text[end] in _SPACE:
        return True
    if _wordish(text, end):
        return False
    if not text[end].isascii():
        return True
    if text[end] in "@/\\=_#&":
        return False
    return not _wordish(text, end + 1)


def _latin(found: re.Match) -> str:
    word = found[0]
    if word.isascii():
        return word
    latin = letters = small = 0
    cyrillic_only = all_small = True
    foreign = False
    for c in word:
        code = ord(c)
        if "0" <= c <= "9" or 0x300 <= code <= 0x36F:
            continue
        letters += 1
        if c in _SMALL:
            small += 1
        elif c not in "sxqSXQ":
            all_small = False
        if c.isascii() or 0xC0 <= code <= 0x24F or 0x1E00 <= code <= 0x1EFF:
            latin += 1
        elif c in _TWIN:
            foreign = True
            cyrillic_only &= c in _FOREIGN_CYRILLIC
        else:
            return word
    if not foreign:
        return word
    if not (all_small and small >= 3) and (latin == 0 or letters < (2 if cyrillic_only else 4)):
        return word
    return "".join(_TWIN.get(c, c) for c in word if not 0x300 <= ord(c) <= 0x36F)


def _core(found: re.Match, change) -> str:
    """Changes a chunk between white space without the punctuation around it."""
    chunk = found[0]
    core = chunk.strip(_EDGES)
    if not core:
        return chunk
    start = chunk.index(core)
    return chunk[:start] + change(core) + chunk[start + len(core) :]


def _spelled(core: str) -> str:
    if not _LEET_CORE_RE.fullmatch(core):
        return core
    parts = re.split("([-'])", core)
    if "-" in parts and any(part.isdigit() or any(c in "2689" for c in part) for part in parts):
        return core
    return "".join(_unleet(part) for part in parts)


def _unleet(part: str) -> str:
    digits = sum(c.isdigit() for c in part)
    signs = sum(c in "@$!" for c in part)
    letters = len(part) - digits - signs
    if digits + signs == 0 or any(c in "2689" for c in part):
        return part
    lower = part.lower()
    if part[0] == "@":
        plain = letters == len(part) - 1 and 2 <= letters <= 3 and lower[1:3] in _AFTER_AT and part[1:] == lower[1:]
        return "a" + part[1:] if plain else part
    if 1 <= letters <= 4 and letters + 2 == len(part) and part.endswith("$$"):
        return part[:-2] + ("SS" if part[:-2].isupper() and letters > 1 else "ss")
    if letters < 2 or digits + signs > letters or part[-1] in "@!" or _kept(part, lower, digits, signs):
        return part
    spelled = _letters(lower)
    if spelled is None or not _sayable(lower, spelled):
        return part
    upper = not any(c.islower() for c in part)
    if upper and digits and not _shouted(lower):
        return part
    return "".join(old if old.isalpha() else new.upper() if upper else new for old, new in zip(part, spelled))


def _kept(part: str, lower: str, digits: int, signs: int) -> bool:
    """Whether it looks like something else than a word: a name, a hexadecimal number, a duration, an identifier."""
    first = next(n for n, c in enumerate(lower) if not c.isalpha())
    before = lower[:first]
    return (
        lower in _KEPT
        or part.startswith(("CH3", "CH4", "NH3", "NH4"))
        or _FLU_RE.fullmatch(lower) is not None
        or signs == 0
        and (before in _KEPT_BEFORE or first > 0 and lower[first] == "4" and lower[first + 1 :] in _KEPT_AFTER_FOUR)
        or signs == 0
        and _HEX_RE.fullmatch(part) is not None
        and (len(part) >= 6 or digits >= 2)
        or _UNITS_RE.fullmatch(part) is not None
        or _humped(part)
    )


def _humped(part: str) -> bool:
    """A small letter before a capital one, as in `camelCase`."""
    letters = [c for c in part if c.isalpha()]
    return any(a.islower() and b.isupper() for a, b in zip(letters, letters[1:]))


def _letters(lower: str) -> str | None:
    """A letter for each digit and sign; None if they do not stand where letters would."""
    out: list[str] = []
    interior = vowel_seen = False
    others = 0
    lone_consonants = True
    at = 0
    while at < len(lower):
        c = lower[at]
        if c.isalpha():
            out.append(c)
            vowel_seen |= c in _VOWELS
            at += 1
            continue
        end = at
        while end < len(lower) and not lower[end].isalpha():
            end += 1
        run = lower[at:end]
        if len(run) > 2 or len(set(run)) > 1:
            return None
        before, after = out[-1] if out else "", lower[end] if end < len(lower) else ""
        if before and after:
            interior = True
            if c in "@!" and vowel_seen and not any(d.isdigit() for d in lower) and not (c == "@" and _tail(before, lower[end:])):
                return None
        if c not in "57":
            others += 1
        elif run[0] * 2 != run and not (before and before in _VOWELS):
            lone_consonants = False
        letter = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}[c]
        if c == "1" and (run == "11" or _ell(before, after)):
            letter = "l"
        out.extend(letter * len(run))
        vowel_seen |= letter in _VOWELS
        at = end
    return "".join(out) if interior and (others or lone_consonants) else None


def _tail(before: str, rest: str) -> bool:
    """The end of a word such as "hum@ns", unlike "root@server"."""
    return before not in _VOWELS and len(rest) <= 3 and all(c.isalpha() and c not in _VOWELS for c in rest)


def _ell(before: str, after: str) -> bool:
    """Whether a 1 between these letters is an l: "b1ack", "he1l", but "k1ll", "d1e"."""
    if not before or not after:
        return False
    if before in _VOWELS:
        return after in "aeioul"
    return before in "bcfgkps" and after in _VOWELS


def _sayable(lower: str, spelled: str) -> bool:
    if len(lower) == 3:
        last = lower[2] not in _VOWELS or lower[1] in "1!" and lower[2] == "e"
        return lower[0] not in _VOWELS and lower[0].isalpha() and lower[1] in "0134@!" and last
    vowels = sum(c in _VOWELS for c in spelled)
    return 0 < vowels and 3 * vowels <= 2 * len(spelled)


def _shouted(lower: str) -> bool:
    """Whether a word in capitals with digits is one, and no booking code: vowels stand between consonants."""
    for at, c in enumerate(lower):
        inside = 0 < at < len(lower) - 1
        if c in "57" or c in _DIGITS and inside and (lower[at - 1] in _VOWELS or lower[at + 1] in _VOWELS):
            return False
    return True


def _shortened(core: str) -> str:
    if not _REPEAT_CORE_RE.fullmatch(core) or _DOMAIN_RE.search(core):
        return core
    return re.sub(r"[A-Za-z]+", lambda word: _once(word[0]), core)


def _once(word: str) -> str:
    if len(set(word.lower())) == 1:
        return word
    return _REPEAT_RE.sub(lambda run: run[0][: 1 if run[1].lower() in "ahijkquvwxy" else 2], word)
