"""The real data sets of this book: official addresses, checksums, licences, citations.

A checksum is that of the official file; ``None`` where nobody publishes one and the archive is
packed anew by its server.
"""

from dataclasses import dataclass

_NLTK = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora"
_GENSIM = "https://raw.githubusercontent.com/piskvorky/gensim/4.4.0/gensim/test/test_data"
_WIKITEXT = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data"
_FLICKR8K = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_COCO = "https://s3.amazonaws.com/images.cocodataset.org"
_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task2/raw"
_VGGSS = (
    "https://raw.githubusercontent.com/hche11/Localizing-Visual-Sounds-the-Hard-Way/"
    "8fe8cbbf810e804cf8cc9b244bb5d77ec8aa8315/metadata"
)
_SENOCAK = (
    "https://raw.githubusercontent.com/ardasnck/learning_to_localize_sound_source/"
    "89205e9b0af21be847d29deeaded140604e77229"
)
_LIPNET = "https://raw.githubusercontent.com/rizkiarm/LipNet"
_KITTI = "https://raw.githubusercontent.com/kuixu/kitti_object_vis/12ce0a23/data/object/training"
_KITTI_FILES = {
    "calib/000000.txt": "29b89ca9fa49b2cad778bf73910ff7210c7998badae39796cf29666081992d7f",
    "calib/000001.txt": "5813c05a89e33e67244891c62e153e0a572692d42365b8665e38cc242c7d4918",
    "image_2/000000.png": "bf103e7a67c33549053fd3faa22b4c079434acc967b24995da3bdc7f8ece8c65",
    "image_2/000001.png": "40acaf855260376103a5e0d97e9dce15d51811c0f419ff308e948fefdd880bf6",
    "label_2/000000.txt": "6627ff300809ccdb8f0402c1003b7c691a64e3027ceaf0ce7cabfeef9809d0c3",
    "label_2/000001.txt": "36eef20c544fb5cd648ea3144683a6f0e7a6869c94c1347cb7e6997e0253aefd",
    "velodyne/000000.bin": "0e09c85e3f6078ecbdd1e706ee9624519f1bd29417437167a9ed7fbe6f54b4b1",
    "velodyne/000001.bin": "59a02fdaaab3b7e903713cb618e8f53efcaf71c144436ddfcdf4f28bdbd73d20",
}
_MIDDLEBURY = "https://vision.middlebury.edu/stereo/data/scenes2003/newdata"
_NUSCENES = (
    "https://raw.githubusercontent.com/open-mmlab/mmdetection3d/"
    "fe25f7a51d36e3702f961e198894580d83c4387b/demo/data/nuscenes"
)
_NUSCENES_FRAME = {
    "n015-2018-07-24-11-22-45+0800.pkl": (
        "5ced892a1c939de17b9df1c2719684f84e0103096c2f689761631d1c34fb0ac8"
    ),
    "n015-2018-07-24-11-22-45+0800__CAM_FRONT__1532402927612460.jpg": (
        "b7b7d466207462cf46742297a36afdd65315c05ae33126d5d36412aae70a0b62"
    ),
    "n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin": (
        "5f8f9b1b199ceff7d41cd319021a7a7b02dcd44d41f622a9e65a6a4a6be3cbdb"
    ),
}
_MESHES = (
    "https://raw.githubusercontent.com/alecjacobson/common-3d-test-models/"
    "8a4f8642acaf43f9cd7b67858a1502e1055ef202/data"
)
_MESH_FILES = {
    "cow.obj": "69afce548640bc2beb0c44894d1a24d5766cc9cd3fd74f3ec55b4e229104b23f",
    "spot.obj": "0738b5e8608fed74e5e8c7aa8dd0af97b4b74f9f6cbf7aac84cd7e40b2e44a75",
    "suzanne.obj": "d8684326f9bd8cfc24d3d302c1042fa16f63d2e66e49ed56b413fa20bed271e6",
    "teapot.obj": "1b5396fedd74b577e32cef41146582c2f2e1a050d5b4915193c0ac1ad4187ed4",
}
_GRID = f"{_LIPNET}/dc721efc302176eec9634908ff388ad332a30380/evaluation/samples"
_GRID_MORE = f"{_LIPNET}/1dcea8209f90bc240213d636372cd93059c32c51/evaluation/samples"
_GRID_CLIPS = {
    "bbaf2n": "e468120039e208b5ff9b9e269f8dc96bbddc45701f8dddcf2c0ae21abc0df546",
    "brbk7n": "2122707c6dd3b59a32b5272870afb37397dc6b20cf52241cf8ff7cfda7b3efa3",
    "lbax4n": "8f80c8ced6a8cb47d55c5c01704d4669b410369af653f6be7fbda9003337dedf",
    "lbbc2a": "9447e5e0732eeaf4444b5ba1e3412c8a9e194975ba7c814fa64c4c41c83d4e4c",
    "lrwp9a": "1a6c86fc5e7d4e9ee66a891f188f9a648c9b8be3bdc2431d73ac7e533aa70b3f",
    "lwbsza": "09090d1f7a8a946233a015a1b4258fafcb790ed6dbbd884ed88ae51fe36841a0",
    "pwij3p": "a610d98c101dde3587cc66d70cb569d3b1d0111cfad90bd0037e47e21316beda",
    "sbia1a": "768e49272122f1577839db576ea00146d08e83d778c7fe8b9ca1b194dff57c7d",
}


