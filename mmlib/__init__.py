"""The small tested PyTorch package that the book on multi-modal learning stands on.

A map of the house, from the ground up. A floor imports only floors below it:

floor 1
    runtime            which device to use; seeds become ``torch.Generator`` objects
    shapes             checks at the door, with errors that teach
    randomness         the states of all sources of randomness, lent and put back
    files              a file is written whole or not at all
    checkpoint         the state of a training run in one safetensors file

floor 2
    world              one small synthetic place: scenes as pictures, words and sounds
    data               real data: download, verify, load; vocabulary
    training           ``fit`` and ``evaluate``: one loop for every chapter
    metrics            every score in the book
    text_metrics       scores of sentences and answers
    probe              what a linear classifier can read from features
    plotting           the only importer of matplotlib
    page               what a notebook's page shows besides figures: sounds, tables, numbers
    homework           the checks that students run and CI runs

floor 3, the lecture's systems, one module a chapter
    foundations        pretraining
    vision_audio       spectrogram, soundnet, localization
    vision_text        word2vec, captioning, attention, vqa

Nothing is re-exported here: ``from mmlib.vision_audio import spectrogram``.
"""

__version__ = "0.1.0"
