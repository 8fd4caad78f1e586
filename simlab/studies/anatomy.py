"""Anatomy of the phantoms: chest, head and knee, each drawn anew for every patient.

All coordinates are patient coordinates in mm (see ``planes``) around the middle of the region. Solids are painted in
order: what is named later replaces what lies there already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from simlab.studies.planes import Vector
from simlab.studies.solids import Anatomy, Floats, Folds, Sculptor
from simlab.studies.study import Patient
from simlab.studies.tissues import Tissue


def _stature(generator: np.random.Generator, patient: Patient) -> Vector:
    """How much larger or smaller than the standard the patient is, per axis."""
    size = {"F": 0.95, "M": 1.02}.get(patient.sex, 0.98)
    x, y, z = (size * generator.uniform((0.95, 0.95, 0.97), (1.05, 1.05, 1.03))).tolist()
    return x, y, z


def build_chest(generator: np.random.Generator, patient: Patient) -> Anatomy:
    """From the lung apices to the upper abdomen, lying on a table, arms up."""
    body = Sculptor()
    body.shell(Tissue.SUPPORT, Tissue.AIR, (0, 143, 0), (215, 24, 3000), 4)
    body.stature = _stature(generator, patient)
    fat = generator.uniform(8, 20)
    for inset, tissue in ((0.0, Tissue.SKIN), (2.0, Tissue.FAT), (fat, Tissue.MUSCLE)):
        body.ellipsoid(tissue, (0, 0, -30), (168 - inset, 116 - inset, 470))
        for side in (-1, 1):  # shoulders
            body.ellipsoid(tissue, (side * 108, 8, 150), (62 - inset, 70 - inset, 90), turn=(0, side * 0.35, 0))
    if patient.sex == "F":
        for side in (-1, 1):
            body.ellipsoid(Tissue.FAT, (side * 72, -92, -25), (52, 38, 48))
    _paint_lungs(body, generator)
    _paint_mediastinum(body, generator)
    _paint_upper_abdomen(body)
    _paint_thoracic_spine(body)
    _paint_ribs(body)
    return body.finish()


def _paint_lungs(body: Sculptor, generator: np.random.Generator) -> None:
    for side in (-1, 1):
        lung: tuple[Vector, Vector] = ((side * 76, 2, -15), (62, 88, 168))
        body.ellipsoid(Tissue.FAT, lung[0], (65, 91, 171), turn=(0, side * 0.08, 0))
        body.ellipsoid(Tissue.LUNG, *lung, turn=(0, side * 0.08, 0))
        hilum = np.array((side * 30.0, 12.0, 5.0))
        for _ in range(30):
            direction = generator.standard_normal(3) * (0.7, 0.9, 1.5)
            direction[0] = side * abs(direction[0])
            _grow_vessel(body, generator, hilum, direction / np.linalg.norm(direction), lung, 4.2)
        for _ in range(3):  # nodules
            position = np.array(lung[0]) + generator.uniform(-0.55, 0.55, 3) * lung[1]
            x, y, z = position.tolist()
            radius = generator.uniform(2, 6)
            body.ellipsoid(Tissue.MUSCLE, (x, y, z), (radius, radius, radius))


def _grow_vessel(
    body: Sculptor,
    generator: np.random.Generator,
    start: Floats,
    direction: Floats,
    lung: tuple[Vector, Vector],
    radius: float,
) -> None:
    """A vessel that bends, thins and forks until it comes near the pleura."""
    while radius > 0.8:
        end = start + direction * 8 * math.sqrt(radius)
        if np.sum(np.square((end - lung[0]) / np.array(lung[1]))) > 0.9:
            return
        body.rod(Tissue.BLOOD, start, end, radius)
        start, radius = end, radius * 0.88
        direction = direction + generator.normal(0, 0.22, 3)
        direction /= np.linalg.norm(direction)
        if generator.random() < 0.4:
            aside = direction + generator.normal(0, 0.75, 3)
            _grow_vessel(body, generator, start, aside / np.linalg.norm(aside), lung, radius * 0.8)


def _paint_mediastinum(body: Sculptor, generator: np.random.Generator) -> None:
    size = generator.uniform(0.9, 1.12)
    body.ellipsoid(Tissue.FAT, (2, -12, 30), (34, 62, 130))
    body.ellipsoid(Tissue.FAT, (22, -36, -58), (70 * size, 56 * size, 62 * size), turn=(0, 0, 0.5))
    body.ellipsoid(Tissue.MYOCARDIUM, (24, -36, -58), (64 * size, 50 * size, 57 * size), turn=(0, 0, 0.5))
    for centre, axes in (((40, -36, -66), (24, 20, 32)), ((4, -54, -60), (26, 20, 34)), ((-4, -12, -40), (24, 18, 26))):
        x, y, z = (size * axis for axis in axes)
        body.ellipsoid(Tissue.BLOOD, centre, (x, y, z))
    aorta: list[Vector] = [(2, -28, -25), (-12, -34, 5), (-12, -30, 35), (-4, -14, 55), (10, 8, 62), (20, 30, 56)]
    aorta += [(24, 44, z) for z in (40, 20, 0, -25, -50, -75, -100, -130, -160)]
    body.tube(Tissue.VESSEL_WALL, aorta, 15.5, 13)
    body.tube(Tissue.BLOOD, aorta, 14, 11.5)
    body.tube(Tissue.BLOOD, [(16, -46, -20), (16, -34, 10), (26, -8, 16), (48, 10, 8)], 13, 9)  # pulmonary trunk
    body.tube(Tissue.BLOOD, [(14, -26, 14), (-14, -12, 10), (-46, 6, 4)], 12, 8)
    body.tube(Tissue.BLOOD, [(-24, -24, 110), (-26, -22, 60), (-24, -18, 10), (-20, -14, -30)], 9)  # superior vena cava
    trunks: list[tuple[Vector, Vector]] = [((-10, -22, 62), (-28, -16, 140)), ((8, -6, 64), (24, -6, 145))]
    for foot, top in trunks:
        body.tube(Tissue.BLOOD, [foot, top], 5.5)
    trachea: list[Vector] = [(0, 8, 190), (0, 12, 130), (0, 16, 80), (0, 18, 38)]
    body.tube(Tissue.CARTILAGE, trachea, 10.5)
    for side, low in ((-1, -6), (1, 2)):
        bronchus: list[Vector] = [(0, 18, 40), (side * 20, 18, 22), (side * 44, 14, low)]
        body.tube(Tissue.VESSEL_WALL, bronchus, 8.5, 6)
        body.tube(Tissue.AIR, bronchus, 7, 4.5)
    body.tube(Tissue.AIR, trachea, 8.5)
    body.tube(Tissue.MUSCLE, [(4, 34, 190), (6, 36, 60), (8, 34, -60), (16, 20, -150)], 7)  # oesophagus


def _paint_upper_abdomen(body: Sculptor) -> None:
    body.ellipsoid(Tissue.MUSCLE, (-68, 2, -178), (86, 92, 100))
    body.ellipsoid(Tissue.LIVER, (-66, 2, -180), (83, 89, 97))
    body.ellipsoid(Tissue.MUSCLE, (70, 2, -190), (80, 90, 100))
    body.ellipsoid(Tissue.FAT, (70, 2, -192), (77, 86, 97))
    body.ellipsoid(Tissue.LIVER, (10, -30, -165), (75, 45, 42))
    body.ellipsoid(Tissue.SPLEEN, (96, 48, -160), (32, 38, 52), turn=(0, 0.2, 0.4))
    body.ellipsoid(Tissue.MUSCLE, (62, -18, -160), (44, 44, 46))
    body.ellipsoid(Tissue.FLUID, (62, -18, -160), (39, 39, 41))
    body.ellipsoid(Tissue.AIR, (62, -36, -154), (28, 17, 28))


def _paint_thoracic_spine(body: Sculptor) -> None:
    for side in (-1, 1):
        body.ellipsoid(Tissue.MUSCLE, (side * 30, 88, -30), (26, 17, 500))
    body.tube(Tissue.CARTILAGE, [(0, 62, z) for z in range(-250, 251, 25)], 15)  # disks, seen between the vertebrae
    levels = range(-231, 232, 22)
    vertebrae: list[tuple[Vector, Vector]] = [((0, 62, z), (19, 16, 10.5)) for z in levels]
    for z in levels:
        body.tube(Tissue.CORTICAL_BONE, [(-33, 84, z + 2), (-12, 82, z), (12, 82, z), (33, 84, z + 2)], 5)
        body.tube(Tissue.CORTICAL_BONE, [(0, 90, z), (0, 106, z - 14)], 3.5)
    body.bone(vertebrae, 1.6)
    body.ellipsoid(Tissue.CORTICAL_BONE, (0, 85, -30), (13, 12, 500))
    body.ellipsoid(Tissue.FLUID, (0, 84, -30), (9.5, 8.5, 500))
    body.ellipsoid(Tissue.WHITE_MATTER, (0, 84, -30), (5.5, 4.5, 500))


def _paint_ribs(body: Sculptor) -> None:
    for side in (-1, 1):
        for level in range(-9, 5):
            # From the spine round to the front, sinking on the way; the chest is narrower towards its apex.
            angles = np.linspace(0.42, 2.75, 15)
            wide, deep = 146 - 2.4 * max(level, 0) ** 2, 98 - 1.2 * max(level, 0) ** 2
            sink = np.linspace(0, 62, len(angles))
            path = np.column_stack(
                [side * wide * np.sin(angles), deep * np.cos(angles) - 2, level * 24 + 50 - sink],
            )
            for tissue, thickness, height in ((Tissue.CORTICAL_BONE, 4.2, 7.0), (Tissue.MARROW, 2.6, 5.2)):
                for start, end in pairwise(path):
                    body.rod(tissue, start, end, thickness, height)
        body.tube(Tissue.CORTICAL_BONE, [(side * 14, -84, 112), (side * 70, -58, 132), (side * 130, -20, 150)], 6)
        body.ellipsoid(Tissue.CORTICAL_BONE, (side * 104, 82, 80), (42, 4.5, 66), turn=(0, 0, side * -0.55))
    body.bone([((0, -96, 20), (17, 6, 66)), ((0, -90, 92), (24, 6.5, 22))], 1.5)


def build_head(generator: np.random.Generator, patient: Patient) -> Anatomy:
    """Brain, skull, face and upper neck, in a head holder."""
    head = Sculptor()
    head.ellipsoid(Tissue.SUPPORT, (0, 16, 0), (106, 105, 900))
    head.ellipsoid(Tissue.AIR, (0, 4, 0), (106, 112, 900))
    head.stature = _stature(generator, patient)
    for tissue, inset in ((Tissue.SKIN, 0.0), (Tissue.FAT, 2.0), (Tissue.MUSCLE, 7.0)):
        head.ellipsoid(tissue, (0, 22, -140), (62 - inset, 60 - inset, 130))
        head.ellipsoid(tissue, (0, 44, -70), (56 - inset, 40 - inset, 50))
        head.ellipsoid(tissue, (0, -22, -62), (64 - inset, 70 - inset, 72))
        head.ellipsoid(tissue, (0, -92, -52), (13 - inset, 16 - inset / 2, 24))
    for tissue, inset in ((Tissue.SKIN, 0.0), (Tissue.FAT, 2.0), (Tissue.CORTICAL_BONE, 6.0)):
        head.ellipsoid(tissue, (0, 0, 10), (80 - inset, 99 - inset, 84 - inset))
    head.ellipsoid(Tissue.MARROW, (0, 0, 10), (72, 91, 76))
    _paint_face(head)
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, 36, -38), (60, 45, 36))
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, 0, 10), (70.5, 89.5, 74.5))
    head.ellipsoid(Tissue.FLUID, (0, 0, 10), (68, 87, 72))
    head.ellipsoid(Tissue.FLUID, (0, 36, -38), (56, 41, 32))
    _paint_brain(head, generator)
    _paint_neck(head)
    return head.finish()


def _paint_face(head: Sculptor) -> None:
    for side in (-1, 1):
        head.ellipsoid(Tissue.CORTICAL_BONE, (side * 33, -64, -30), (25, 27, 22))
        head.ellipsoid(Tissue.FAT, (side * 33, -66, -30), (21, 26, 18))
        head.ellipsoid(Tissue.FLUID, (side * 33, -78, -30), (12.5, 12.5, 12.5))
        head.ellipsoid(Tissue.CARTILAGE, (side * 33, -87, -30), (5, 2.5, 5))
        head.tube(Tissue.GREY_MATTER, [(side * 31, -66, -30), (side * 20, -38, -30)], 2.2)  # optic nerve
        for x in (21, 45):
            head.tube(Tissue.MUSCLE, [(side * x, -74, -30), (side * 24, -42, -30)], 2.2)
        head.ellipsoid(Tissue.CORTICAL_BONE, (side * 26, -56, -64), (20, 22, 19))
        head.ellipsoid(Tissue.AIR, (side * 26, -56, -64), (17.5, 19.5, 16.5))  # maxillary sinus
        head.ellipsoid(Tissue.CORTICAL_BONE, (side * 58, -48, -48), (5, 26, 6), turn=(0, 0, side * 0.35))
        head.tube(Tissue.CORTICAL_BONE, [(side * 12, -82, -116), (side * 42, -52, -112), (side * 52, -10, -70)], 7)
        head.ellipsoid(Tissue.MUSCLE, (side * 60, -24, -80), (7, 22, 32))
        head.ellipsoid(Tissue.CORTICAL_BONE, (side * 54, 22, -48), (18, 24, 20))  # temporal bone
        for x, y, z in ((56, 34, -52), (60, 26, -58), (52, 38, -44), (61, 36, -46), (55, 26, -50), (58, 30, -64)):
            head.ellipsoid(Tissue.AIR, (side * x, y, z), (4, 4, 4))  # mastoid cells
        head.tube(Tissue.AIR, [(side * 82, 8, -46), (side * 44, 12, -46)], 3.5)
        head.ellipsoid(Tissue.SKIN, (side * 82, 14, -42), (5, 17, 30), turn=(0, 0, side * -0.4))
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, -58, -54), (17, 34, 30))
    head.ellipsoid(Tissue.AIR, (0, -58, -56), (14, 32, 26))
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, -58, -50), (1.2, 30, 26))
    for side in (-1, 1):
        head.ellipsoid(Tissue.SKIN, (side * 8, -56, -64), (3, 24, 8))
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, -24, -44), (22, 20, 14))
    head.ellipsoid(Tissue.AIR, (0, -26, -45), (14, 14, 9))  # sphenoid sinus
    head.ellipsoid(Tissue.AIR, (0, -86.5, -6), (16, 4, 11))  # frontal sinus
    head.ellipsoid(Tissue.MUSCLE, (0, -45, -104), (25, 32, 20))  # tongue
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, -62, -90), (28, 26, 8))
    head.ellipsoid(Tissue.AIR, (0, -8, -95), (12, 7, 50))  # pharynx


def _paint_brain(head: Sculptor, generator: np.random.Generator) -> None:
    atrophy = generator.uniform(0.8, 1.4)
    cortex, cerebellum = Folds.draw(generator, generator.uniform(19, 23)), Folds.draw(generator, 9)
    for side in (-1, 1):
        head.ellipsoid(Tissue.WHITE_MATTER, (side * 25, 41, -39), (29, 33, 26), folds=cerebellum)
        head.ellipsoid(Tissue.WHITE_MATTER, (side * 40, -14, -22), (24, 38, 26), folds=cortex)  # temporal lobe
    head.ellipsoid(Tissue.WHITE_MATTER, (0, 0, 12), (66, 85, 68), folds=cortex)
    head.ellipsoid(Tissue.FLUID, (0, -12, -36), (18, 22, 18))  # basal cisterns
    head.ellipsoid(Tissue.CORTICAL_BONE, (0, -32, -46), (24, 22, 16))
    head.ellipsoid(Tissue.AIR, (0, -34, -47), (15, 15, 9))
    head.ellipsoid(Tissue.FLUID, (0, 4, 44), (1.4 * atrophy, 82, 42))
    head.ellipsoid(Tissue.LIGAMENT, (0, 4, 50), (0.7, 84, 44))  # falx
    for side in (-1, 1):
        for centre, axes, tilt in (((54, -14, 2), (17, 20, 2.2), -0.3), ((45, -6, 8), (2.2, 22, 12), 0.1)):
            x, y, z = centre
            head.ellipsoid(Tissue.FLUID, (side * x, y, z), axes, turn=(0, side * tilt, 0))  # Sylvian fissure
        head.ellipsoid(Tissue.GREY_MATTER, (side * 40.5, -6, 8), (2.6, 20, 14))  # insula
        head.ellipsoid(Tissue.WHITE_MATTER, (side * 28, 0, 6), (11, 34, 18))
        head.ellipsoid(Tissue.GREY_MATTER, (side * 27, -6, 6), (6.5, 18, 12), turn=(0, 0, side * 0.2))  # putamen
        head.ellipsoid(Tissue.GREY_MATTER, (side * 13, -24, 12), (6, 10, 11))  # caudate head
        head.ellipsoid(Tissue.GREY_MATTER, (side * 11, 8, 8), (9, 15, 11), turn=(0, 0, side * -0.3))  # thalamus
        head.tube(
            Tissue.WHITE_MATTER,
            [(side * 9, -34, 14), (side * 12, -10, 30), (side * 20, 20, 26), (side * 32, 40, 10)],
            11,
        )
        horn: list[Vector] = [(side * 9, -34, 12), (side * 10, -18, 23), (side * 12, 4, 27), (side * 19, 24, 23)]
        horn += [(side * 27, 36, 10), (side * 29, 56, 6)]
        head.tube(Tissue.FLUID, horn, 4.6 * atrophy, 3.6 * atrophy)
        head.tube(Tissue.FLUID, [(side * 27, 34, 10), (side * 36, 16, -12), (side * 36, -6, -20)], 3 * atrophy)
    callosum: list[Vector] = [(0, -36, 8), (0, -42, 20), (0, -26, 33), (0, 0, 37), (0, 24, 32), (0, 36, 20)]
    for offset in (-7.0, 0.0, 7.0):
        head.tube(Tissue.WHITE_MATTER, [(offset, y, z) for _, y, z in callosum], 4.2)
    head.ellipsoid(Tissue.FLUID, (0, 2, 5), (2.2 * atrophy, 15, 9))  # third ventricle
    head.tube(Tissue.WHITE_MATTER, [(0, 4, -12), (0, 8, -36), (0, 20, -58)], 13, 11)  # midbrain, pons, medulla
    head.ellipsoid(Tissue.WHITE_MATTER, (0, 2, -36), (17, 13, 14))
    head.tube(Tissue.FLUID, [(0, 16, -8), (0, 20, -24), (0, 26, -36)], 1.2, 3.5)
    head.ellipsoid(Tissue.FLUID, (0, 26, -38), (8 * atrophy, 4, 9))  # fourth ventricle
    head.ellipsoid(Tissue.FLUID, (0, 19, -10), (9, 4, 6))
    for side in (-1, 1):
        head.tube(Tissue.BLOOD, [(side * 8, -14, -50), (side * 9, -14, -20), (side * 30, -12, -10)], 2.2, 1.4)
        for _ in range(int(generator.integers(1, 7))):  # small white matter lesions come with age
            x, y, z = (generator.uniform((18, -50, 24), (40, 40, 44))).tolist()
            radius = generator.uniform(1, 2.6)
            head.ellipsoid(Tissue.GREY_MATTER, (side * x, y, z), (radius, radius, radius))


def _paint_neck(head: Sculptor) -> None:
    cervical: list[tuple[Vector, Vector]] = [
        ((0, 14 + 0.05 * z, z), (12, 9, 7.5)) for z in (-94, -110, -126, -142, -158)
    ]
    head.tube(Tissue.CARTILAGE, [(0, 9, -88), (0, 6, -170)], 8)
    for (_, y, z), _ in cervical:
        head.tube(Tissue.CORTICAL_BONE, [(-22, y + 12, z), (0, y + 30, z - 2), (22, y + 12, z)], 4)
        head.tube(Tissue.CORTICAL_BONE, [(0, y + 30, z - 2), (0, y + 44, z - 8)], 3)
    head.bone(cervical, 1.2)
    cord: list[Vector] = [(0, 24, -56), (0, 28, -80), (0, 27, -120), (0, 26, -180)]
    head.tube(Tissue.FLUID, cord, 9)
    head.tube(Tissue.WHITE_MATTER, cord, 5.5)
    for side in (-1, 1):
        head.tube(Tissue.BLOOD, [(side * 28, 2, -60), (side * 30, 0, -180)], 3.5)
        head.tube(Tissue.BLOOD, [(side * 36, 8, -60), (side * 38, 8, -180)], 5)


def build_knee(generator: np.random.Generator, patient: Patient) -> Anatomy:
    """A left knee, stretched: the fibula lies to the left."""
    knee = Sculptor(_stature(generator, patient))
    fat = generator.uniform(6, 12)
    for tissue, inset in ((Tissue.SKIN, 0.0), (Tissue.FAT, 1.8), (Tissue.LIGAMENT, fat), (Tissue.FAT, fat + 0.8)):
        knee.ellipsoid(tissue, (0, 4, 0), (64 - inset, 66 - inset, 420))
    muscles: tuple[tuple[Vector, Vector], ...] = (
        ((0, -30, 100), (44, 20, 70)),
        ((-34, -6, 80), (19, 34, 66)),
        ((34, -6, 85), (19, 34, 66)),
        ((-28, 38, 60), (22, 17, 82)),
        ((28, 38, 60), (21, 17, 82)),
        ((-19, 42, -50), (21, 17, 72)),
        ((20, 42, -50), (22, 17, 72)),
        ((0, 30, -85), (36, 16, 66)),
        ((30, -16, -90), (19, 22, 66)),
        ((-30, -8, -110), (12, 20, 60)),
    )
    for centre, (x, y, z) in muscles:
        knee.ellipsoid(Tissue.LIGAMENT, centre, (x, y, z))
        knee.ellipsoid(Tissue.MUSCLE, centre, (x - 0.8, y - 0.8, z))
    effusion = generator.uniform(0.6, 1.6)
    knee.ellipsoid(Tissue.FLUID, (0, -24, 34), (25, 7 * effusion, 26))  # suprapatellar recess
    knee.ellipsoid(Tissue.FLUID, (0, 4, -1), (41, 28, 3 + effusion))
    # Before the bones that it lies against: painted later it would cut through their cortex.
    knee.ellipsoid(Tissue.FAT, (0, -28, -2), (24, 13, 21), turn=(0.35, 0, 0))  # infrapatellar fat pad
    knee.bone([((0, 4, -16), (40, 27, 13)), ((0, 0, -38), (27, 21, 34)), ((0, -4, -140), (15, 16, 130))], 1.6, 2.2)
    knee.bone([((37, 20, -26), (9, 9, 12)), ((39, 22, -110), (7, 8, 86))], 1.4)
    femur: list[tuple[Vector, Vector]] = [((0, -2, 36), (31, 20, 34)), ((0, -4, 150), (16, 16, 135))]
    femur += [((side * 22, 6, 20), (18.5, 29, 19)) for side in (-1, 1)]
    knee.bone(femur, 1.6, generator.uniform(1.6, 3.0))
    knee.ellipsoid(Tissue.FAT, (0, 24, 10), (6.5, 18, 14))  # intercondylar notch
    for side in (-1, 1):  # menisci: rings that open towards the middle of the joint
        angles = np.linspace(0.5, 2 * math.pi - 0.5, 18)
        ring: list[Vector] = [
            (side * (22 - 15 * math.cos(angle)), 6 + 20 * math.sin(angle), -0.5) for angle in angles.tolist()
        ]
        knee.tube(Tissue.LIGAMENT, ring, 3.2)
        knee.ellipsoid(Tissue.LIGAMENT, (side * 43, 4, 4), (2, 9, 38))  # collateral ligaments
    knee.tube(Tissue.LIGAMENT, [(7, 22, 17), (2, 8, 6), (-2, -8, -4)], 3.8)  # anterior cruciate
    knee.tube(Tissue.LIGAMENT, [(-7, 4, 12), (-4, 24, 6), (0, 31, -10)], 4.6)  # posterior cruciate
    knee.ellipsoid(Tissue.CARTILAGE, (0, -36, 28), (20, 9, 18))
    knee.bone([((0, -41, 29), (21, 10, 21))], 1.5)
    knee.tube(Tissue.LIGAMENT, [(0, -43, 14), (0, -40, -10), (0, -30, -36)], 3.4)  # patellar tendon
    knee.tube(Tissue.LIGAMENT, [(0, -47, 46), (0, -44, 80), (0, -40, 130)], 3.6)  # quadriceps tendon
    knee.tube(Tissue.BLOOD, [(2, 40, 150), (3, 42, 40), (2, 40, -30), (0, 30, -120)], 3.6)
    knee.tube(Tissue.BLOOD, [(9, 44, 150), (9, 47, 40), (8, 44, -30), (6, 34, -120)], 4.6)
    for _ in range(14):  # veins under the skin
        angle, radius = generator.uniform(0, 2 * math.pi), generator.uniform(0.8, 1.8)
        x, y = (62 - fat * 0.6) * math.cos(angle), 4 + (64 - fat * 0.6) * math.sin(angle)
        shift = generator.uniform(-12, 12)
        knee.tube(Tissue.BLOOD, [(x, y, -110), (x * 0.97, y + shift / 2, 0), (x * 0.95, y + shift, 110)], radius)
    return knee.finish()


ANATOMIES: dict[str, Callable[[np.random.Generator, Patient], Anatomy]] = {
    "chest": build_chest,
    "head": build_head,
    "knee": build_knee,
}
