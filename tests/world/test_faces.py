"""Laws of faces: shape follows the voice and the rest does not, lips follow the phones."""

from dataclasses import replace

import pytest
import torch

from mmlib.runtime import make_generator
from mmlib.world import faces, voices
from mmlib.world.faces import LIPS, Face, Light, Pose
from mmlib.world.phones import PHONES

FACE = Face(0.5, 0.72, 0.25, 0.2, 0.23, hair=0, style=0, skin=0.3, glasses=False)


def said(*phones, seconds=0.12):
    """Return an utterance of these phones, equally long, without a sound."""
    spans = [voices.Phone(name, seconds * n, seconds * (n + 1)) for n, name in enumerate(phones)]
    return voices.Utterance(torch.zeros(round(seconds * len(phones) * 16_000)), spans)


def column(track, name):
    return track[:, LIPS.index(name)]


def mouth(**lips):
    return torch.tensor([[lips.get(name, 0.0) for name in LIPS]])


def people(count, seed=0):
    generator = make_generator(seed)
    speakers = voices.speakers(count, generator)
    return speakers, [faces.face_of(speaker, generator) for speaker in speakers]


def correlations(first, second):
    return torch.corrcoef(torch.tensor([first, second], dtype=torch.float64))[0, 1].item()


def test_the_same_seed_gives_the_same_faces():
    assert people(20)[1] == people(20)[1]
    assert people(20)[1] != people(20, seed=1)[1]


def test_shape_follows_tract_and_age_and_free_attributes_follow_nothing():
    speakers, found = people(1500)
    tracts, ages = [s.tract for s in speakers], [s.age for s in speakers]
    pitches = [s.pitch for s in speakers]
    for name in ("jaw", "length", "nose"):
        assert correlations([getattr(face, name) for face in found], tracts) > 0.75
    assert correlations([face.lines for face in found], ages) > 0.85
    for name in faces.FREE:
        values = [float(getattr(face, name)) for face in found]
        for other in (tracts, ages, pitches):
            assert abs(correlations(values, other)) < 0.12


def test_every_phone_that_is_spoken_has_a_mouth_shape():
    for phone in PHONES:
        assert faces.mouth_track(said("SIL", phone, "SIL")).isfinite().all()


@pytest.mark.parametrize("phone", ["P", "B", "M"])
def test_lips_close_for_a_labial_between_open_vowels(phone):
    opening = column(faces.mouth_track(said("AA", phone, "AA"), fps=100), "opening")
    assert opening[18] < 0.02  # the middle of the second phone
    assert opening[5] > 0.8
    assert opening[-6] > 0.8


def test_visemes_look_as_phonetics_has_them():
    tracks = {p: faces.mouth_track(said(p, p, p), fps=100)[18] for p in ("AA", "IY", "UW", "F")}
    rows = {name: dict(zip(LIPS, row.tolist(), strict=True)) for name, row in tracks.items()}
    assert max(rows, key=lambda name: rows[name]["opening"]) == "AA"
    assert max(rows, key=lambda name: rows[name]["width"]) == "IY"
    assert max(rows, key=lambda name: rows[name]["rounding"]) == "UW"
    assert max(rows, key=lambda name: rows[name]["tuck"]) == "F"


def test_lips_round_before_the_vowel_is_heard():
    """In "stew" the s is rounded, in "stay" it is not: co-articulation looks ahead."""
    rounded = column(faces.mouth_track(said("S", "T", "UW"), fps=100), "rounding")
    spread = column(faces.mouth_track(said("S", "T", "IY"), fps=100), "rounding")
    assert rounded[18] > 0.2
    assert spread[18] < 0.05
    late = column(faces.mouth_track(said("UW", "T", "S"), fps=100), "rounding")
    assert rounded[18] > late[18]  # it reaches further ahead than back


def test_a_track_is_a_weighted_mean_of_targets_within_their_range():
    generator = make_generator(0)
    speaker = voices.speakers(1, generator)[0]
    utterance = voices.speak("a purple trumpet by the shore", speaker, generator=generator)
    track = faces.mouth_track(utterance)
    assert track.shape == (int(len(utterance.wave) / 640), len(LIPS))
    assert track.min() >= -0.3  # the narrowest target
    assert track.max() <= 1
    assert (track[1:] - track[:-1]).abs().max() < 0.75  # no jumps


def test_moving_the_phones_in_time_moves_the_track():
    silence = ["SIL"] * 4
    early = said(*silence, "AA", "P", "UW", *silence, *silence)
    late = said(*silence, *silence, "AA", "P", "UW", *silence)  # 0.48 s later: 12 frames
    first, second = faces.mouth_track(early), faces.mouth_track(late)
    assert torch.allclose(first[9:24], second[21:36], atol=0.01)


def test_landmarks_run_around_the_mouth():
    points = faces.mouth_outline(mouth(opening=0.6)).view(faces.POINTS, 2)
    outer, inner = points[:12], points[12:]
    assert torch.allclose(points[0], -points[6] * torch.tensor([1.0, -1.0]))  # corners
    assert (outer[1:6, 1] < 0).all()  # the upper lip is above
    assert (outer[7:, 1] > 0).all()
    assert (inner[1:4, 1] > outer[1:6, 1].min()).all()
    assert (inner[:, 0].abs() < outer[:, 0].abs().max()).all()
    assert torch.allclose(outer[1:6, 0].flip(0), -outer[1:6, 0])  # as wide left as right


