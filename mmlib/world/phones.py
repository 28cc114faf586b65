"""The phones of English as a vocal tract makes them, and the words of the world in phones.

A phone is one or more ``Part``s in a row. Formants of vowels are the means of men's voices in
G. E. Peterson, H. L. Barney, *Control methods used in a study of the vowels*, JASA 24(2), 1952,
for a tract of ``REFERENCE_TRACT`` centimetres; those of the other phones, the durations and the
bands of noise are round numbers of the kind found in D. H. Klatt, JASA 67(3), 1980. The names are
ARPAbet's, without stress; ``SIL`` is silence.
"""

import re
from typing import NamedTuple

REFERENCE_TRACT = 17.0  # centimetres
SILENCE = "SIL"
NAN = float("nan")


class Band(NamedTuple):
    """Noise around one frequency, as of a fricative or a burst."""

    centre: float  # hertz
    width: float  # octaves
    level: float  # root mean square; a vowel has about 1


class Part(NamedTuple):
    """A share of a phone in which the tract aims at one shape."""

    share: float  # of the phone's duration
    formants: tuple[float, float, float] = (NAN, NAN, NAN)  # hertz; NaN: as the next phone
    voice: float = 0.0  # level of the glottal pulses
    breath: float = 0.0  # level of the noise made at the glottis
    band: Band | None = None  # noise made in the mouth
    nasal: float = NAN  # hertz, the zero of the closed mouth


VOWELS = {  # F1, F2, F3; two rows: it moves from one to the other
    "IY": [(270, 2290, 3010)],
    "IH": [(390, 1990, 2550)],
    "EH": [(530, 1840, 2480)],
    "AE": [(660, 1720, 2410)],
    "AA": [(730, 1090, 2440)],
    "AO": [(570, 840, 2410)],
    "UH": [(440, 1020, 2240)],
    "UW": [(300, 870, 2240)],
    "AH": [(640, 1190, 2390)],
    "ER": [(490, 1350, 1690)],
    "EY": [(480, 1900, 2520), (300, 2200, 2800)],
    "AY": [(720, 1200, 2450), (350, 2050, 2600)],
    "OW": [(530, 950, 2400), (360, 800, 2300)],
    "AW": [(720, 1250, 2450), (400, 900, 2300)],
    "OY": [(540, 850, 2400), (370, 1950, 2550)],
}
_LABIAL, _ALVEOLAR, _VELAR = (200, 800, 2200), (200, 1750, 2650), (220, NAN, NAN)
_S, _SH = Band(6000, 0.5, 0.32), Band(3100, 0.55, 0.4)
_F, _TH = Band(4500, 2.2, 0.1), Band(5800, 1.6, 0.09)
_P, _T, _K = Band(900, 1.2, 0.35), Band(4300, 0.7, 0.5), Band(1900, 0.5, 0.45)


def _scaled(band: Band, level: float) -> Band:
    return band._replace(level=band.level * level)


def _stop(tract: tuple, burst: Band, *, voiced: bool) -> list[Part]:
    """Closure, burst, and the breath before the voice returns."""
    if voiced:
        burst = _scaled(burst, 0.6)
        return [Part(0.75, tract, voice=0.16), Part(0.25, tract, voice=0.5, band=burst)]
    return [
        Part(0.52, tract),
        Part(0.16, tract, breath=0.1, band=burst),
        Part(0.32, breath=0.35, band=_scaled(burst, 0.12)),
    ]


def _fricative(tract: tuple, band: Band, *, voiced: bool) -> list[Part]:
    if voiced:
        return [Part(1, tract, voice=0.4, band=_scaled(band, 0.5))]
    return [Part(1, tract, breath=0.03, band=band)]


def _vowel(targets: list[tuple]) -> list[Part]:
    return [Part(1 / len(targets), target, voice=1.0) for target in targets]


