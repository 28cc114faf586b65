"""Real data: download, verify, load.

catalogue
    each data set's official address, checksum, licence and citation
download
    bring a data set here: complete and checked, or not at all
archives
    safe unpacking
recordings
    real sounds: ESC-50, the free spoken digits; one audio file
splits
    training and test parts that share no source recording
batches
    tensors cut into batches, shuffled anew each epoch
corpora
    real English text and the word-similarity questions
vocabulary
    words to numbers and back
"""
