"""Real data: download, verify, load.

download
    each data set's official address, checksum, licence and citation; fetching and safe unpacking
recordings
    real sounds: ESC-50, the free spoken digits; one audio file
corpora
    real English text and the word-similarity questions
vocabulary
    words to numbers and back
"""