PHONES: dict[str, list[Part]] = {
    **{name: _vowel(targets) for name, targets in VOWELS.items()},
    "P": _stop(_LABIAL, _P, voiced=False),
    "B": _stop(_LABIAL, _P, voiced=True),
    "T": _stop(_ALVEOLAR, _T, voiced=False),
    "D": _stop(_ALVEOLAR, _T, voiced=True),
    "K": _stop(_VELAR, _K, voiced=False),
    "G": _stop(_VELAR, _K, voiced=True),
    "CH": [Part(0.45, _ALVEOLAR), Part(0.55, (300, 1850, 2700), breath=0.05, band=_SH)],
    "JH": [
        Part(0.5, _ALVEOLAR, voice=0.16),
        Part(0.5, (300, 1850, 2700), voice=0.4, band=_scaled(_SH, 0.6)),
    ],
    "F": _fricative((340, 1100, 2080), _F, voiced=False),
    "V": _fricative((220, 1100, 2080), _F, voiced=True),
    "TH": _fricative((320, 1290, 2540), _TH, voiced=False),
    "DH": _fricative((270, 1290, 2540), _TH, voiced=True),
    "S": _fricative((320, 1390, 2530), _S, voiced=False),
    "Z": _fricative((240, 1390, 2530), _S, voiced=True),
    "SH": _fricative((300, 1840, 2750), _SH, voiced=False),
    "ZH": _fricative((300, 1840, 2750), _SH, voiced=True),
    "HH": [Part(1, (NAN, NAN, NAN), breath=0.3)],
    "M": [Part(1, (270, 1000, 2200), voice=0.5, nasal=1000)],
    "N": [Part(1, (270, 1500, 2500), voice=0.5, nasal=1700)],
    "NG": [Part(1, (270, 2000, 2700), voice=0.5, nasal=3000)],
    "L": [Part(1, (340, 1000, 2800), voice=0.6)],
    "R": [Part(1, (320, 1060, 1400), voice=0.6)],
    "W": [Part(1, (290, 610, 2150), voice=0.6)],
    "Y": [Part(1, (260, 2200, 3020), voice=0.6)],
    SILENCE: [Part(1)],
}
DURATIONS = {  # seconds, at rate 1, stressed
    **dict.fromkeys(("IH", "EH", "AH", "UH"), 0.12),
    **dict.fromkeys(("IY", "UW", "AA", "AO", "AE", "ER"), 0.15),
    **dict.fromkeys(("EY", "AY", "OW", "AW", "OY"), 0.19),
    **dict.fromkeys(("P", "T", "K"), 0.105),
    **dict.fromkeys(("B", "D", "G"), 0.08),
    **dict.fromkeys(("CH", "JH", "S", "SH"), 0.12),
    **dict.fromkeys(("F", "TH", "Z", "ZH"), 0.1),
    **dict.fromkeys(("V", "DH", "HH"), 0.07),
    **dict.fromkeys(("M", "N", "NG", "L", "R", "W", "Y"), 0.08),
    SILENCE: 0.1,
}

# Every word of the world's captions; 1 marks the stressed vowel, words without it are weak.
_WORDS = """
a AH | above AH B AH1 V | alarm AH L AA1 R M | an AE N | and AE N D | are AA R | at AE T
automobile AO1 T AH M AH B IY L | bark B AA1 R K | beach B IY1 CH | beat B IY1 T
behind B IH HH AY1 N D | bell B EH1 L | below B IH L OW1 | bird B ER1 D | blare B L EH1 R
blaring B L EH1 R IH NG | blue B L UW1 | boat B OW1 T | by B AY | can K AE N | car K AA1 R
city S IH1 T IY | clock K L AA1 K | croak K R OW1 K | dark D AA1 R K | day D EY1
daytime D EY1 T AY M | dog D AO1 G | drum D R AH1 M | eight EY1 T | field F IY1 L D | five F AY1 V
fly F L AY1 | forest F AO1 R AH S T | four F AO1 R | frog F R AA1 G | front F R AH1 N T
green G R IY1 N | guitar G IH T AA1 R | hill HH IH1 L | hoot HH UW1 T | horn HH AO1 R N
hound HH AW1 N D | in IH N | is IH Z | left L EH1 F T | meadow M EH1 D OW | moon M UW1 N
mountain M AW1 N T AH N | night N AY1 T | nighttime N AY1 T AY M | nine N AY1 N | of AH V
on AA N | one W AH1 N | orange AO1 R AH N JH | pink P IH1 NG K | purple P ER1 P AH L | red R EH1 D
right R AY1 T | ring R IH1 NG | rumble R AH1 M B AH L | rumbling R AH1 M B L IH NG | sail S EY1 L
see S IY1 | seven S EH1 V AH N | ship SH IH1 P | shore SH AO1 R | sing S IH1 NG | six S IH1 K S
song S AO1 NG | songbird S AO1 NG B ER D | stand S T AE1 N D | strum S T R AH1 M
strumming S T R AH1 M IH NG | sun S AH1 N | sunny S AH1 N IY | the DH AH | there DH EH R
three TH R IY1 | tick T IH1 K | time T AY1 M | to T UW | toad T OW1 D | town T AW1 N
trumpet T R AH1 M P AH T | two T UW1 | under AH1 N D ER | white W AY1 T | wood W UH1 D
yellow Y EH1 L OW | you Y UW | zero Z IH1 R OW
"""
_LEXICON = {
    word: tuple(phones) for word, *phones in map(str.split, re.split(r"[|\n]", _WORDS.strip()))
}


def pronounce(word: str) -> tuple[str, ...]:
    """Return a word's phones, with 1 at the stressed vowel: ``"birds"`` → B ER1 D Z.

    The words are those of the world's captions; a listed word may also take -s or -ing.

    Raises:
        ValueError: nobody has said how the word is pronounced.
    """
    if word in _LEXICON:
        return _LEXICON[word]
    if word[:-1] in _LEXICON and word[-1] == "s":
        return (*_LEXICON[word[:-1]], *_plural(_LEXICON[word[:-1]][-1]))
    if word[:-3] in _LEXICON and word.endswith("ing"):
        return (*_LEXICON[word[:-3]], "IH", "NG")
    raise ValueError(
        f"no pronunciation of {word!r} is known: use the words of the world's captions, "
        f"such as {', '.join(list(_LEXICON)[10:14])}, with -s or -ing"
    )


def _plural(last: str) -> tuple[str, ...]:
    if last in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return ("IH", "Z")
    return ("S",) if last in ("P", "T", "K", "F", "TH") else ("Z",)