@dataclass(frozen=True)
class Source:
    """One file to download."""

    url: str
    path: str  # where it goes in the data set's folder; for an archive, the folder to unpack it to
    sha256: str | None = None  # of the official file, where known
    archive: bool = False


@dataclass(frozen=True)
class DataSet:
    """A real data set: where it comes from and what a user of it must know."""

    name: str  # also the name of its folder
    page: str  # where its authors describe it
    sources: tuple[Source, ...]
    megabytes: float  # to download, about
    licence: str
    citation: str
    probe: str  # a file or folder that every copy has, also one that is cut down
    note: str = ""  # what else to know, such as where more of it is


DATA_SETS: dict[str, DataSet] = {
    data_set.name: data_set
    for data_set in (
        DataSet(
            name="esc50",
            page="https://github.com/karolpiczak/ESC-50",
            sources=(
                Source(
                    "https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=600,
            licence="CC BY-NC 3.0 (the ESC-10 clips: CC BY 3.0); credits per clip in LICENSE",
            citation="K. J. Piczak. ESC: Dataset for Environmental Sound Classification. "
            "ACM Multimedia 2015. doi:10.1145/2733373.2806390",
            probe="meta/esc50.csv",
            note="2000 clips of 5 s in 50 classes",
        ),
        DataSet(
            name="free-spoken-digit-dataset",
            page="https://github.com/Jakobovski/free-spoken-digit-dataset",
            sources=(
                Source(
                    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/"
                    "master.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=20,
            licence="CC BY-SA 4.0",
            citation="Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas, A. Thite. "
            "Free Spoken Digit Dataset. Zenodo 2018. doi:10.5281/zenodo.1342401",
            probe="recordings",
            note="digits 0 to 9 spoken by six people, 50 times each",
        ),
        DataSet(
            name="wikipedia",
            page="https://github.com/piskvorky/gensim/tree/4.4.0/gensim/test/test_data",
            sources=(
                Source(
                    f"{_GENSIM}/"
                    "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
                    "enwiki-shortened.xml.bz2",
                    "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
                ),
            ),
            megabytes=1.7,
            licence="CC BY-SA 3.0 and GFDL (Wikipedia contributors)",
            citation="Wikipedia contributors. Excerpt of the English Wikipedia dump, as in the "
            "test data of gensim 4.4.0",
            probe=".",
            note="106 articles; for real work take text8 (http://mattmahoney.net/dc/text8.zip)",
        ),
        DataSet(
            name="wikitext-2",
            page="https://github.com/pytorch/examples/tree/main/word_language_model",
            sources=(
                Source(f"{_WIKITEXT}/wikitext-2/train.txt", "train.txt"),
                Source(
                    f"{_WIKITEXT}/wikitext-2/valid.txt",
                    "valid.txt",
                    "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
                ),
                Source(
                    f"{_WIKITEXT}/wikitext-2/test.txt",
                    "test.txt",
                    "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
                ),
            ),
            megabytes=13,
            licence="CC BY-SA 3.0 (Wikipedia contributors)",
            citation="S. Merity, C. Xiong, J. Bradbury, R. Socher. Pointer Sentinel Mixture "
            "Models. ICLR 2017. arXiv:1609.07843",
            probe="valid.txt",
        ),
        DataSet(
            name="us-presidential-speeches",
            page="https://www.nltk.org/nltk_data/",
            sources=(
                Source(f"{_NLTK}/inaugural.zip", "inaugural", archive=True),
                Source(f"{_NLTK}/state_union.zip", "state_union", archive=True),
            ),
            megabytes=1.2,
            licence="public domain",
            citation="S. Bird, E. Klein, E. Loper. Natural Language Processing with Python. "
            "O'Reilly 2009 (corpora inaugural and state_union of nltk_data)",
            probe="inaugural",
        ),
        DataSet(
            name="multi30k-captions",
            page="https://github.com/multi30k/dataset",
            sources=tuple(
                Source(f"{_MULTI30K}/{part}.{i}.en.gz", f"data/task2/raw/{part}.{i}.en.gz")
                for part in ("train", "val")
                for i in range(1, 6)
            ),
            megabytes=3,
            licence="no licence file; the authors are reported to use CC BY-NC-SA 4.0: "
            "treat as non-commercial",
            citation="D. Elliott, S. Frank, K. Sima'an, L. Specia. Multi30K: Multilingual "
            "English-German Image Descriptions. VL 2016. doi:10.18653/v1/W16-3210",
            probe="data/task2/raw/train.1.en.gz",
        ),
        DataSet(
            name="word-similarity-eval",
            page="https://github.com/piskvorky/gensim/tree/4.4.0/gensim/test/test_data",
            sources=(
                Source(
                    f"{_GENSIM}/wordsim353.tsv",
                    "wordsim353.tsv",
                    "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d",
                ),
                Source(
                    f"{_GENSIM}/simlex999.txt",
                    "simlex999.txt",
                    "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d",
                ),
                Source(
                    f"{_GENSIM}/questions-words.txt",
                    "questions-words.txt",
                    "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
                ),
            ),
            megabytes=0.7,
            licence="questions-words: Apache 2.0; WordSim-353: CC BY 4.0 as reported; "
            "SimLex-999: no licence text seen",
            citation="T. Mikolov et al., arXiv:1301.3781 (analogies); L. Finkelstein et al., "
            "ACM TOIS 20(1), 2002 (WordSim-353); F. Hill, R. Reichart, A. Korhonen, "
            "Computational Linguistics 41(4), 2015 (SimLex-999)",
            probe="wordsim353.tsv",
        ),
        DataSet(
            name="cifar10",
            page="https://www.cs.toronto.edu/~kriz/cifar.html",
            sources=(
                Source(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "cifar-10-batches-py",
                    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                    archive=True,
                ),
            ),
            megabytes=163,
            licence="none stated; the authors ask to be cited",
            citation="A. Krizhevsky. Learning Multiple Layers of Features from Tiny Images. "
            "Technical report, University of Toronto, 2009",
            probe=".",
            note="60,000 photographs of 32 x 32 pixels in ten classes",
        ),
        DataSet(
            name="flickr8k",
            page="https://github.com/jbrownlee/Datasets/releases/tag/Flickr8k",
            sources=(
                Source(f"{_FLICKR8K}/Flickr8k_Dataset.zip", "Flicker8k_Dataset", archive=True),
                Source(f"{_FLICKR8K}/Flickr8k_text.zip", "Flickr8k_text", archive=True),
            ),
            megabytes=1100,
            licence="for non-commercial research and education only; the photographs belong to "
            "their authors on Flickr",
            citation="M. Hodosh, P. Young, J. Hockenmaier. Framing Image Description as a Ranking "
            "Task: Data, Models and Evaluation Metrics. JAIR 47, 2013. doi:10.1613/jair.3994",
            probe="Flickr8k_text/Flickr8k.token.txt",
            note="8,000 photographs, five captions each; the official form: "
            "https://forms.illinois.edu/sec/1713398",
        ),
        DataSet(
            name="coco",
            page="https://cocodataset.org/#download",
            sources=(
                Source(
                    f"{_COCO}/annotations/annotations_trainval2017.zip", "annotations", archive=True
                ),
                Source(f"{_COCO}/zips/val2017.zip", "val2017", archive=True),
            ),
            megabytes=1060,
            licence="annotations CC BY 4.0; each photograph has its own Creative Commons licence, "
            "named in the annotations",
            citation="X. Chen et al. Microsoft COCO Captions: Data Collection and Evaluation "
            "Server. 2015. arXiv:1504.00325",
            probe="annotations",
            note="the 5,000 photographs of the validation part; the training part (18 GB) is "
            "zips/train2017.zip at the same address",
        ),
        DataSet(
            name="easy-VQA",
            page="https://github.com/vzhou842/easy-VQA",
            sources=(
                Source(
                    "https://github.com/vzhou842/easy-VQA/archive/refs/heads/master.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=5,
            licence="MIT",
            citation="V. Zhou. easy-VQA: an easy visual question answering data set. 2019",
            probe="easy_vqa/data/answers.txt",
            note="5,000 pictures of one coloured shape each, 48,248 questions, 13 answers",
        ),
        DataSet(
            name="nlvr",
            page="https://github.com/lil-lab/nlvr",
            sources=(
                Source(
                    "https://github.com/lil-lab/nlvr/archive/refs/heads/master.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=350,
            licence="CC BY 4.0",
            citation="A. Suhr, M. Lewis, J. Yeh, Y. Artzi. A Corpus of Natural Language for Visual "
            "Reasoning. ACL 2017. doi:10.18653/v1/P17-2034",
            probe="nlvr/dev/dev.json",
            note="drawn pictures of three boxes; the archive also holds the texts of NLVR2",
        ),
        DataSet(
            name="sound-localization-annotations",
            page="https://github.com/hche11/Localizing-Visual-Sounds-the-Hard-Way",
            sources=(
                Source(
                    f"{_VGGSS}/vggss.json",
                    "vggss/vggss.json",
                    "ae300b4a259267e6fe839970d495862edd70bfe3da63d925bcdb34054ed3b15e",
                ),
                Source(
                    f"{_VGGSS}/vggss_test.csv",
                    "vggss/vggss_test.csv",
                    "971081929d45caf21a148a6ca968822d96e8316331d0cc0bafb1783acb4d2c35",
                ),
                Source(
                    f"{_SENOCAK}/test_list.txt",
                    "flickr-soundnet/test_list.txt",
                    "7134e3d58fffd0232cde2674a1d387c0c1e4d2844b153d894a47d1c6865567cd",
                ),
            ),
            megabytes=0.8,
            licence="vggss: Apache 2.0; flickr-soundnet: no licence file. The videos are those of "
            "YouTube and Flickr and not openly licensed",
            citation="H. Chen et al. Localizing Visual Sounds the Hard Way. CVPR 2021 (vggss). "
            "A. Senocak et al. Learning to Localize Sound Source in Visual Scenes. CVPR 2018 "
            "(flickr-soundnet)",
            probe="vggss/vggss.json",
            note="boxes of 5,158 clips, no pictures; for the XML files of Flickr-SoundNet see "
            "https://github.com/ardasnck/learning_to_localize_sound_source",
        ),
        DataSet(
            name="grid",
            page="https://zenodo.org/records/3625687",
            sources=(
                *(
                    Source(f"{_GRID}/GRID/{name}.mpg", f"{name}.mpg", digest)
                    for name, digest in _GRID_CLIPS.items()
                ),
                Source(
                    f"{_GRID_MORE}/id2_vcd_swwp2s.mpg",
                    "id2_vcd_swwp2s.mpg",
                    "3bb8cffd51399caaf0c97abcd32bcab3493b2878ffda73bd648490ea47c75cc0",
                ),
                Source(
                    f"{_GRID_MORE}/swwp2s.align",
                    "id2_vcd_swwp2s.align",
                    "559395817c28c146a9d520abb9eb2c226fb45f2c2818bf618b8e21ff8e236b9c",
                ),
            ),
            megabytes=3.7,
            licence="CC BY 4.0 as reported of the whole corpus on Zenodo",
            citation="M. Cooke, J. Barker, S. Cunningham, X. Shao. An audio-visual corpus for "
            "speech perception and automatic speech recognition. JASA 120(5), 2006. "
            "doi:10.1121/1.2229005",
            probe="bbaf2n.mpg",
            note="nine clips of three seconds, the samples of github.com/rizkiarm/LipNet; the "
            "whole corpus has 34 speakers with 1,000 sentences each",
        ),
        DataSet(
            name="kitti",
            page="https://www.cvlibs.net/datasets/kitti/eval_object.php",
            sources=tuple(
                Source(f"{_KITTI}/{path}", f"Kitti/raw/training/{path}", digest)
                for path, digest in _KITTI_FILES.items()
            ),
            megabytes=5.4,
            licence="CC BY-NC-SA 3.0",
            citation="A. Geiger, P. Lenz, R. Urtasun. Are we ready for autonomous driving? The "
            "KITTI vision benchmark suite. CVPR 2012",
            probe="Kitti/raw/training/velodyne/000000.bin",
            note="two training frames of the object benchmark, from github.com/kuixu/"
            "kitti_object_vis; all 7,481 (40 GB) are on KITTI's page",
        ),
        DataSet(
            name="middlebury-2003",
            page="https://vision.middlebury.edu/stereo/data/scenes2003/",
            sources=tuple(
                Source(f"{_MIDDLEBURY}/{name}/{part}.png", f"{name}/{part}.png")
                for name in ("cones", "teddy")
                for part in ("im2", "im6", "disp2", "disp6")
            ),
            megabytes=1.8,
            licence="free to use for research with citation, no formal licence",
            citation="D. Scharstein, R. Szeliski. High-accuracy stereo depth maps using structured "
            "light. CVPR 2003",
            probe="cones/im2.png",
            note="quarter size, 450 × 375 pixels",
        ),
        DataSet(
            name="public-domain-recipes",
            page="https://github.com/ronaldl29/public-domain-recipes",
            sources=(
                Source(
                    "https://github.com/ronaldl29/public-domain-recipes/archive/refs/heads/"
                    "main.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=25,
            licence="Unlicense (public domain)",
            citation="Public Domain Recipes. github.com/ronaldl29/public-domain-recipes",
            probe="static/pix",
            note="recipes in Markdown, about a third of them with a photograph",
        ),
        DataSet(
            name="noto-emoji",
            page="https://github.com/googlefonts/noto-emoji",
            sources=(
                Source(
                    "https://github.com/googlefonts/noto-emoji/archive/refs/heads/main.zip",
                    ".",
                    archive=True,
                ),
                Source(
                    "https://raw.githubusercontent.com/muan/emojilib/main/dist/emoji-en-US.json",
                    "emoji-en-US.json",
                ),
            ),
            megabytes=400,
            licence="pictures: Apache 2.0 by the README, SIL OFL 1.1 by the LICENSE; names: MIT",
            citation="Google. Noto Emoji. github.com/googlefonts/noto-emoji. "
            "M. Chang. emojilib. github.com/muan/emojilib",
            probe="png/72",
            note="pictures of 72 × 72 pixels are used, the archive holds all sizes",
        ),
        DataSet(
            name="nuscenes",
            page="https://www.nuscenes.org/nuscenes",
            sources=tuple(
                Source(f"{_NUSCENES}/{name.replace('+', '%2B')}", name, sha256)
                for name, sha256 in _NUSCENES_FRAME.items()
            ),
            megabytes=0.9,
            licence="CC BY-NC-SA 4.0, not for commercial use",
            citation="H. Caesar et al. nuScenes: A multimodal dataset for autonomous driving. "
            "CVPR 2020",
            probe="n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin",
            note="one frame, which MMDetection3D ships for demonstration; all 1,000 scenes, and a "
            "small version of ten, are on the official page after registration",
        ),
        DataSet(
            name="modelnet10",
            page="https://modelnet.cs.princeton.edu/",
            sources=(
                Source(
                    "https://vision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
                    ".",
                    archive=True,
                ),
            ),
            megabytes=470,
            licence="academic research only; the meshes belong to their authors",
            citation="Z. Wu, S. Song, A. Khosla, F. Yu, L. Zhang, X. Tang, J. Xiao. 3D ShapeNets: "
            "A Deep Representation for Volumetric Shapes. CVPR 2015",
            probe="ModelNet10/bathtub/train/bathtub_0001.off",
            note="4,899 meshes in 10 categories",
        ),
        DataSet(
            name="meshes",
            page="https://github.com/alecjacobson/common-3d-test-models",
            sources=tuple(
                Source(f"{_MESHES}/{name}", name, sha256) for name, sha256 in _MESH_FILES.items()
            ),
            megabytes=0.8,
            licence="no licence file. Spot: CC0, as reported of its author's page; the teapot is "
            "taken as in the public domain; cow and Suzanne: no licence seen, treat as for study",
            citation="A. Jacobson et al. Common 3D Test Models. "
            "github.com/alecjacobson/common-3d-test-models. Teapot: M. Newell, 1975; cow: "
            "Viewpoint Animation Engineering, Sun Microsystems; Spot: K. Crane; Suzanne: Blender",
            probe="teapot.obj",
            note="four meshes as Wavefront OBJ; the same page has a dozen more",
        ),
    )
}


def find_data_set(name: str) -> DataSet:
    """Return the entry of the data set ``name``.

    Raises:
        ValueError: no data set has this name; the message lists those there are.
    """
    if name not in DATA_SETS:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
