"""What became of what was received, in words for whoever looks after the PACS: English, then German.

One sentence for each code, the same for all studies; the sentence with the values stands with the study.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.core.funnel import Place, Step
from service.core.language import Language

Both = tuple[str, str]

PLACES: Final[Mapping[Place, Both]] = MappingProxyType(
    {
        Place.ARRIVING: ("Images are still arriving.", "Bilder kommen noch an."),
        Place.EMPTY: (
            "Nothing of it is analysed by itself: its images are part of another analysis, or came late.",
            "Nichts davon wird für sich ausgewertet: Die Bilder gehören zu einer anderen oder kamen zu spät.",
        ),
        Place.DECIDING: (
            "Waits until the rules have chosen among the images of the study.",
            "Wartet, bis die Regeln unter den Bildern der Studie gewählt haben.",
        ),
        Place.WAITING: ("Waits for a worker.", "Wartet auf einen Worker."),
        Place.RUNNING: ("Is being analysed.", "Wird gerade ausgewertet."),
        Place.FAILED: (
            "Given up after all attempts; look at it and run it again.",
            "Nach allen Versuchen aufgegeben; bitte ansehen und neu starten.",
        ),
        Place.NOT_ELIGIBLE: (
            "Outside what the network is meant for, or not chosen.",
            "Außerhalb dessen, wofür das Netz gedacht ist, oder nicht gewählt.",
        ),
        Place.UNREADABLE: ("The content could not be read.", "Der Inhalt war nicht lesbar."),
        Place.NOT_ASSESSABLE: (
            "Eligible, but no trustworthy measurement came of it; the report says so.",
            "Geeignet, aber ohne verlässliche Messung; der Bericht sagt das.",
        ),
        Place.WITHDRAWN: ("A person took the result back.", "Eine Person hat das Ergebnis zurückgezogen."),
        Place.NOT_SENT: (
            "Measured; no peer of the settings is to get it.",
            "Gemessen; laut Einstellungen bekommt es kein Partner.",
        ),
        Place.HELD: (
            "Measured, and held until a reviewer accepts it.",
            "Gemessen, und zurückgehalten, bis jemand es nach Durchsicht annimmt.",
        ),
        Place.SENDING: (
            "On the way: at least one object waits for a peer or is being sent.",
            "Unterwegs: Mindestens ein Objekt wartet auf einen Partner oder wird gesendet.",
        ),
        Place.GIVEN_UP: (
            "At least one object did not reach a peer, and is not tried any more; it can be sent again.",
            (
                "Mindestens ein Objekt hat einen Partner nicht erreicht und wird nicht mehr versucht; "
                "es kann erneut gesendet werden."
            ),
        ),
        Place.CONFIRMING: (
            "Stored by every peer; a confirmation is still to come.",
            "Von jedem Partner angenommen; eine Bestätigung steht noch aus.",
        ),
        Place.STORED: (
            "Stored by every peer; not all are asked for a confirmation, or one did not give it.",
            "Von jedem Partner angenommen; nicht alle werden um Bestätigung gebeten, oder einer gab keine.",
        ),
        Place.CONFIRMED: (
            "Every peer has confirmed that it has every object.",
            "Jeder Partner hat bestätigt, dass er jedes Objekt hat.",
        ),
    }
)
STEPS: Final[Mapping[str, Both]] = MappingProxyType(
    {
        "received": ("Received", "Empfangen"),
        "complete": ("Complete", "Vollständig"),
        "eligible": ("Eligible", "Geeignet"),
        "measured": ("Measured", "Gemessen"),
        "delivered": ("Delivered", "Zugestellt"),
        "confirmed": ("Confirmed", "Bestätigt"),
    }
)
NAMES: Final[Mapping[str, Both]] = MappingProxyType(
    {
        Place.ARRIVING: ("arriving", "kommt an"),
        Place.EMPTY: ("nothing to analyse", "nichts auszuwerten"),
        Place.DECIDING: ("rules decide", "Regeln entscheiden"),
        Place.WAITING: ("waiting", "wartet"),
        Place.RUNNING: ("running", "läuft"),
        Place.FAILED: ("failed", "fehlgeschlagen"),
        Place.NOT_ELIGIBLE: ("not eligible", "nicht geeignet"),
        Place.UNREADABLE: ("unreadable", "nicht lesbar"),
        Place.NOT_ASSESSABLE: ("not assessable", "nicht beurteilbar"),
        Place.WITHDRAWN: ("withdrawn", "zurückgezogen"),
        Place.NOT_SENT: ("measured, not sent", "gemessen, nicht gesendet"),
        Place.HELD: ("measured, held for review", "gemessen, wartet auf Durchsicht"),
        Place.SENDING: ("measured, being sent", "gemessen, wird gesendet"),
        Place.GIVEN_UP: ("delivery given up", "Zustellung aufgegeben"),
        Place.CONFIRMING: ("delivered, to be confirmed", "zugestellt, Bestätigung steht aus"),
        Place.STORED: ("delivered", "zugestellt"),
        Place.CONFIRMED: ("confirmed", "bestätigt"),
    }
)
REASONS: Final[Mapping[str, Both]] = MappingProxyType(
    {
        # Outside the intended use.
        "wrong_modality": ("Not MR.", "Kein MR."),
        "wrong_sop_class": (
            "The object is no MR image, such as a screen capture.",
            "Das Objekt ist kein MR-Bild, zum Beispiel ein Bildschirmfoto.",
        ),
        "localizer": ("A localizer.", "Ein Localizer."),
        "derived": (
            "Derived images, such as reformats or subtractions.",
            "Abgeleitete Bilder, etwa Reformatierungen oder Subtraktionen.",
        ),
        "wrong_plane": ("Not axial.", "Nicht axial."),
        "tilted": ("Axial, but tilted too far.", "Axial, aber zu stark gekippt."),
        "too_few_slices": ("Too few slices.", "Zu wenige Schichten."),
        "missing_slices": (
            "Slices are missing between others: the sender may not have sent all.",
            "Zwischen anderen fehlen Schichten: Womöglich hat der Sender nicht alle geschickt.",
        ),
        "unsupported_contrast": (
            "A contrast or weighting that the network does not take.",
            "Ein Kontrast oder eine Wichtung, die das Netz nicht nimmt.",
        ),
        "post_contrast": ("Made after a contrast agent.", "Nach Kontrastmittelgabe aufgenommen."),
        "wrong_region": ("Another part of the body or spine.", "Eine andere Region."),
        "no_frame_of_reference": (
            "The images have no Frame of Reference UID.",
            "Den Bildern fehlt die Frame of Reference UID.",
        ),
        "lossy_compression": (
            "Compressed with loss: send the original images.",
            "Verlustbehaftet komprimiert: bitte die Originalbilder senden.",
        ),
        "below_min_age": ("Younger than the network is meant for.", "Jünger, als das Netz vorsieht."),
        "not_selected": (
            "Eligible, but the rules chose another series of the study, or none.",
            "Geeignet, aber die Regeln wählten eine andere Serie der Studie oder keine.",
        ),
        "opted_out": ("The patient is on the opt-out list.", "Der Patient steht auf der Widerspruchsliste."),
        "part_of_dixon_set": (
            "Belongs to a Dixon acquisition whose water and fat images are measured.",
            "Gehört zu einer Dixon-Aufnahme, deren Wasser- und Fettbilder gemessen werden.",
        ),
        "ambiguous_stations": (
            "Neighbouring stacks of the scan contradict each other.",
            "Benachbarte Stapel der Aufnahme widersprechen sich.",
        ),
        "ambiguous_dixon_pair": (
            "Several images could be the partner of this Dixon image.",
            "Mehrere Bilder kämen als Partner dieses Dixon-Bildes in Frage.",
        ),
        # No trustworthy measurement.
        "both_sides_found": (
            "Muscle was not found on both sides.",
            "Muskel wurde nicht auf beiden Seiten gefunden.",
        ),
        "plausible_area": (
            "The measured cross-section is implausible.",
            "Der gemessene Querschnitt ist unplausibel.",
        ),
        "plausible_symmetry": (
            "One side is more than twice the other.",
            "Eine Seite ist mehr als doppelt so groß wie die andere.",
        ),
        "slices_with_muscle": (
            "Muscle was found in too few slices.",
            "Muskel wurde in zu wenigen Schichten gefunden.",
        ),
        "sides_by_patient_coordinates": (
            "Left and right contradict the patient coordinates.",
            "Links und rechts widersprechen den Patientenkoordinaten.",
        ),
        "inside_field_of_view": (
            "Muscle is cut off by the border of the image.",
            "Der Muskel ist vom Bildrand abgeschnitten.",
        ),
        "mirror_agreement": (
            "The network contradicts itself on the mirror image.",
            "Das Netz widerspricht sich auf dem Spiegelbild.",
        ),
        "enough_signal": ("Too much noise.", "Zu viel Rauschen."),
        "no_signal_void": (
            "Signal is missing in or beside the muscles, as near metal.",
            "In oder neben den Muskeln fehlt Signal, wie neben Metall.",
        ),
        "water_fat_swap": (
            "Water and fat of the Dixon pair are exchanged.",
            "Wasser und Fett des Dixon-Paars sind vertauscht.",
        ),
        "station_missing_between": (
            "A station between others could not be measured.",
            "Eine Station zwischen anderen konnte nicht gemessen werden.",
        ),
        "fat_separated": ("Fat could not be told from muscle.", "Fett ließ sich nicht vom Muskel trennen."),
        "looks_like_axial_spine": (
            "The images do not look like axial images of the back.",
            "Die Bilder sehen nicht wie axiale Bilder des Rückens aus.",
        ),
        "predicted_dice": (
            "The drawing of the muscles is probably not good enough.",
            "Die Zeichnung der Muskeln ist wahrscheinlich nicht gut genug.",
        ),
        "no_fat_reference": (
            "No fat below the skin to compare with was found.",
            "Kein Unterhautfett zum Vergleich gefunden.",
        ),
        "unknown_fat_method": (
            "The network asks for a method this program does not know.",
            "Das Netz verlangt eine Methode, die dieses Programm nicht kennt.",
        ),
        "no_images": ("No DICOM images.", "Keine DICOM-Bilder."),
        "no_stack": ("The images form no stack of slices.", "Die Bilder bilden keinen Schichtstapel."),
        # Content that cannot be read.
        "unreadable_series": ("The headers cannot be read.", "Die Kopfdaten sind nicht lesbar."),
        "io_error": ("A file could not be read here.", "Eine Datei war hier nicht lesbar."),
        "empty_file": ("A file is empty.", "Eine Datei ist leer."),
        "not_dicom": ("A file is not DICOM.", "Eine Datei ist kein DICOM."),
        "not_nifti": ("A file is not NIfTI.", "Eine Datei ist kein NIfTI."),
        "unsupported_nifti": (
            "NIfTI-2, or NIfTI in two files, which is not read.",
            "NIfTI-2 oder NIfTI in zwei Dateien; das wird nicht gelesen.",
        ),
        "several_volumes": (
            "A NIfTI file holds several volumes.",
            "Eine NIfTI-Datei enthält mehrere Volumen.",
        ),
        "standard_space": (
            "The voxels of a NIfTI file lie in the space of a template.",
            "Die Voxel einer NIfTI-Datei liegen im Raum einer Vorlage.",
        ),
        "conflicting_orientation": (
            "A NIfTI file says two things of where its voxels lie.",
            "Eine NIfTI-Datei sagt zweierlei über die Lage ihrer Voxel.",
        ),
        "bad_sidecar": (
            "The JSON file beside a NIfTI file cannot be understood.",
            "Die JSON-Datei neben einer NIfTI-Datei ist nicht zu verstehen.",
        ),
        "truncated": ("A file ends in its header.", "Eine Datei endet in ihren Kopfdaten."),
        "bad_header": ("A header cannot be parsed.", "Kopfdaten sind nicht zu verstehen."),
        "no_identity": ("A UID is missing.", "Eine UID fehlt."),
        "bad_uid": ("A UID is malformed.", "Eine UID ist fehlerhaft."),
        "duplicate_instance": (
            "Two files hold an image of the same identity.",
            "Zwei Dateien enthalten ein Bild derselben Identität.",
        ),
        "not_an_image": ("The object is no image.", "Das Objekt ist kein Bild."),
        "no_pixels": ("The object has no pixels.", "Das Objekt hat keine Pixel."),
        "too_large": ("Image, stack or header is too large.", "Bild, Stapel oder Kopfdaten sind zu groß."),
        "too_many_stacks": (
            "The series holds more stacks than any scan has.",
            "Die Serie enthält mehr Stapel, als eine Aufnahme hat.",
        ),
        "no_geometry": (
            "Position, orientation or pixel spacing is missing.",
            "Lage, Orientierung oder Pixelabstand fehlen.",
        ),
        "bad_geometry": (
            "Position, orientation or pixel spacing makes no sense.",
            "Lage, Orientierung oder Pixelabstand ergeben keinen Sinn.",
        ),
        "sheared": (
            "The slices are shifted against each other.",
            "Die Schichten sind gegeneinander verschoben.",
        ),
        "bad_spacing": ("The pixel spacing is not positive.", "Der Pixelabstand ist nicht positiv."),
        "bad_frame_count": (
            "The number of frames differs from what is described.",
            "Die Zahl der Bilder weicht von der Beschreibung ab.",
        ),
        "no_positions": ("The slices have no positions.", "Den Schichten fehlt die Lage."),
        "duplicate_positions": (
            "Several slices lie at the same place.",
            "Mehrere Schichten liegen an derselben Stelle.",
        ),
        "several_multiframe_objects": (
            "One stack lies in several multi-frame objects.",
            "Ein Stapel liegt in mehreren Multiframe-Objekten.",
        ),
        "shape_mismatch": (
            "Images of a stack differ in size.",
            "Bilder eines Stapels sind verschieden groß.",
        ),
        "truncated_pixels": (
            "A file ends in its pixels: it was cut off on its way.",
            "Eine Datei endet in ihren Pixeln: Sie wurde unterwegs abgeschnitten.",
        ),
        "undecodable_pixels": ("The pixels cannot be decoded.", "Die Pixel sind nicht dekodierbar."),
        "unsupported_pixel_format": (
            "A pixel format that is not read.",
            "Ein Pixelformat, das nicht gelesen wird.",
        ),
        "unsupported_photometric": ("No grey image.", "Kein Graustufenbild."),
        "bad_rescale": ("The rescale values make no sense.", "Die Skalierungswerte ergeben keinen Sinn."),
        # Faults here.
        "internal_fault": (
            "A fault of the software; the log has it.",
            "Ein Fehler der Software; er steht im Log.",
        ),
        "lease_expired": (
            "The worker died or stood still.",
            "Der Worker ist ausgefallen oder stand still.",
        ),
        "runner_deadline": ("The analysis took too long.", "Die Auswertung dauerte zu lange."),
        "runner_memory": (
            "The analysis needed too much memory.",
            "Die Auswertung brauchte zu viel Speicher.",
        ),
        "runner_crashed": (
            "The process of the analysis died.",
            "Der Prozess der Auswertung ist abgestürzt.",
        ),
        "output_changed": (
            "Files of an earlier result are not what they were.",
            "Dateien eines früheren Ergebnisses sind verändert.",
        ),
        "kept_unreadable": (
            "What was kept of an earlier result cannot be read.",
            "Was von einem früheren Ergebnis aufbewahrt wurde, ist nicht lesbar.",
        ),
        "model_missing": ("The network is not there.", "Das Netz fehlt."),
        "bad_card": ("The card of the network is wrong.", "Die Karte des Netzes ist fehlerhaft."),
        "bad_norm": ("A reference table is wrong.", "Eine Referenztabelle ist fehlerhaft."),
        # Withdrawals.
        "wrong_drawing": (
            "The muscles were not drawn rightly.",
            "Die Muskeln sind nicht richtig gezeichnet.",
        ),
        "wrong_patient": ("The images are of another person.", "Die Bilder sind von einer anderen Person."),
        "wrong_images": ("The images are not fit.", "Die Bilder eignen sich nicht."),
        "software_fault": (
            "Fault of the software or of its data.",
            "Fehler der Software oder ihrer Daten.",
        ),
        "other": ("Another reason.", "Ein anderer Grund."),
    }
)
#: Objects that were not kept, by the name of their counter.
NOT_KEPT: Final[Mapping[str, Both]] = MappingProxyType(
    {
        "own_results_dropped": (
            "Our own results that came back; accepted and dropped.",
            "Eigene Ergebnisse, die zurückkamen; angenommen und verworfen.",
        ),
        "unwanted_refused": (
            "No MR images; refused with 0x0122 (the peer's unwanted = refuse).",
            "Keine MR-Bilder; abgewiesen mit 0x0122 (unwanted = refuse des Partners).",
        ),
        "unwanted_discarded": (
            "No MR images; accepted and discarded (the peer's unwanted = discard).",
            "Keine MR-Bilder; angenommen und verworfen (unwanted = discard des Partners).",
        ),
        "instances_unreadable": (
            "Objects without readable identity, or other than announced; refused.",
            "Objekte ohne lesbare Identität oder andere als angekündigt; abgewiesen.",
        ),
        "instances_too_large": (
            "Larger than MYOSCREEN_MAX_INSTANCE_MB; refused.",
            "Größer als MYOSCREEN_MAX_INSTANCE_MB; abgewiesen.",
        ),
        "instances_refused_disk": (
            "No room on the disk; the sender was told to come back (0xA700).",
            "Kein Platz auf der Platte; der Sender soll wiederkommen (0xA700).",
        ),
        "instances_failed": (
            "A fault here; the sender was told to come back (0xA700).",
            "Ein Fehler hier; der Sender soll wiederkommen (0xA700).",
        ),
        "edits_again": (
            "Edited segmentations that came a second time; accepted, nothing is done again.",
            "Bearbeitete Segmentierungen, die noch einmal kamen; angenommen, nichts geschieht erneut.",
        ),
        "edits_of_unknown_images": (
            "Segmentations that lie on no image of ours; answered by the peer's unwanted.",
            "Segmentierungen, die auf keinem Bild hier liegen; beantwortet nach unwanted des Partners.",
        ),
        "edits_of_another_patient": (
            "Segmentations that name another patient or study than their images; refused with 0xA900.",
            "Segmentierungen mit anderer Person oder Studie als ihre Bilder; abgewiesen mit 0xA900.",
        ),
        "edits_in_conflict": (
            "Segmentations with other content under a known identifier; refused with 0xA900.",
            "Segmentierungen mit anderem Inhalt unter bekannter Kennung; abgewiesen mit 0xA900.",
        ),
    }
)


def said(both: Both, language: Language) -> str:
    """One of the two."""
    return both[1] if language == "de" else both[0]


def step_name(step: Step, language: Language) -> str:
    """What a step is called."""
    return said(STEPS[step], language)


def place_name(place: Place, language: Language) -> str:
    """What a place is called."""
    return said(NAMES[place], language)


def explain(place: Place, reason: str | None, language: Language) -> str:
    """Why a thing is where it is; a code without words is shown as it is, without underscores."""
    if reason is None:
        return said(PLACES[place], language)
    both = REASONS.get(reason)
    return reason.replace("_", " ") if both is None else said(both, language)
