"""Real data: download, verify, load.

catalogue
    each data set's official address, checksum, licence and citation
download
    bring a data set here: complete and checked, or not at all
archives
    safe unpacking
photographs, captioned_pictures, visual_questions
    pictures: one file, CIFAR-10; Flickr8k and COCO captions; easy-VQA and NLVR
imagenet
    EfficientNet-Lite0 with its ImageNet weights
recordings, splits
    sounds: one file, ESC-50, the free spoken digits; folds that share no source recording
videos, talking_faces, sounding_boxes
    clips: one file, GRID; boxes around what sounds
driving_frames
    frames in the format of KITTI's object data: scan, picture, calibration, boxes
nuscenes
    one frame of nuScenes: a picture, a lidar's points, their calibration, boxes
meshes, modelnet
    triangles: four well-known test meshes; ModelNet10
corpora, vocabulary, word_vectors
    real English text and the word-similarity questions; words to numbers; words with vectors
batches
    tensors cut into batches, shuffled anew each epoch
"""