def test_landmarks_measure_what_the_track_says():
    def size(**lips):
        points = faces.mouth_outline(mouth(**lips)).view(faces.POINTS, 2)
        return (points[6, 0] - points[0, 0]).item(), (points[18, 1] - points[14, 1]).item()

    wide, shut = size()
    assert wide == pytest.approx(2)
    assert shut == pytest.approx(0)
    assert size(opening=1)[1] > size(opening=0.5)[1] > 0.3
    assert size(width=1)[0] > wide > size(rounding=1)[0]


def test_the_drawn_lips_end_at_the_landmarks():
    """Just inside the outline lies lip, just outside lies skin, in a picture of 256 pixels."""
    lips = mouth(opening=0.5, width=0.3)
    picture = faces.draw(FACE, lips, size=256)[0]
    points = faces.mouth_outline(lips).view(faces.POINTS, 2)
    middle = 0.55 * FACE.length + 0.25 * (FACE.nose - 0.25)
    skin = picture[:, round((middle + 0.2 + 1) * 128), 128]
    for number in (2, 3, 4, 8, 9, 10):
        for factor, lip in ((0.9, True), (1.12, False)):
            x, y = (points[number] * torch.tensor([1.0, factor]) * FACE.mouth).tolist()
            colour = picture[:, int((middle + y + 1) * 128), int((x + 1) * 128)]
            assert ((colour - skin).abs().max() > 0.1) == lip


def test_pictures_have_their_shape_and_range_and_are_smooth_edged():
    _, found = people(12)
    pictures = faces.draw(found, size=48, light=Light(side=0.7, level=1.2))
    assert pictures.shape == (12, 3, 48, 48)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    fine = faces.draw(found, size=192, light=Light(side=0.7, level=1.2))
    coarse = torch.nn.functional.avg_pool2d(fine, 4)
    assert (coarse - pictures).abs().mean() < 0.012  # a coarse picture is a fine one, averaged


def test_a_moving_mouth_changes_only_the_lower_face():
    first, second = faces.draw(FACE, torch.cat([mouth(), mouth(opening=0.8)]), size=64)
    changed = (first - second).abs().amax(dim=0) > 0.01
    assert changed.any()
    assert not changed[:30].any()


def test_pose_moves_the_head_and_the_mouth_region_stays():
    there = Pose(right=0.25, down=-0.125)
    moved = faces.draw(FACE, size=64, pose=there)[0]
    still = faces.draw(FACE, size=64)[0]
    assert torch.allclose(moved[:, 6:40, 22:54], still[:, 10:44, 14:46], atol=0.03)
    lips = mouth(opening=0.5)
    region = faces.mouth_frames(FACE, lips, size=24)
    assert torch.allclose(faces.mouth_frames(FACE, lips, size=24, pose=there), region, atol=0.05)


def test_free_attributes_show_and_lines_too():
    base = faces.draw(FACE, size=48)
    for change in ({"glasses": True}, {"skin": 0.9}, {"hair": 2}, {"style": 2}, {"lines": 1.0}):
        assert (faces.draw(replace(FACE, **change), size=48) - base).abs().max() > 0.05


def test_one_face_a_frame_is_as_one_after_the_other():
    _, found = people(3)
    lips = torch.cat([mouth(), mouth(opening=0.4), mouth(rounding=1.0)])
    together = faces.draw(found, lips, size=32)
    alone = [faces.draw(face, row[None], size=32)[0] for face, row in zip(found, lips, strict=True)]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)


def test_a_sampled_pose_moves_slowly_and_is_locked_by_its_seed():
    first = faces.sample_pose(50, generator=make_generator(0))
    again = faces.sample_pose(50, generator=make_generator(0))
    assert torch.equal(first.right, again.right)
    assert first.yaw.shape == (50,)
    assert first.yaw.diff().abs().max() < 0.03
    assert faces.mouth_frames(FACE, mouth().expand(50, -1), pose=first).shape == (50, 3, 24, 24)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: faces.mouth_track(said("QQ")), "phone 'QQ' is not known"),
        (lambda: faces.mouth_track(said("AA"), fps=0), "fps is 0"),
        (lambda: faces.mouth_track(said("AA", seconds=0.01)), "the wave has 160 samples"),
        (lambda: faces.mouth_outline(torch.zeros(3, 4)), "track has shape"),
        (lambda: faces.draw(FACE, torch.zeros(3, 4)), "mouth has shape"),
        (lambda: faces.draw([FACE] * 2, torch.zeros(3, 5)), "2 faces for 3 mouths"),
        (lambda: faces.draw(FACE, size=8), "size is 8"),
        (lambda: faces.draw(FACE, pose=Pose(yaw=torch.zeros(4))), "4 frames, the mouth 1"),
        (lambda: faces.sample_pose(0, generator=make_generator(0)), "frames is 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
