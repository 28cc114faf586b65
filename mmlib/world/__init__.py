"""The world: one small synthetic place that every chapter can see, read and hear.

scenes      what there is: kinds, colours, places, relations; the held-out colour–kind pairs
sampling    scenes drawn at random, for training or held out
pictures    scenes as images, exact masks and boxes; on distances, figures, backdrops
words       scenes as captions, tags, sentences for word vectors
questions   scenes as questions with answers, by type
mentions    what a caption names, as masks; beginnings that ask for a relation
twins       balanced pairs: like scenes with different answers to one question
sounds      scenes as 16 kHz waveforms, with separate stems; on timbres
"""
