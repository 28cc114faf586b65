"""The world: one small synthetic place that every chapter can see, read and hear.

scenes      what there is: categories, colours, scene classes, relations; the held-out pairs
sampling    scenes drawn at random, for training or held out
pictures    scenes as images, exact masks and boxes; on distances, figures, backdrops
words       scenes as captions, tags, sentences for word vectors
questions   scenes as questions with answers, by type
mentions    what a caption names, as masks; beginnings that ask for a relation
sounds      scenes as 16 kHz waveforms, with separate stems; on timbres
reading     captions checked against their scene, claim by claim
balanced_pairs  like scenes with different answers to one question
voices      speakers, and captions as their speech, with the time of every phone; on phones
solids      a dozen categories of 3D objects made of named parts; on solid_forms
solid_samples   solids as voxels, points with normals and part labels, meshes
solid_views     solids and scenes of solids as depth maps, pictures, stereo pairs; on cameras
cameras     the pinhole camera: intrinsics, extrinsics, rays
dishes      plates of food with their recipes: ingredients and steps
single_source   scenes in which one object sounds, with sounds mixed from recordings
streets     road users and clutter around a vehicle as boxes; a spinning lidar
street_views    streets as a camera behind the windscreen sees them, by day, by night, in fog
"""
