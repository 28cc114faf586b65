"""The small tested PyTorch package that the book on multi-modal learning stands on.

A map of the house, from the ground up. A floor imports only floors below it:

floor 1
    runtime            which device to use; seeds become ``torch.Generator`` objects
    shapes             arguments are checked, with errors that teach
    files              a file is written whole or not at all
    page               what a notebook's page shows besides figures: sounds, tables, numbers
    viewer             shapes that the reader turns in the page
    plotting           the only importer of matplotlib

floor 2
    animation          pictures that move in step with a sound
    fast               the same results as a chapter's code, sooner

floor 3
    world              one small synthetic place: scenes as pictures, words and sounds
    data               real data: download, verify, load; vocabulary, batches
    training           ``fit`` and ``predict``: one loop for every chapter
    metrics            every score of classification, retrieval and boxes
    text_metrics       scores of sentences and answers
    box_metrics        scores of boxes in space: rotated IoU, average precision
    surfaces           meshes in batches, points on them, how near two surfaces are
    box_clusters       boxes around clusters of points, named by a random forest
    speech_recogniser  an independent judge of what is said, PocketSphinx
    unit_metrics       scores of learned speech units
    probe              what a linear classifier can read from features
    homework           the checks that students run and CI runs

floor 4
    foundations        modalities, fusion, pretraining
    vision_text        word2vec, deep_boltzmann, visual_semantic, recipes, captioning, attention,
                       text_to_image, vqa
    vision_audio       spectrogram, soundnet, speech2face, image_to_speech, localization,
                       separation, lips
    vision_3d          representations, recognition, detection, segmentation, mesh, refocus, driving

Nothing is re-exported here: ``from mmlib.vision_audio import spectrogram``.
"""

__version__ = "0.1.0"
