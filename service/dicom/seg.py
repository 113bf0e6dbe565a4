"""The segmentation object: the mask on the grid of its source images."""

from copy import deepcopy
from pathlib import Path
from typing import Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PlanePositionSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from service.core.finding import Definition, Edited, ModelSection
from service.core.mask import Label, Mask
from service.core.status import OutputKind
from service.core.variant import Encoding
from service.core.volume import Grid
from service.dicom import codes
from service.dicom.citing import images_of, is_multiframe
from service.dicom.identity import (
    DEVICE_SERIAL_NUMBER,
    MANUFACTURER,
    SERIES_NUMBERS,
    SOFTWARE_VERSION,
    ObjectIdentity,
    Written,
    fingerprint,
    series_uid,
    tracking_uid,
)
from service.dicom.stack import Stack
from service.dicom.stamp import (
    copy_patient_and_study,
    describe_body_part,
    describe_equipment,
    first_source,
    instance_uid,
    person_fingerprint,
    stamp,
    take_person,
    write,
)
from service.errors import UnreadableSeries

SERIES_DESCRIPTION: Final = "MYOSCREEN: paraspinal muscle/IMAT SEG"
EDITED_DESCRIPTION: Final = f"{SERIES_DESCRIPTION}, edited by a person"


def write_seg(
    stack: Stack,
    mask: Mask,
    *,
    model: ModelSection,
    definition: Definition,
    identity: ObjectIdentity,
    path: Path,
    encoding: Encoding = "binary",
    compressed: bool = False,
    edited: Edited | None = None,
) -> Written:
    """Write the mask as a segmentation of the stack it was drawn on; frames without a voxel are left out.

    ``compressed`` writes a label map in RLE Lossless. A binary segmentation cannot be: what compresses
    it is not read by others (DICOM.md 0.2); ``deflate`` packs it whole. ``edited`` says that a person drew on
    it, so that the segments are not called automatic.

    Every segment is described, also one without a voxel (no fat on one side is a result). An empty
    mask raises ValueError: there is nothing to hand to a viewer then, and only the SR is sent. A stack
    that cannot be referenced (no frame of reference, slices over several multi-frame objects) raises
    UnreadableSeries; its finding can still be sent as SR without a segmentation.
    """
    if not mask.labels.any():
        raise ValueError("An empty mask makes no segmentation object.")
    if compressed and encoding == "binary":
        raise ValueError("Only a label map is written in RLE.")
    if stack.facts.frame_of_reference_uid is None:
        raise UnreadableSeries(
            "Without a frame of reference no segmentation can be placed.", reason="no_frame_of_reference"
        )
    source = first_source(stack)
    person = take_person([source])
    sources = images_of(stack, source)
    if is_multiframe(source) and len(sources) > 1:
        raise UnreadableSeries(
            "A stack over several multi-frame objects cannot be referenced frame by frame.",
            reason="several_multiframe_objects",
        )
    description = SERIES_DESCRIPTION if edited is None else EDITED_DESCRIPTION
    names = codes.segment_labels(fat_separated=mask.fat_separated)
    labels = _described_labels(mask, names)
    sop_instance_uid = instance_uid(
        OutputKind.SEG,
        identity.mask_digest,
        identity,
        fingerprint(
            labels.tobytes(),
            model.sha256,
            definition.id,
            definition.version,
            encoding,
            str(compressed),
            *(() if edited is None else (edited.algorithm_type, edited.by or "")),
        ),
        person_fingerprint(person),
    )
    transfer_syntax_uid = RLELossless if compressed else ExplicitVRLittleEndian
    segmentation = Segmentation(
        sources,
        labels,
        encoding.upper(),
        [_describe(label, name, model, identity, edited) for label, name in names.items()],
        series_instance_uid=series_uid(sop_instance_uid),
        series_number=SERIES_NUMBERS[OutputKind.SEG],
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model.name,
        software_versions=SOFTWARE_VERSION,
        device_serial_number=DEVICE_SERIAL_NUMBER,
        plane_positions=_plane_positions(sources, stack.grid),
        content_label="PARASPINAL_SEG",
        content_description=f"{definition.id} {definition.version}"[:64],
        content_creator_name="MYOSCREEN^AI" if edited is None else edited.by,
        series_description=description,
        transfer_syntax_uid=transfer_syntax_uid,
        omit_empty_frames=True,
    )
    copy_patient_and_study(person, segmentation)
    describe_equipment(segmentation, kind=OutputKind.SEG, description=description, model_name=model.name)
    describe_body_part(segmentation, stack, source)
    if is_multiframe(source):
        _name_source_frames(segmentation, stack)
    stamp(segmentation, identity)
    return write(segmentation, kind=OutputKind.SEG, path=path, transfer_syntax_uid=transfer_syntax_uid)


def _plane_positions(sources: list[Dataset], grid: Grid) -> list[PlanePositionSequence] | None:
    """Where the mask's slices lie; None for single-frame sources, which are in grid order already."""
    if not is_multiframe(sources[0]):
        return None
    return [PlanePositionSequence("PATIENT", origin.tolist()) for origin in grid.origins_mm]


def _described_labels(mask: Mask, names: dict[Label, str]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The label map; refuses a voxel that no segment describes."""
    if int(mask.labels.max()) > max(names):
        raise ValueError("The mask has fat voxels although fat was not separated.")
    return np.ascontiguousarray(mask.labels, dtype=np.uint8)


def _describe(
    label: Label, name: str, model: ModelSection, identity: ObjectIdentity, edited: Edited | None
) -> SegmentDescription:
    """What one segment is, which network drew it, and the identifier that the SR repeats.

    What a person drew alone has no algorithm (PS3.3 table C.8.20-4); what was edited keeps the network's.
    """
    algorithm = AlgorithmIdentificationSequence(
        name=model.name,
        version=model.version,
        family=codes.AI_FAMILY,
        source=MANUFACTURER,
        parameters={"model": f"sha256:{model.sha256}"},
    )
    return SegmentDescription(
        segment_number=int(label),
        segment_label=name,
        segmented_property_category=codes.TISSUE,
        segmented_property_type=codes.TYPE_OF[label],
        algorithm_type="AUTOMATIC" if edited is None else edited.algorithm_type,
        algorithm_identification=None
        if edited is not None and edited.algorithm_type == "MANUAL"
        else algorithm,
        tracking_id=name,
        tracking_uid=tracking_uid(identity, name),
        anatomic_regions=[_region(label)],
        display_color=CIELabColor.from_rgb(*codes.COLOUR_OF[label]),
    )


def _region(label: Label) -> CodedConcept:
    """The region with its side as a modifier; a copy, because the constant belongs to all segments."""
    region = deepcopy(codes.REGION)
    region.AnatomicRegionModifierSequence = [codes.SIDE_OF[label]]
    return region


def _name_source_frames(segmentation: Dataset, stack: Stack) -> None:
    """Point each frame at the very source frame that the mask was drawn on.

    Several echoes of one multi-frame image share a position, so position alone names too many.
    """
    origins = stack.grid.origins_mm
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
        index = int(np.linalg.norm(origins - position, axis=1).argmin())
        number = stack.frames[index].frame
        for derivation in group.get("DerivationImageSequence") or ():
            derivation.SourceImageSequence = derivation.SourceImageSequence[:1]
            derivation.SourceImageSequence[0].ReferencedFrameNumber = number
